"""Mapping a table of PTEs: mm/pgtable-generic.c, include/linux/mm.h.

From the entry of the PMD to an entry of the table, with or without its lock.  Until v6.4
there always is a table; from v6.5 on a function that finds none gives NULL, and its caller
goes on with the next address, or starts again.  ``TableWalk.protection`` says which.
"""
# pyright: strict, reportPrivateUsage=false, reportUnusedFunction=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import Ref, Struct, per_thread
from pagerace.machine.memory import count_t, ulong
from pagerace.machine.pgtable import page_table, pte_offset_kernel, pte_slot
from pagerace.machine.tables import (
    page_tables,
    pmd_none,
    pmd_page_vaddr,
    pmd_same,
    pmd_trans_huge,
    pmdp_get,
    pmdval_t,
    table_entry,
)
from pagerace.mm.mm_types import mm_struct, pmd_t, ptdescs
from pagerace.mm.notes import note_round
from pagerace.mm.pgtable import pte_lockptr
from pagerace.mm.pgtable_lockless import pmdp_get_lockless
from pagerace.mm.pte_refcount import pte_get, pte_put_many, pte_try_get
from pagerace.mm.rcupdate import rcu_read_lock, rcu_read_unlock
from pagerace.mm.spinlock import spin_lock, spin_unlock, spinlock_t
from pagerace.mm.table_lock import table_read_lock, table_read_unlock
from pagerace.mm.table_walk import (
    Protection,
    TableWalk,
    table_entries_are_counted,
    tables_are_locked,
    tables_vanish,
)


class pte_map(Struct):
    """What the functions below hand back besides the entry: on the stack of who calls.

    ``ptl``: ``*ptlp``.  ``pmdval``: ``*pmdvalp``, the PMD entry by which the table was found.
    ``table``: the table that is mapped: in C, pointers to its entries are counted up.
    ``nowait``: a lock of the tables is tried for, as the caller must not sleep.
    ``reading``: it is held.  ``removed``: entries that have become none.  ``mm``, ``pmd``,
    ``address``: what was asked for.
    """

    mm: Ref[mm_struct]
    pmd: Ref[pmd_t]
    address: ulong
    nowait: bool
    reading: bool
    removed: count_t
    ptl: Ref[spinlock_t]
    pmdval: pmdval_t
    table: Ref[page_table]


# One for most walks; one for the second table of move_ptes() and copy_pte_range(); and one
# for rmap walks, which a walk of the first kind may have begun.
pte_maps = per_thread(pte_map)
second_pte_maps = per_thread(pte_map)
rmap_pte_maps = per_thread(pte_map)


def mapped_pte(map: pte_map, address: ulong) -> pte_slot:
    """``pte + n``: the entry of another address in the table that is mapped."""
    return pte_offset_kernel(map.table, address)


def ___pte_offset_map(
    mm: mm_struct, pmd: pmd_t, address: ulong, map: pte_map
) -> pte_slot | None:
    """___pte_offset_map(): the entry of an address, or None: there is no table.

    An RCU section, until pte_unmap(), keeps the table from being freed, and nothing keeps it
    from being taken away.
    """
    rcu_read_lock()
    entry = pmdp_get_lockless(pmd)
    if pmd_none(entry) or pmd_trans_huge(entry):
        rcu_read_unlock()
        return None
    map.mm = mm
    map.pmdval = entry
    map.table = pmd_page_vaddr(entry)
    return pte_offset_kernel(map.table, address)


def pte_offset_map(
    mm: mm_struct, pmd: pmd_t, address: ulong, map: pte_map
) -> pte_slot | None:
    """pte_offset_map() of include/linux/mm.h; until v6.4 there always is a table."""
    if not tables_vanish():
        map.table = pmd_page_vaddr(pmdp_get(pmd))
        return pte_offset_kernel(map.table, address)
    elif table_entries_are_counted():
        return map_counted_table(mm, pmd, address, map)
    elif not tables_are_locked():
        return ___pte_offset_map(mm, pmd, address, map)
    else:
        return map_locked_table(mm, pmd, address, map)


def map_locked_table(
    mm: mm_struct, pmd: pmd_t, address: ulong, map: pte_map
) -> pte_slot | None:
    """Proposals with a lock of the tables: the table stays linked until pte_unmap().

    None also where the lock is not free, and the caller must not wait for it.
    """
    if not table_read_lock(mm, address, map.nowait):
        return None
    entry = pmdp_get_lockless(pmd)
    if pmd_none(entry) or pmd_trans_huge(entry):
        table_read_unlock(mm, address, map.nowait)
        return None
    map.mm = mm
    map.pmd = pmd
    map.address = address
    map.reading = True
    map.pmdval = entry
    map.table = pmd_page_vaddr(entry)
    return pte_offset_kernel(map.table, address)


def map_counted_table(
    mm: mm_struct, pmd: pmd_t, address: ulong, map: pte_map
) -> pte_slot | None:
    """A proposal: who has a reference to the table keeps it linked until pte_unmap()."""
    table = pte_try_get(pmd)
    if table is None:
        return None
    map.mm = mm
    map.pmd = pmd
    map.address = address
    map.removed = 0
    map.pmdval = table_entry(page_tables.index(table))
    map.table = table
    return pte_offset_kernel(table, address)


def pte_added(map: pte_map) -> None:
    """An entry that was none is about to be set; PTL held."""
    if table_entries_are_counted():
        pte_get(map.table)


def pte_removed(map: pte_map) -> None:
    """An entry has become none; its reference is dropped with that of the walker."""
    if table_entries_are_counted():
        map.removed += 1


def pte_offset_map_ro_nolock(
    mm: mm_struct, pmd: pmd_t, address: ulong, map: pte_map
) -> pte_slot | None:
    """pte_offset_map_ro_nolock(): with the lock of the table, which the caller may take.

    It will only read, or what it has read is enough to tell that nothing has changed.
    """
    return pte_offset_map_rw_nolock(mm, pmd, address, map)


def pte_offset_map_rw_nolock(
    mm: mm_struct, pmd: pmd_t, address: ulong, map: pte_map
) -> pte_slot | None:
    """pte_offset_map_rw_nolock(): with the lock, and the entry of the PMD.

    Who takes the lock, and is to write, looks first whether the entry still is that one.
    """
    if not tables_vanish():
        map.ptl = pte_lockptr(mm, pmd)
        return pte_offset_map(mm, pmd, address, map)
    else:
        pte = pte_offset_map(mm, pmd, address, map)
        if pte is not None:
            map.ptl = ptdescs[map.pmdval.pfn].ptl
        return pte


def pte_offset_map_lock(
    mm: mm_struct, pmd: pmd_t, address: ulong, map: pte_map
) -> pte_slot | None:
    """pte_offset_map_lock(): with the lock of the table, taken; None: there is no table."""
    if not tables_vanish():
        map.ptl = pte_lockptr(mm, pmd)
        pte = pte_offset_map(mm, pmd, address, map)
        spin_lock(map.ptl)
        return pte
    elif not tables_are_locked() and not table_entries_are_counted():
        return __pte_offset_map_lock(mm, pmd, address, map)
    else:
        pte = pte_offset_map_rw_nolock(mm, pmd, address, map)
        if pte is not None:
            spin_lock(map.ptl)
            if TableWalk.protection is Protection.READ_OR_PTL:
                pte_unmap(map)  # the PTL keeps the table as well as the lock does
        return pte


def __pte_offset_map_lock(
    mm: mm_struct, pmd: pmd_t, address: ulong, map: pte_map
) -> pte_slot | None:
    """__pte_offset_map_lock(), v6.5 and later: a table that was there when it was locked.

    One that is exchanged before it is locked is looked for again: who takes it away does so
    with its lock held, so that it is either seen to be gone, or stays.
    """
    while True:
        pte = ___pte_offset_map(mm, pmd, address, map)
        if pte is None:
            return None
        map.ptl = ptdescs[map.pmdval.pfn].ptl
        spin_lock(map.ptl)
        if pmd_same(map.pmdval, pmdp_get_lockless(pmd)):
            return pte
        note_round()
        pte_unmap_unlock(map)


def pte_unmap(map: pte_map) -> None:
    """pte_unmap(): the table is not looked at any more."""
    if tables_are_locked():
        if map.reading:
            table_read_unlock(map.mm, map.address, map.nowait)
            map.reading = False
    elif table_entries_are_counted():
        pte_put_many(map.mm, map.pmd, map.address, map.table, map.removed + 1)
    elif tables_vanish():
        rcu_read_unlock()


def pte_unmap_unlock(map: pte_map) -> None:
    """pte_unmap_unlock() of include/linux/mm.h: lock and table of a map are given back."""
    spin_unlock(map.ptl)
    pte_unmap(map)
