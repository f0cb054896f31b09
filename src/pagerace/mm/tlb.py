"""Flushing TLBs: arch/x86/mm/tlb.c, and what other architectures have in its place.

By interrupts on x86.  Unless lazy TLB mode is looked at (mm/tlb_lazy.py), tlb_gen is left
out, by which the kernel merges flushes: each request is carried out, on each CPU that runs
a thread of the mm.
"""
# pyright: strict, reportPrivateUsage=false, reportUnusedFunction=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import (
    READ_ONCE,
    Struct,
    atomic,
    choose,
    cmpxchg,
    per_thread,
    smp_processor_id,
)
from pagerace.machine.arch import Arch
from pagerace.machine.counters import Counting, counters
from pagerace.machine.cpu import cpus, processor
from pagerace.machine.ipi import answer, wait_for_interrupt
from pagerace.machine.irq import local_irq_disable, local_irq_enable
from pagerace.machine.memory import PAGE_SIZE, Machine, cpu_t, cpumask_t, ulong
from pagerace.machine.tables import PagingCache, PteTables
from pagerace.machine.tlb import invlpg, tlb_flush_all, write_cr3
from pagerace.machine.tlbi import dsb_ish, dsb_ishst, tlbi_vae1is, tlbi_vale1is
from pagerace.machine.walker import arm64
from pagerace.mm.cpumask import cpumask_of, cpumask_test_cpu
from pagerace.mm.mm_types import mm_struct, vm_area_struct
from pagerace.mm.pgtable_s390 import __tlb_flush_mm_lazy
from pagerace.mm.sched import preempt_disable, preempt_enable
from pagerace.mm.smp import cfd_data, csd_lock_wait, smp_call_function_many
from pagerace.mm.tlb_lazy import (
    LazyTlb,
    cpu_tlbstate,
    cpus_not_lazy,
    flush_to_generation,
    inc_mm_tlb_gen,
)

# arch/x86/mm/tlb.c; more pages than these are not worth an INVLPG each.  A check has less.
tlb_single_page_flush_ceiling = 33


class flush_tlb_info(Struct):
    """``freed_tables`` of struct flush_tlb_info: who flushes does so because tables go."""

    freed_tables: bool


flush_tlb_infos = per_thread(flush_tlb_info)


def flush_freed_tables(freed: bool) -> None:
    """What flush_tlb_mm_range() gets as an argument in the kernel, where it is asked for."""
    if PteTables.come_and_go and (LazyTlb.mode or PagingCache.on):
        flush_tlb_infos.current.freed_tables = freed


def freed_tables() -> bool:
    """Does the flush that is going on have to do with tables?"""
    return PteTables.come_and_go and flush_tlb_infos.current.freed_tables


def flush_tlb_page(vma: vm_area_struct, address: ulong) -> None:
    """flush_tlb_page() of asm/tlbflush.h; on s390 there is nothing left to do."""
    if Machine.arch is not Arch.S390:
        flush_tlb_mm_range(vma.vm_mm, address, address + PAGE_SIZE)


def flush_tlb_mm_range(mm: mm_struct, start: ulong, end: ulong) -> None:
    """flush_tlb_mm_range(): when it returns, no CPU translates any of these pages.

    With Machine.paravirtual no CPU *that runs* does, and those that do not are not waited
    for: a section with interrupts off on such a CPU holds no flush up.
    """
    if arm64():
        __flush_tlb_range(start, end)
    elif Machine.arch is Arch.S390:
        __tlb_flush_mm_lazy(mm)
    else:
        preempt_disable()
        mask = mm.cpu_bitmap
        if LazyTlb.mode:
            inc_mm_tlb_gen(mm)
            if not freed_tables():
                mask = cpus_not_lazy(mask)
        if Machine.paravirtual:
            mask = kvm_flush_tlb_multi(mask)
        smp_call_function_many(mask, start, end)
        if Machine.full_size:
            take_interrupts(mask)
        if cpumask_test_cpu(smp_processor_id(), mm.cpu_bitmap):
            local_irq_disable()
            flush_tlb_func(cpus[smp_processor_id()], start, end)
            local_irq_enable()
        csd_lock_wait()
        preempt_enable()


def take_interrupts(mask: cpumask_t) -> None:
    """The CPUs of a set do what this one asks of them, at once: there is but one order."""
    this_cpu = cpu_t(smp_processor_id())
    for cpu in range(Machine.cpus):
        if cpumask_test_cpu(cpu, mask) and cpu != this_cpu:
            if Counting.on:
                counters.ipis_sent += 1
            call_function_interrupt(cpus[cpu], this_cpu)


def call_function_interrupt(cpu: processor, sender: cpu_t) -> None:
    """On the target: the moment of delivery, the function, and the answer."""
    wait_for_interrupt(cpu, sender)
    flush_tlb_func(cpu, cfd_data[sender].start, cfd_data[sender].end)
    if Counting.on:
        counters.ipis_handled += 1
    answer(cpu, sender)


def switch_mm(next: mm_struct) -> None:
    """switch_mm() of arch/x86/mm/tlb.c, at full size: this CPU runs ``next`` from now on."""
    this_cpu = cpu_t(smp_processor_id())
    prev = cpu_tlbstate[this_cpu].loaded_mm
    if prev is next:
        return
    if prev is not None:
        prev.cpu_bitmap &= ~cpumask_of(this_cpu)
    next.cpu_bitmap |= cpumask_of(this_cpu)
    cpu_tlbstate[this_cpu].loaded_mm = next
    write_cr3(cpus[this_cpu], next.pgd)


def kvm_flush_tlb_multi(cpumask: cpumask_t) -> cpumask_t:
    """kvm_flush_tlb_multi() of arch/x86/kernel/kvm.c: the CPUs that still need an IPI.

    A vCPU that is preempted is asked to flush when it goes on; whether it still is
    preempted then, the cmpxchg says.
    """
    flushmask = cpumask
    for cpu in range(Machine.cpus):
        if cpumask_test_cpu(cpu, cpumask) and cpu != smp_processor_id():
            state = READ_ONCE(cpus[cpu].steal)
            if state.preempted:
                asked = state.replace(flush_tlb=True)
                if cmpxchg(cpus[cpu].steal, state, asked) == state:
                    flushmask &= ~cpumask_of(cpu)
    return flushmask


def __flush_tlb_range(start: ulong, end: ulong) -> None:
    """__flush_tlb_range() of arch/arm64/include/asm/tlbflush.h: broadcast, and wait."""
    dsb_ishst()
    for address in range(start, end):
        if PagingCache.on and freed_tables():
            tlbi_vae1is(address)
        else:
            tlbi_vale1is(address)
    dsb_ish()


def flush_tlb_func(cpu: processor, start: ulong, end: ulong) -> None:
    """flush_tlb_func(): on the CPU whose TLB it is."""
    with atomic():  # nobody but this CPU can see its TLB, nor its tlb_gen
        if LazyTlb.mode:
            if start != end:  # else smp_call_function()
                flush_to_generation(cpu, cpu_tlbstate[smp_processor_id()])
        elif Machine.full_size and end - start > tlb_single_page_flush_ceiling:
            tlb_flush_all(cpu)
            if Counting.on:
                counters.flushes_all += 1
        else:
            for address in range(start, end):
                invlpg(cpu, address)
            if Counting.on:
                count_flush(end - start)


def count_flush(pages: ulong) -> None:
    """A CPU has forgotten so many pages, one by one."""
    counters.pages_flushed += pages
    if pages == 1:
        counters.flushes_page += 1
    else:
        counters.flushes_range += 1


def sysvec_call_function() -> None:
    """Agent: the interrupt by which smp_call_function_many() calls flush_tlb_func().

    A step is one request, for the function touches only what is its CPU's own, and the
    thread of that CPU is interrupted meanwhile: others see nothing but the answer.
    """
    cpu = cpus[smp_processor_id()]
    while True:
        with atomic():
            sender = choose(Machine.cpus)
            call_function_interrupt(cpu, sender)
