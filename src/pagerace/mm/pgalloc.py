"""Tables that come and go: include/asm-generic/pgalloc.h, mm/memory.c, mm/mmu_gather.c.

Where ``PteTables.come_and_go`` is set, the PMD entry of an mm is an entry in memory, and
the table that it points to is one of ``page_tables``.  Else an mm has one table for its
whole life, and nobody has to look where it is.
"""
# pyright: strict, reportPrivateUsage=false, reportUnusedFunction=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import Config, Pool, atomic, pool
from pagerace.machine.entry import pte_slot, pte_t, store_entry
from pagerace.machine.memory import Machine
from pagerace.machine.pgtable import (
    native_ptep_get_and_clear,
    page_table,
    pfn_pte,
    pte_clear,
    pte_none,
    pte_pfn,
    pte_same,
    ptep_get,
)
from pagerace.mm.mm_types import mm_struct, pmd_t
from pagerace.mm.pgtable_lockless import pmdp_get_lockless
from pagerace.mm.rcupdate import synchronize_rcu
from pagerace.mm.spinlock import spin_lock, spin_unlock
from pagerace.mm.tlb import flush_tlb_mm_range


class PteTables(Config):
    """``come_and_go``: page tables are allocated and freed.

    ``rcu_free``: they are freed after a grace period (MMU_GATHER_RCU_TABLE_FREE), as it
    has to be where a flush may interrupt nobody.
    """

    come_and_go: bool = False
    rcu_free: bool = False


# Table n is known by frame number n; a frame that is a table is nothing else.
page_tables: Pool[page_table] = pool(page_table, lambda: Machine.frames)


def pmd_get_lockless(pmd: pmd_t) -> pte_t:
    """pmdp_get_lockless() of the PMD entry; its pfn tells the table."""
    if not PteTables.come_and_go:
        return pfn_pte(0, True)
    return pmdp_get_lockless(pmd.entry)


def pmd_page_table(pmd: pmd_t, entry: pte_t) -> page_table:
    """pmd_page_vaddr(): the table that an entry points to which is present."""
    if not PteTables.come_and_go:
        return pmd.table
    return page_tables[pte_pfn(entry)]


def pmd_changed(pmd: pmd_t, entry: pte_t) -> bool:
    """``pmd_val(pmd) != pmd_val(*pmdp)``: is it another one than was read before?"""
    return PteTables.come_and_go and not pte_same(entry, ptep_get(pmd.entry))


def pte_alloc_one() -> page_table | None:
    """pte_alloc_one(): an empty table, or None."""
    table = page_tables.alloc()
    if table is not None:
        with atomic():  # nobody else knows the table yet
            for slot in table.pte:
                slot.value = pte_t()
    return table


def pte_free(table: page_table) -> None:
    """pte_free(): the table can be allocated again."""
    page_tables.free(table)


def pmd_populate(pmdp: pte_slot, table: page_table) -> None:
    """pmd_populate(): set_pmd(), which is set_64bit() on PAE: never half by half."""
    store_entry(pmdp, pfn_pte(page_tables.index(table), True))


def pmd_install(mm: mm_struct, pmd: pmd_t, table: page_table) -> bool:
    """pmd_install(): False if somebody else was faster.

    pmd_lock() is the PTL here: both are mm->page_table_lock where PTLs are not split.
    """
    spin_lock(pmd.ptl)
    installed = pte_none(ptep_get(pmd.entry))
    if installed:
        pmd_populate(pmd.entry, table)
    spin_unlock(pmd.ptl)
    return installed


def __pte_alloc(mm: mm_struct, pmd: pmd_t) -> None:
    """__pte_alloc(): there is a table afterwards, if there is memory."""
    table = pte_alloc_one()
    if table is not None and not pmd_install(mm, pmd, table):
        pte_free(table)


def free_pte_range(mm: mm_struct, pmd: pmd_t) -> None:
    """free_pte_range(), with tlb_remove_table(): take the table away, flush, free it.

    The kernel gathers the table, and flushes and frees when the gather ends.
    The entry is cleared by pmd_clear(): on PAE in two halves.
    """
    table = page_tables[pte_pfn(ptep_get(pmd.entry))]
    pte_clear(pmd.entry)
    flush_tlb_mm_range(mm, 0, Machine.pages)
    tlb_remove_table_free(table)


def tlb_remove_table_free(table: page_table) -> None:
    """tlb_remove_table_free(): whoever walks the table without a lock has to be done.

    The kernel leaves that to call_rcu() and goes on; here the caller waits.
    """
    if PteTables.rcu_free:
        synchronize_rcu()
    pte_free(table)


def pmdp_collapse_flush(mm: mm_struct, pmdp: pte_slot) -> pte_t:
    """pmdp_collapse_flush() of mm/pgtable-generic.c: the table is taken out of sight."""
    pmd = native_ptep_get_and_clear(pmdp)
    flush_tlb_mm_range(mm, 0, Machine.pages)
    return pmd


def collapse_huge_page(mm: mm_struct, pmd: pmd_t) -> None:
    """collapse_huge_page(), where it finds that it cannot: the table is put back."""
    entry = pmdp_collapse_flush(mm, pmd.entry)
    spin_lock(pmd.ptl)
    pmd_populate(pmd.entry, page_tables[pte_pfn(entry)])
    spin_unlock(pmd.ptl)
