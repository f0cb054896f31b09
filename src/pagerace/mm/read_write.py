"""Files that are read and written by system calls: fs/read_write.c and mm/filemap.c.

A page is written whole: what it held before does not matter.
"""

from __future__ import annotations

from pagerace.lang import Struct, atomic, cmpxchg, s64
from pagerace.machine.memory import file_pages, frames, ulong, version_t
from pagerace.mm.errno import EBADF, EFBIG, EINVAL, ENOMEM
from pagerace.mm.filemap import add_to_lru, filemap_read_folio
from pagerace.mm.fs import i_size_read, i_size_write
from pagerace.mm.mm_types import address_space, folio, page_to_pfn
from pagerace.mm.mman import FMODE_READ, FMODE_WRITE
from pagerace.mm.page_alloc import alloc_page
from pagerace.mm.page_flags import folio_get
from pagerace.mm.page_writeback import folio_mark_dirty
from pagerace.mm.pagemap import filemap_get_folio, folio_lock, folio_unlock
from pagerace.mm.swap import folio_put
from pagerace.mm.truncate import truncate_setsize

WORD = 8  # bytes: what is written of a page, or read


class buffer(Struct):
    """Memory of the caller: what read() found."""

    value: version_t


user_buffer = buffer()


def vfs_write(file: address_space, index: ulong, value: version_t) -> s64:
    """vfs_write() of page ``index``: how many bytes; -EBADF, -EFBIG, -ENOMEM."""
    if file.f_mode & FMODE_WRITE == 0:
        return -EBADF
    if index >= file_pages():
        return -EFBIG
    return generic_perform_write(file, index, value)


def generic_perform_write(file: address_space, index: ulong, value: version_t) -> s64:
    """generic_perform_write(): ->write_begin(), the copy, ->write_end()."""
    while True:
        folio = write_begin_get_folio(file, index)
        if folio is None:
            return -ENOMEM
        folio_lock(folio)
        if folio.mapping is file:
            with atomic():
                frames[page_to_pfn(folio)].content = value
            folio_mark_dirty(folio)
            if index >= i_size_read(file):
                i_size_write(file, index + 1)
            folio_unlock(folio)
            folio_put(folio)
            return WORD
        folio_unlock(folio)
        folio_put(folio)


def write_begin_get_folio(file: address_space, index: ulong) -> folio | None:
    """write_begin_get_folio() with FGP_CREAT: a page that is there, or a new one."""
    folio = filemap_get_folio(file, index)
    if folio is not None:
        return folio
    folio = alloc_page()
    if folio is None:
        return None
    with atomic():  # nobody else knows the folio yet
        folio.mapping = file
        folio.index = index
        folio_get(folio)
    if cmpxchg(file.i_pages[index], None, folio) is not None:
        folio.mapping = None
        folio_put(folio)
        folio_put(folio)
        return filemap_get_folio(file, index)
    add_to_lru(file, folio)
    return folio


def vfs_read(file: address_space, index: ulong) -> s64:
    """filemap_read() of page ``index``: how many bytes; 0 at the end; -EBADF, -ENOMEM.

    shmem_file_read_iter(): a hole of a file on no disk is read as zeros, and stays one.
    """
    if file.f_mode & FMODE_READ == 0:
        return -EBADF
    if index >= i_size_read(file):
        return 0
    folio = filemap_get_folio(file, index)
    if folio is None and file.shmem:
        user_buffer.value = 0
        return WORD
    if folio is None:
        folio = filemap_read_folio(file, index)
        if folio is None:
            return -ENOMEM
    with atomic():
        user_buffer.value = frames[page_to_pfn(folio)].content
    folio_put(folio)
    return WORD


def do_ftruncate(file: address_space, length: ulong) -> s64:
    """do_ftruncate() of fs/open.c: 0; -EINVAL, -EFBIG."""
    if file.f_mode & FMODE_WRITE == 0:
        return -EINVAL
    if length > file_pages():
        return -EFBIG
    truncate_setsize(file, length)
    return 0
