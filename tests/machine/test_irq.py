from __future__ import annotations

from pagerace.machine.cpu import cpus
from pagerace.machine.irq import irqs_disabled, local_irq_disable, local_irq_enable


def test_the_flag_is_that_of_the_cpu_that_runs() -> None:
    local_irq_disable()
    assert irqs_disabled()
    assert [bool(cpu.interrupts_off) for cpu in cpus] == [True, False, False]
    local_irq_enable()
    assert not irqs_disabled()
    assert not cpus[0].interrupts_off
