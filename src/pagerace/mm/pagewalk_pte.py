"""The PTEs of a walk: walk_pte_range() of mm/pagewalk.c.

Until v5.4 a callback gets PTEs without their lock (Ptes.MAPPED); from v5.5 on with it
(Ptes.LOCKED); and from v6.5 on there may be no table when it is to be locked
(Ptes.MAY_FAIL), and the entry of the PMD is begun again.
"""
# pyright: strict, reportPrivateUsage=false, reportUnusedFunction=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import s32
from pagerace.machine.memory import PAGE_SIZE, ulong
from pagerace.machine.pgtable import pte_none, ptep_get, ptrs_per_pte, set_pte
from pagerace.machine.tables import (
    pmd_none,
    pmd_page_vaddr,
    pmd_same,
    pmd_t,
    pmd_trans_huge,
    pmdp_get,
)
from pagerace.mm.mm_types import ptdescs
from pagerace.mm.pagewalk_ops import ACTION_AGAIN, Pagewalk, Ptes, mm_walk, mm_walk_ops
from pagerace.mm.pgtable import pte_lockptr, pte_unmap_unlock
from pagerace.mm.pgtable_lockless import pmdp_get_lockless
from pagerace.mm.rcupdate import rcu_read_lock, rcu_read_unlock
from pagerace.mm.spinlock import spin_lock, spin_unlock
from pagerace.mm.walk_notes import note_walk_pte, note_walk_pte_done


def walk_pte_range(
    pmd: pmd_t, addr: ulong, end: ulong, ops: mm_walk_ops, walk: mm_walk
) -> s32:
    """walk_pte_range(): each PTE, empty ones too; the result is that of the last callback."""
    if Pagewalk.ptes is Ptes.MAPPED or (Pagewalk.no_vma and walk.no_vma):
        walk.table = pmd_page_vaddr(pmdp_get(pmd))
        return walk_pte_range_inner(pmd, addr, end, ops, walk, False)
    if Pagewalk.ptes is Ptes.LOCKED:
        walk.ptl = pte_lockptr(walk.mm, pmd)
        walk.table = pmd_page_vaddr(pmdp_get(pmd))
        spin_lock(walk.ptl)
        return walk_pte_range_inner(pmd, addr, end, ops, walk, True)
    if not map_and_lock(pmd, walk):
        walk.action = ACTION_AGAIN
        return 0
    err = walk_pte_range_inner(pmd, addr, end, ops, walk, True)
    rcu_read_unlock()
    return err


def map_and_lock(pmd: pmd_t, walk: mm_walk) -> bool:
    """pte_offset_map_lock(), v6.5 and later; False: NULL."""
    while True:
        rcu_read_lock()
        entry = pmdp_get_lockless(pmd)
        if pmd_none(entry) or pmd_trans_huge(entry):
            rcu_read_unlock()
            return False
        walk.table = pmd_page_vaddr(entry)
        walk.ptl = ptdescs[entry.pfn].ptl
        spin_lock(walk.ptl)
        if pmd_same(entry, pmdp_get_lockless(pmd)):
            return True
        spin_unlock(walk.ptl)
        rcu_read_unlock()


def walk_pte_range_inner(
    pmd: pmd_t, addr: ulong, end: ulong, ops: mm_walk_ops, walk: mm_walk, locked: bool
) -> s32:
    """walk_pte_range_inner(), and the unlock that follows it.

    ``index``: where in the table the pointer is; in C, pointers are counted up.
    """
    err: s32 = 0
    index: ulong = addr % ptrs_per_pte()
    while True:
        err = walk_pte(pmd, index, addr, ops, walk)
        if err != 0:
            break
        index += 1
        if ulong(addr + PAGE_SIZE) == end:
            break
        addr += PAGE_SIZE
    if locked and Pagewalk.unlock_before:
        pte_unmap_unlock(walk.table.pte[index - 1], walk.ptl)
    elif locked:
        spin_unlock(walk.ptl)
    return err


def walk_pte(
    pmd: pmd_t, index: ulong, addr: ulong, ops: mm_walk_ops, walk: mm_walk
) -> s32:
    """One round of it: install_pte for what is empty, pte_entry for all else."""
    pte = walk.table.pte[index]
    if ops.install_pte is not None and pte_none(ptep_get(pte)):
        err = ops.install_pte(addr, addr + PAGE_SIZE, walk)
        if err == 0:
            set_pte(pte, walk.new_pte)
        return err
    if ops.pte_entry is None:
        return 0
    note_walk_pte(addr, pmd)
    err = ops.pte_entry(pte, addr, addr + PAGE_SIZE, walk)
    note_walk_pte_done(addr, err)
    return err
