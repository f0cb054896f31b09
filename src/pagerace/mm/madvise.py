"""Advice about memory: mm/madvise.c."""

from __future__ import annotations

from pagerace.lang import Config
from pagerace.machine.memory import ulong
from pagerace.mm.memory import ZAP_FLAG_FORCE_FLUSH, details_of, zap_page_range_single
from pagerace.mm.mm_types import mm_struct, vm_area_struct
from pagerace.mm.mmap import find_vma
from pagerace.mm.mmap_lock import mmap_read_lock, mmap_read_unlock


class Madvise(Config):
    """``force_flush``: MADV_DONTNEED always flushes before it drops the PTL.

    Peter Zijlstra's proposal of October 2022; no kernel does it.
    """

    force_flush: bool = False


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
    details = details_of.current
    details.zap_flags = ZAP_FLAG_FORCE_FLUSH if Madvise.force_flush else 0
    zap_page_range_single(vma, vma.vm_start, vma.vm_end - vma.vm_start, details)
