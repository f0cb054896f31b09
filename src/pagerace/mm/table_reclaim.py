"""A table of PTEs that a zap has left empty, and whose VMA stays: the proposals.

Where ``TableWalk.reclaim`` is EMPTIED the lock of mm/table_lock.py is asked for: whoever has
it for writing is alone with the table.  What v6.14 does is in mm/pt_reclaim.py.
"""

from __future__ import annotations

from pagerace.machine.memory import PAGE_SIZE, ulong
from pagerace.machine.pgtable import page_table, pte_none, ptep_get, ptrs_per_pte
from pagerace.machine.tables import (
    PteTables,
    pmd_none,
    pmd_page_vaddr,
    pmd_trans_huge,
    pmdp_get,
)
from pagerace.mm.mm_types import page_ptdesc, pmd_t
from pagerace.mm.mmu_gather import mmu_gather, pte_free_tlb
from pagerace.mm.pgalloc import mm_dec_nr_ptes, pmd_clear_table, pte_free
from pagerace.mm.pgtable import pmd_lock
from pagerace.mm.pgtable_generic import pte_map, pte_maps, pte_offset_map, pte_unmap
from pagerace.mm.spinlock import spin_lock, spin_unlock
from pagerace.mm.table_lock import table_write_lock, table_write_unlock
from pagerace.mm.table_walk import Protection, Reclaim, TableWalk
from pagerace.mm.tlb import flush_tlb_mm_range


def is_empty(table: page_table) -> bool:
    """Is each entry none?"""
    for slot in table.pte:
        if not pte_none(ptep_get(slot)):
            return False
    return True


def looks_empty(tlb: mmu_gather, pmd: pmd_t, addr: ulong, map: pte_map) -> bool:
    """The same of the table of a PMD entry that has one: a guess, as no lock is held."""
    if pte_offset_map(tlb.mm, pmd, addr, map) is None:
        return False
    empty = is_empty(map.table)
    pte_unmap(map)
    return empty


def reclaim_emptied_table(tlb: mmu_gather, pmd: pmd_t, addr: ulong) -> None:
    """What follows zap_pte_range(): take the table away if it is empty, and may go."""
    if not PteTables.come_and_go:
        return
    if TableWalk.reclaim is Reclaim.EMPTIED or TableWalk.reclaim is Reclaim.AT_ONCE:
        if looks_empty(tlb, pmd, addr, pte_maps.current):
            if TableWalk.reclaim is Reclaim.EMPTIED:
                free_emptied_table(tlb, pmd, addr)
            else:
                free_table_at_once(tlb, pmd, addr)


def free_emptied_table(tlb: mmu_gather, pmd: pmd_t, addr: ulong) -> None:
    """With the lock for writing it is looked at again; the gather frees it after its flush."""
    if not table_write_lock(tlb.mm, addr):
        return
    pml = pmd_lock(tlb.mm, pmd)
    table = detach_if_empty(pmd, TableWalk.protection is Protection.READ_OR_PTL)
    spin_unlock(pml)
    table_write_unlock(tlb.mm, addr)
    if table is not None:
        mm_dec_nr_ptes(tlb.mm)
        pte_free_tlb(tlb, table, addr)


def detach_if_empty(pmd: pmd_t, with_ptl: bool) -> page_table | None:
    """The table of a PMD entry, which is none from now on; None: there is nothing to detach.

    PML held.  ``with_ptl``: somebody may be in the table who has its lock, and nothing else.
    """
    entry = pmdp_get(pmd)
    if pmd_none(entry) or pmd_trans_huge(entry):
        return None
    table = pmd_page_vaddr(entry)
    ptl = page_ptdesc(table).ptl
    if with_ptl:
        spin_lock(ptl)
    empty = is_empty(table)
    if empty:
        pmd_clear_table(pmd)
    if with_ptl:
        spin_unlock(ptl)
    return table if empty else None


def free_table_at_once(tlb: mmu_gather, pmd: pmd_t, addr: ulong) -> None:
    """What nobody may do: free a table as soon as no entry of the PMD points to it.

    The TLBs are flushed; whoever reads the table without a lock is not waited for.
    """
    pml = pmd_lock(tlb.mm, pmd)
    table = detach_if_empty(pmd, True)
    spin_unlock(pml)
    if table is not None:
        start = addr - addr % ptrs_per_pte()
        flush_tlb_mm_range(tlb.mm, start, start + ptrs_per_pte() * PAGE_SIZE)
        mm_dec_nr_ptes(tlb.mm)
        pte_free(tlb.mm, table)
