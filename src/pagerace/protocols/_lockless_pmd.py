"""Readers of the PMD without a lock: the set-up and the threads of such claims.

CPU 0 takes the table away and brings one, CPU 2 walks with its interrupts off.  Table 0
belongs to another mm and maps frame 0; the mm's own table is the last, and maps the last
frame.
"""
# pyright: strict, reportPrivateUsage=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import u8
from pagerace.machine.entry import unwatch_entry, was_held, watch_entry, watched
from pagerace.machine.irq import local_irq_restore, local_irq_save
from pagerace.machine.memory import Machine
from pagerace.machine.pgtable import pfn_pte, ptep_get, set_pte
from pagerace.machine.tables import page_tables, pmd_page_vaddr, pmd_present, upper_tables
from pagerace.mm.gup import lockless_pages_from_mm, page_lists
from pagerace.mm.khugepaged_anon import put_table_back
from pagerace.mm.mm_types import page_to_pfn, pmd_t
from pagerace.mm.mmu_gather import __tlb_reset_range, gathers
from pagerace.mm.page_alloc import alloc_page
from pagerace.mm.pgalloc import (
    __pte_alloc,
    __pte_alloc_one,
    pgd_alloc,
    pmd_populate,
    pmdp_collapse_flush,
)
from pagerace.mm.pgtable_free import free_pte_range
from pagerace.mm.pgtable_levels import init_page_table_locks
from pagerace.mm.pgtable_lockless import pmdp_get_lockless
from pagerace.mm.swap import put_page
from pagerace.protocols._lockless_read import found
from pagerace.protocols._shared_file import mm


def setup() -> None:
    """Tables and frames 0 are another's; all the others are the mm's, one of them mapped."""
    init_page_table_locks(mm)
    mm.pgd = pgd_alloc(mm)
    mm.cpu_bitmap = u8(5)
    watched.ptep = the_pmd().entry
    for pfn in range(Machine.frames):
        page = alloc_page()
        table = __pte_alloc_one(mm)
        if page is not None and table is not None:
            set_pte(table.pte[0], pfn_pte(page_to_pfn(page), False))
            if pfn == Machine.frames - 1:
                pmd_populate(mm, the_pmd(), table)


def the_pmd() -> pmd_t:
    """The one PMD entry of the mm."""
    return upper_tables[0].entry[0]


def replace_table() -> None:
    """Thread: munmap() frees the table, and a fault after mmap() brings another."""
    tlb = gathers.current
    tlb.mm = mm
    __tlb_reset_range(tlb)  # tlb_gather_mmu() also counts, which nobody looks at here
    free_pte_range(tlb, the_pmd(), 0)
    __pte_alloc(mm, the_pmd())


def collapse() -> None:
    """Thread: khugepaged, as far as the PMD entry is concerned: it finds that it cannot."""
    value = pmdp_collapse_flush(mm, 0, the_pmd())
    put_table_back(mm, the_pmd(), value)


def walk() -> None:
    """Thread: the PMD entry, and the first entry of the table to which it points."""
    flags = local_irq_save()
    watch_entry()
    entry = pmdp_get_lockless(the_pmd())
    held = unwatch_entry()
    if pmd_present(entry):
        if not was_held(entry, held):
            found.torn_value = True
        ptep_get(pmd_page_vaddr(entry).pte[0])
    local_irq_restore(flags)


def gup_fast() -> None:
    """Thread: get_user_pages_fast(), and put what it got."""
    pages = page_lists.current
    if lockless_pages_from_mm(mm, 0, 1, 0, pages) != 0:
        page = pages.page[0]
        if page is not None:
            if page_to_pfn(page) == 0:
                found.wrong_page = True
            put_page(page)
            pages.page[0] = None
    pages.nr = 0


def walker_sees_no_half() -> bool:
    """T4-S10, for the PMD: an entry that is present points to a table of this mm."""
    entry = the_pmd().entry.value
    return not entry.present or (
        entry.pfn != 0 and page_tables.allocated(page_tables[entry.pfn])
    )


def entry_goes_while_it_is_read() -> bool:
    """Sometimes: a read has begun, and the entry that it reads is none."""
    return watched.watching and not the_pmd().entry.value.present
