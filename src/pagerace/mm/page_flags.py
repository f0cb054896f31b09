"""Folio flags and counts: include/linux/page-flags.h, page_ref.h and mm.h."""
# pyright: strict, reportPrivateUsage=false
# The counters have the kernel's names, and this file is the only one that touches them.

from __future__ import annotations

from pagerace.lang import READ_ONCE, atomic
from pagerace.machine.memory import Machine, count_t
from pagerace.machine.pgtable import ptrs_per_pte
from pagerace.mm.atomic import (
    atomic_add,
    atomic_cmpxchg,
    atomic_dec_and_test,
    atomic_inc,
    atomic_inc_not_zero,
    atomic_read,
    atomic_set,
    atomic_sub_and_test,
    count_atomic,
)
from pagerace.mm.mm_types import PageCache, Thp, folio, folio_nr_pages


def folio_test_locked(folio: folio) -> bool:
    """folio_test_locked(): test_bit() is a marked load, as in the two that follow."""
    return READ_ONCE(folio.PG_locked)


def folio_test_dirty(folio: folio) -> bool:
    """folio_test_dirty()."""
    return READ_ONCE(folio.PG_dirty)


def folio_test_writeback(folio: folio) -> bool:
    """folio_test_writeback()."""
    return READ_ONCE(folio.PG_writeback)


def folio_test_uptodate(folio: folio) -> bool:
    """folio_test_uptodate(): has it been read?  See PageCache.read_later."""
    return not PageCache.read_later or READ_ONCE(folio.PG_uptodate)


def folio_test_large(folio: folio) -> bool:
    """folio_test_large()."""
    return PageCache.large and folio.order != 0


def folio_test_pmd_mappable(folio: folio) -> bool:
    """folio_test_pmd_mappable() of include/linux/huge_mm.h."""
    return Machine.huge_pages and folio_nr_pages(folio) == ptrs_per_pte()


def folio_test_clear_dirty(folio: folio) -> bool:
    """folio_test_clear_dirty(): one atomic bit operation."""
    count_atomic()
    with atomic():
        dirty = folio.PG_dirty
        folio.PG_dirty = False
    return dirty


def folio_mapcount(folio: folio) -> count_t:
    """folio_mapcount() of include/linux/mm.h."""
    if Thp.anonymous and folio_test_large(folio):
        return READ_ONCE(folio._large_mapcount)
    return atomic_read(folio._mapcount)


def folio_precise_page_mapcount(folio: folio, page: folio) -> count_t:
    """folio_precise_page_mapcount() of fs/proc/internal.h: of one page of the folio."""
    if Thp.anonymous and folio_test_large(folio):
        return atomic_read(page._mapcount) + atomic_read(folio._entire_mapcount)
    return folio_mapcount(folio)


def entire_mapcount_inc(folio: folio) -> None:
    """atomic_inc(&folio->_entire_mapcount)."""
    atomic_inc(folio._entire_mapcount)


def entire_mapcount_dec(folio: folio) -> None:
    """atomic_add_negative(-1, &folio->_entire_mapcount)."""
    atomic_dec_and_test(folio._entire_mapcount)


def folio_mapped(folio: folio) -> bool:
    """folio_mapped() of include/linux/mm.h."""
    return folio_mapcount(folio) != 0


def mapcount_inc(folio: folio) -> None:
    """atomic_inc(&page->_mapcount): rmap.c counts one more entry."""
    atomic_inc(folio._mapcount)


def mapcount_dec(folio: folio) -> None:
    """atomic_add_negative(-1, &page->_mapcount): rmap.c counts one entry less."""
    atomic_dec_and_test(folio._mapcount)


def folio_ref_count(folio: folio) -> count_t:
    """folio_ref_count() of include/linux/page_ref.h."""
    return atomic_read(folio._refcount)


def folio_get(folio: folio) -> None:
    """folio_get() of include/linux/mm.h."""
    atomic_inc(folio._refcount)


def folio_try_get(folio: folio) -> bool:
    """folio_try_get() of include/linux/page_ref.h: False if the page is being freed."""
    return atomic_inc_not_zero(folio._refcount)


def folio_ref_add(folio: folio, nr: count_t) -> None:
    """folio_ref_add() of include/linux/page_ref.h."""
    atomic_add(nr, folio._refcount)


def folio_ref_sub_and_test(folio: folio, nr: count_t) -> bool:
    """folio_ref_sub_and_test() of include/linux/page_ref.h."""
    return atomic_sub_and_test(nr, folio._refcount)


def folio_put_testzero(folio: folio) -> bool:
    """folio_put_testzero() of include/linux/mm.h."""
    return atomic_dec_and_test(folio._refcount)


def folio_ref_freeze(folio: folio, count: count_t) -> bool:
    """folio_ref_freeze() of include/linux/page_ref.h: take all references, or none."""
    return atomic_cmpxchg(folio._refcount, count, 0) == count


def folio_ref_unfreeze(folio: folio, count: count_t) -> None:
    """folio_ref_unfreeze() of include/linux/page_ref.h."""
    atomic_set(folio._refcount, count)
