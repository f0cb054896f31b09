"""Finding where a VMA maps a page: mm/page_vma_mapped.c.  A folio has one PTE a VMA."""

from __future__ import annotations

from pagerace.lang import Ref, Struct, per_thread, u1
from pagerace.machine.memory import pfn_t, ulong
from pagerace.machine.pgtable import pte_pfn, pte_present, pte_slot, ptep_get
from pagerace.machine.tables import PteTables, pmd_present, pmdp_get
from pagerace.mm.mm_inline import (
    FlushPending,
    Pending,
    mm_tlb_flush_pending,
    pte_table_flush_pending,
)
from pagerace.mm.mm_types import pmd_t, vm_area_struct
from pagerace.mm.pgtable import mm_find_pmd, pte_lockptr, pte_offset_map
from pagerace.mm.spinlock import spin_lock, spin_unlock, spinlock_t
from pagerace.mm.tlb import flush_tlb_page

PVMW_SYNC = 1


class page_vma_mapped_walk_t(Struct):
    """struct page_vma_mapped_walk of include/linux/rmap.h, on the walker's stack.

    ``ptl``: the lock that is held, or None; with it ``pte`` is the entry looked at.
    ``flags``: PVMW_SYNC waits for whoever is about to change the entry.
    """

    pfn: pfn_t
    vma: Ref[vm_area_struct]
    address: ulong
    pte: Ref[pte_slot]
    ptl: spinlock_t | None = None
    flags: u1


walks = per_thread(page_vma_mapped_walk_t)


def page_vma_mapped_walk(pvmw: page_vma_mapped_walk_t) -> bool:
    """page_vma_mapped_walk(): True with the PTL held, at an entry that maps the page.

    Called again it goes on behind that entry; False has dropped the lock.
    """
    if pvmw.ptl is not None:
        return not_found(pvmw)
    if not map_pte(pvmw):
        return not_found(pvmw)
    if check_pte(pvmw):
        return True
    return not_found(pvmw)


def map_pte(pvmw: page_vma_mapped_walk_t) -> bool:
    """map_pte(): lock the table; without PVMW_SYNC only where a look finds an entry."""
    pmd = mm_find_pmd(pvmw.vma.vm_mm, pvmw.address)
    if pmd is None:
        return False
    if PteTables.come_and_go and not pmd_present(pmdp_get(pmd)):
        return False  # of page_vma_mapped_walk(): there is no table of PTEs
    pvmw.pte = pte_offset_map(pmd, pvmw.address)
    if not pvmw.flags & PVMW_SYNC:
        if not pte_present(ptep_get(pvmw.pte)):
            return False
    ptl = pte_lockptr(pvmw.vma.vm_mm, pmd)
    pvmw.ptl = ptl
    spin_lock(ptl)
    if flush_is_pending(pvmw, pmd):
        flush_tlb_page(pvmw.vma, pvmw.address)
    return True


def flush_is_pending(pvmw: page_vma_mapped_walk_t, pmd: pmd_t) -> bool:
    """Proposals: has the walker to flush what a zapper has cleared?  PTL held."""
    if FlushPending.mkclean is Pending.MM:
        return mm_tlb_flush_pending(pvmw.vma.vm_mm)
    return FlushPending.mkclean is Pending.TABLE and pte_table_flush_pending(pmd)


def check_pte(pvmw: page_vma_mapped_walk_t) -> bool:
    """check_pte(): does the entry map the page?"""
    pte = ptep_get(pvmw.pte)
    return pte_present(pte) and pte_pfn(pte) == pvmw.pfn


def not_found(pvmw: page_vma_mapped_walk_t) -> bool:
    """not_found(): the end of the walk."""
    page_vma_mapped_walk_done(pvmw)
    return False


def page_vma_mapped_walk_done(pvmw: page_vma_mapped_walk_t) -> None:
    """page_vma_mapped_walk_done() of include/linux/rmap.h."""
    ptl = pvmw.ptl
    if ptl is not None:
        spin_unlock(ptl)
    pvmw.ptl = None
