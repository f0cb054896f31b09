"""The lock of an address space: include/linux/mmap_lock.h."""

from __future__ import annotations

from pagerace.mm.mm_types import mm_struct
from pagerace.mm.rwsem import (
    down_read,
    down_write,
    down_write_trylock,
    downgrade_write,
    up_read,
    up_write,
)


def mmap_write_lock(mm: mm_struct) -> None:
    """mmap_write_lock()."""
    down_write(mm.mmap_lock)


def mmap_write_trylock(mm: mm_struct) -> bool:
    """mmap_write_trylock()."""
    return down_write_trylock(mm.mmap_lock)


def mmap_write_unlock(mm: mm_struct) -> None:
    """mmap_write_unlock()."""
    up_write(mm.mmap_lock)


def mmap_write_downgrade(mm: mm_struct) -> None:
    """mmap_write_downgrade()."""
    downgrade_write(mm.mmap_lock)


def mmap_read_lock(mm: mm_struct) -> None:
    """mmap_read_lock()."""
    down_read(mm.mmap_lock)


def mmap_read_unlock(mm: mm_struct) -> None:
    """mmap_read_unlock()."""
    up_read(mm.mmap_lock)
