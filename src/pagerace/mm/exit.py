"""Address spaces that go: exit_mmap() of mm/mmap.c."""

from __future__ import annotations

from pagerace.mm.mm_types import mm_struct
from pagerace.mm.mmap_lock import mmap_write_lock, mmap_write_unlock
from pagerace.mm.munmap import remove_vmas, task_size, vms_clear_ptes, vms_detach


def exit_mmap(mm: mm_struct) -> None:
    """exit_mmap(): all mappings, and all tables; nobody runs on them any more."""
    mmap_write_lock(mm)
    detached = vms_detach(mm, 0, task_size())
    vms_clear_ptes(mm, detached, 0, 0)
    mmap_write_unlock(mm)
    remove_vmas(detached)
