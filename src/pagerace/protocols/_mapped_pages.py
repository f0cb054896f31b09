"""What holds of the pages and the tables of _file_fault.py, whoever maps them."""

from __future__ import annotations

from pagerace.machine.memory import Machine, count_t, frames, pfn_t, ulong
from pagerace.machine.pgtable import pte_pfn, pte_present
from pagerace.machine.tables import (
    page_tables,
    pmd_none,
    pmd_page_vaddr,
    pmd_pfn,
    pmd_trans_huge,
)
from pagerace.mm.mm_types import folio_nr_pages, mem_map, page_folio, page_to_pfn, pfn_to_page
from pagerace.mm.page_flags import (
    folio_mapcount,
    folio_ref_count,
    folio_test_locked,
)
from pagerace.protocols._file_fault import mapping, pmd_of, pte_at


def page_is_the_right_one() -> bool:
    """T1-S7: what is mapped at an address is the page of the file that belongs there."""
    for address in range(Machine.pages):
        pte = pte_at(address)
        if pte_present(pte) and not is_page_of_file(pte_pfn(pte), address):
            return False
    pmd = pmd_of()
    return not pmd_trans_huge(pmd) or is_page_of_file(pmd_pfn(pmd), 0)


def is_page_of_file(pfn: pfn_t, index: ulong) -> bool:
    """Was the frame page ``index`` of the file when it was last in one?"""
    page = pfn_to_page(pfn)
    folio = page_folio(page)
    return folio.index + page_to_pfn(page) - page_to_pfn(folio) == index


def references_balance() -> bool:
    """T1-S6, at the end: each folio has the references of the page cache and of its mappings,
    as many mappings as there are entries, and no lock."""
    for pfn in range(Machine.frames):
        folio = mem_map[pfn]
        if folio.compound_head is None and frames.allocated(frames[pfn]):
            cached = count_t(folio_nr_pages(folio) if folio.mapping is mapping else 0)
            if folio_ref_count(folio) != cached + folio_mapcount(folio):
                return False
            if folio_mapcount(folio) != entries_of(pfn) or folio_test_locked(folio):
                return False
    return True


def entries_of(pfn: pfn_t) -> count_t:
    """How many entries map the folio that begins at a frame."""
    count: count_t = 0
    for address in range(Machine.pages):
        pte = pte_at(address)
        if pte_present(pte) and page_to_pfn(page_folio(pfn_to_page(pte_pfn(pte)))) == pfn:
            count += 1
    pmd = pmd_of()
    if pmd_trans_huge(pmd) and pmd_pfn(pmd) == pfn:
        count += 1
    return count


def no_table_is_lost() -> bool:
    """T1-S3, at the end: each table that is allocated hangs on the PMD entry."""
    pmd = pmd_of()
    for table in page_tables:
        if page_tables.allocated(table):
            if pmd_none(pmd) or pmd_trans_huge(pmd) or pmd_page_vaddr(pmd) is not table:
                return False
    return True


def nothing_is_mapped() -> bool:
    """At the end of truncation to nothing: T1-S9 and T1-S10, that is, and T1-M11."""
    for address in range(Machine.pages):
        if pte_present(pte_at(address)):
            return False
    return not pmd_trans_huge(pmd_of())


def neighbour_is_mapped() -> bool:
    """Sometimes: fault-around has mapped both pages."""
    for address in range(Machine.pages):
        if not pte_present(pte_at(address)):
            return False
    return True


def huge_page_is_mapped() -> bool:
    """The PMD entry maps the huge page."""
    return pmd_trans_huge(pmd_of())
