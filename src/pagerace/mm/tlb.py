"""Flushing TLBs by interrupts: arch/x86/mm/tlb.c.

Left out: tlb_gen, by which the kernel merges flushes, and lazy TLB mode.  Each request
is carried out, on each CPU that runs a thread of the mm.
"""

from __future__ import annotations

from pagerace.lang import atomic, choose, smp_processor_id
from pagerace.machine.cpu import cpus, processor
from pagerace.machine.ipi import answer, wait_for_interrupt
from pagerace.machine.irq import local_irq_disable, local_irq_enable
from pagerace.machine.memory import PAGE_SIZE, Machine, ulong
from pagerace.machine.tlb import invlpg
from pagerace.mm.cpumask import cpumask_test_cpu
from pagerace.mm.mm_types import mm_struct, vm_area_struct
from pagerace.mm.sched import preempt_disable, preempt_enable
from pagerace.mm.smp import cfd_data, csd_lock_wait, smp_call_function_many


def flush_tlb_page(vma: vm_area_struct, address: ulong) -> None:
    """flush_tlb_page() of arch/x86/include/asm/tlbflush.h."""
    flush_tlb_mm_range(vma.vm_mm, address, address + PAGE_SIZE)


def flush_tlb_mm_range(mm: mm_struct, start: ulong, end: ulong) -> None:
    """flush_tlb_mm_range(): when it returns, no CPU translates any of these pages."""
    preempt_disable()
    smp_call_function_many(mm.cpu_bitmap, start, end)
    if cpumask_test_cpu(smp_processor_id(), mm.cpu_bitmap):
        local_irq_disable()
        flush_tlb_func(cpus[smp_processor_id()], start, end)
        local_irq_enable()
    csd_lock_wait()
    preempt_enable()


def flush_tlb_func(cpu: processor, start: ulong, end: ulong) -> None:
    """flush_tlb_func(): on the CPU whose TLB it is."""
    with atomic():  # nobody but this CPU can see its TLB
        for address in range(start, end):
            invlpg(cpu, address)


def sysvec_call_function() -> None:
    """Agent: the interrupt by which smp_call_function_many() calls flush_tlb_func().

    A step is one request, for the function touches only what is its CPU's own, and the
    thread of that CPU is interrupted meanwhile: others see nothing but the answer.
    """
    cpu = cpus[smp_processor_id()]
    while True:
        with atomic():
            sender = choose(Machine.cpus)
            wait_for_interrupt(cpu, sender)
            flush_tlb_func(cpu, cfd_data[sender].start, cfd_data[sender].end)
            answer(cpu, sender)
