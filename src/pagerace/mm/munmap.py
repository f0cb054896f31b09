"""Unmapping any range: vms_gather_munmap_vmas() and so on of mm/vma.c, with Vma.flags."""
# pyright: strict, reportPrivateUsage=false, reportUnusedFunction=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import atomic, s64
from pagerace.machine.memory import Machine, ulong
from pagerace.machine.tables import PteTables
from pagerace.mm.anon_vma import unlink_anon_vmas
from pagerace.mm.errno import EINVAL, ENOMEM
from pagerace.mm.maple_tree import mas_erase, mas_find, mas_find_slot, mas_prev
from pagerace.mm.memory import unmap_vmas
from pagerace.mm.mm_types import mm_struct, slot_t, vm_area_struct
from pagerace.mm.mmap_lock import (
    mmap_read_unlock,
    mmap_write_downgrade,
    mmap_write_lock,
    mmap_write_unlock,
)
from pagerace.mm.mmu_gather import gathers, tlb_finish_mmu, tlb_gather_mmu
from pagerace.mm.pgtable_free import free_pgtables
from pagerace.mm.shmem import fput
from pagerace.mm.vma import __split_vma, max_map_count, remove_vma, unlink_file_vma


def task_size() -> ulong:
    """TASK_SIZE: the pages of user space."""
    return Machine.pages


def __vm_munmap(mm: mm_struct, start: ulong, len: ulong) -> s64:
    """__vm_munmap(): munmap() of any range.  -EINVAL, -ENOMEM."""
    mmap_write_lock(mm)
    ret = do_vmi_munmap(mm, start, len, True)
    if ret != 0:
        mmap_write_unlock(mm)
    return ret


def do_vmi_munmap(mm: mm_struct, start: ulong, len: ulong, unlock: bool) -> s64:
    """do_vmi_munmap(); mmap_lock is held for writing, and given up if it did well."""
    if start > task_size() or len > task_size() - start or len == 0:
        return -EINVAL
    vma = find_vma_intersection(mm, start, start + len)
    if vma is not None:
        return do_vmi_align_munmap(mm, vma, start, start + len, unlock)
    if unlock:
        mmap_write_unlock(mm)
    return 0


def find_vma_intersection(mm: mm_struct, start: ulong, end: ulong) -> vm_area_struct | None:
    """find_vma_intersection() of include/linux/mm.h: the first with one of these pages."""
    vma = mas_find(mm, start)
    if vma is None or vma.vm_start >= end:
        return None
    return vma


def do_vmi_align_munmap(
    mm: mm_struct, vma: vm_area_struct, start: ulong, end: ulong, unlock: bool
) -> s64:
    """do_vmi_align_munmap(): no fault finds the VMAs any more, and then they are zapped.

    ``unlock``: the second half has mmap_lock for reading, and gives it up.
    """
    error = vms_gather_munmap_vmas(mm, vma, start, end)
    if error != 0:
        return error
    floor: ulong = 0
    ceiling: ulong = 0
    prev = mas_prev(mm, start)
    if prev is not None:
        floor = prev.vm_end
    next = mas_find(mm, end)
    if next is not None:
        ceiling = next.vm_start
    detached = vms_detach(mm, start, end)
    if unlock:
        mmap_write_downgrade(mm)
    vms_clear_ptes(mm, detached, floor, ceiling)
    remove_vmas(detached)
    if unlock:
        mmap_read_unlock(mm)
    return 0


def vms_gather_munmap_vmas(
    mm: mm_struct, vma: vm_area_struct, start: ulong, end: ulong
) -> s64:
    """vms_gather_munmap_vmas(): afterwards VMAs begin at ``start``, and at ``end``."""
    if start > vma.vm_start:
        if end < vma.vm_end and mm.map_count >= max_map_count():
            return -ENOMEM
        error = __split_vma(mm, vma, start, True)
        if error != 0:
            return error
    last = mas_find(mm, end - 1)
    if last is not None and last.vm_start < end < last.vm_end:
        return __split_vma(mm, last, end, False)
    return 0


def vms_detach(mm: mm_struct, start: ulong, end: ulong) -> vm_area_struct | None:
    """The VMAs of a range, out of the tree of the mm: the first of a list of them."""
    with atomic():
        first = mas_find_slot(mm, start)
        number: slot_t = 0
        while first + number < mm.map_count:
            vma = mm.mm_mt[first + number]
            if vma is None or vma.vm_start >= end:
                break
            number += 1
            following = mm.mm_mt[first + number] if first + number < mm.map_count else None
            if following is not None and following.vm_start >= end:
                following = None
            vma.detached_next = following
        detached = mm.mm_mt[first]
        mas_erase(mm, first, number)
    return detached


def vms_clear_ptes(
    mm: mm_struct, detached: vm_area_struct | None, floor: ulong, ceiling: ulong
) -> None:
    """vms_clear_ptes(): unmap, take the VMAs out of all rmaps, free tables, flush."""
    tlb = gathers.current
    tlb_gather_mmu(tlb, mm)
    vma = detached
    while vma is not None:
        unmap_vmas(tlb, vma, vma.vm_start, vma.vm_end)
        vma = vma.detached_next
    vma = detached
    while vma is not None:
        unlink_anon_vmas(vma)
        unlink_file_vma(vma)
        if PteTables.come_and_go:
            behind = vma.detached_next
            top = ceiling if behind is None else behind.vm_start
            free_pgtables(tlb, vma, floor, top)
        vma = vma.detached_next
    tlb_finish_mmu(tlb)


def remove_vmas(detached: vm_area_struct | None) -> None:
    """vms_complete_munmap_vmas(): remove_vma() of each of a list."""
    vma = detached
    while vma is not None:
        following = vma.detached_next
        fput(vma.vm_file)
        remove_vma(vma)
        vma = following
