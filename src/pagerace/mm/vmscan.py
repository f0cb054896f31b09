"""Reclaim: mm/vmscan.c.  With may_unmap = 0: mapped folios are left alone."""
# pyright: strict, reportPrivateUsage=false, reportUnusedFunction=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.mm.filemap import __filemap_remove_folio
from pagerace.mm.mm_types import address_space, folio
from pagerace.mm.page_alloc import free_unref_page
from pagerace.mm.page_flags import (
    folio_mapped,
    folio_ref_freeze,
    folio_ref_unfreeze,
    folio_test_dirty,
    folio_test_writeback,
)
from pagerace.mm.pagemap import filemap_get_folio, folio_trylock, folio_unlock
from pagerace.mm.swap import folio_put


def shrink_inactive_list(mapping: address_space) -> None:
    """shrink_inactive_list(): try every folio, of one file, that could be isolated.

    isolate_lru_folios() takes a reference; putback_inactive_pages() drops it.
    """
    for index in range(len(mapping.i_pages)):
        folio = filemap_get_folio(mapping, index)
        if folio is not None and not shrink_folio_list(folio):
            folio_put(folio)


def shrink_folio_list(folio: folio) -> bool:
    """shrink_folio_list(), for one folio: True if it was freed, reference and all."""
    if not folio_trylock(folio):
        return False
    if folio_mapped(folio) or folio_test_writeback(folio) or folio_test_dirty(folio):
        folio_unlock(folio)
        return False
    mapping = folio.mapping
    if mapping is None or not __remove_mapping(mapping, folio):
        folio_unlock(folio)
        return False
    folio_unlock(folio)
    free_unref_page(folio)
    return True


def __remove_mapping(mapping: address_space, folio: folio) -> bool:
    """__remove_mapping(): out of the page cache if nobody else has a reference.

    The references are that of the page cache and that of the caller.  Whoever dirties
    the folio has a reference meanwhile, and so the flag is looked at after the freeze.
    """
    if not folio_ref_freeze(folio, 2):
        return False
    if folio_test_dirty(folio):
        folio_ref_unfreeze(folio, 2)
        return False
    __filemap_remove_folio(folio)
    return True
