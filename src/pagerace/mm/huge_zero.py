"""The huge page of zeros that all who only read share: part of mm/huge_memory.c."""

from __future__ import annotations

from pagerace.lang import Struct, atomic
from pagerace.machine.memory import frames
from pagerace.machine.tables import pmd_pfn, pmdval_t
from pagerace.mm.mm_types import Thp, folio, folio_nr_pages, mm_struct, page_to_pfn, pfn_to_page
from pagerace.mm.page_alloc import folio_alloc
from pagerace.mm.pgtable_levels import HPAGE_PMD_ORDER
from pagerace.mm.swap import folio_put


class huge_zero_t(Struct):
    """``page``: huge_zero_folio, once somebody has asked for it; it stays."""

    page: folio | None = None


huge_zero = huge_zero_t()


def clear_huge_page(folio: folio) -> None:
    """folio_zero_user() of mm/memory.c: all pages of it, in one step."""
    with atomic():  # nobody else knows the folio yet
        for n in range(folio_nr_pages(folio)):
            frames[page_to_pfn(folio) + n].content = 0


def mm_get_huge_zero_folio(mm: mm_struct) -> folio | None:
    """mm_get_huge_zero_folio(); None: there is no memory.  Nobody counts who has it."""
    if huge_zero.page is None:
        made = folio_alloc(HPAGE_PMD_ORDER())
        if made is None:
            return None
        clear_huge_page(made)
        with atomic():  # cmpxchg()
            first = huge_zero.page is None
            if first:
                huge_zero.page = made
        if not first:
            folio_put(made)
    return huge_zero.page


def is_huge_zero_folio(folio: folio) -> bool:
    """is_huge_zero_folio() of include/linux/huge_mm.h."""
    return Thp.anonymous and folio is huge_zero.page


def is_huge_zero_pmd(pmd: pmdval_t) -> bool:
    """is_huge_zero_pmd() of include/linux/huge_mm.h."""
    return Thp.anonymous and is_huge_zero_folio(pfn_to_page(pmd_pfn(pmd)))
