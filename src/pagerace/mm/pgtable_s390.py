"""Taking PTEs away on s390: arch/s390/mm/pgtable.c, arch/s390/include/asm/tlbflush.h.

A valid PTE is invalidated together with what the TLBs know of it, so that no stale entry
outlives ptep_get_and_clear().  Only where no other CPU can have one, because the mm is
attached to this CPU alone, is that left to the end of the unmap.
"""
# pyright: strict, reportPrivateUsage=false, reportUnusedFunction=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import WRITE_ONCE, smp_processor_id, xchg
from pagerace.machine.ipte import idte, ipte, ipte_local
from pagerace.machine.memory import ulong
from pagerace.machine.pgtable import pte_same, pte_slot, pte_t, ptep_get, set_pte
from pagerace.machine.walker import is_valid
from pagerace.mm.cpumask import cpumask_of
from pagerace.mm.mm_types import mm_struct
from pagerace.mm.sched import preempt_disable, preempt_enable


def attached_here_only(mm: mm_struct) -> bool:
    """Is the mm attached to this CPU alone?

    mm_cpumask() and ``mm->context.cpu_attach_mask`` are one set, for no CPU comes to it while
    the threads run.  Whoever has it so has to add what flushes at a switch of tasks.
    """
    return mm.cpu_bitmap == cpumask_of(smp_processor_id())


def ptep_flush_direct(mm: mm_struct, address: ulong, ptep: pte_slot) -> pte_t:
    """ptep_flush_direct(): make it invalid, now; what it was.  No hardware changes bits."""
    old = ptep_get(ptep)
    if is_valid(old):
        if attached_here_only(mm):
            ipte_local(address, ptep)
        else:
            ipte(address, ptep)
    return old


def ptep_flush_lazy(mm: mm_struct, address: ulong, ptep: pte_slot) -> pte_t:
    """ptep_flush_lazy(): make it invalid; the TLB of this CPU alone may wait."""
    old = ptep_get(ptep)
    if is_valid(old):
        if attached_here_only(mm):
            set_pte(ptep, old.replace(accessed=False))
            WRITE_ONCE(mm.context.flush_mm, True)
        else:
            ipte(address, ptep)
    return old


def ptep_xchg_direct(mm: mm_struct, address: ulong, ptep: pte_slot, new: pte_t) -> pte_t:
    """ptep_xchg_direct(): no CPU knows the old value when the new one is there."""
    preempt_disable()
    old = ptep_flush_direct(mm, address, ptep)
    set_pte(ptep, new)
    preempt_enable()
    return old


def ptep_xchg_lazy(mm: mm_struct, address: ulong, ptep: pte_slot, new: pte_t) -> pte_t:
    """ptep_xchg_lazy(): the same of all other CPUs, and of this one after the next flush."""
    preempt_disable()
    old = ptep_flush_lazy(mm, address, ptep)
    set_pte(ptep, new)
    preempt_enable()
    return old


def set_access_flags(mm: mm_struct, address: ulong, ptep: pte_slot, entry: pte_t) -> bool:
    """ptep_set_access_flags() of arch/s390/include/asm/pgtable.h."""
    if pte_same(ptep_get(ptep), entry):
        return False
    ptep_xchg_direct(mm, address, ptep, entry)
    return True


def __tlb_flush_mm_lazy(mm: mm_struct) -> None:
    """__tlb_flush_mm_lazy(): what is still to be flushed, if anything is."""
    if xchg(mm.context.flush_mm, False):  # under mm->context.lock
        idte()
