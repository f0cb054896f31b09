"""The interrupt flag: arch/x86/include/asm/irqflags.h.

TRUSTED.
"""

from __future__ import annotations

from pagerace.lang import Struct, per_thread, smp_processor_id
from pagerace.machine.cpu import cpus


class eflags(Struct):
    """The flag as its own CPU sees it, which needs no access that others could see."""

    interrupts_off: bool


registers = per_thread(eflags)


def local_irq_disable() -> None:
    """local_irq_disable(): from now on interrupts wait."""
    cpus[smp_processor_id()].interrupts_off = True
    registers.current.interrupts_off = True


def local_irq_enable() -> None:
    """local_irq_enable(): what waited is delivered at any time from now on."""
    registers.current.interrupts_off = False
    cpus[smp_processor_id()].interrupts_off = False


def irqs_disabled() -> bool:
    """irqs_disabled(): on the CPU that asks."""
    return registers.current.interrupts_off


def local_irq_save() -> bool:
    """local_irq_save(): local_irq_disable(), and how it was before."""
    flags = irqs_disabled()
    local_irq_disable()
    return flags


def local_irq_restore(flags: bool) -> None:
    """local_irq_restore(): back to how it was."""
    if not flags:
        local_irq_enable()
