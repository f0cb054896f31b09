"""fsync: fs/sync.c."""

from __future__ import annotations

from pagerace.mm.filemap import file_write_and_wait_range
from pagerace.mm.mm_types import address_space


def vfs_fsync(mapping: address_space) -> None:
    """vfs_fsync(), on a file system that only calls file_write_and_wait_range()."""
    file_write_and_wait_range(mapping)
