"""VMAs: mm/mmap.c."""

from __future__ import annotations

from pagerace.machine.memory import ulong
from pagerace.mm.memory import unmap_vmas
from pagerace.mm.mm_types import address_space, mm_struct, vm_area_cachep, vm_area_struct
from pagerace.mm.mmap_lock import (
    mmap_read_unlock,
    mmap_write_downgrade,
    mmap_write_lock,
    mmap_write_unlock,
)
from pagerace.mm.mmu_gather import gathers, tlb_finish_mmu, tlb_gather_mmu
from pagerace.mm.rwsem import down_write, up_write


def find_vma(mm: mm_struct, addr: ulong) -> vm_area_struct | None:
    """vma_lookup(): the VMA that covers an address; mmap_lock held."""
    for vma in mm.mm_mt:
        if vma is not None and vma.vm_start <= addr < vma.vm_end:
            return vma
    return None


def mmap_region(mm: mm_struct, mapping: address_space, start: ulong, end: ulong) -> None:
    """mmap_region(), of a shared file from its beginning; alone, in the set-up."""
    vma = vm_area_cachep.alloc()
    if vma is not None:
        vma.vm_mm = mm
        vma.vm_start = start
        vma.vm_end = end
        vma.vm_file = mapping
        mm.mm_mt[0] = vma
        mapping.i_mmap[0] = vma


def copy_vma(vma: vm_area_struct, addr: ulong) -> vm_area_struct | None:
    """copy_vma(): the same part of the file once more, at ``addr``; mmap_lock held."""
    new_vma = vm_area_cachep.alloc()
    if new_vma is not None:
        new_vma.vm_mm = vma.vm_mm
        new_vma.vm_start = addr
        new_vma.vm_end = addr + vma.vm_end - vma.vm_start
        new_vma.vm_pgoff = vma.vm_pgoff
        new_vma.vm_file = vma.vm_file
        vma.vm_mm.mm_mt[1] = new_vma
        vma_link_file(new_vma)
    return new_vma


def vma_link_file(vma: vm_area_struct) -> None:
    """vma_link_file(): rmap walks come here from now on."""
    mapping = vma.vm_file
    down_write(mapping.i_mmap_rwsem)
    if mapping.i_mmap[0] is None:
        mapping.i_mmap[0] = vma
    else:
        mapping.i_mmap[1] = vma
    up_write(mapping.i_mmap_rwsem)


def munmap(mm: mm_struct, start: ulong) -> None:
    """__vm_munmap() of the one whole VMA that begins at ``start``.

    The VMA goes first, under mmap_lock for writing, so that no fault finds it any more;
    what it maps goes under mmap_lock for reading.
    """
    mmap_write_lock(mm)
    vma = find_vma(mm, start)
    if vma is None:
        mmap_write_unlock(mm)
        return
    detach_vma_to_be_unmapped(mm, vma)
    mmap_write_downgrade(mm)
    unmap_region(mm, vma, vma.vm_start, vma.vm_end)
    remove_vma(vma)
    mmap_read_unlock(mm)


def remove_vma(vma: vm_area_struct) -> None:
    """remove_vma(): no fault and no rmap walk can have it any more, and it is freed."""
    vm_area_cachep.free(vma)


def detach_vma_to_be_unmapped(mm: mm_struct, vma: vm_area_struct) -> None:
    """detach_vmas_to_be_unmapped(), of one VMA."""
    for slot in range(len(mm.mm_mt)):
        if mm.mm_mt[slot] is vma:
            mm.mm_mt[slot] = None


def unmap_region(mm: mm_struct, vma: vm_area_struct, start: ulong, end: ulong) -> None:
    """unmap_region(): zap, take the VMA out of the file's rmap, flush, free.

    The page tables themselves are not freed.
    """
    tlb = gathers.current
    tlb_gather_mmu(tlb, mm)
    unmap_vmas(tlb, vma, start, end)
    unlink_file_vma(vma)  # free_pgtables()
    tlb_finish_mmu(tlb)


def unlink_file_vma(vma: vm_area_struct) -> None:
    """unlink_file_vma(): rmap walks do not come here any more."""
    mapping = vma.vm_file
    down_write(mapping.i_mmap_rwsem)
    for slot in range(len(mapping.i_mmap)):
        if mapping.i_mmap[slot] is vma:
            mapping.i_mmap[slot] = None
    up_write(mapping.i_mmap_rwsem)
