"""Dropping references: mm/swap.c."""
# pyright: strict, reportPrivateUsage=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.machine.memory import count_t
from pagerace.mm.lruvec import __page_cache_release
from pagerace.mm.mm_types import folio, page_folio
from pagerace.mm.page_alloc import free_unref_page
from pagerace.mm.page_flags import folio_get, folio_put_testzero, folio_ref_sub_and_test


def get_page(page: folio) -> None:
    """get_page() of include/linux/mm.h."""
    folio_get(page_folio(page))


def put_page(page: folio) -> None:
    """put_page() of include/linux/mm.h."""
    folio_put(page_folio(page))


def folio_put_refs(folio: folio, refs: count_t) -> None:
    """folio_put_refs() of include/linux/mm.h: several at once."""
    if folio_ref_sub_and_test(folio, refs):
        __page_cache_release(folio)
        free_unref_page(folio)


def folio_put(folio: folio) -> None:
    """folio_put() of include/linux/mm.h: whoever drops the last reference frees it."""
    if folio_put_testzero(folio):
        __page_cache_release(folio)
        free_unref_page(folio)
