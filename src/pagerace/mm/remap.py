"""mremap() of any range: do_mremap() of mm/mremap.c, with Vma.flags.

What a system call of user space may ask for; how entries move is in mm/mremap.py.
"""

from __future__ import annotations

from pagerace.lang import Ref, Struct, per_thread, s64, u32
from pagerace.machine.memory import ulong
from pagerace.mm.anon import vma_is_anonymous
from pagerace.mm.anon_vma import anon_vma_clone, unlink_anon_vmas
from pagerace.mm.errno import EFAULT, EINVAL, ENOMEM
from pagerace.mm.maple_tree import mas_find, mas_next, mas_prev, mas_store
from pagerace.mm.mm_types import mm_struct, vm_area_cachep, vm_area_struct
from pagerace.mm.mman import (
    MREMAP_DONTUNMAP,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
    VM_LOCKED,
    VM_MAYSHARE,
    VM_SHARED,
)
from pagerace.mm.mmap import get_unmapped_area, vma_lookup
from pagerace.mm.mmap_lock import mmap_write_lock, mmap_write_unlock
from pagerace.mm.mremap import move_page_tables
from pagerace.mm.munmap import do_vmi_munmap, task_size
from pagerace.mm.vma import (
    get_file,
    max_map_count,
    vm_area_dup,
    vma_link_file,
    vma_merge_extend,
    vma_merge_new_range,
    vma_set_range,
    vmgs,
)


class vma_remap_struct(Struct):
    """struct vma_remap_struct: what is asked for, and what comes of it."""

    mm: Ref[mm_struct]
    addr: ulong
    old_len: ulong
    new_len: ulong
    flags: u32
    new_addr: ulong
    vma: vm_area_struct | None = None


vrms = per_thread(vma_remap_struct)


def do_mremap(
    mm: mm_struct, addr: ulong, old_len: ulong, new_len: ulong, flags: u32, new_addr: ulong
) -> s64:
    """do_mremap(): where it is now; -EINVAL, -EFAULT, -ENOMEM."""
    vrm = vrms.current
    vrm.mm = mm
    vrm.addr = addr
    vrm.old_len = old_len
    vrm.new_len = new_len
    vrm.flags = flags
    vrm.new_addr = new_addr
    res = check_mremap_params(vrm)
    if res != 0:
        return res
    mmap_write_lock(mm)
    if flags & MREMAP_FIXED != 0 and old_len == new_len:
        res = remap_move(vrm)
    else:
        vrm.vma = vma_lookup(mm, addr)
        res = check_prep_vma(vrm)
        if res == 0:
            res = mremap_to(vrm) if implies_new_addr(vrm) else mremap_at(vrm)
    mmap_write_unlock(mm)
    return res


def implies_new_addr(vrm: vma_remap_struct) -> bool:
    """vrm_implies_new_addr(): it moves in any case."""
    return vrm.flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) != 0


def check_mremap_params(vrm: vma_remap_struct) -> s64:
    """check_mremap_params(): 0, -EINVAL or -ENOMEM."""
    if vrm.flags & u32(~(MREMAP_FIXED | MREMAP_MAYMOVE | MREMAP_DONTUNMAP)) != 0:
        return -EINVAL
    if vrm.new_len == 0 or vrm.new_len > task_size():
        return -EINVAL
    if not implies_new_addr(vrm):
        return 0
    if vrm.new_addr > task_size() - vrm.new_len or vrm.flags & MREMAP_MAYMOVE == 0:
        return -EINVAL
    if vrm.flags & MREMAP_DONTUNMAP != 0 and vrm.old_len != vrm.new_len:
        return -EINVAL
    if vrm.addr + vrm.old_len > vrm.new_addr and vrm.new_addr + vrm.new_len > vrm.addr:
        return -EINVAL
    if vrm.mm.map_count + 2 >= max_map_count() - 3:
        return -ENOMEM
    return 0


def check_prep_vma(vrm: vma_remap_struct) -> s64:
    """check_prep_vma(): 0; -EFAULT where it is not all one mapping."""
    vma = vrm.vma
    if vma is None:
        return -EFAULT
    if not implies_new_addr(vrm):
        vrm.new_addr = vrm.addr
        if vrm.new_len <= vrm.old_len:
            return 0
    if vrm.old_len == 0 and vma.vm_flags & (VM_SHARED | VM_MAYSHARE) == 0:
        return -EINVAL
    if min(vrm.old_len, vrm.new_len) > vma.vm_end - vrm.addr:
        return -EFAULT
    return 0


def remap_move(vrm: vma_remap_struct) -> s64:
    """remap_move(): all mappings of a range, with the gaps between them (v6.17)."""
    start = vrm.addr
    end = start + vrm.old_len
    target = vrm.new_addr
    last_end: ulong = 0
    first: s64 = -EFAULT
    addr = start
    while addr < end:
        vma = mas_find(vrm.mm, addr)
        if vma is None or vma.vm_start >= end:
            break
        if addr == start and start < vma.vm_start:
            return -EFAULT
        behind = vma.vm_end
        if addr != start:
            target += vma.vm_start - last_end
        last_end = behind
        vrm.vma = vma
        vrm.addr = max(vma.vm_start, start)
        vrm.new_addr = target
        vrm.old_len = min(end, behind) - vrm.addr
        vrm.new_len = vrm.old_len
        res = check_prep_vma(vrm)
        if res == 0:
            res = mremap_to(vrm)
        if res < 0:
            return res
        if first < 0:
            first = res
        target += vrm.new_len
        addr = behind
    return first


def mremap_at(vrm: vma_remap_struct) -> s64:
    """mremap_at(): it stays where it is, if it can."""
    if vrm.new_len == vrm.old_len:
        return s64(vrm.addr)
    if vrm.new_len < vrm.old_len:
        res = shrink_vma(vrm)
        return s64(vrm.addr) if res == 0 else res
    return expand_vma(vrm)


def shrink_vma(vrm: vma_remap_struct) -> s64:
    """shrink_vma(): its end goes."""
    start = vrm.addr + vrm.new_len
    return do_vmi_munmap(vrm.mm, start, vrm.old_len - vrm.new_len, False)


def expand_vma(vrm: vma_remap_struct) -> s64:
    """expand_vma(): in place, where nothing is behind it; else it moves, if it may."""
    vma = vrm.vma
    if vma is None:
        return -EFAULT
    delta = vrm.new_len - vrm.old_len
    if vrm.old_len == vma.vm_end - vrm.addr and vma_expandable(vma, delta):
        if vma_merge_extend(vma, delta) is None:
            return -ENOMEM
        return s64(vrm.addr)
    if vrm.flags & MREMAP_MAYMOVE == 0:
        return -ENOMEM
    return set_new_addr_and_move(vrm)


def vma_expandable(vma: vm_area_struct, delta: ulong) -> bool:
    """vma_expandable(): are there so many pages between it and the next?"""
    if delta > task_size() - vma.vm_end:
        return False
    next = mas_next(vma.vm_mm, vma)
    return next is None or next.vm_start >= vma.vm_end + delta


def mremap_to(vrm: vma_remap_struct) -> s64:
    """mremap_to(): what is where it goes is unmapped first."""
    if vrm.flags & MREMAP_FIXED != 0:
        err = do_vmi_munmap(vrm.mm, vrm.new_addr, vrm.new_len, False)
        if err != 0:
            return err
        vrm.vma = vma_lookup(vrm.mm, vrm.addr)
        if vrm.vma is None:
            return -EFAULT
    if vrm.new_len < vrm.old_len:
        err = shrink_vma(vrm)
        if err != 0:
            return err
        vrm.old_len = vrm.new_len
        vrm.vma = vma_lookup(vrm.mm, vrm.addr)
    return set_new_addr_and_move(vrm)


def set_new_addr_and_move(vrm: vma_remap_struct) -> s64:
    """vrm_set_new_addr() and move_vma()."""
    fixed = vrm.flags & MREMAP_FIXED != 0
    hint = vrm.new_addr if implies_new_addr(vrm) else ulong(0)
    where = get_unmapped_area(vrm.mm, hint, vrm.new_len, fixed)
    if where < 0:
        return where
    vrm.new_addr = ulong(where)
    return move_any_vma(vrm)


def move_any_vma(vrm: vma_remap_struct) -> s64:
    """move_vma(): a copy of the VMA, the entries to it; and the old range goes.

    With MREMAP_DONTUNMAP it stays, without a page; of an old length of 0, too.
    """
    mm = vrm.mm
    vma = vrm.vma
    if vma is None:
        return -EFAULT
    if mm.map_count >= max_map_count() - 3:
        return -ENOMEM
    pgoff = vma.vm_pgoff + vrm.addr - vma.vm_start
    old_pgoff = vma.vm_pgoff
    new_vma = copy_any_vma(vrm, vma, pgoff)
    source = vma_lookup(mm, vrm.addr)  # the old one can be merged, too
    if new_vma is None or source is None:
        return -ENOMEM
    need_rmap_locks = new_vma.vm_pgoff <= old_pgoff
    move_page_tables(source, vrm.addr, vrm.new_addr, vrm.old_len, need_rmap_locks)
    if vrm.flags & MREMAP_DONTUNMAP != 0:
        dontunmap_complete(vrm, new_vma)
    elif vrm.old_len != 0:
        do_vmi_munmap(mm, vrm.addr, vrm.old_len, False)
    return s64(vrm.new_addr)


def dontunmap_complete(vrm: vma_remap_struct, new_vma: vm_area_struct) -> None:
    """dontunmap_complete(): the old VMA has no page any more."""
    vma = vma_lookup(vrm.mm, vrm.addr)
    if vma is None:
        return
    vma.vm_flags &= u32(~VM_LOCKED)
    if new_vma is not vma:
        if vma.vm_start == vrm.addr and vma.vm_end == vrm.addr + vrm.old_len:
            unlink_anon_vmas(vma)


def copy_any_vma(
    vrm: vma_remap_struct, vma: vm_area_struct, pgoff: ulong
) -> vm_area_struct | None:
    """copy_vma(): one that maps the same, merged with its neighbours, or None.

    What has no page yet is said to be from where it goes to, to be merged there.
    """
    mm = vrm.mm
    addr = vrm.new_addr
    if vma_is_anonymous(vma) and vma.anon_vma is None:
        pgoff = addr
    vmg = vmgs.current
    vmg.mm = mm
    vmg.prev = mas_prev(mm, addr)
    vmg.middle = None
    vmg.next = mas_find(mm, addr)
    vmg.start = addr
    vmg.end = addr + vrm.new_len
    vmg.pgoff = pgoff
    vmg.vm_flags = vma.vm_flags
    vmg.file = vma.vm_file
    vmg.anon_vma = vma.anon_vma
    vmg.copied_from = vma
    merged = vma_merge_new_range(vmg)
    if merged is not None:
        return merged
    new_vma = vm_area_dup(vma)
    if new_vma is None:
        return None
    vma_set_range(new_vma, addr, addr + vrm.new_len, pgoff)
    if not anon_vma_clone(new_vma, vma):
        unlink_anon_vmas(new_vma)
        vm_area_cachep.free(new_vma)
        return None
    get_file(new_vma.vm_file)
    mas_store(mm, new_vma)
    vma_link_file(new_vma)
    return new_vma
