"""Mapping and unmapping: mm/mmap.c, and the part of mm/vma.c that unmaps.

find_vma() to unmap_region() are what a check of one whole mapping needs; what follows is for
mappings of all kinds (Vma.flags).
"""
# pyright: strict, reportPrivateUsage=false, reportUnusedFunction=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import s64, u32
from pagerace.machine.memory import ulong
from pagerace.machine.tables import PteTables
from pagerace.mm.errno import EACCES, EBADF, EEXIST, EINVAL, ENOMEM, EOPNOTSUPP, EOVERFLOW
from pagerace.mm.maple_tree import mas_find, mas_find_slot, mas_prev, mas_store
from pagerace.mm.memory import unmap_vmas
from pagerace.mm.mm_types import (
    Mm,
    Vma,
    address_space,
    mm_struct,
    vm_area_cachep,
    vm_area_struct,
    vm_flags_t,
)
from pagerace.mm.mman import (
    FMODE_READ,
    FMODE_WRITE,
    LEGACY_MAP_MASK,
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MAP_GROWSDOWN,
    MAP_LOCKED,
    MAP_NONBLOCK,
    MAP_NORESERVE,
    MAP_POPULATE,
    MAP_PRIVATE,
    MAP_SHARED,
    MAP_SHARED_VALIDATE,
    MAP_TYPE,
    PROT_EXEC,
    PROT_READ,
    PROT_WRITE,
    VM_ACCOUNT,
    VM_EXEC,
    VM_GROWSDOWN,
    VM_LOCKED,
    VM_MAYACCESS,
    VM_MAYSHARE,
    VM_MAYWRITE,
    VM_NONE,
    VM_NORESERVE,
    VM_READ,
    VM_SHARED,
    VM_WRITE,
)
from pagerace.mm.mmap_lock import (
    mmap_read_unlock,
    mmap_write_downgrade,
    mmap_write_lock,
    mmap_write_unlock,
)
from pagerace.mm.mmu_gather import gathers, tlb_finish_mmu, tlb_gather_mmu
from pagerace.mm.munmap import do_vmi_align_munmap, find_vma_intersection, task_size
from pagerace.mm.pgtable_free import free_pgtables
from pagerace.mm.populate import mm_populate
from pagerace.mm.shmem import shmem_zero_setup
from pagerace.mm.vma import (
    get_file,
    max_map_count,
    remove_vma,
    unlink_file_vma,
    vm_area_alloc,
    vma_link_file,
    vma_merge_new_range,
    vma_set_page_prot,
    vmgs,
)


def find_vma(mm: mm_struct, addr: ulong) -> vm_area_struct | None:
    """find_vma(): the first VMA that ends behind an address; mmap_lock held.

    Without Vma.flags vma_lookup(): the VMA that covers it.
    """
    if Vma.flags:
        return mas_find(mm, addr)
    for vma in mm.mm_mt:
        if vma is not None and vma.vm_start <= addr < vma.vm_end:
            return vma
    return None


def vma_lookup(mm: mm_struct, addr: ulong) -> vm_area_struct | None:
    """vma_lookup() of include/linux/mm.h: the VMA that covers an address; mmap_lock held."""
    vma = find_vma(mm, addr)
    if vma is None or addr < vma.vm_start:
        return None
    return vma


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


def detach_vma_to_be_unmapped(mm: mm_struct, vma: vm_area_struct) -> None:
    """detach_vmas_to_be_unmapped(), of one VMA."""
    for slot in range(len(mm.mm_mt)):
        if mm.mm_mt[slot] is vma:
            mm.mm_mt[slot] = None


def unmap_region(mm: mm_struct, vma: vm_area_struct, start: ulong, end: ulong) -> None:
    """unmap_region(): zap, take the VMA out of the file's rmap, flush, free.

    Page tables are freed where they come and go: nothing else is mapped near this VMA.
    """
    tlb = gathers.current
    tlb_gather_mmu(tlb, mm)
    unmap_vmas(tlb, vma, start, end)
    unlink_file_vma(vma)
    if PteTables.come_and_go:
        free_pgtables(tlb, vma, 0, 0)
    tlb_finish_mmu(tlb)


def ksys_mmap_pgoff(
    mm: mm_struct,
    addr: ulong,
    len: ulong,
    prot: u32,
    flags: u32,
    file: address_space | None,
    pgoff: ulong,
) -> s64:
    """ksys_mmap_pgoff() with vm_mmap_pgoff(): the address, or -errno.

    ``file``: what the descriptor stands for; None: nothing.
    """
    if flags & MAP_ANONYMOUS == 0 and file is None:
        return -EBADF
    mmap_write_lock(mm)
    mapped = None if flags & MAP_ANONYMOUS != 0 else file
    ret = do_mmap(mm, mapped, addr, len, prot, flags, pgoff)
    mmap_write_unlock(mm)
    if ret >= 0 and flags & MAP_POPULATE != 0 and flags & MAP_NONBLOCK == 0:
        mm_populate(mm, ulong(ret), len)
    return ret


def do_mmap(
    mm: mm_struct,
    file: address_space | None,
    addr: ulong,
    len: ulong,
    prot: u32,
    flags: u32,
    pgoff: ulong,
) -> s64:
    """do_mmap(): what may be mapped, and with which flags; mmap_lock held for writing.

    -EINVAL, -ENOMEM, -EOVERFLOW, -EEXIST, -EACCES, -EOPNOTSUPP.
    """
    if len == 0:
        return -EINVAL
    fixed = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) != 0
    if len > task_size():
        return -ENOMEM
    if pgoff + len < pgoff:
        return -EOVERFLOW
    if mm.map_count > max_map_count():
        return -ENOMEM
    vm_flags = calc_vm_prot_bits(prot) | VM_MAYACCESS
    if flags & MAP_GROWSDOWN != 0:
        vm_flags |= VM_GROWSDOWN
    if flags & MAP_LOCKED != 0:
        vm_flags |= VM_LOCKED
    where = get_unmapped_area(mm, addr, len, fixed)
    if where < 0:
        return where
    start = ulong(where)
    if flags & MAP_FIXED_NOREPLACE != 0:
        if find_vma_intersection(mm, start, start + len) is not None:
            return -EEXIST
    kind = flags & MAP_TYPE
    if file is not None:
        if kind == MAP_SHARED_VALIDATE and flags & u32(~LEGACY_MAP_MASK) != 0:
            return -EOPNOTSUPP
        error = file_may_be_mapped(file, prot, kind)
        if error != 0:
            return error
        if vm_flags & VM_GROWSDOWN != 0:
            return -EINVAL
    elif kind == MAP_SHARED:
        if vm_flags & VM_GROWSDOWN != 0:
            return -EINVAL
        pgoff = 0
    elif kind == MAP_PRIVATE:
        pgoff = start
    else:
        return -EINVAL
    if kind != MAP_PRIVATE:
        vm_flags |= VM_SHARED | VM_MAYSHARE
        if file is not None and file.f_mode & FMODE_WRITE == 0:
            vm_flags &= u32(~(VM_MAYWRITE | VM_SHARED))
    if flags & MAP_NORESERVE != 0:
        vm_flags |= VM_NORESERVE
    return __mmap_region(mm, file, start, len, vm_flags, pgoff)


def file_may_be_mapped(file: address_space, prot: u32, kind: u32) -> s64:
    """The part of do_mmap() that looks how the file is open: 0, -EACCES or -EINVAL."""
    if kind != MAP_PRIVATE and kind != MAP_SHARED and kind != MAP_SHARED_VALIDATE:
        return -EINVAL
    if kind != MAP_PRIVATE and prot & PROT_WRITE != 0 and file.f_mode & FMODE_WRITE == 0:
        return -EACCES
    if file.f_mode & FMODE_READ == 0:
        return -EACCES
    return 0


def calc_vm_prot_bits(prot: u32) -> vm_flags_t:
    """calc_vm_prot_bits() of include/linux/mman.h."""
    vm_flags: vm_flags_t = VM_NONE
    if prot & PROT_READ != 0:
        vm_flags |= VM_READ
    if prot & PROT_WRITE != 0:
        vm_flags |= VM_WRITE
    if prot & PROT_EXEC != 0:
        vm_flags |= VM_EXEC
    return vm_flags


def get_unmapped_area(mm: mm_struct, addr: ulong, len: ulong, fixed: bool) -> s64:
    """__get_unmapped_area() with arch_get_unmapped_area_topdown(): an address, or -ENOMEM.

    Where it is asked for, if it is fixed or free there; else as high as it can be.
    """
    if addr != 0 or fixed:
        if addr <= task_size() - len:
            if fixed or find_vma_intersection(mm, addr, addr + len) is None:
                return s64(addr)
        elif fixed:
            return -ENOMEM
    return vm_unmapped_area_topdown(mm, len)


def vm_unmapped_area_topdown(mm: mm_struct, len: ulong) -> s64:
    """vm_unmapped_area() with VM_UNMAPPED_AREA_TOPDOWN: the highest gap below mmap_base."""
    high = mm.mmap_base
    slot = mas_find_slot(mm, high)
    if slot < mm.map_count:
        vma = mm.mm_mt[slot]
        if vma is not None:
            high = min(high, vma.vm_start)
    while True:
        low: ulong = Mm.min_addr
        before = mm.mm_mt[slot - 1] if slot > 0 else None
        if before is not None:
            low = before.vm_end
        if high - low >= len:
            return s64(high - len)
        if before is None:
            return -ENOMEM
        high = before.vm_start
        slot -= 1


def __mmap_region(
    mm: mm_struct,
    file: address_space | None,
    addr: ulong,
    len: ulong,
    vm_flags: vm_flags_t,
    pgoff: ulong,
) -> s64:
    """__mmap_region(): what is there goes first; then a neighbour grows, or a VMA comes."""
    existing = find_vma_intersection(mm, addr, addr + len)
    if existing is not None:
        error = do_vmi_align_munmap(mm, existing, addr, addr + len, False)
        if error != 0:
            return error
    if vm_flags & (VM_NORESERVE | VM_SHARED | VM_WRITE) == VM_WRITE:  # accountable_mapping()
        vm_flags |= VM_ACCOUNT
    vmg = vmgs.current
    vmg.mm = mm
    vmg.prev = mas_prev(mm, addr)
    vmg.middle = None
    vmg.next = mas_find(mm, addr + len)
    vmg.start = addr
    vmg.end = addr + len
    vmg.pgoff = pgoff
    vmg.vm_flags = vm_flags
    vmg.file = file
    vmg.anon_vma = None
    vmg.copied_from = None
    if vma_merge_new_range(vmg) is not None:
        return s64(addr)
    vma = vm_area_alloc(mm)
    if vma is None:
        return -ENOMEM
    vma.vm_start = addr
    vma.vm_end = addr + len
    vma.vm_pgoff = pgoff
    vma.vm_flags = vm_flags
    error = __mmap_new_vma(mm, vma, file)
    if error != 0:
        return error
    return s64(addr)


def __mmap_new_vma(mm: mm_struct, vma: vm_area_struct, file: address_space | None) -> s64:
    """__mmap_new_vma(): a file for it, if need be a new one; then it can be found."""
    if file is not None:
        vma.vm_file = file
        get_file(file)
    elif vma.vm_flags & VM_SHARED != 0:
        if not shmem_zero_setup(vma):
            remove_vma(vma)
            return -ENOMEM
    vma_set_page_prot(vma)
    mas_store(mm, vma)
    vma_link_file(vma)
    return 0
