"""Tables that a zap has emptied: mm/pt_reclaim.c, and what it asks of zap_pte_range().

A zap of all that a table covers takes the table away, too.  It knows the table to be empty
if it has seen each entry go and never let go of the PTL: then the lock of the PMD entry,
which is taken before PTLs elsewhere, can only be tried.  Else it looks again at all entries,
under both locks.  Linux kernel commit 6375e95f381e (in v6.14), which believed what it had
seen though it had let go of the PTL (Reclaim.IN_ZAP_FIRST).
"""

from __future__ import annotations

from pagerace.lang import Struct, per_thread
from pagerace.machine.memory import ulong
from pagerace.machine.pgtable import pte_none, ptep_get
from pagerace.machine.tables import pmd_page_vaddr, pmd_t, pmdval_t
from pagerace.mm.mm_types import mm_struct
from pagerace.mm.mmu_gather import mmu_gather, pte_free_tlb
from pagerace.mm.pgalloc import mm_dec_nr_ptes, pmd_clear_table
from pagerace.mm.pgtable import pmd_lock, pmd_lockptr
from pagerace.mm.pgtable_generic import (
    mapped_pte,
    pte_map,
    pte_maps,
    pte_offset_map_rw_nolock,
    pte_unmap,
    pte_unmap_unlock,
)
from pagerace.mm.pgtable_levels import HPAGE_PMD_NR
from pagerace.mm.pgtable_lockless import pmdp_get_lockless
from pagerace.mm.spinlock import spin_lock, spin_trylock, spin_unlock
from pagerace.mm.table_walk import Reclaim, TableWalk


class zap_reclaim(Struct):
    """What zap_pte_range() keeps: ``can_reclaim_pt``, ``direct_reclaim`` and ``pmdval``.

    ``detached``: the entry of the PMD was cleared; it was ``pmdval``.
    """

    can_reclaim_pt: bool
    direct_reclaim: bool
    detached: bool
    pmdval: pmdval_t


zap_reclaims = per_thread(zap_reclaim)


def reclaims_in_zap() -> bool:
    """CONFIG_PT_RECLAIM."""
    return TableWalk.reclaim is Reclaim.IN_ZAP or TableWalk.reclaim is Reclaim.IN_ZAP_FIRST


def reclaim_pt_is_enabled(start: ulong, end: ulong, reclaim_pt: bool) -> bool:
    """reclaim_pt_is_enabled(): does whoever zaps ask for it, and all that a table covers?"""
    return reclaims_in_zap() and reclaim_pt and end - start == HPAGE_PMD_NR()


def begin_reclaim(start: ulong, end: ulong, reclaim_pt: bool) -> None:
    """The head of zap_pte_range()."""
    if reclaims_in_zap():
        zap = zap_reclaims.current
        zap.can_reclaim_pt = reclaim_pt_is_enabled(start, end, reclaim_pt)
        zap.direct_reclaim = zap.can_reclaim_pt
        zap.detached = False


def forbid_direct_reclaim() -> None:
    """It stops on the way, and lets go of the PTL: what it has seen need not be so any more.

    This is the fix "mm: pgtable: fix incorrect reclaim of non-empty PTE pages".
    """
    if TableWalk.reclaim is Reclaim.IN_ZAP:
        zap_reclaims.current.direct_reclaim = False


def reclaim_directly(mm: mm_struct, pmd: pmd_t) -> None:
    """The fast path, with the PTL: it has come to the end."""
    if reclaims_in_zap():
        zap = zap_reclaims.current
        if zap.direct_reclaim:
            zap.detached = try_get_and_clear_pmd(mm, pmd, zap)


def try_get_and_clear_pmd(mm: mm_struct, pmd: pmd_t, zap: zap_reclaim) -> bool:
    """try_get_and_clear_pmd(): False if somebody has the PML, who may wait for our PTL."""
    pml = pmd_lockptr(mm, pmd)
    if TableWalk.pml_trylock:
        if not spin_trylock(pml):
            return False
    else:
        spin_lock(pml)
    zap.pmdval = pmdp_get_lockless(pmd)
    pmd_clear_table(pmd)
    spin_unlock(pml)
    return True


def finish_reclaim(tlb: mmu_gather, pmd: pmd_t, addr: ulong) -> None:
    """The end of zap_pte_range(), without the PTL: the table is freed with the gather."""
    if reclaims_in_zap():
        zap = zap_reclaims.current
        if zap.detached:
            free_pte(tlb.mm, addr, tlb, zap.pmdval)
        elif zap.can_reclaim_pt:
            try_to_free_pte(tlb.mm, pmd, addr, tlb)
        zap.pmdval = pmdval_t()
        zap.detached = False


def free_pte(mm: mm_struct, addr: ulong, tlb: mmu_gather, pmdval: pmdval_t) -> None:
    """free_pte(): of a table that nobody finds any more."""
    pte_free_tlb(tlb, pmd_page_vaddr(pmdval), addr)
    mm_dec_nr_ptes(mm)


def try_to_free_pte(mm: mm_struct, pmd: pmd_t, addr: ulong, tlb: mmu_gather) -> None:
    """try_to_free_pte(): look at all entries, under PML and PTL."""
    pml = pmd_lock(mm, pmd)
    map = pte_maps.current
    if pte_offset_map_rw_nolock(mm, pmd, addr, map) is None:
        spin_unlock(pml)
        return
    spin_lock(map.ptl)
    if not is_empty(map, addr):
        pte_unmap_unlock(map)
        spin_unlock(pml)
        return
    pmdval = pmdp_get_lockless(pmd)
    pmd_clear_table(pmd)
    spin_unlock(map.ptl)
    pte_unmap(map)
    spin_unlock(pml)
    free_pte(mm, addr, tlb, pmdval)


def is_empty(map: pte_map, addr: ulong) -> bool:
    """Is each of PTRS_PER_PTE entries none?"""
    for n in range(HPAGE_PMD_NR()):
        if not pte_none(ptep_get(mapped_pte(map, addr + n))):
            return False
    return True
