"""Pages that are not needed soon: MADV_COLD and MADV_PAGEOUT of mm/madvise.c.

Their walk has a pmd_entry only, which goes through the PTEs by itself.  A large folio is
treated as its pages are; the kernel splits it where the range has a part of it.
"""

from __future__ import annotations

from pagerace.lang import Ref, Struct, per_thread, s32, s64
from pagerace.machine.memory import PAGE_SIZE, Machine, ulong
from pagerace.machine.pgtable import (
    pte_mkold,
    pte_pfn,
    pte_present,
    pte_young,
    ptep_get,
)
from pagerace.machine.tables import pmd_pfn, pmd_t, pmd_trans_huge, pmdp_get
from pagerace.mm.anon import PageAnon, is_zero_pte
from pagerace.mm.errno import EINVAL
from pagerace.mm.huge_memory import pmd_trans_huge_lock, split_huge_pmd
from pagerace.mm.huge_zero import is_huge_zero_pmd
from pagerace.mm.lruvec import folio_deactivate, folio_isolate_lru
from pagerace.mm.mm_types import Reclaim, folio, page_folio, pfn_to_page, vm_area_struct
from pagerace.mm.mman import VM_HUGETLB, VM_LOCKED, VM_PFNMAP
from pagerace.mm.mmu_gather import (
    gathers,
    mmu_gather,
    tlb_finish_mmu,
    tlb_gather_mmu,
    tlb_remove_tlb_entry,
)
from pagerace.mm.pagewalk import walk_page_range_vma
from pagerace.mm.pagewalk_ops import PGWALK_RDLOCK, mm_walk, mm_walk_ops
from pagerace.mm.pgtable import (
    pmdp_huge_get_and_clear,
    ptep_test_and_clear_young,
    set_pmd_at,
)
from pagerace.mm.pgtable_generic import (
    mapped_pte,
    pte_maps,
    pte_offset_map_lock,
    pte_unmap_unlock,
)
from pagerace.mm.pgtable_levels import HPAGE_PMD_NR
from pagerace.mm.rmap_large import folio_maybe_mapped_shared
from pagerace.mm.sched import cond_resched
from pagerace.mm.spinlock import spin_unlock
from pagerace.mm.vmscan import folio_list, reclaim_pages


class madvise_walk_private(Struct):
    """struct madvise_walk_private: ``pageout`` tells MADV_PAGEOUT from MADV_COLD.

    ``isolated``: folios that are to be reclaimed.
    """

    tlb: Ref[mmu_gather]
    pageout: bool
    isolated: folio_list


madvise_walks = per_thread(madvise_walk_private)


def folio_test_lru(folio: folio) -> bool:
    """folio_test_lru(), where lists are kept: anonymous memory would be on one, too."""
    return not Reclaim.lists or PageAnon(folio) or folio.PG_lru


def make_cold(folio: folio, private: madvise_walk_private) -> None:
    """The end of a round: nobody remembers that the page was used, and it may go soon."""
    if Reclaim.lists:
        folio.PG_referenced = False
        if folio.PG_active:
            folio.PG_workingset = True
        if not private.pageout:
            folio_deactivate(folio)
        elif folio_isolate_lru(folio):
            folio.lru_next = private.isolated.first
            private.isolated.first = folio


def madvise_cold_or_pageout_pte_range(
    pmd: pmd_t, addr: ulong, end: ulong, walk: mm_walk
) -> s32:
    """madvise_cold_or_pageout_pte_range(): what nobody else maps becomes old."""
    private = madvise_walks.current
    vma = walk.vma
    if vma is None:
        return 0
    private.isolated.first = None
    if Machine.huge_pages and pmd_trans_huge(pmdp_get(pmd)):
        if end - addr == HPAGE_PMD_NR():
            cold_or_pageout_huge_pmd(vma, pmd, addr, private)
            return 0
        split_huge_pmd(vma, pmd, addr)
    map = pte_maps.current
    if pte_offset_map_lock(walk.mm, pmd, addr, map) is None:
        return 0
    while addr != end:
        pte = mapped_pte(map, addr)
        ptent = ptep_get(pte)
        if pte_present(ptent) and not is_zero_pte(ptent):
            folio = page_folio(pfn_to_page(pte_pfn(ptent)))
            if folio_test_lru(folio) and not folio_maybe_mapped_shared(folio):
                if not private.pageout and pte_young(ptent):
                    ptep_test_and_clear_young(vma, addr, pte)
                    tlb_remove_tlb_entry(private.tlb, addr)
                make_cold(folio, private)
        addr += PAGE_SIZE
    pte_unmap_unlock(map)
    if private.pageout:
        reclaim_pages(private.isolated)
    cond_resched()
    return 0


def cold_or_pageout_huge_pmd(
    vma: vm_area_struct, pmd: pmd_t, addr: ulong, private: madvise_walk_private
) -> None:
    """The same of a huge page, of which the range has all."""
    ptl = pmd_trans_huge_lock(pmd, vma)
    if ptl is None:
        return
    entry = pmdp_get(pmd)
    folio = page_folio(pfn_to_page(pmd_pfn(entry)))
    if not is_huge_zero_pmd(entry) and not folio_maybe_mapped_shared(folio):
        if not private.pageout and pte_young(entry):
            entry = pmdp_huge_get_and_clear(vma.vm_mm, addr, pmd)
            set_pmd_at(vma.vm_mm, addr, pmd, pte_mkold(entry))
            tlb_remove_tlb_entry(private.tlb, addr)
            tlb_remove_tlb_entry(private.tlb, addr + HPAGE_PMD_NR() - PAGE_SIZE)
        make_cold(folio, private)
    spin_unlock(ptl)
    if private.pageout:
        reclaim_pages(private.isolated)


cold_walk_ops = mm_walk_ops(
    pmd_entry=madvise_cold_or_pageout_pte_range, walk_lock=PGWALK_RDLOCK
)


def can_madv_lru_vma(vma: vm_area_struct) -> bool:
    """can_madv_lru_vma()."""
    return vma.vm_flags & (VM_LOCKED | VM_PFNMAP | VM_HUGETLB) == 0


def madvise_cold(vma: vm_area_struct, start: ulong, end: ulong) -> s64:
    """madvise_cold(): 0, or -EINVAL."""
    return madvise_lru(vma, start, end, False)


def madvise_pageout(vma: vm_area_struct, start: ulong, end: ulong) -> s64:
    """madvise_pageout(): 0, or -EINVAL.  The caller may write to any file."""
    return madvise_lru(vma, start, end, True)


def madvise_lru(vma: vm_area_struct, start: ulong, end: ulong, pageout: bool) -> s64:
    """What both have: madvise_cold_page_range() between the ends of a gather."""
    if not can_madv_lru_vma(vma):
        return -EINVAL
    private = madvise_walks.current
    private.tlb = gathers.current
    private.pageout = pageout
    tlb_gather_mmu(private.tlb, vma.vm_mm)
    walk_page_range_vma(vma, start, end, cold_walk_ops)
    tlb_finish_mmu(private.tlb)
    return 0
