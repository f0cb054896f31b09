"""The pages that a fault-around finds in the page cache: mm/filemap.c."""

from __future__ import annotations

from pagerace.lang import READ_ONCE
from pagerace.machine.memory import ulong
from pagerace.mm.fault_around import xa_state
from pagerace.mm.fs import i_size_read
from pagerace.mm.mm_types import address_space, folio
from pagerace.mm.page_flags import folio_test_locked, folio_test_uptodate, folio_try_get
from pagerace.mm.pagemap import folio_trylock, folio_unlock
from pagerace.mm.swap import folio_put


def next_uptodate_page(
    xas: xa_state, mapping: address_space, end_pgoff: ulong
) -> folio | None:
    """next_uptodate_page(): the next folio that can be mapped, locked and referenced.

    It never waits: what is locked, being read or gone is left to a fault of its own.  The
    page is at ``xas->xa_index``.
    """
    while xas.xa_index <= end_pgoff:
        folio = READ_ONCE(mapping.i_pages[xas.xa_index])
        if folio is not None and lock_to_map(xas, mapping, folio):
            return folio
        xas.xa_index += 1
    return None


def lock_to_map(xas: xa_state, mapping: address_space, folio: folio) -> bool:
    """The body of its loop: take a reference and the lock, and look at all again."""
    if folio_test_locked(folio):
        return False
    if not folio_try_get(folio):
        return False
    if READ_ONCE(mapping.i_pages[xas.xa_index]) is not folio:  # xas_reload(): moved or split
        folio_put(folio)
        return False
    if not folio_test_uptodate(folio) or not folio_trylock(folio):
        folio_put(folio)
        return False
    if not may_be_mapped(xas, mapping, folio):
        folio_unlock(folio)
        folio_put(folio)
        return False
    return True


def may_be_mapped(xas: xa_state, mapping: address_space, folio: folio) -> bool:
    """Under the folio lock: is it still of the file, read, and not behind its end?"""
    if folio.mapping is not mapping or not folio_test_uptodate(folio):
        return False
    return xas.xa_index < i_size_read(mapping)


def first_map_page(xas: xa_state, mapping: address_space, end_pgoff: ulong) -> folio | None:
    """first_map_page(): from ``xas->xa_index`` on."""
    return next_uptodate_page(xas, mapping, end_pgoff)


def next_map_page(xas: xa_state, mapping: address_space, end_pgoff: ulong) -> folio | None:
    """next_map_page(): behind the one that was found last."""
    xas.xa_index += 1
    return next_uptodate_page(xas, mapping, end_pgoff)
