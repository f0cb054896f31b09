"""References to tables of PTEs: Qi Zheng's series of 10 November 2021 (v3), 29 April 2022.

Each entry that is not none, and each walker, has a reference to its table (``pte_refcount``),
and whoever drops the last one takes the table away and frees it after a grace period.  From
zero there is no way back: who finds it there finds no table, and tries again later.

The later series counts the same by mm/percpu_ref.py, and the entry of the PMD has a reference,
too.  Whether that is the last one is looked at where madvise() has zapped: it is the only
place that can tell.
"""

from __future__ import annotations

from pagerace.machine.memory import PAGE_SIZE, count_t, ulong
from pagerace.machine.pgtable import page_table, pte_none, ptrs_per_pte
from pagerace.machine.tables import (
    page_tables,
    pmd_none,
    pmd_page_vaddr,
    pmd_trans_huge,
    pmdp_get,
)
from pagerace.mm.atomic import atomic_inc, atomic_inc_not_zero, atomic_set, atomic_sub_and_test
from pagerace.mm.mm_types import mm_struct, page_ptdesc, pmd_t, pte_refs
from pagerace.mm.percpu_ref import (
    percpu_ref,
    percpu_ref_get,
    percpu_ref_is_alone,
    percpu_ref_is_dying,
    percpu_ref_kill,
    percpu_ref_put_many,
    percpu_ref_resurrect,
    percpu_ref_switch_to_atomic_rcu,
    percpu_ref_tryget,
)
from pagerace.mm.pgalloc import (
    mm_dec_nr_ptes,
    new_tables,
    pmd_clear_table,
    pte_free_defer,
)
from pagerace.mm.pgtable import pmd_lock
from pagerace.mm.pgtable_lockless import pmdp_get_lockless
from pagerace.mm.rcupdate import rcu_read_lock, rcu_read_unlock, synchronize_rcu
from pagerace.mm.spinlock import spin_unlock
from pagerace.mm.table_walk import table_entries_are_counted, tables_have_counters_of_cpus
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


def ref_of(table: page_table) -> percpu_ref:
    """``pte_ref`` of the struct page of a table."""
    return pte_refs[page_tables.index(table)]


def table_tryget(table: page_table) -> bool:
    """One reference more, unless there is none any more."""
    if tables_have_counters_of_cpus():
        return percpu_ref_tryget(ref_of(table))
    return atomic_inc_not_zero(page_ptdesc(table).pte_refcount)


def pte_get(table: page_table) -> None:
    """pte_get(): an entry is about to be set where there was none; the caller has one."""
    if tables_have_counters_of_cpus():
        percpu_ref_get(ref_of(table))
    else:
        atomic_inc(page_ptdesc(table).pte_refcount)


def pte_put_many(
    mm: mm_struct, pmd: pmd_t, addr: ulong, table: page_table, nr: count_t
) -> None:
    """pte_put_many(): so many references less; with the last one the table goes.

    No lock is held; the PMD entry still points to it, for nobody else can take it away.
    """
    if drop_references(table, nr):
        free_pte_table(mm, pmd, addr, table)


def drop_references(table: page_table, nr: count_t) -> bool:
    """Were they the last ones?"""
    if tables_have_counters_of_cpus():
        return percpu_ref_put_many(ref_of(table), nr)
    return atomic_sub_and_test(nr, page_ptdesc(table).pte_refcount)


def free_pte_table(mm: mm_struct, pmd: pmd_t, addr: ulong, table: page_table) -> None:
    """free_pte_table(): nobody has a reference, and nobody gets one."""
    pml = pmd_lock(mm, pmd)
    pmd_clear_table(pmd)
    spin_unlock(pml)
    start = addr - addr % ptrs_per_pte()
    flush_tlb_mm_range(mm, start, start + ptrs_per_pte() * PAGE_SIZE)
    mm_dec_nr_ptes(mm)
    pte_free_defer(mm, table)


def try_to_free_user_pte(mm: mm_struct, pmd: pmd_t, addr: ulong) -> None:
    """try_to_free_user_pte(): have the references counted, and free the table if there is none.

    mmap_lock is held for reading, and no other lock: it sleeps for a grace period.  One who
    comes second leaves it to the first.  Who takes a reference after the last look keeps the
    table in atomic mode, until that one is dropped.
    """
    table = pte_try_get(pmd)
    if table is None:
        return
    pml = pmd_lock(mm, pmd)
    killed = not percpu_ref_is_dying(ref_of(table))
    if killed:
        percpu_ref_kill(ref_of(table))
    spin_unlock(pml)
    if killed:
        synchronize_rcu()
        percpu_ref_switch_to_atomic_rcu(ref_of(table))
        pml = pmd_lock(mm, pmd)  # the next one kills it when it is all back
        if not percpu_ref_is_alone(ref_of(table)):
            percpu_ref_resurrect(ref_of(table))
        spin_unlock(pml)
    pte_put_many(mm, pmd, addr, table, 1)


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
    if tables_have_counters_of_cpus():
        ref_of(table).percpu_count[0] = nr
    else:
        atomic_set(page_ptdesc(table).pte_refcount, nr)


def count_entries_of(pmd: pmd_t) -> None:
    """Set-up: the same, of the table that an entry of the PMD has."""
    if table_entries_are_counted() and not pmd_none(pmdp_get(pmd)):
        count_entries(pmd_page_vaddr(pmdp_get(pmd)))
