"""The way down through the upper levels: include/linux/pgtable.h, pgtable-nop4d.h and so on.

A level that the machine does not have is folded: p4d_offset() of an entry is the entry,
and only the lowest of the levels that are folded into each other can be none.
"""

from __future__ import annotations

from pagerace.machine.cpu import cpus
from pagerace.machine.memory import Machine, cpu_t, ulong
from pagerace.machine.pgtable import page_table, ptrs_per_pte
from pagerace.machine.tables import (
    index_at,
    p4d_t,
    pgd_t,
    pud_t,
    table_entry,
    upper_table,
    upper_tables,
)
from pagerace.mm.lockdep import LockClass
from pagerace.mm.mm_types import mm_struct, pmd_t, pmds
from pagerace.mm.spinlock import spin_lock_init
from pagerace.mm.tlb_lazy import cpu_tlbstate


def pgd_offset(top: upper_table, address: ulong) -> pgd_t:
    """pgd_offset(): the entry of ``mm->pgd``."""
    return top.entry[index_at(Machine.levels, address)]


def p4d_offset(pgd: pgd_t, address: ulong) -> p4d_t | None:
    """p4d_offset(); None: pgd_none()."""
    if Machine.levels < 5:
        return pgd
    return entry_below(pgd, 4, address)


def pud_offset(p4d: p4d_t, address: ulong) -> pud_t | None:
    """pud_offset(); None: p4d_none()."""
    if Machine.levels < 4:
        return p4d
    return entry_below(p4d, 3, address)


def pmd_offset(pud: pud_t, address: ulong) -> table_entry | None:
    """pmd_offset(); None: pud_none()."""
    if Machine.levels < 3:
        return pud
    return entry_below(pud, 2, address)


def entry_below(entry: table_entry, level: int, address: ulong) -> table_entry | None:
    """The entry of an address in the table of ``level`` to which ``entry`` points."""
    table = entry.table
    if table is None:
        return None
    return table.entry[index_at(level, address)]


def pmd_page(mm: mm_struct, ptes: page_table) -> pmd_t:
    """pmd_page(): a table of PTEs with what the kernel keeps of it, its lock."""
    for further in pmds:
        if further.table is ptes:
            return further
    return mm.pmd


def find_pmd(mm: mm_struct, address: ulong) -> pmd_t | None:
    """pgd_offset() to pmd_offset(), and what the PMD entry points to; None: nothing."""
    top = mm.pgd
    if top is None:
        return None
    p4d = p4d_offset(pgd_offset(top, address), address)
    if p4d is None:
        return None
    pud = pud_offset(p4d, address)
    if pud is None:
        return None
    pmd = pmd_offset(pud, address)
    if pmd is None:
        return None
    ptes = pmd.ptes
    if ptes is None:
        return None
    return pmd_page(mm, ptes)


def make_page_tables(mm: mm_struct) -> None:
    """Set-up: all tables of an mm, each but those of PTEs full."""
    spin_lock_init(mm.pmd.ptl, LockClass.PAGE_TABLE_LOCK)
    for further in pmds:
        spin_lock_init(further.ptl, LockClass.PAGE_TABLE_LOCK)
    if Machine.levels > 1:
        mm.pgd = upper_tables[0]
        for number in range(len(upper_tables)):
            for index in range(Machine.entries):
                fill_entry(mm, upper_tables[number].entry[index], number, index)


def fill_entry(mm: mm_struct, entry: table_entry, number: int, index: int) -> None:
    """Point entry ``index`` of upper table ``number`` to the next table, in level order."""
    below = number * Machine.entries + index + 1
    if below < len(upper_tables):
        entry.table = upper_tables[below]
    elif below == len(upper_tables):
        entry.ptes = mm.pmd.table
    else:
        entry.ptes = pmds[below - len(upper_tables) - 1].table


def pmd_addr_end(address: ulong, end: ulong) -> ulong:
    """pmd_addr_end(): the end of what the PMD entry of an address covers, or ``end``."""
    if Machine.levels > 1:
        covered: ulong = (address // ptrs_per_pte() + 1) * ptrs_per_pte()
        return min(covered, end)
    return end


def load_new_mm_cr3(number: cpu_t, mm: mm_struct) -> None:
    """load_new_mm_cr3() of arch/x86/mm/tlb.c: a CPU runs on the tables of ``mm``."""
    cpu = cpus[number]
    cpu_tlbstate[number].loaded_mm = mm
    if Machine.levels > 1:
        cpu.pgd = mm.pgd
    else:
        cpu.cr3 = mm.pmd.table
