"""The page allocator: mm/page_alloc.c."""

from __future__ import annotations

from pagerace.lang import bug_on
from pagerace.machine.memory import frames
from pagerace.mm.mm_types import folio, page_to_pfn, pfn_to_page
from pagerace.mm.page_flags import folio_get, folio_mapped


def alloc_page() -> folio | None:
    """alloc_page() of include/linux/gfp.h: a page with one reference, or None."""
    frame = frames.alloc()
    if frame is None:
        return None
    page = pfn_to_page(frames.index(frame))
    folio_get(page)
    return page


def free_unref_page(page: folio) -> None:
    """free_unref_page(): once free_pages_prepare() has found nothing wrong with it."""
    bug_on(folio_mapped(page) or page.mapping is not None, "bad-page-state")
    frames.free(frames[page_to_pfn(page)])
