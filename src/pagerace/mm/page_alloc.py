"""The page allocator: mm/page_alloc.c."""

from __future__ import annotations

from pagerace.lang import Struct, atomic, bug_on, u4, u32
from pagerace.machine.memory import frames
from pagerace.machine.pgtable import ptrs_per_pte
from pagerace.mm.lruvec import contig_page_data
from pagerace.mm.mm_types import (
    Reclaim,
    Thp,
    Vma,
    folio,
    folio_nr_pages,
    folio_page,
    page_to_pfn,
    pfn_to_page,
)
from pagerace.mm.page_flags import folio_get, folio_mapped, folio_test_large
from pagerace.mm.pgtable_levels import HPAGE_PMD_ORDER


def alloc_page() -> folio | None:
    """alloc_page() of include/linux/gfp.h: a page with one reference, or None."""
    frame = frames.alloc()
    if frame is None:
        return None
    if Reclaim.lists:
        contig_page_data.nr_free_pages -= 1
    page = pfn_to_page(frames.index(frame))
    folio_get(page)
    return page


def folio_alloc(order: u4) -> folio | None:
    """folio_alloc() of include/linux/gfp.h: a large folio, or None.

    There is no buddy allocator: the frames are those that come one after another, as they do
    until some have been freed.  What is found in pieces is lost.
    """
    if Thp.set_aside != 0 and u32(1) << order == ptrs_per_pte():
        kept = rmqueue_huge()
        if kept is not None:
            return kept
    first = alloc_page()
    if first is None:
        return None
    pages = u32(1) << order
    for n in range(1, pages):
        frame = frames.alloc()
        if frame is None or frames.index(frame) != page_to_pfn(first) + n:
            return None
    prep_compound_page(first, order)
    return first


class free_area_t(Struct):
    """``zone->free_area[HPAGE_PMD_ORDER]``: huge pages that are free, by ``lru_next``."""

    first: folio | None = None
    nr_free: u32


free_area = free_area_t()


def memblock_free_huge() -> None:
    """memblock_free_all(), of what Thp.set_aside keeps whole; alone, when all is free."""
    for _ in range(Thp.set_aside):
        head: folio | None = None
        for n in range(ptrs_per_pte()):
            frame = frames.alloc()
            assert frame is not None, "Thp.set_aside is more than there is"
            if n == 0:
                head = pfn_to_page(frames.index(frame))
        if head is not None:
            free_huge(head)


def free_huge(page: folio) -> None:
    """__free_one_page(), of one that is kept whole; its frames stay taken from the others."""
    with atomic():  # zone->lock
        page.lru_next = free_area.first
        free_area.first = page
        free_area.nr_free += 1


def rmqueue_huge() -> folio | None:
    """rmqueue(): one of those that are kept whole, with one reference, or None."""
    with atomic():  # zone->lock
        page = free_area.first
        if page is not None:
            free_area.first = page.lru_next
            page.lru_next = None
            free_area.nr_free -= 1
    if page is None:
        return None
    if Reclaim.lists:
        contig_page_data.nr_free_pages -= ptrs_per_pte()
    folio_get(page)
    prep_compound_page(page, HPAGE_PMD_ORDER())
    return page


def free_unref_page(page: folio) -> None:
    """free_unref_page(), and free_unref_folios(): the frames can be allocated again."""
    free_pages_prepare(page)
    if Reclaim.lists:
        contig_page_data.nr_free_pages += folio_nr_pages(page)
    if folio_test_large(page):
        if Thp.set_aside != 0 and folio_nr_pages(page) == ptrs_per_pte():
            take_apart(page)
            free_huge(page)
            return
        free_tail_pages(page)
    frames.free(frames[page_to_pfn(page)])


def free_tail_pages(page: folio) -> None:
    """The rest of a large folio; the pages are what they were before prep_compound_page()."""
    nr = folio_nr_pages(page)
    take_apart(page)
    for n in range(1, nr):
        frames.free(frames[page_to_pfn(folio_page(page, n))])


def take_apart(page: folio) -> None:
    """destroy_compound_page(): its pages are single ones; nobody has a reference."""
    for n in range(1, folio_nr_pages(page)):
        tail = folio_page(page, n)
        tail.compound_head = None
        if Thp.anonymous:
            tail.PG_anon_exclusive = False
    page.order = 0


def prep_compound_page(page: folio, order: u4) -> None:
    """prep_compound_page(): it and those behind it are one folio; alone, in the set-up."""
    page.order = order
    for n in range(1, folio_nr_pages(page)):
        folio_page(page, n).compound_head = page


def free_pages_prepare(page: folio) -> None:
    """free_pages_prepare(): report a page that is in use, and take its flags away."""
    with atomic():  # nobody else has a reference
        in_use = folio_mapped(page) or page.mapping is not None
        flags = page.PG_locked or page.PG_writeback  # PAGE_FLAGS_CHECK_AT_FREE
        bug_on(in_use or flags, "bad-page-state")
        page.PG_dirty = False
        if Vma.flags:
            page.anon_vma = None
            page.PG_anon_exclusive = False
