"""Tables that come: include/asm-generic/pgalloc.h, include/linux/mm.h, mm/memory.c.

Where ``PteTables.come_and_go`` is set, threads allocate and free tables.  Else the set-up
makes those that there are, and they stay: entries above the PTEs are constants.
"""
# pyright: strict, reportPrivateUsage=false, reportUnusedFunction=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import Pool, Ref, Struct, atomic, per_thread, pool, wait_until
from pagerace.machine.counters import Counting, counters
from pagerace.machine.entry import Colours, pte_t
from pagerace.machine.memory import Machine, ulong
from pagerace.machine.pgtable import native_ptep_get_and_clear, page_table, ptrs_per_pte
from pagerace.machine.tables import (
    PteTables,
    p4d_t,
    page_table_count,
    page_tables,
    pgd_t,
    pmd_clear,
    pmd_none,
    pmd_page_vaddr,
    pmd_present,
    pmd_trans_huge,
    pmdp_get,
    pmdval_t,
    pud_t,
    set_pmd,
    table_entry,
    upper_table,
    upper_table_count,
    upper_tables,
)
from pagerace.mm.atomic import atomic_dec_and_test, atomic_inc, atomic_set
from pagerace.mm.mm_types import mm_struct, pmd_t, ptdescs, pte_refs
from pagerace.mm.notes import note_install
from pagerace.mm.percpu_ref import percpu_ref_init
from pagerace.mm.pgtable import pmd_lock
from pagerace.mm.pgtable_levels import p4d_offset, pgd_offset, pmd_offset, pud_offset
from pagerace.mm.rcupdate import Rcu, __call_rcu, rcu_head, synchronize_rcu
from pagerace.mm.sched import might_sleep
from pagerace.mm.spinlock import spin_lock, spin_unlock
from pagerace.mm.table_walk import tables_have_a_counter, tables_have_counters_of_cpus
from pagerace.mm.tlb import flush_freed_tables, flush_tlb_mm_range
from pagerace.mm.walk_notes import note_set_pmd

# ``pt_rcu_head`` of each struct ptdesc: first those of tables of PTEs, then those above.
pt_rcu_heads: Pool[rcu_head] = pool(
    rcu_head, lambda: page_table_count() + upper_table_count() if Rcu.callbacks else 0
)


def count_table(level: int) -> None:
    """A table of this level is allocated: 1 is that of PTEs."""
    if Counting.on:
        counters.tables_allocated[level] += 1


def count_freed_table(level: int) -> None:
    """A table of this level is freed."""
    if Counting.on:
        counters.tables_freed[level] += 1


def mm_inc_nr_ptes(mm: mm_struct) -> None:
    """mm_inc_nr_ptes() of include/linux/mm.h."""
    if PteTables.nr_ptes:
        atomic_inc(mm.nr_ptes)


def mm_dec_nr_ptes(mm: mm_struct) -> None:
    """mm_dec_nr_ptes() of include/linux/mm.h."""
    if PteTables.nr_ptes:
        atomic_dec_and_test(mm.nr_ptes)


def pte_alloc_one(mm: mm_struct) -> page_table | None:
    """pte_alloc_one(): an empty table, or None.  It may sleep."""
    might_sleep()
    return __pte_alloc_one(mm)


def __pte_alloc_one(mm: mm_struct) -> page_table | None:
    """__pte_alloc_one() of include/asm-generic/pgalloc.h.

    Its lock is that of the table which was there before: the set-up initialises it.
    """
    table = page_tables.alloc()
    if table is not None:
        count_table(1)
        clear_page(table)
        if tables_have_counters_of_cpus():
            percpu_ref_init(pte_refs[page_tables.index(table)])
    return table


def colour_free(table: page_table) -> None:
    """The struct ptdesc of a table that is freed is no more one than the frame is a table."""
    if Colours.tables:
        ptdescs[page_tables.index(table)].ptl.freed = True


def colour_linked(table: page_table, linked: bool) -> None:
    """An entry of the PMD points to the table, or none does any more: part of that step."""
    if Colours.tables:
        for slot in table.pte:
            slot.detached = not linked


def clear_page(table: page_table) -> None:
    """clear_page() of asm/page.h, of a frame that becomes a table (__GFP_ZERO)."""
    with atomic():  # nobody else knows the table yet
        for slot in table.pte:
            slot.value = pte_t()
            if Colours.tables:
                slot.detached = False
        if Colours.tables:
            ptdescs[page_tables.index(table)].ptl.freed = False


def pte_free(mm: mm_struct, table: page_table) -> None:
    """pte_free(): the table can be allocated again."""
    count_freed_table(1)
    free_page_table(table)


def free_page_table(table: page_table) -> None:
    """Its frame, and with it the struct ptdesc."""
    if Colours.tables:
        with atomic():
            colour_free(table)
            page_tables.free(table)
    else:
        page_tables.free(table)


def pte_free_defer(mm: mm_struct, table: page_table) -> None:
    """pte_free_defer() of mm/pgtable-generic.c: once no walker can have the table any more.

    call_rcu() with pte_free_now().  Linux kernel commit 13cf577e6b66.
    """
    if Rcu.callbacks and not Machine.full_size:
        __call_rcu(pt_rcu_heads[page_tables.index(table)])
    else:
        synchronize_rcu()
        pte_free(mm, table)


def pmd_populate(mm: mm_struct, pmd: pmd_t, table: page_table) -> None:
    """pmd_populate() of asm/pgalloc.h; the PML is held, or nobody knows the entry."""
    value = table_entry(page_tables.index(table))
    note_set_pmd(value)
    if Colours.tables:
        with atomic():
            set_pmd(pmd, value)
            colour_linked(table, True)
    else:
        set_pmd(pmd, value)


class new_table(Struct):
    """The table to which a thread has the first reference: mm/pte_refcount.py."""

    table: page_table | None = None
    pmd: Ref[pmd_t]


new_tables = per_thread(new_table)


def pmd_install(mm: mm_struct, pmd: pmd_t, table: page_table) -> bool:
    """pmd_install(): False if somebody else was faster; then the table is the caller's."""
    ptl = pmd_lock(mm, pmd)
    installed = pmd_none(pmdp_get(pmd))
    if installed:
        note_install()
        mm_inc_nr_ptes(mm)
        if tables_have_a_counter():
            atomic_set(ptdescs[page_tables.index(table)].pte_refcount, 1)
            new_tables.current.table = table
            new_tables.current.pmd = pmd
        pmd_populate(mm, pmd, table)
    spin_unlock(ptl)
    return installed


def __pte_alloc(mm: mm_struct, pmd: pmd_t) -> bool:
    """__pte_alloc(): True if there is no memory; else there is a table afterwards."""
    table = pte_alloc_one(mm)
    if table is None:
        return True
    if not pmd_install(mm, pmd, table):
        pte_free(mm, table)
    return False


def pte_alloc(mm: mm_struct, pmd: pmd_t) -> bool:
    """pte_alloc() of include/linux/mm.h: the same, where there is no table yet."""
    return pmd_none(pmdp_get(pmd)) and __pte_alloc(mm, pmd)


def alloc_upper_table(level: int) -> upper_table | None:
    """pmd_alloc_one() and its like: an empty table, or None."""
    table = upper_tables.alloc()
    if table is not None:
        count_table(level)
        with atomic():  # nobody else knows the table yet
            for slot in table.entry:
                slot.entry.value = pte_t()
    return table


def pmd_free(mm: mm_struct, table: upper_table, level: int) -> None:
    """pmd_free() and its like of the levels above."""
    count_freed_table(level)
    upper_tables.free(table)


def pgd_alloc(mm: mm_struct) -> upper_table | None:
    """pgd_alloc() of arch/x86/mm/pgtable.c: a top table, or None."""
    return alloc_upper_table(Machine.levels)


def pgd_free(mm: mm_struct, pgd: upper_table) -> None:
    """pgd_free(): the top table, when all below it is gone and no CPU runs on it."""
    pmd_free(mm, pgd, Machine.levels)


def alloc_below(mm: mm_struct, entry: pmd_t, level: int) -> bool:
    """__p4d_alloc(), __pud_alloc(), __pmd_alloc(): True if there is no memory.

    ``level``: of the table that the entry is to point to.  Nobody holds a lock while there is
    memory to wait for; who comes second frees his.
    """
    might_sleep()
    table = alloc_upper_table(level)
    if table is None:
        return True
    spin_lock(mm.page_table_lock)
    missing = not pmd_present(pmdp_get(entry))
    if missing:
        set_pmd(entry, table_entry(upper_tables.index(table)))
    spin_unlock(mm.page_table_lock)
    if not missing:
        pmd_free(mm, table, level)
    return False


def p4d_alloc(mm: mm_struct, pgd: pgd_t, address: ulong) -> p4d_t | None:
    """p4d_alloc() of include/linux/mm.h; None: there is no memory."""
    if Machine.levels == 5 and pmd_none(pmdp_get(pgd)) and alloc_below(mm, pgd, 4):
        return None
    return p4d_offset(pgd, address)


def pud_alloc(mm: mm_struct, p4d: p4d_t, address: ulong) -> pud_t | None:
    """pud_alloc() of include/linux/mm.h; None: there is no memory."""
    if Machine.levels >= 4 and pmd_none(pmdp_get(p4d)) and alloc_below(mm, p4d, 3):
        return None
    return pud_offset(p4d, address)


def pmd_alloc(mm: mm_struct, pud: pud_t, address: ulong) -> pmd_t | None:
    """pmd_alloc() of include/linux/mm.h; None: there is no memory."""
    if Machine.levels >= 3 and pmd_none(pmdp_get(pud)) and alloc_below(mm, pud, 2):
        return None
    return pmd_offset(pud, address)


def pmd_alloc_at(mm: mm_struct, address: ulong) -> pmd_t | None:
    """pgd_offset() to pmd_alloc(), as in __handle_mm_fault(); None: there is no memory."""
    pgd = pgd_offset(mm, address)
    if pgd is None:
        return None
    p4d = p4d_alloc(mm, pgd, address)
    if p4d is None:
        return None
    pud = pud_alloc(mm, p4d, address)
    if pud is None:
        return None
    return pmd_alloc(mm, pud, address)


def pmdp_collapse_flush(mm: mm_struct, address: ulong, pmd: pmd_t) -> pmdval_t:
    """pmdp_collapse_flush() of mm/pgtable-generic.c: the table is taken out of sight."""
    haddr = address - address % ptrs_per_pte()
    value = pmd_get_and_clear(pmd)
    flush_freed_tables(True)
    flush_tlb_mm_range(mm, haddr, haddr + ptrs_per_pte())
    flush_freed_tables(False)
    return value


def pmd_get_and_clear(pmd: pmd_t) -> pmdval_t:
    """pmdp_huge_get_and_clear() of asm/pgtable.h, of an entry that has a table."""
    if not Colours.tables:
        return native_ptep_get_and_clear(pmd.entry)
    with atomic():
        value = native_ptep_get_and_clear(pmd.entry)
        if pmd_present(value) and not pmd_trans_huge(value):
            colour_linked(pmd_page_vaddr(value), False)
    return value


def pmd_clear_table(pmd: pmd_t) -> None:
    """pmd_clear() of an entry that has a table."""
    if Colours.tables:
        with atomic():
            value = pmdp_get(pmd)
            if pmd_present(value) and not pmd_trans_huge(value):
                colour_linked(pmd_page_vaddr(value), False)
            pmd_clear(pmd)
    else:
        pmd_clear(pmd)


def reuse_freed_tables() -> None:
    """Agent: the frame of a table that was freed is some process's data, whatever is in it.

    Only where Colours.tables is set, which tells who comes to it as to a table.
    """
    while True:
        with atomic():
            table = page_tables.alloc()
            wait_until(table is not None)
            if table is not None:
                for slot in table.pte:
                    slot.data = True
