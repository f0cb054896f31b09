"""What must hold while tables of PTEs come and go under walkers: the properties of T2.

The set-up and the threads are in _table_walkers.py.
"""

from __future__ import annotations

from pagerace.machine.entry import watched
from pagerace.machine.memory import Machine, count_t
from pagerace.machine.pgtable import pte_pfn
from pagerace.machine.tables import (
    page_tables,
    pmd_page_vaddr,
    pmd_pfn,
    pmd_present,
    pmd_trans_huge,
)
from pagerace.mm.atomic import atomic_read
from pagerace.mm.mm_types import mem_map, page_to_pfn
from pagerace.mm.notes import notes
from pagerace.mm.page_flags import folio_mapcount, folio_ref_count
from pagerace.protocols._file_fault import mm, pmd_of, pte_at
from pagerace.protocols._mapped_pages import entries_of
from pagerace.protocols._table_walkers import Tables, noted


def tables_are_counted() -> bool:
    """T2-S5, at the end: ``nr_ptes`` is the number of tables that are linked, or deposited for
    a huge page of no file, and no other is in use: each was freed once."""
    pmd = pmd_of()
    linked: count_t = 0
    if pmd_present(pmd) and not pmd_trans_huge(pmd):
        linked = 1
        if not page_tables.allocated(pmd_page_vaddr(pmd)):
            return False
    if pmd_trans_huge(pmd) and Tables.anonymous:
        linked = 1
    used: count_t = 0
    for table in page_tables:
        if page_tables.allocated(table):
            used += 1
    return used == linked and atomic_read(mm.nr_ptes) == linked


def a_table_goes_before_another_comes() -> bool:
    """T2-S8: an entry that points to a table becomes none before it becomes anything else.

    Who stores there without the lock of the entry, or does not look again under it, stores
    over what somebody else has stored.
    """
    return not watched.overwritten


def tables_are_installed_under_mmap_lock() -> bool:
    """T2-S10: nobody brings a table who has no more than an rmap lock: what keeps others
    out while tables are freed is mmap_lock."""
    return not notes.unlocked_install


def no_table_is_there() -> bool:
    """Sometimes: there is no table."""
    return not pmd_present(pmd_of())


def a_pin_is_of_what_is_mapped() -> bool:
    """T2-S6, at the end: what GUP-fast has got is what the process sees.

    So there was an instant after the reference was taken at which PMD entry and PTE were
    those that led there, and who counted references after it has seen that one.
    """
    page = noted.pinned
    pmd = pmd_of()
    if page is None or not pmd_present(pmd):
        return page is None
    mapped = pmd_pfn(pmd) if pmd_trans_huge(pmd) else pte_pfn(pte_at(0))
    return mapped == page_to_pfn(page) or folio_ref_count(page) == 0


def a_huge_page_is_mapped() -> bool:
    """Sometimes: the table gave way to a huge page."""
    return pmd_trans_huge(pmd_of())


def rounds_are_changes() -> bool:
    """T2-P1: who locks a table begins again at most once for each change of the PMD entry.

    That he comes to an end where it does not change is what every check looks for (livelock).
    """
    return notes.again <= watched.changes


def a_round_was_in_vain() -> bool:
    """Sometimes: a table was exchanged while somebody was about to lock it."""
    return notes.again != 0


def each_page_is_mapped_as_it_counts() -> bool:
    """T2-S3, at the end: a page has as many entries as its mapcount says, and no reference
    but theirs: no table went with an entry in it."""
    for page in mem_map:
        pfn = page_to_pfn(page)
        entries = entries_of(pfn)
        if pfn != 0 and (folio_mapcount(page) != entries or folio_ref_count(page) != entries):
            return False
    return True


def the_fault_has_mapped() -> bool:
    """Sometimes: a page is mapped that was not there at first."""
    return entries_of(Machine.frames - 1) != 0
