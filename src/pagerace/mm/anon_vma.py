"""Which VMAs may have an anonymous page: struct anon_vma of mm/rmap.c, with Vma.flags.

A page that a write brings belongs to the anon_vma of its VMA.  fork() puts the child's VMA
into all that the parent's is in, and gives it one more for pages of its own; what is split
or copied is in the same ones.  Each change is one step, without the rwsem of the tree, which
only khugepaged takes.
"""
# pyright: strict, reportPrivateUsage=false, reportUnusedFunction=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import atomic, u32, wait_until
from pagerace.mm.lockdep import LockClass, lock_acquire, lock_release
from pagerace.mm.maple_tree import mas_next, mas_prev
from pagerace.mm.mm_types import (
    anon_vma_cachep,
    anon_vma_chain_cachep,
    anon_vma_chain_t,
    anon_vma_rwsems,
    anon_vma_t,
    vm_area_struct,
)
from pagerace.mm.mman import VM_ACCESS_FLAGS
from pagerace.mm.sched import might_sleep


def anon_vma_lock_write(anon_vma: anon_vma_t) -> None:
    """anon_vma_lock_write() of include/linux/rmap.h; the kernel's lock is that of the root."""
    sem = anon_vma_rwsems[anon_vma_cachep.index(anon_vma)]
    might_sleep()
    lock_acquire(LockClass.ANON_VMA_RWSEM)
    with atomic():
        wait_until(not sem.writer and sem.readers == 0)
        sem.writer = True


def anon_vma_unlock_write(anon_vma: anon_vma_t) -> None:
    """anon_vma_unlock_write() of include/linux/rmap.h."""
    lock_release(LockClass.ANON_VMA_RWSEM)
    anon_vma_rwsems[anon_vma_cachep.index(anon_vma)].writer = False


def anon_vma_alloc() -> anon_vma_t | None:
    """anon_vma_alloc(): its own parent, with nobody in it."""
    new = anon_vma_cachep.alloc()
    if new is not None:
        with atomic():  # nobody else knows it yet
            new.parent = new
            new.num_children = 0
            new.num_active_vmas = 0
            new.first = None
    return new


def anon_vma_chain_link(vma: vm_area_struct, anon_vma: anon_vma_t) -> bool:
    """anon_vma_chain_alloc() and anon_vma_chain_link(); False: there is no memory."""
    avc = anon_vma_chain_cachep.alloc()
    if avc is None:
        return False
    with atomic():
        first = anon_vma.first
        avc.vma = vma
        avc.anon_vma = anon_vma
        avc.same_vma = vma.anon_vma_chain
        vma.anon_vma_chain = avc
        avc.prev = None
        avc.next = first
        if first is not None:
            first.prev = avc
        anon_vma.first = avc
    return True


def list_is_singular(vma: vm_area_struct) -> bool:
    """list_is_singular(&vma->anon_vma_chain): the VMA is in one anon_vma."""
    avc = vma.anon_vma_chain
    return avc is not None and avc.same_vma is None


def vma_is_fork_child(vma: vm_area_struct | None) -> bool:
    """vma_is_fork_child() of mm/vma.c: it may have pages of its parent's anon_vma."""
    if vma is None:
        return False
    return vma.anon_vma is not None and not list_is_singular(vma)


def anon_vma_prepare(vma: vm_area_struct) -> bool:
    """anon_vma_prepare(): the VMA has an anon_vma from here on; False: there is no memory.

    Faults of one mm run beside each other; page_table_lock decides who is first.
    """
    with atomic():
        prepared = vma.anon_vma is not None or __anon_vma_prepare(vma)
    return prepared


def __anon_vma_prepare(vma: vm_area_struct) -> bool:
    """__anon_vma_prepare(): a neighbour's, so that the two can be merged, or a new one."""
    anon_vma = find_mergeable_anon_vma(vma)
    if anon_vma is None:
        anon_vma = anon_vma_alloc()
        if anon_vma is None:
            return False
        anon_vma.num_children += 1  # of a root
    if not anon_vma_chain_link(vma, anon_vma):
        return False
    vma.anon_vma = anon_vma
    anon_vma.num_active_vmas += 1
    return True


def find_mergeable_anon_vma(vma: vm_area_struct) -> anon_vma_t | None:
    """find_mergeable_anon_vma() of mm/vma.c: of the VMA behind, or of that before."""
    next = mas_next(vma.vm_mm, vma)
    if next is not None:
        found = reusable_anon_vma(next, vma, next)
        if found is not None:
            return found
    prev = mas_prev(vma.vm_mm, vma.vm_start)
    if prev is not None:
        return reusable_anon_vma(prev, prev, vma)
    return None


def reusable_anon_vma(
    old: vm_area_struct, a: vm_area_struct, b: vm_area_struct
) -> anon_vma_t | None:
    """reusable_anon_vma() of mm/vma.c: that of ``old``, if it is in no other."""
    if anon_vma_compatible(a, b) and list_is_singular(old):
        return old.anon_vma
    return None


def anon_vma_compatible(a: vm_area_struct, b: vm_area_struct) -> bool:
    """anon_vma_compatible() of mm/vma.c: mprotect() could make one VMA of the two."""
    return (
        a.vm_end == b.vm_start
        and a.vm_file is b.vm_file
        and (a.vm_flags ^ b.vm_flags) & u32(~VM_ACCESS_FLAGS) == 0
        and b.vm_pgoff == a.vm_pgoff + b.vm_start - a.vm_start
    )


def anon_vma_clone(dst: vm_area_struct, src: vm_area_struct) -> bool:
    """anon_vma_clone(): ``dst`` gets into all in which ``src`` is; False: there is no memory.

    Of fork(), which leaves ``dst`` none of its own, one is taken over whose VMA is gone and
    which has one child.  A VMA that is split or copied has its anon_vma already.
    """
    with atomic():
        cloned = True
        reused: anon_vma_t | None = None
        last: anon_vma_chain_t | None = None
        avc = src.anon_vma_chain
        while avc is not None:
            anon_vma = avc.anon_vma
            if not anon_vma_chain_link(dst, anon_vma):
                cloned = False
                break
            # Linux walks from the oldest to the newest, and takes the first: here the last.
            if anon_vma.num_children < 2 and anon_vma.num_active_vmas == 0:
                reused = anon_vma
            new = dst.anon_vma_chain
            if last is not None and new is not None:
                dst.anon_vma_chain = new.same_vma
                new.same_vma = None
                last.same_vma = new
            last = new
            avc = avc.same_vma
        if dst.anon_vma is None and src.anon_vma is not None:
            dst.anon_vma = reused
        own = dst.anon_vma
        if own is not None:
            own.num_active_vmas += 1
    return cloned


def anon_vma_fork(vma: vm_area_struct, pvma: vm_area_struct) -> bool:
    """anon_vma_fork(): the child's VMA is in the parent's ones and in one of its own."""
    parent = pvma.anon_vma
    if parent is None:
        return True
    vma.anon_vma = None
    if not anon_vma_clone(vma, pvma):
        return False
    if vma.anon_vma is not None:
        return True
    own = anon_vma_alloc()
    if own is None:
        return False
    with atomic():
        own.num_active_vmas += 1
        own.parent = parent
        parent.num_children += 1
        vma.anon_vma = own
        linked = anon_vma_chain_link(vma, own)
    return linked


def unlink_anon_vmas(vma: vm_area_struct) -> None:
    """unlink_anon_vmas(): the VMA is in none any more, and what nobody is in is freed.

    In two passes: a parent is looked at after its children, and freed after all.
    """
    with atomic():
        avc = vma.anon_vma_chain
        while avc is not None:
            anon_vma = avc.anon_vma
            anon_vma_interval_tree_remove(avc)
            if anon_vma.first is None:
                parent = anon_vma.parent
                if parent is not None:
                    parent.num_children -= 1
            avc = avc.same_vma
        own = vma.anon_vma
        if own is not None:
            own.num_active_vmas -= 1
        vma.anon_vma = None
        avc = vma.anon_vma_chain
        vma.anon_vma_chain = None
        while avc is not None:
            if avc.anon_vma.first is None:
                anon_vma_cachep.free(avc.anon_vma)
            following = avc.same_vma
            anon_vma_chain_cachep.free(avc)
            avc = following


def anon_vma_interval_tree_remove(avc: anon_vma_chain_t) -> None:
    """anon_vma_interval_tree_remove(): the VMA's pages are not looked for there any more."""
    before = avc.prev
    behind = avc.next
    if before is None:
        avc.anon_vma.first = behind
    else:
        before.next = behind
    if behind is not None:
        behind.prev = before
