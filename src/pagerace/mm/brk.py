"""The heap: sys_brk() of mm/mmap.c, with Vma.flags."""

from __future__ import annotations

from pagerace.machine.memory import ulong
from pagerace.mm.mm_types import mm_struct
from pagerace.mm.mman import MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_READ, PROT_WRITE
from pagerace.mm.mmap import do_mmap
from pagerace.mm.mmap_lock import mmap_write_lock, mmap_write_unlock
from pagerace.mm.munmap import do_vmi_munmap, find_vma_intersection, task_size


def do_brk(mm: mm_struct, brk: ulong) -> ulong:
    """sys_brk() with do_brk_flags(): where the heap ends now, ``brk`` if that could be done."""
    mmap_write_lock(mm)
    old = mm.brk
    if mm.start_brk <= brk <= task_size():
        if brk < old:
            if do_vmi_munmap(mm, brk, old - brk, False) == 0:
                mm.brk = brk
        elif brk > old and find_vma_intersection(mm, old, brk) is None:
            flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED
            if do_mmap(mm, None, old, brk - old, PROT_READ | PROT_WRITE, flags, 0) >= 0:
                mm.brk = brk
    end = mm.brk
    mmap_write_unlock(mm)
    return end
