"""Readers of the PMD without a lock: the set-up and the threads of such claims.

CPU 0 takes the table away and brings one, CPU 2 walks with its interrupts off.  Table 0
belongs to another mm and maps frame 0; the mm's own table is the last, and maps the last
frame.
"""

from __future__ import annotations

from pagerace.lang import u8
from pagerace.machine.entry import unwatch_entry, was_held, watch_entry, watched
from pagerace.machine.irq import local_irq_restore, local_irq_save
from pagerace.machine.memory import Machine
from pagerace.machine.pgtable import pfn_pte, pte_present, ptep_get, set_pte
from pagerace.mm.gup import lockless_pages_from_mm, page_lists
from pagerace.mm.lockdep import LockClass
from pagerace.mm.mm_types import page_to_pfn
from pagerace.mm.page_alloc import alloc_page
from pagerace.mm.pgalloc import (
    __pte_alloc,
    collapse_huge_page,
    free_pte_range,
    page_tables,
    pmd_get_lockless,
    pmd_page_table,
    pmd_populate,
    pte_alloc_one,
)
from pagerace.mm.spinlock import spin_lock_init
from pagerace.mm.swap import put_page
from pagerace.protocols._lockless_read import found
from pagerace.protocols._shared_file import mm


def setup() -> None:
    """Tables and frames 0 are another's; all the others are the mm's, one of them mapped."""
    spin_lock_init(mm.pmd.ptl, LockClass.PAGE_TABLE_LOCK)
    mm.cpu_bitmap = u8(5)
    watched.ptep = mm.pmd.entry
    for pfn in range(Machine.frames):
        page = alloc_page()
        table = pte_alloc_one()
        if page is not None and table is not None:
            set_pte(table.pte[0], pfn_pte(page_to_pfn(page), False))
            if pfn == Machine.frames - 1:
                pmd_populate(mm.pmd.entry, table)


def replace_table() -> None:
    """Thread: munmap() frees the table, and a fault after mmap() brings another."""
    free_pte_range(mm, mm.pmd)
    __pte_alloc(mm, mm.pmd)


def collapse() -> None:
    """Thread: khugepaged."""
    collapse_huge_page(mm, mm.pmd)


def walk() -> None:
    """Thread: the PMD entry, and the first entry of the table to which it points."""
    flags = local_irq_save()
    watch_entry()
    entry = pmd_get_lockless(mm.pmd)
    held = unwatch_entry()
    if pte_present(entry):
        if not was_held(entry, held):
            found.torn_value = True
        ptep_get(pmd_page_table(mm.pmd, entry).pte[0])
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
    entry = mm.pmd.entry.value
    return not entry.present or (
        entry.pfn != 0 and page_tables.allocated(page_tables[entry.pfn])
    )


def entry_goes_while_it_is_read() -> bool:
    """Sometimes: a read has begun, and the entry that it reads is none."""
    return watched.watching and not mm.pmd.entry.value.present
