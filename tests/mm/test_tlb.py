"""tlb.py, smp.py and cpumask.py."""

from __future__ import annotations

import pytest

from pagerace.lang.flow import WouldBlock, choosing
from pagerace.lang.structures import KernelPythonError
from pagerace.machine.cpu import cpus, tlb_entry
from pagerace.machine.ipi import send_ipi
from pagerace.machine.irq import irqs_disabled, local_irq_disable
from pagerace.machine.memory import Machine
from pagerace.mm.cpumask import cpumask_of, cpumask_test_cpu
from pagerace.mm.mm_types import mm_struct
from pagerace.mm.sched import tasks
from pagerace.mm.smp import cfd_data
from pagerace.mm.table_free import tlb_remove_table_sync_one
from pagerace.mm.tlb import flush_tlb_mm_range, sysvec_call_function
from tests.kernel import fresh_machine

ENTRY = tlb_entry(present=True, writable=True, dirty=True, pfn=0)


def fill_all() -> None:
    for cpu in cpus:
        for address in range(Machine.pages):
            cpu.tlb[address] = ENTRY


def filled() -> list[list[bool]]:
    return [[bool(e.present) for e in cpu.tlb] for cpu in cpus]


def test_a_flush_reaches_the_cpus_of_the_mm_and_no_other(interrupts: list[int]) -> None:
    fill_all()
    mm = mm_struct()
    mm.cpu_bitmap = 0b101
    flush_tlb_mm_range(mm, 0, 1)
    assert filled() == [[False], [True], [False]]
    assert interrupts == [2]
    assert not irqs_disabled()
    assert tasks.current.preempt_count == 0


def test_a_flush_from_outside_leaves_the_own_tlb_alone(interrupts: list[int]) -> None:
    fill_all()
    mm = mm_struct()
    mm.cpu_bitmap = 0b110
    flush_tlb_mm_range(mm, 0, 1)
    assert filled() == [[True], [False], [False]]
    assert interrupts == [1, 2]


def test_only_the_range_is_flushed() -> None:
    with fresh_machine(Machine(pages=3)):
        fill_all()
        mm = mm_struct()
        mm.cpu_bitmap = 0b111
        flush_tlb_mm_range(mm, 1, 3)
        assert filled() == [[True, False, False]] * 3
        assert (cfd_data[0].start, cfd_data[0].end) == (0, 0)


def test_a_flush_with_interrupts_off_is_reported() -> None:
    mm = mm_struct()
    mm.cpu_bitmap = 0b110
    local_irq_disable()
    with pytest.raises(KernelPythonError, match="ipi-with-interrupts-off"):
        flush_tlb_mm_range(mm, 0, 1)


def test_the_handler_flushes_and_then_answers() -> None:
    fill_all()
    cfd_data[2].end = 1
    cpus[0].request[2] = True  # CPU 2 asks CPU 0, which this test is
    with choosing(lambda n: n - 1), pytest.raises(WouldBlock):
        sysvec_call_function()
    assert not cpus[0].request[2]
    assert filled() == [[False], [True], [True]]


def test_the_handler_waits_while_interrupts_are_off() -> None:
    send_ipi(0)
    cpus[0].interrupts_off = True
    with pytest.raises(WouldBlock):
        sysvec_call_function()
    assert cpus[0].request[0]


def test_sets_of_cpus() -> None:
    assert cpumask_of(2) == 4
    assert cpumask_test_cpu(2, 0b100)
    assert not cpumask_test_cpu(1, 0b100)


def test_all_cpus_but_this_are_interrupted_and_forget_nothing(interrupts: list[int]) -> None:
    with fresh_machine(Machine(pages=2)):
        cpus[1].tlb[1] = cpus[1].tlb[1].replace(present=True)
        tlb_remove_table_sync_one()
        assert interrupts == [1, 2]
        assert cpus[1].tlb[1].present
