"""Taking pages away from a file: mm/truncate.c, and unmap_mapping_range() of mm/memory.c."""

from __future__ import annotations

from pagerace.mm.filemap import filemap_remove_folio
from pagerace.mm.fs import i_size_write
from pagerace.mm.memory import zap_page_range_single
from pagerace.mm.mm_types import address_space, folio
from pagerace.mm.page_flags import folio_mapped, folio_test_clear_dirty
from pagerace.mm.pagemap import (
    filemap_get_folio,
    folio_lock,
    folio_unlock,
    folio_wait_writeback,
)
from pagerace.mm.rwsem import down_read, up_read
from pagerace.mm.swap import folio_put


def truncate_setsize(mapping: address_space) -> None:
    """truncate_setsize(), to length 0: faults fail from now on, and all pages go."""
    i_size_write(mapping, 0)
    truncate_pagecache(mapping)


def truncate_pagecache(mapping: address_space) -> None:
    """truncate_pagecache(): unmap, drop the pages, and unmap what was mapped meanwhile."""
    unmap_mapping_range(mapping)
    truncate_inode_pages(mapping)
    unmap_mapping_range(mapping)


def unmap_mapping_range(mapping: address_space) -> None:
    """unmap_mapping_range(), of the whole file: zap it in every VMA that maps it."""
    down_read(mapping.i_mmap_rwsem)
    for vma in mapping.i_mmap:
        if vma is not None:
            zap_page_range_single(vma, vma.vm_start, vma.vm_end - vma.vm_start, None)
    up_read(mapping.i_mmap_rwsem)


def truncate_inode_pages(mapping: address_space) -> None:
    """truncate_inode_pages_range(), of the whole file."""
    for index in range(len(mapping.i_pages)):
        folio = filemap_get_folio(mapping, index)
        if folio is not None:
            folio_lock(folio)
            folio_wait_writeback(folio)
            truncate_inode_folio(mapping, folio)
            folio_unlock(folio)
            folio_put(folio)


def truncate_inode_folio(mapping: address_space, folio: folio) -> None:
    """truncate_inode_folio(); the folio is locked."""
    if folio.mapping is not mapping:
        return
    truncate_cleanup_folio(mapping, folio)
    filemap_remove_folio(folio)


def truncate_cleanup_folio(mapping: address_space, folio: folio) -> None:
    """truncate_cleanup_folio(): a fault may have mapped it once more."""
    if folio_mapped(folio):
        unmap_mapping_range(mapping)  # unmap_mapping_folio()
    folio_test_clear_dirty(folio)  # folio_cancel_dirty()
