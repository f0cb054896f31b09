"""Lazy TLB mode: arch/x86/mm/tlb.c.

A CPU that executes a kernel thread keeps the tables of the last user space, and is spared
its flushes.  When it comes back it looks whether it has missed any.
"""

from __future__ import annotations

from pagerace.lang import (
    READ_ONCE,
    WRITE_ONCE,
    Config,
    Pool,
    Struct,
    atomic,
    pool,
    smp_mb,
    smp_processor_id,
)
from pagerace.machine.cpu import cpus, processor
from pagerace.machine.irq import local_irq_disable, local_irq_enable
from pagerace.machine.memory import Machine, cpu_t, cpumask_t
from pagerace.machine.tlb import tlb_flush_all
from pagerace.mm.cpumask import cpumask_of, cpumask_test_cpu
from pagerace.mm.mm_types import mm_struct, tlb_gen_t


class LazyTlb(Config):
    """``mode``: CPUs go into lazy TLB mode, and flushes are counted (tlb_gen)."""

    mode: bool = False


class tlb_state(Struct):
    """struct tlb_state and tlb_state_shared of arch/x86/include/asm/tlbflush.h.

    ``tlb_gen``: the flushes of ``loaded_mm`` that the CPU has carried out.
    """

    loaded_mm: mm_struct | None = None
    is_lazy: bool
    tlb_gen: tlb_gen_t


cpu_tlbstate: Pool[tlb_state] = pool(tlb_state, lambda: Machine.cpus)


def inc_mm_tlb_gen(mm: mm_struct) -> None:
    """inc_mm_tlb_gen() of arch/x86/include/asm/tlbflush.h: atomic64_inc_return()."""
    with atomic():
        mm.context.tlb_gen += 1


def tlb_is_not_lazy(cpu: cpu_t) -> bool:
    """tlb_is_not_lazy(): does this CPU need an interrupt?"""
    return not READ_ONCE(cpu_tlbstate[cpu].is_lazy)


def cpus_not_lazy(cpumask: cpumask_t) -> cpumask_t:
    """Those of a set that smp_call_function_many_cond() interrupts: tlb_is_not_lazy()."""
    mask = cpumask
    for cpu in range(Machine.cpus):
        if cpumask_test_cpu(cpu, cpumask) and cpu != smp_processor_id():
            if not tlb_is_not_lazy(cpu):
                mask &= ~cpumask_of(cpu)
    return mask


def flush_to_generation(cpu: processor, state: tlb_state) -> None:
    """The end of flush_tlb_func(): carry out all flushes that were asked for so far.

    A single one is of its range only in the kernel; here all of the TLB is flushed.
    """
    mm = state.loaded_mm
    if mm is not None and state.tlb_gen != mm.context.tlb_gen:
        tlb_flush_all(cpu)
        state.tlb_gen = mm.context.tlb_gen


def enter_lazy_tlb() -> None:
    """enter_lazy_tlb(): the scheduler has taken a kernel thread."""
    WRITE_ONCE(cpu_tlbstate[smp_processor_id()].is_lazy, True)


def switch_mm_irqs_off(next: mm_struct) -> None:
    """switch_mm_irqs_off(), from lazy mode back to the mm that is still loaded.

    A flush either finds this CPU not lazy, or has counted before the count is read here.
    """
    this_cpu = cpu_t(smp_processor_id())
    leave_lazy_mode(this_cpu)
    smp_mb()
    load_if_out_of_date(this_cpu, next)


def leave_lazy_mode(this_cpu: cpu_t) -> None:
    """``this_cpu_write(cpu_tlbstate_shared.is_lazy, false)``."""
    WRITE_ONCE(cpu_tlbstate[this_cpu].is_lazy, False)


def load_if_out_of_date(this_cpu: cpu_t, next: mm_struct) -> None:
    """Compare the generations, and flush if this CPU is behind."""
    next_tlb_gen = READ_ONCE(next.context.tlb_gen)
    if cpu_tlbstate[this_cpu].tlb_gen != next_tlb_gen:
        with atomic():  # load_new_mm_cr3() with need_flush
            tlb_flush_all(cpus[this_cpu])
            cpu_tlbstate[this_cpu].tlb_gen = next_tlb_gen


def run_kernel_thread(mm: mm_struct) -> None:
    """A task of ``mm`` sleeps, a kernel thread runs on its CPU, and the task comes back."""
    cpu = cpus[smp_processor_id()]
    cpu.away = True
    enter_lazy_tlb()
    local_irq_disable()
    switch_mm_irqs_off(mm)
    local_irq_enable()
    cpu.away = False
