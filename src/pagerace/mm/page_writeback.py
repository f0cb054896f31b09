"""Dirtying folios and writing them out: mm/page-writeback.c, mm/folio-compat.c."""

from __future__ import annotations

from pagerace.lang import atomic
from pagerace.machine.memory import ulong, write_out
from pagerace.mm.bug import warned
from pagerace.mm.mm_types import Vma, address_space, folio, page_folio, page_to_pfn
from pagerace.mm.page_flags import (
    folio_mapped,
    folio_test_clear_dirty,
    folio_test_dirty,
    folio_test_locked,
    folio_test_writeback,
)
from pagerace.mm.pagemap import (
    filemap_get_folio,
    folio_end_writeback,
    folio_lock,
    folio_start_writeback,
    folio_unlock,
    folio_wait_writeback,
)
from pagerace.mm.rmap import folio_mkclean
from pagerace.mm.swap import folio_put


def set_page_dirty(page: folio) -> bool:
    """set_page_dirty() of mm/folio-compat.c."""
    return folio_mark_dirty(page_folio(page))


def folio_mark_dirty(folio: folio) -> bool:
    """folio_mark_dirty(): True if it was clean."""
    mapping = folio.mapping
    if mapping is not None:
        return ext4_dirty_folio(mapping, folio)
    return noop_dirty_folio(folio)


def noop_dirty_folio(folio: folio) -> bool:
    """noop_dirty_folio(): for a folio that reclaim has taken from its file."""
    with atomic():
        newly = not folio_test_dirty(folio)
        folio.PG_dirty = True
    return newly


def ext4_dirty_folio(mapping: address_space, folio: folio) -> bool:
    """ext4_dirty_folio() of fs/ext4/inode.c with its warning; and the test of T4-S6.

    Both look at the very moment of the bit operation.
    """
    with atomic():
        newly = not folio_test_dirty(folio)
        if not folio_test_locked(folio):
            if newly:
                warned.ext4_dirty_folio = True
            if not folio_mapped(folio):
                warned.dirtied_unmapped = True
        folio.PG_dirty = True
    return newly


def folio_clear_dirty_for_io(folio: folio) -> bool:
    """folio_clear_dirty_for_io(): True if the caller has to write the folio.

    A fault marks the folio dirty and makes its PTE writable under the folio lock, which
    is held here, so that neither can come between folio_mkclean() and the end.
    """
    assert folio_test_locked(folio), "folio_clear_dirty_for_io() wants the folio locked"
    if folio_mkclean(folio) != 0:
        folio_mark_dirty(folio)
    return folio_test_clear_dirty(folio)


def write_cache_pages(mapping: address_space, start: ulong, end: ulong) -> None:
    """write_cache_pages() with WB_SYNC_ALL: write each dirty folio of a part of a file.

    Without Vma.flags of all of it: a bound that is no parameter is no part of a state.
    """
    for index in range(start if Vma.flags else 0, end if Vma.flags else len(mapping.i_pages)):
        folio = filemap_get_folio(mapping, index)
        if folio is not None:
            if folio_test_dirty(folio):  # pagevec_lookup_range_tag(PAGECACHE_TAG_DIRTY)
                folio_lock(folio)
                if not write_folio(mapping, folio):
                    folio_unlock(folio)
            folio_put(folio)


def write_folio(mapping: address_space, folio: folio) -> bool:
    """The body of write_cache_pages(): False, still locked, if there is nothing to do."""
    if folio.mapping is not mapping:
        return False  # truncated or reclaimed
    if not folio_test_dirty(folio):
        return False  # someone wrote it for us
    if folio_test_writeback(folio):
        folio_wait_writeback(folio)
    if not folio_clear_dirty_for_io(folio):
        return False
    writepage(folio)
    return True


def block_of(folio: folio) -> ulong:
    """->get_block(): where on the disk a page of a file is; the folio is under writeback."""
    if Vma.flags:
        mapping = folio.mapping
        if mapping is not None:
            return mapping.i_block + folio.index
    return folio.index


def writepage(folio: folio) -> None:
    """->writepage() of a file system on a disk that is done at once (drivers/block/brd.c).

    The disk reads the page some time after the folio has been unlocked.
    """
    folio_start_writeback(folio)
    folio_unlock(folio)
    write_out(page_to_pfn(folio), block_of(folio))
    folio_end_writeback(folio)
