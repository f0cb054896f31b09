"""Tables that go: free_pgtables() and what it calls, of mm/memory.c.

``floor`` and ``ceiling`` are the ends of what is mapped around the range: a table is freed
if nothing but the range can use it.  ``ceiling`` 0 is the end of the address space, as in
the kernel.  mmap_lock is held, for writing or by munmap(), so that no fault comes.
"""

from __future__ import annotations

from pagerace.machine.memory import Machine, ulong
from pagerace.machine.tables import (
    index_at,
    p4d_t,
    pages_below,
    pgd_t,
    pmd_clear,
    pmd_page_vaddr,
    pmd_present,
    pmdp_get,
    pud_pgtable,
    pud_t,
)
from pagerace.mm.mm_types import pmd_t, vm_area_struct
from pagerace.mm.mmu_gather import mmu_gather, pmd_free_tlb, pte_free_tlb
from pagerace.mm.pgalloc import mm_dec_nr_ptes, pmd_clear_table


def free_pgtables(tlb: mmu_gather, vma: vm_area_struct, floor: ulong, ceiling: ulong) -> None:
    """free_pgtables(), of one VMA; unlink_file_vma() is the caller's."""
    free_pgd_range(tlb, vma.vm_start, vma.vm_end, floor, ceiling)


def free_pgd_range(
    tlb: mmu_gather, addr: ulong, end: ulong, floor: ulong, ceiling: ulong
) -> None:
    """free_pgd_range(): each table that translates nothing but pages of the range."""
    top = tlb.mm.pgd
    if top is None:
        return
    while addr != end:
        next = entry_end(Machine.levels, addr, end)
        free_p4d_range(
            tlb, top.entry[index_at(Machine.levels, addr)], addr, next, floor, ceiling
        )
        addr = next


def entry_end(level: int, address: ulong, end: ulong) -> ulong:
    """pgd_addr_end() and its like: where what an entry covers ends, or ``end``."""
    if pages_below(level) == Machine.pages:
        return end
    covered: ulong = (address // pages_below(level) + 1) * pages_below(level)
    return min(covered, end)


def is_all_of_it(level: int, addr: ulong, end: ulong, floor: ulong, ceiling: ulong) -> bool:
    """Is what the entry of ``addr`` in a table of ``level`` covers between the two ends?

    The callers of free_pgd_range() round down to the entry, and up.
    """
    first: ulong = (addr // pages_below(level)) * pages_below(level)
    if first < floor:
        return False
    last: ulong = first + (pages_below(level) - 1)
    return ceiling == 0 or last < ceiling


def free_p4d_range(
    tlb: mmu_gather, pgd: pgd_t, addr: ulong, end: ulong, floor: ulong, ceiling: ulong
) -> None:
    """free_p4d_range(): what is below an entry of the PGD, and the table itself."""
    if Machine.levels < 5:
        free_pud_range(tlb, pgd, addr, end, floor, ceiling)
        return
    value = pmdp_get(pgd)
    if not pmd_present(value):
        return
    start = addr
    table = pud_pgtable(value)
    while addr != end:
        next = entry_end(4, addr, end)
        free_pud_range(tlb, table.entry[index_at(4, addr)], addr, next, floor, ceiling)
        addr = next
    if is_all_of_it(5, start, end, floor, ceiling):
        pmd_clear(pgd)
        pmd_free_tlb(tlb, table, start, 4)


def free_pud_range(
    tlb: mmu_gather, p4d: p4d_t, addr: ulong, end: ulong, floor: ulong, ceiling: ulong
) -> None:
    """free_pud_range(): what is below an entry of the P4D, and the table itself."""
    if Machine.levels < 4:
        free_pmd_range(tlb, p4d, addr, end, floor, ceiling)
        return
    value = pmdp_get(p4d)
    if not pmd_present(value):
        return
    start = addr
    table = pud_pgtable(value)
    while addr != end:
        next = entry_end(3, addr, end)
        free_pmd_range(tlb, table.entry[index_at(3, addr)], addr, next, floor, ceiling)
        addr = next
    if is_all_of_it(4, start, end, floor, ceiling):
        pmd_clear(p4d)
        pmd_free_tlb(tlb, table, start, 3)


def free_pmd_range(
    tlb: mmu_gather, pud: pud_t, addr: ulong, end: ulong, floor: ulong, ceiling: ulong
) -> None:
    """free_pmd_range(): what is below an entry of the PUD, and the table itself."""
    if Machine.levels < 3:
        free_pmd_entry(tlb, pud, addr, end, floor, ceiling)
        return
    value = pmdp_get(pud)
    if not pmd_present(value):
        return
    start = addr
    table = pud_pgtable(value)
    while addr != end:
        next = entry_end(2, addr, end)
        free_pmd_entry(tlb, table.entry[index_at(2, addr)], addr, next, floor, ceiling)
        addr = next
    if is_all_of_it(3, start, end, floor, ceiling):
        pmd_clear(pud)
        pmd_free_tlb(tlb, table, start, 2)


def free_pmd_entry(
    tlb: mmu_gather, pmd: pmd_t, addr: ulong, end: ulong, floor: ulong, ceiling: ulong
) -> None:
    """The loop of free_pmd_range(): the table of one PMD entry, if it is all free."""
    if pmd_present(pmdp_get(pmd)) and is_all_of_it(2, addr, end, floor, ceiling):
        free_pte_range(tlb, pmd, addr)


def free_pte_range(tlb: mmu_gather, pmd: pmd_t, addr: ulong) -> None:
    """free_pte_range(): take the table away; the gather flushes, and frees it.

    The entry is cleared by pmd_clear(): on PAE in two halves.
    """
    table = pmd_page_vaddr(pmdp_get(pmd))
    pmd_clear_table(pmd)
    pte_free_tlb(tlb, table, addr)
    mm_dec_nr_ptes(tlb.mm)
