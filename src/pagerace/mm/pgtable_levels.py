"""The way down through the upper levels: include/linux/pgtable.h, pgtable-nop4d.h and so on.

A level that the machine does not have is folded: p4d_offset() of an entry is the entry,
and only the lowest of the levels that are folded into each other can be none.
"""

from __future__ import annotations

from pagerace.lang import u4, u32
from pagerace.machine.cpu import cpus
from pagerace.machine.memory import Machine, cpu_t, pfn_t, ulong
from pagerace.machine.pgtable import ptrs_per_pte
from pagerace.machine.tables import (
    index_at,
    p4d_t,
    page_tables,
    pages_below,
    pgd_t,
    pmd_present,
    pmdp_get,
    pud_pgtable,
    pud_t,
    set_pmd,
    table_entry,
    upper_tables,
)
from pagerace.machine.tlb import write_cr3
from pagerace.mm.lockdep import LockClass
from pagerace.mm.mm_types import mm_struct, pmd_t, ptdescs
from pagerace.mm.rwsem import init_rwsem
from pagerace.mm.spinlock import spin_lock_init
from pagerace.mm.tlb_lazy import cpu_tlbstate


def pgd_offset(mm: mm_struct, address: ulong) -> pgd_t | None:
    """pgd_offset(): the entry of ``mm->pgd``; None where the mm has no tables yet."""
    top = mm.pgd
    if top is None:
        return None
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


def pmd_offset(pud: pud_t, address: ulong) -> pmd_t | None:
    """pmd_offset(); None: pud_none()."""
    if Machine.levels < 3:
        return pud
    return entry_below(pud, 2, address)


def entry_below(entry: pmd_t, level: int, address: ulong) -> pmd_t | None:
    """The entry of an address in the table of ``level`` to which ``entry`` points."""
    value = pmdp_get(entry)
    if not pmd_present(value):
        return None
    return pud_pgtable(value).entry[index_at(level, address)]


def find_pmd(mm: mm_struct, address: ulong) -> pmd_t | None:
    """pgd_offset() to pmd_offset(); None: a table on the way is missing."""
    pgd = pgd_offset(mm, address)
    if pgd is None:
        return None
    p4d = p4d_offset(pgd, address)
    if p4d is None:
        return None
    pud = pud_offset(p4d, address)
    if pud is None:
        return None
    return pmd_offset(pud, address)


def init_page_table_locks(mm: mm_struct) -> None:
    """Set-up: the locks of an mm and of all tables of PTEs."""
    spin_lock_init(mm.page_table_lock, LockClass.PMD_LOCK)
    init_table_locks(mm)
    for table in ptdescs:
        spin_lock_init(table.ptl, LockClass.PAGE_TABLE_LOCK)


def init_table_locks(mm: mm_struct) -> None:
    """The locks of the tables of an mm, where a proposal has some."""
    for lock in mm.table_locks:
        init_rwsem(lock.rwsem, LockClass.TABLE_LOCK)


def make_page_tables(mm: mm_struct) -> None:
    """Set-up: all tables of an mm, each but those of PTEs full; they stay."""
    init_page_table_locks(mm)
    for _ in range(len(page_tables)):
        page_tables.alloc()
    for _ in range(len(upper_tables)):
        upper_tables.alloc()
    mm.pgd = upper_tables[0]
    for number in range(len(upper_tables)):
        for index in range(Machine.entries):
            fill_entry(upper_tables[number].entry[index], number, index)


def fill_entry(entry: pmd_t, number: int, index: int) -> None:
    """Point entry ``index`` of upper table ``number`` to the next table, in level order."""
    below = number * Machine.entries + index + 1
    if below < len(upper_tables):
        set_pmd(entry, table_entry(pfn_t(below)))
    else:
        set_pmd(entry, table_entry(pfn_t(below - len(upper_tables))))


def HPAGE_PMD_NR() -> int:
    """HPAGE_PMD_NR of include/linux/huge_mm.h: the pages of what a PMD entry maps."""
    return ptrs_per_pte()


def HPAGE_PUD_NR() -> int:
    """HPAGE_PUD_NR of include/linux/huge_mm.h: the pages of what a PUD entry maps."""
    return pages_below(3)


def HPAGE_PMD_ORDER() -> u4:
    """HPAGE_PMD_ORDER of include/linux/huge_mm.h: 2 to this power are HPAGE_PMD_NR()."""
    order: u4 = 0
    for n in range(1, 10):
        if u32(1) << n == ptrs_per_pte():
            order = u4(n)
    return order


def pmd_addr_end(address: ulong, end: ulong) -> ulong:
    """pmd_addr_end(): the end of what the PMD entry of an address covers, or ``end``."""
    if ptrs_per_pte() == Machine.pages:
        return end
    covered: ulong = (address // ptrs_per_pte() + 1) * ptrs_per_pte()
    return min(covered, end)


def load_new_mm_cr3(number: cpu_t, mm: mm_struct) -> None:
    """load_new_mm_cr3() of arch/x86/mm/tlb.c: a CPU runs on the tables of ``mm``."""
    cpu_tlbstate[number].loaded_mm = mm
    write_cr3(cpus[number], mm.pgd)
