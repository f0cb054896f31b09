"""VMAs that are split and merged: mm/vma.c, with Vma.flags; and who maps a file.

All of it runs under mmap_lock for writing.  Walks of the reverse mapping do not have that
lock, but that of the file: it is held while the range of a VMA of the file changes.
"""
# pyright: strict, reportPrivateUsage=false, reportUnusedFunction=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import Ref, Struct, atomic, per_thread, s64
from pagerace.machine.memory import ulong
from pagerace.mm.anon_vma import anon_vma_clone, unlink_anon_vmas, vma_is_fork_child
from pagerace.mm.errno import ENOMEM
from pagerace.mm.huge_memory import split_huge_pmd_if_needed
from pagerace.mm.maple_tree import mas_erase, mas_find_slot, mas_next, mas_prev, mas_store
from pagerace.mm.mm_types import (
    Mm,
    Vma,
    address_space,
    anon_vma_t,
    mm_struct,
    pgprot_t,
    vm_area_cachep,
    vm_area_struct,
    vm_flags_t,
)
from pagerace.mm.mman import VM_ACCESS_FLAGS, VM_SHARED, VM_WRITE
from pagerace.mm.rwsem import down_write, up_write


def max_map_count() -> int:
    """sysctl_max_map_count: a VMA may come when there are as many, and no VMA be split."""
    return Mm.vmas - 1


class vma_merge_struct(Struct):
    """struct vma_merge_struct: pages ``start`` to ``end`` - 1 are to be mapped like this.

    ``prev`` and ``next``: the VMAs before and behind.  ``middle``: that of which the range is a
    part now; None: nothing is mapped there yet.  ``copied_from``: the VMA that mremap() moves.
    """

    mm: Ref[mm_struct]
    prev: vm_area_struct | None = None
    middle: vm_area_struct | None = None
    next: vm_area_struct | None = None
    start: ulong
    end: ulong
    pgoff: ulong
    vm_flags: vm_flags_t
    file: address_space | None = None
    anon_vma: anon_vma_t | None = None
    copied_from: vm_area_struct | None = None


vmgs = per_thread(vma_merge_struct)


def vma_pages(vma: vm_area_struct) -> ulong:
    """vma_pages() of include/linux/mm.h."""
    return vma.vm_end - vma.vm_start


def vma_wants_writenotify(vma: vm_area_struct) -> bool:
    """vma_wants_writenotify(): the file system has to know of the first store to a page.

    Each but shmem has ->page_mkwrite(); shmem has no disk to write its pages to.
    """
    if vma.vm_flags & (VM_WRITE | VM_SHARED) != VM_WRITE | VM_SHARED:
        return False
    file = vma.vm_file
    return file is not None and not file.shmem


def vm_get_page_prot(vm_flags: vm_flags_t) -> pgprot_t:
    """vm_get_page_prot() of mm/pgtable-generic.c: what is private is copied on write."""
    return pgprot_t(
        writable=vm_flags & (VM_WRITE | VM_SHARED) == VM_WRITE | VM_SHARED,
        none=vm_flags & VM_ACCESS_FLAGS == 0,
    )


def vma_set_page_prot(vma: vm_area_struct) -> None:
    """vma_set_page_prot() of mm/mmap.c: ``vm_page_prot`` from ``vm_flags``."""
    prot = vm_get_page_prot(vma.vm_flags)
    if vma_wants_writenotify(vma):
        prot = prot.replace(writable=False)
    vma.vm_page_prot = prot


def get_file(file: address_space | None) -> None:
    """get_file() of include/linux/fs.h: one VMA more has it."""
    if file is not None:
        with atomic():
            file.f_count += 1


def i_mmap_lock_write(file: address_space | None) -> None:
    """i_mmap_lock_write() of include/linux/fs.h, of a VMA that may have no file."""
    if file is not None:
        down_write(file.i_mmap_rwsem)


def i_mmap_unlock_write(file: address_space | None) -> None:
    """i_mmap_unlock_write() of include/linux/fs.h."""
    if file is not None:
        up_write(file.i_mmap_rwsem)


def vma_link_file(vma: vm_area_struct) -> None:
    """vma_link_file(): rmap walks come here from now on."""
    mapping = vma.vm_file
    if mapping is not None:
        down_write(mapping.i_mmap_rwsem)
        if Vma.flags:
            __vma_link_file(vma, mapping)
        elif mapping.i_mmap[0] is None:
            mapping.i_mmap[0] = vma
        else:
            mapping.i_mmap[1] = vma
        up_write(mapping.i_mmap_rwsem)


def unlink_file_vma(vma: vm_area_struct) -> None:
    """unlink_file_vma(): rmap walks do not come here any more."""
    mapping = vma.vm_file
    if mapping is not None:
        down_write(mapping.i_mmap_rwsem)
        if Vma.flags:
            __remove_shared_vm_struct(vma, mapping)
        else:
            for slot in range(len(mapping.i_mmap)):
                if mapping.i_mmap[slot] is vma:
                    mapping.i_mmap[slot] = None
        up_write(mapping.i_mmap_rwsem)


def __vma_link_file(vma: vm_area_struct, mapping: address_space) -> None:
    """__vma_link_file(): last in the list, behind that of which it is a copy."""
    with atomic():  # i_mmap_rwsem is held for writing
        last = mapping.i_mmap_last
        vma.shared_prev = last
        vma.shared_next = None
        if last is None:
            mapping.i_mmap_first = vma
        else:
            last.shared_next = vma
        mapping.i_mmap_last = vma


def __remove_shared_vm_struct(vma: vm_area_struct, mapping: address_space) -> None:
    """__remove_shared_vm_struct(): out of the list."""
    with atomic():  # i_mmap_rwsem is held for writing
        before = vma.shared_prev
        behind = vma.shared_next
        if before is None:
            mapping.i_mmap_first = behind
        else:
            before.shared_next = behind
        if behind is None:
            mapping.i_mmap_last = before
        else:
            behind.shared_prev = before


def remove_vma(vma: vm_area_struct) -> None:
    """remove_vma(): no fault and no rmap walk can have it any more, and it is freed."""
    vm_area_cachep.free(vma)


def vm_area_alloc(mm: mm_struct) -> vm_area_struct | None:
    """vm_area_alloc() of mm/vma_init.c: a VMA of nothing, or None."""
    vma = vm_area_cachep.alloc()
    if vma is not None:
        with atomic():  # nobody else knows it yet
            vma.vm_mm = mm
            vma.vm_file = None
            vma.anon_vma = None
            vma.anon_vma_chain = None
            vma.shared_next = None
            vma.shared_prev = None
            vma.detached_next = None
    return vma


def vm_area_dup(orig: vm_area_struct) -> vm_area_struct | None:
    """vm_area_dup() of mm/vma_init.c: the same, in no list and in no anon_vma."""
    vma = vm_area_alloc(orig.vm_mm)
    if vma is not None:
        with atomic():  # nobody else knows it yet
            vma.vm_start = orig.vm_start
            vma.vm_end = orig.vm_end
            vma.vm_pgoff = orig.vm_pgoff
            vma.vm_file = orig.vm_file
            vma.vm_flags = orig.vm_flags
            vma.vm_page_prot = orig.vm_page_prot
            vma.anon_vma = orig.anon_vma
    return vma


def split_vma(mm: mm_struct, vma: vm_area_struct, addr: ulong, new_below: bool) -> s64:
    """split_vma(): two VMAs meet at ``addr`` afterwards; ``vma`` is the other than the new."""
    if mm.map_count >= max_map_count():
        return -ENOMEM
    return __split_vma(mm, vma, addr, new_below)


def __split_vma(mm: mm_struct, vma: vm_area_struct, addr: ulong, new_below: bool) -> s64:
    """__split_vma()."""
    new = vm_area_dup(vma)
    if new is None:
        return -ENOMEM
    if not anon_vma_clone(new, vma):
        unlink_anon_vmas(new)
        vm_area_cachep.free(new)
        return -ENOMEM
    get_file(new.vm_file)
    i_mmap_lock_write(vma.vm_file)  # vma_prepare()
    split_huge_pmd_if_needed(vma, addr)  # vma_adjust_trans_huge()
    with atomic():
        part = addr - vma.vm_start
        if new_below:
            new.vm_end = addr
            vma.vm_start = addr
            vma.vm_pgoff += part
        else:
            new.vm_start = addr
            new.vm_pgoff += part
            vma.vm_end = addr
        mas_store(mm, new)
    file = vma.vm_file
    if file is not None:
        __vma_link_file(new, file)
    i_mmap_unlock_write(vma.vm_file)  # vma_complete()
    return 0


def is_mergeable_vma(vmg: vma_merge_struct, vma: vm_area_struct) -> bool:
    """is_mergeable_vma(): the same kind of mapping."""
    return vma.vm_flags == vmg.vm_flags and vma.vm_file is vmg.file


def is_mergeable_anon_vma(vmg: vma_merge_struct, tgt: vm_area_struct) -> bool:
    """is_mergeable_anon_vma(): one anon_vma can serve both, and no child of fork() is in it.

    A VMA that is not in more than one has pages of its own only.
    """
    src = vmg.anon_vma
    if tgt.anon_vma is None and src is not None:
        return not vma_is_fork_child(vmg.middle) and not vma_is_fork_child(vmg.copied_from)
    if tgt.anon_vma is not None and src is None:
        return not vma_is_fork_child(tgt)
    return tgt.anon_vma is src


def can_vma_merge_left(vmg: vma_merge_struct) -> bool:
    """can_vma_merge_left() and can_vma_merge_after(): ``prev`` can have the range as well."""
    prev = vmg.prev
    if prev is None:
        return False
    return (
        prev.vm_end == vmg.start
        and is_mergeable_vma(vmg, prev)
        and is_mergeable_anon_vma(vmg, prev)
        and prev.vm_pgoff + vma_pages(prev) == vmg.pgoff
    )


def can_vma_merge_right(vmg: vma_merge_struct, can_merge_left: bool) -> bool:
    """can_vma_merge_right() and can_vma_merge_before(): ``next`` can have the range as well.

    Where ``prev`` can, too, the anon_vmas of the two have to be the same.
    """
    next = vmg.next
    if next is None:
        return False
    if next.vm_start != vmg.end or not is_mergeable_vma(vmg, next):
        return False
    if not is_mergeable_anon_vma(vmg, next):
        return False
    if next.vm_pgoff != vmg.pgoff + vmg.end - vmg.start:
        return False
    prev = vmg.prev
    if not can_merge_left or prev is None:
        return True
    return (
        prev.anon_vma is None or next.anon_vma is None or prev.anon_vma is next.anon_vma
    )


def dup_anon_vma(dst: vm_area_struct, src: vm_area_struct) -> bool:
    """dup_anon_vma(): ``dst`` gets pages of ``src``; False: there is no memory."""
    if src.anon_vma is None or dst.anon_vma is not None:
        return True
    dst.anon_vma = src.anon_vma
    return anon_vma_clone(dst, src)


def remove_merged(mm: mm_struct, vma: vm_area_struct) -> None:
    """vma_complete(), of a VMA whose range another gets; i_mmap_rwsem of its file is held."""
    mas_erase(mm, mas_find_slot(mm, vma.vm_start), 1)
    file = vma.vm_file
    if file is not None:
        __remove_shared_vm_struct(vma, file)
        with atomic():
            file.f_count -= 1  # fput(): the VMA that stays has it, too
    unlink_anon_vmas(vma)
    vm_area_cachep.free(vma)


def vma_set_range(vma: vm_area_struct, start: ulong, end: ulong, pgoff: ulong) -> None:
    """vma_set_range(); i_mmap_rwsem of its file is held for writing."""
    with atomic():
        vma.vm_start = start
        vma.vm_end = end
        vma.vm_pgoff = pgoff


def vma_merge_existing_range(vmg: vma_merge_struct) -> vm_area_struct | None:
    """vma_merge_existing_range(): a part of ``middle`` goes to a neighbour, or to both.

    None: neither neighbour can have it.  Else the VMA that has it now.
    """
    middle = vmg.middle
    if middle is None:
        return None
    merge_left = middle.vm_start == vmg.start and can_vma_merge_left(vmg)
    merge_right = middle.vm_end == vmg.end and can_vma_merge_right(vmg, merge_left)
    prev = vmg.prev
    next = vmg.next
    if merge_left and merge_right and prev is not None and next is not None:
        if not dup_anon_vma(prev, middle if next.anon_vma is None else next):
            return None
        return commit_merge_both(vmg.mm, prev, middle, next)
    whole = middle.vm_start == vmg.start and middle.vm_end == vmg.end
    if merge_left and prev is not None:
        if not dup_anon_vma(prev, middle):
            return None
        return commit_merge_left(vmg, prev, middle, whole)
    if merge_right and next is not None:
        if not dup_anon_vma(next, middle):
            return None
        return commit_merge_right(vmg, middle, next, whole)
    return None


def commit_merge_both(
    mm: mm_struct, prev: vm_area_struct, middle: vm_area_struct, next: vm_area_struct
) -> vm_area_struct:
    """commit_merge(): ``prev`` gets all of ``middle`` and of ``next``."""
    file = prev.vm_file
    end = next.vm_end
    i_mmap_lock_write(file)
    remove_merged(mm, middle)
    remove_merged(mm, next)
    vma_set_range(prev, prev.vm_start, end, prev.vm_pgoff)
    i_mmap_unlock_write(file)
    return prev


def commit_merge_left(
    vmg: vma_merge_struct, prev: vm_area_struct, middle: vm_area_struct, whole: bool
) -> vm_area_struct:
    """commit_merge(): ``prev`` gets the beginning of ``middle``, or the whole of it."""
    file = prev.vm_file
    i_mmap_lock_write(file)
    if whole:
        remove_merged(vmg.mm, middle)
    else:
        split_huge_pmd_if_needed(middle, vmg.end)  # vma_adjust_trans_huge()
        vma_set_range(
            middle, vmg.end, middle.vm_end, middle.vm_pgoff + vmg.end - middle.vm_start
        )
    vma_set_range(prev, prev.vm_start, vmg.end, prev.vm_pgoff)
    i_mmap_unlock_write(file)
    return prev


def commit_merge_right(
    vmg: vma_merge_struct, middle: vm_area_struct, next: vm_area_struct, whole: bool
) -> vm_area_struct:
    """commit_merge(): ``next`` gets the end of ``middle``, or the whole of it."""
    file = next.vm_file
    i_mmap_lock_write(file)
    if whole:
        remove_merged(vmg.mm, middle)
    else:
        split_huge_pmd_if_needed(middle, vmg.start)  # vma_adjust_trans_huge()
        vma_set_range(middle, middle.vm_start, vmg.start, middle.vm_pgoff)
    vma_set_range(next, vmg.start, next.vm_end, vmg.pgoff)
    i_mmap_unlock_write(file)
    return next


def vma_merge_new_range(vmg: vma_merge_struct) -> vm_area_struct | None:
    """vma_merge_new_range() with vma_expand(): what is mapped anew goes to a neighbour.

    vma_merge_copied_range() is the same, of pages that ``copied_from`` has, too: then their
    anon_vma goes with them.
    """
    merge_left = can_vma_merge_left(vmg)
    merge_right = can_vma_merge_right(vmg, merge_left)
    prev = vmg.prev
    next = vmg.next
    copied = vmg.copied_from
    if merge_left and prev is not None:
        if copied is not None and not dup_anon_vma(prev, copied):
            return None
        end = vmg.end
        if merge_right and next is not None:
            if not dup_anon_vma(prev, next):
                return None
            end = next.vm_end
        i_mmap_lock_write(prev.vm_file)
        if merge_right and next is not None:
            remove_merged(vmg.mm, next)
        vma_set_range(prev, prev.vm_start, end, prev.vm_pgoff)
        i_mmap_unlock_write(prev.vm_file)
        return prev
    if merge_right and next is not None:
        if copied is not None and not dup_anon_vma(next, copied):
            return None
        i_mmap_lock_write(next.vm_file)
        vma_set_range(next, vmg.start, next.vm_end, vmg.pgoff)
        i_mmap_unlock_write(next.vm_file)
        return next
    return None


def vma_modify_flags(
    vma: vm_area_struct, start: ulong, end: ulong, vm_flags: vm_flags_t
) -> vm_area_struct | None:
    """vma_modify_flags(): a VMA of exactly these pages, or one that has such flags already.

    The caller sets the flags of what it gets.  None: -ENOMEM.
    """
    mm = vma.vm_mm
    vmg = vmgs.current
    vmg.mm = mm
    vmg.prev = mas_prev(mm, vma.vm_start)
    vmg.middle = vma
    vmg.next = mas_next(mm, vma)
    vmg.start = start
    vmg.end = end
    vmg.pgoff = vma.vm_pgoff + start - vma.vm_start
    vmg.vm_flags = vm_flags
    vmg.file = vma.vm_file
    vmg.anon_vma = vma.anon_vma
    vmg.copied_from = None
    merged = vma_merge_existing_range(vmg)
    if merged is not None:
        return merged
    if vma.vm_start < start and split_vma(mm, vma, start, True) != 0:
        return None
    if vma.vm_end > end and split_vma(mm, vma, end, False) != 0:
        return None
    return vma


def vma_merge_extend(vma: vm_area_struct, delta: ulong) -> vm_area_struct | None:
    """vma_merge_extend(): ``delta`` pages more at its end, and merged with what is behind."""
    mm = vma.vm_mm
    vmg = vmgs.current
    vmg.mm = mm
    vmg.prev = vma
    vmg.middle = None
    vmg.next = mas_next(mm, vma)
    vmg.start = vma.vm_end
    vmg.end = vma.vm_end + delta
    vmg.pgoff = vma.vm_pgoff + vma_pages(vma)
    vmg.vm_flags = vma.vm_flags
    vmg.file = vma.vm_file
    vmg.anon_vma = vma.anon_vma
    vmg.copied_from = None
    return vma_merge_new_range(vmg)
