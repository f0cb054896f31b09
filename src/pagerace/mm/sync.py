"""fsync: fs/sync.c."""

from __future__ import annotations

from pagerace.machine.memory import ulong
from pagerace.mm.filemap import file_write_and_wait_range
from pagerace.mm.fs import i_size_read
from pagerace.mm.mm_types import Vma, address_space


def vfs_fsync(mapping: address_space) -> None:
    """vfs_fsync(), on a file system that only calls file_write_and_wait_range()."""
    if Vma.flags:
        vfs_fsync_range(mapping, 0, i_size_read(mapping))
    else:
        file_write_and_wait_range(mapping, 0, len(mapping.i_pages))


def vfs_fsync_range(mapping: address_space, start: ulong, end: ulong) -> None:
    """vfs_fsync_range(): pages ``start`` to ``end`` - 1; shmem has noop_fsync()."""
    if not mapping.shmem:
        file_write_and_wait_range(mapping, start, min(end, i_size_read(mapping)))
