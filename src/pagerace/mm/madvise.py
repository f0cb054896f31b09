"""Advice about memory: mm/madvise.c."""

from __future__ import annotations

from pagerace.mm.memory import zap_page_range
from pagerace.mm.mm_types import mm_struct, vm_area_struct
from pagerace.mm.mmap_lock import mmap_read_lock, mmap_read_unlock


def madvise_dontneed(mm: mm_struct, vma: vm_area_struct) -> None:
    """madvise(MADV_DONTNEED) of one whole VMA: madvise_dontneed_single_vma().

    Faults go on meanwhile, and what is touched again comes back from the page cache.
    """
    mmap_read_lock(mm)
    zap_page_range(vma, vma.vm_start, vma.vm_end - vma.vm_start)
    mmap_read_unlock(mm)
