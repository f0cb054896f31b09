"""References to tables of PTEs: Qi Zheng's series of 10 November 2021, v3.

Each entry that is not none, and each walker, has a reference to its table (``pte_refcount``),
and whoever drops the last one takes the table away and frees it after a grace period.  From
zero there is no way back: who finds it there finds no table, and tries again later.
"""

from __future__ import annotations

from pagerace.machine.memory import PAGE_SIZE, count_t, ulong
from pagerace.machine.pgtable import page_table, pte_none, ptrs_per_pte
from pagerace.machine.tables import pmd_none, pmd_page_vaddr, pmd_trans_huge, pmdp_get
from pagerace.mm.atomic import atomic_inc, atomic_inc_not_zero, atomic_set, atomic_sub_and_test
from pagerace.mm.mm_types import mm_struct, page_ptdesc, pmd_t
from pagerace.mm.pgalloc import (
    mm_dec_nr_ptes,
    new_tables,
    pmd_clear_table,
    pte_free_defer,
    table_entries_are_counted,
)
from pagerace.mm.pgtable import pmd_lock
from pagerace.mm.pgtable_lockless import pmdp_get_lockless
from pagerace.mm.rcupdate import rcu_read_lock, rcu_read_unlock
from pagerace.mm.spinlock import spin_unlock
from pagerace.mm.tlb import flush_tlb_mm_range


def pte_try_get(pmd: pmd_t) -> page_table | None:
    """pte_try_get(): the table of a PMD entry with a reference, or None: there is none.

    The RCU section is for the counter, which may be that of a table that is freed.
    """
    table: page_table | None = None
    rcu_read_lock()
    entry = pmdp_get_lockless(pmd)
    if not pmd_none(entry) and not pmd_trans_huge(entry):
        found = pmd_page_vaddr(entry)
        if table_tryget(found):
            table = found
    rcu_read_unlock()
    return table


def table_tryget(table: page_table) -> bool:
    """One reference more, unless there is none any more."""
    return atomic_inc_not_zero(page_ptdesc(table).pte_refcount)


def pte_get(table: page_table) -> None:
    """pte_get(): an entry is about to be set where there was none; the caller has one."""
    atomic_inc(page_ptdesc(table).pte_refcount)


def pte_put_many(
    mm: mm_struct, pmd: pmd_t, addr: ulong, table: page_table, nr: count_t
) -> None:
    """pte_put_many(): so many references less; with the last one the table goes.

    No lock is held; the PMD entry still points to it, for nobody else can take it away.
    """
    if atomic_sub_and_test(nr, page_ptdesc(table).pte_refcount):
        free_pte_table(mm, pmd, addr, table)


def free_pte_table(mm: mm_struct, pmd: pmd_t, addr: ulong, table: page_table) -> None:
    """free_pte_table(): nobody has a reference, and nobody gets one."""
    pml = pmd_lock(mm, pmd)
    pmd_clear_table(pmd)
    spin_unlock(pml)
    start = addr - addr % ptrs_per_pte()
    flush_tlb_mm_range(mm, start, start + ptrs_per_pte() * PAGE_SIZE)
    mm_dec_nr_ptes(mm)
    pte_free_defer(mm, table)


def put_new_table(mm: mm_struct, addr: ulong) -> None:
    """Who has brought a table has a reference to it, and drops it when its entries are set."""
    if table_entries_are_counted():
        table = new_tables.current.table
        if table is not None:
            new_tables.current.table = None
            pte_put_many(mm, new_tables.current.pmd, addr, table, 1)


def count_entries(table: page_table) -> None:
    """Set-up: the references of the entries that there are."""
    nr: count_t = 0
    for slot in table.pte:
        if not pte_none(slot.value):
            nr += 1
    atomic_set(page_ptdesc(table).pte_refcount, nr)


def count_entries_of(pmd: pmd_t) -> None:
    """Set-up: the same, of the table that an entry of the PMD has."""
    if table_entries_are_counted() and not pmd_none(pmdp_get(pmd)):
        count_entries(pmd_page_vaddr(pmdp_get(pmd)))
