"""Taking pages away from a file: mm/truncate.c, and unmap_mapping_range() of mm/memory.c."""

from __future__ import annotations

from pagerace.machine.memory import forget_blocks, ulong
from pagerace.mm.filemap import filemap_remove_folio
from pagerace.mm.fs import i_size_read, i_size_write
from pagerace.mm.memory import zap_page_range_single
from pagerace.mm.mm_types import Vma, address_space, folio, vm_area_struct
from pagerace.mm.page_flags import folio_mapped, folio_test_clear_dirty
from pagerace.mm.pagemap import (
    filemap_get_folio,
    folio_lock,
    folio_unlock,
    folio_wait_writeback,
)
from pagerace.mm.rwsem import down_read, up_read
from pagerace.mm.swap import folio_put


def truncate_setsize(mapping: address_space, newsize: ulong) -> None:
    """truncate_setsize(): faults behind the end fail from now on, and pages there go."""
    oldsize = i_size_read(mapping) if Vma.flags else ulong(len(mapping.i_pages))
    i_size_write(mapping, newsize)
    if newsize < oldsize:
        truncate_pagecache(mapping, newsize, oldsize)
        if Vma.flags and not mapping.shmem:
            forget_blocks(mapping.i_block + newsize, mapping.i_block + oldsize)


def truncate_pagecache(mapping: address_space, newsize: ulong, oldsize: ulong) -> None:
    """truncate_pagecache(): unmap, drop the pages, and unmap what was mapped meanwhile.

    The second time, for who copied a page on write that was there a moment ago.
    """
    unmap_mapping_range(mapping, newsize)
    truncate_inode_pages(mapping, newsize, oldsize)
    unmap_mapping_range(mapping, newsize)


def unmap_mapping_range(mapping: address_space, holebegin: ulong) -> None:
    """unmap_mapping_range() with even_cows: zap it in every VMA that maps it, to its end."""
    down_read(mapping.i_mmap_rwsem)
    if Vma.flags:
        mapped = mapping.i_mmap_first
        while mapped is not None:
            unmap_mapping_range_vma(mapped, holebegin)
            mapped = mapped.shared_next
    else:
        for vma in mapping.i_mmap:
            if vma is not None:
                zap_page_range_single(vma, vma.vm_start, vma.vm_end - vma.vm_start, None)
    up_read(mapping.i_mmap_rwsem)


def unmap_mapping_range_vma(vma: vm_area_struct, first: ulong) -> None:
    """unmap_mapping_range_vma(): what a VMA maps of the file from page ``first`` on."""
    start = vma.vm_start
    if first > vma.vm_pgoff:
        start += first - vma.vm_pgoff
    if start < vma.vm_end:
        zap_page_range_single(vma, start, vma.vm_end - start, None)


def truncate_inode_pages(mapping: address_space, start: ulong, end: ulong) -> None:
    """truncate_inode_pages_range(): pages ``start`` to ``end`` - 1."""
    for index in range(start, end):
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
        unmap_mapping_range(mapping, folio.index if Vma.flags else 0)  # unmap_mapping_folio()
    folio_test_clear_dirty(folio)  # folio_cancel_dirty()
