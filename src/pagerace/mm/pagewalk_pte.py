"""The PTEs of a walk: walk_pte_range() of mm/pagewalk.c.

Until v5.4 a callback gets PTEs without their lock (Ptes.MAPPED), from v5.5 on with it
(Ptes.LOCKED).  From v6.5 on (TableWalk) there may be no table when it is to be mapped, and
the entry of the PMD is begun again.
"""

from __future__ import annotations

from pagerace.lang import per_thread, s32
from pagerace.machine.memory import PAGE_SIZE, ulong
from pagerace.machine.pgtable import pte_none, pte_slot, ptep_get, ptrs_per_pte, set_pte
from pagerace.machine.tables import pmd_t
from pagerace.mm.pagewalk_ops import ACTION_AGAIN, Pagewalk, Ptes, mm_walk, mm_walk_ops
from pagerace.mm.pgtable_generic import (
    pte_map,
    pte_offset_map,
    pte_offset_map_lock,
    pte_unmap,
    pte_unmap_unlock,
)
from pagerace.mm.walk_notes import note_walk_pte, note_walk_pte_done

# A callback for PTEs may map others.
walk_pte_maps = per_thread(pte_map)


def walk_pte_range(pmd: pmd_t, addr: ulong, end: ulong, ops: mm_walk_ops, walk: mm_walk) -> s32:
    """walk_pte_range(): each PTE, empty ones too; the result is that of the last callback."""
    map = walk_pte_maps.current
    if Pagewalk.ptes is Ptes.MAPPED or (Pagewalk.no_vma and walk.no_vma):
        if pte_offset_map(walk.mm, pmd, addr, map) is None:
            walk.action = ACTION_AGAIN
            return 0
        err = walk_pte_range_inner(pmd, addr, end, ops, walk, map)
        pte_unmap(map)
        return err
    else:
        if pte_offset_map_lock(walk.mm, pmd, addr, map) is None:
            walk.action = ACTION_AGAIN
            return 0
        err = walk_pte_range_inner(pmd, addr, end, ops, walk, map)
        if not Pagewalk.unlock_before:
            pte_unmap_unlock(map)
        return err


def walk_pte_range_inner(
    pmd: pmd_t, addr: ulong, end: ulong, ops: mm_walk_ops, walk: mm_walk, map: pte_map
) -> s32:
    """walk_pte_range_inner(): from one PTE to the next.

    ``index``: where in the table the pointer is; in C, pointers are counted up.
    """
    err: s32 = 0
    index: ulong = addr % ptrs_per_pte()
    while True:
        err = walk_pte(pmd, map.table.pte[index], addr, ops, walk)
        if err != 0:
            break
        index += 1
        if ulong(addr + PAGE_SIZE) == end:
            break
        addr += PAGE_SIZE
    if Pagewalk.unlock_before and Pagewalk.ptes is Ptes.LOCKED:
        unlock_table_of(map.table.pte[index - 1], map)
    return err


def unlock_table_of(pte: pte_slot, map: pte_map) -> None:
    """pte_unmap_unlock(pte, ptl): with CONFIG_HIGHPTE it unmaps the page that ``pte`` is in."""
    pte_unmap_unlock(map)


def walk_pte(pmd: pmd_t, pte: pte_slot, addr: ulong, ops: mm_walk_ops, walk: mm_walk) -> s32:
    """One round of it: install_pte for what is empty, pte_entry for all else."""
    if ops.install_pte is not None and pte_none(ptep_get(pte)):
        err = ops.install_pte(addr, addr + PAGE_SIZE, walk)
        if err == 0:
            set_pte(pte, walk.new_pte)
        return err
    if ops.pte_entry is not None:
        note_walk_pte(addr, pmd)
        err = ops.pte_entry(pte, addr, addr + PAGE_SIZE, walk)
        note_walk_pte_done(addr, err)
        return err
    return 0
