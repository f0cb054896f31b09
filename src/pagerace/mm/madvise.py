"""Advice about memory: mm/madvise.c."""

from __future__ import annotations

from pagerace.machine.memory import ulong
from pagerace.mm.memory import zap_page_range
from pagerace.mm.mm_types import mm_struct, vm_area_struct
from pagerace.mm.mmap import find_vma
from pagerace.mm.mmap_lock import mmap_read_lock, mmap_read_unlock


def madvise_dontneed(mm: mm_struct, start: ulong) -> None:
    """madvise(MADV_DONTNEED) of the one whole VMA that begins at ``start``.

    Faults go on meanwhile, and what is touched again comes back from the page cache.
    """
    mmap_read_lock(mm)
    vma = find_vma(mm, start)
    if vma is not None:
        madvise_dontneed_single_vma(vma)
    mmap_read_unlock(mm)


def madvise_dontneed_single_vma(vma: vm_area_struct) -> None:
    """madvise_dontneed_single_vma()."""
    zap_page_range(vma, vma.vm_start, vma.vm_end - vma.vm_start)
