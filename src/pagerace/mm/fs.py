"""The length of a file: include/linux/fs.h.  The inode is one with its page cache here."""

from __future__ import annotations

from pagerace.lang import READ_ONCE, WRITE_ONCE
from pagerace.machine.memory import ulong
from pagerace.mm.mm_types import address_space


def i_size_read(mapping: address_space) -> ulong:
    """i_size_read(), in pages; the kernel counts bytes, and its callers round up."""
    return READ_ONCE(mapping.i_size)


def i_size_write(mapping: address_space, i_size: ulong) -> None:
    """i_size_write(), in pages."""
    WRITE_ONCE(mapping.i_size, i_size)
