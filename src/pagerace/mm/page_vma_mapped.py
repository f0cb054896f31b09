"""Finding where a VMA maps a page: mm/page_vma_mapped.c.  A folio has one PTE a VMA."""

from __future__ import annotations

from pagerace.lang import Ref, Struct, per_thread, u1
from pagerace.machine.memory import Machine, pfn_t, ulong
from pagerace.machine.pgtable import pte_pfn, pte_present, pte_slot, ptep_get
from pagerace.machine.tables import (
    PteTables,
    pmd_present,
    pmd_same,
    pmd_trans_huge,
    pmdp_get,
)
from pagerace.mm.mm_inline import (
    FlushPending,
    Pending,
    mm_tlb_flush_pending,
    pte_table_flush_pending,
)
from pagerace.mm.mm_types import mm_struct, pmd_t, vm_area_struct
from pagerace.mm.pgtable import mm_find_pmd, pte_lockptr
from pagerace.mm.pgtable_generic import (
    pte_offset_map,
    pte_offset_map_rw_nolock,
    pte_unmap,
    rmap_pte_maps,
)
from pagerace.mm.pgtable_lockless import pmdp_get_lockless
from pagerace.mm.spinlock import spin_lock, spin_unlock, spinlock_t
from pagerace.mm.table_walk import tables_vanish
from pagerace.mm.tlb import flush_tlb_page

PVMW_SYNC = 1


class page_vma_mapped_walk_t(Struct):
    """struct page_vma_mapped_walk of include/linux/rmap.h, on the walker's stack.

    ``ptl``: the lock that is held, or None; with it ``pte`` is the entry looked at.
    ``flags``: PVMW_SYNC waits for whoever is about to change the entry.
    ``restart``: map_pte() has found no table where there had been one.
    """

    pfn: pfn_t
    vma: Ref[vm_area_struct]
    address: ulong
    pte: Ref[pte_slot]
    ptl: spinlock_t | None = None
    flags: u1
    restart: bool


walks = per_thread(page_vma_mapped_walk_t)


def page_vma_mapped_walk(pvmw: page_vma_mapped_walk_t) -> bool:
    """page_vma_mapped_walk(): True with the PTL held, at an entry that maps the page.

    Called again it goes on behind that entry; False has dropped the lock.
    """
    if pvmw.ptl is not None:
        return not_found(pvmw)
    if not walk_to_pte(pvmw):
        return not_found(pvmw)
    if check_pte(pvmw):
        return True
    return not_found(pvmw)


def walk_to_pte(pvmw: page_vma_mapped_walk_t) -> bool:
    """page_vma_mapped_walk(), from ``restart`` on: True with the PTL of a table held.

    From v6.5 on a table that is taken away before it is locked is looked for again.
    """
    mm = pvmw.vma.vm_mm
    pmd = mm_find_pmd(mm, pvmw.address)
    if pmd is None:
        return False
    while not no_table_to_look_at(pmd):
        if not map_pte(pvmw, mm, pmd):
            if not pvmw.restart:
                return False
            continue
        if not tables_vanish() or pmd_same(
            rmap_pte_maps.current.pmdval, pmdp_get_lockless(pmd)
        ):
            return True
        page_vma_mapped_walk_done(pvmw)
    return False


def no_table_to_look_at(pmd: pmd_t) -> bool:
    """What page_vma_mapped_walk() asks first: has the PMD entry no table of PTEs?"""
    if not PteTables.come_and_go:
        return False
    entry = pmdp_get(pmd)
    return not pmd_present(entry) or (Machine.huge_pages and pmd_trans_huge(entry))


def map_pte(pvmw: page_vma_mapped_walk_t, mm: mm_struct, pmd: pmd_t) -> bool:
    """map_pte(): lock the table; without PVMW_SYNC only where a look finds an entry."""
    map = rmap_pte_maps.current
    if not tables_vanish():
        pte = pte_offset_map(mm, pmd, pvmw.address, map)
    else:
        pte = pte_offset_map_rw_nolock(mm, pmd, pvmw.address, map)
    pvmw.restart = pte is None
    if pte is None:
        return False
    pvmw.pte = pte
    if not pvmw.flags & PVMW_SYNC:
        if not pte_present(ptep_get(pvmw.pte)):
            pte_unmap(map)
            return False
    ptl = map.ptl if tables_vanish() else pte_lockptr(pvmw.vma.vm_mm, pmd)
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
        pte_unmap(rmap_pte_maps.current)
    pvmw.ptl = None
