"""What a device is to know of the pages of a process: mm/hmm.c.

The walk is semi-locked: mmap_lock is held for reading, and PTEs are read without the lock of
their table.  That a table stays what it is while it is read is all that it relies on.  What
has been read is worth nothing once an invalidation has begun (mm/mmu_notifier.py).
"""
# pyright: strict, reportPrivateUsage=false, reportUnusedFunction=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import Array, BitStruct, Ref, Struct, array, per_thread, s32
from pagerace.machine.memory import PAGE_SIZE, Machine, pfn_t, ulong
from pagerace.machine.pgtable import (
    pte_none,
    pte_pfn,
    pte_present,
    pte_slot,
    pte_write,
    ptep_get,
)
from pagerace.machine.tables import pmd_none, pmd_pfn, pmd_trans_huge, pmd_write, pmdval_t
from pagerace.mm.errno import EBUSY, EFAULT
from pagerace.mm.mm_types import mm_struct, pmd_t
from pagerace.mm.mmap import find_vma
from pagerace.mm.mmu_notifier import mmu_interval_read_retry, notifier_seq_t
from pagerace.mm.pagewalk import walk_page_range
from pagerace.mm.pagewalk_ops import mm_walk, mm_walk_ops
from pagerace.mm.pgtable_generic import mapped_pte, pte_maps, pte_offset_map, pte_unmap
from pagerace.mm.pgtable_levels import HPAGE_PMD_NR
from pagerace.mm.pgtable_lockless import pmdp_get_lockless
from pagerace.mm.populate import faultin_page


class hmm_pfn_t(BitStruct):
    """``hmm_pfn``: a frame, and HMM_PFN_VALID and HMM_PFN_WRITE."""

    valid: bool = False
    write: bool = False
    pfn: pfn_t = 0


class hmm_range(Struct):
    """struct hmm_range, and ``last`` of struct hmm_vma_walk: where a walk goes on.

    ``behind``: where what is to be faulted in ends.
    ``fault``, ``write``: HMM_PFN_REQ_FAULT and HMM_PFN_REQ_WRITE of ``default_flags``.
    ``notifier_seq``: mmu_interval_read_begin()'s.
    """

    mm: Ref[mm_struct]
    start: ulong
    end: ulong
    last: ulong
    behind: ulong
    fault: bool
    write: bool
    notifier_seq: notifier_seq_t
    hmm_pfns: Array[hmm_pfn_t] = array(lambda: Machine.pages)


hmm_ranges = per_thread(hmm_range)


def hmm_range_fault(wanted: hmm_range) -> s32:
    """hmm_range_fault(): fill ``hmm_pfns``; mmap_lock is held for reading.

    0; -EBUSY: an invalidation has begun since ``notifier_seq`` was read; -EFAULT: a page that
    was asked for cannot be had.  The walk goes on where a fault was needed.
    """
    wanted.last = wanted.start
    ret: s32 = -EBUSY
    while ret == -EBUSY:
        if mmu_interval_read_retry(wanted.mm, wanted.notifier_seq):
            return -EBUSY
        ret = walk_page_range(wanted.mm, wanted.last, wanted.end, hmm_walk_ops)
        if ret == -EBUSY:
            ret = hmm_vma_fault(wanted.last, wanted.behind)
    return ret


def hmm_vma_walk_hole(addr: ulong, end: ulong, depth: s32, walk: mm_walk) -> s32:
    """hmm_vma_walk_hole(): pages without an entry are faulted in, if they are asked for."""
    wanted = hmm_ranges.current
    if wanted.fault:
        return fault_in(addr, end, walk)
    for address in range(addr, end, PAGE_SIZE):
        wanted.hmm_pfns[address] = hmm_pfn_t()
    return 0


def fault_in(addr: ulong, end: ulong, walk: mm_walk) -> s32:
    """The walk ends here with -EBUSY, and hmm_vma_fault() follows; -EFAULT: there is no VMA."""
    wanted = hmm_ranges.current
    wanted.last = addr
    wanted.behind = end
    return -EFAULT if walk.vma is None else -EBUSY


def hmm_vma_fault(addr: ulong, end: ulong) -> s32:
    """hmm_vma_fault(): -EBUSY when all of it was faulted in, so that it is walked again.

    The callbacks of the kernel call it before they end the walk: nothing is between the two.
    """
    wanted = hmm_ranges.current
    vma = find_vma(wanted.mm, addr)
    if vma is None:
        return -EFAULT
    for address in range(addr, end, PAGE_SIZE):
        if not faultin_page(vma, address, wanted.write):
            return -EFAULT
    return -EBUSY


def hmm_vma_walk_pmd(pmd: pmd_t, addr: ulong, end: ulong, walk: mm_walk) -> s32:
    """hmm_vma_walk_pmd(): one entry of the PMD; 0, or what hmm_range_fault() is told.

    A table that is gone when it is mapped is looked for again.
    """
    while True:
        entry = pmdp_get_lockless(pmd)
        if pmd_none(entry):
            return hmm_vma_walk_hole(addr, end, -1, walk)
        if pmd_trans_huge(entry):
            return hmm_vma_handle_pmd(addr, end, entry, walk)
        map = pte_maps.current
        if pte_offset_map(walk.mm, pmd, addr, map) is None:
            continue
        for address in range(addr, end, PAGE_SIZE):
            ret = hmm_vma_handle_pte(walk, address, end, mapped_pte(map, address))
            if ret != 0:
                return ret
        pte_unmap(map)
        return 0


def hmm_vma_handle_pmd(addr: ulong, end: ulong, entry: pmdval_t, walk: mm_walk) -> s32:
    """hmm_vma_handle_pmd(): a part of a huge page, as the entry was when it was read."""
    wanted = hmm_ranges.current
    if wanted.write and not pmd_write(entry):
        return fault_in(addr, end, walk)
    for address in range(addr, end, PAGE_SIZE):
        wanted.hmm_pfns[address] = hmm_pfn_t(
            valid=True,
            write=pmd_write(entry),
            pfn=pmd_pfn(entry) + pfn_t(address % HPAGE_PMD_NR()),
        )
    return 0


def hmm_vma_handle_pte(walk: mm_walk, addr: ulong, end: ulong, ptep: pte_slot) -> s32:
    """hmm_vma_handle_pte(): one PTE, no lock held; where it faults the table is unmapped."""
    wanted = hmm_ranges.current
    pte = ptep_get(ptep)
    if pte_none(pte) or not pte_present(pte):
        wanted.hmm_pfns[addr] = hmm_pfn_t()
        if not wanted.fault:
            return 0
    elif wanted.write and not pte_write(pte):
        wanted.hmm_pfns[addr] = hmm_pfn_t()
    else:
        wanted.hmm_pfns[addr] = hmm_pfn_t(valid=True, write=pte_write(pte), pfn=pte_pfn(pte))
        return 0
    pte_unmap(pte_maps.current)
    return fault_in(addr, end, walk)


hmm_walk_ops = mm_walk_ops(pmd_entry=hmm_vma_walk_pmd, pte_hole=hmm_vma_walk_hole)
