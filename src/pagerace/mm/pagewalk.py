"""Walks of page tables, with callbacks: mm/pagewalk.c.

Each page of a range is to be told of once and only once, whatever faults, zaps, splits and
collapses do meanwhile.  Here is what callers call, down to one VMA; mm/pagewalk_tables.py
goes through the tables.  What a callback's answer means has changed: see mm/pagewalk_ops.py.
"""
# pyright: strict, reportPrivateUsage=false, reportUnusedFunction=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import s32
from pagerace.machine.memory import ulong
from pagerace.mm.errno import EINVAL
from pagerace.mm.lockdep import LockClass, lockdep_assert_held
from pagerace.mm.mm_types import Vma, address_space, mm_struct, vm_area_struct
from pagerace.mm.mman import VM_HUGETLB, VM_PFNMAP
from pagerace.mm.mmap import find_vma
from pagerace.mm.pagewalk_ops import (
    PGWALK_RDLOCK,
    Pagewalk,
    mm_walk,
    mm_walk_ops,
    mm_walks,
)
from pagerace.mm.pagewalk_tables import Next, addr_end, hole, no_entry, stop, walk_pgd_range
from pagerace.mm.pgtable_levels import find_pmd
from pagerace.mm.walk_notes import (
    note_walk_end,
)


def walk_hugetlb_range(addr: ulong, end: ulong, ops: mm_walk_ops, walk: mm_walk) -> Next:
    """walk_hugetlb_range(): of a VMA of hugetlbfs each entry is one of the PMD, or nothing."""
    while True:
        next = addr_end(2, addr, end)
        pmd = find_pmd(walk.mm, addr)
        if pmd is None or no_entry(pmd, walk):
            step = hole(addr, next, -1, ops, walk)
        elif ops.hugetlb_entry is not None:
            step = stop(walk, ops.hugetlb_entry(pmd.entry, addr, next, walk))
        else:
            step = Next.BEHIND
        if step is Next.STOP:
            return step
        if next == end:
            return Next.BEHIND
        addr = next


def walk_page_test(start: ulong, end: ulong, ops: mm_walk_ops, walk: mm_walk) -> s32:
    """walk_page_test(): 0: the VMA is walked; positive: it is left out; negative: the end.

    Of VM_PFNMAP only pte_hole hears: there is no struct page behind it.
    """
    if ops.test_walk is not None:
        return ops.test_walk(start, end, walk)
    vma = walk.vma
    if Vma.flags and vma is not None and vma.vm_flags & VM_PFNMAP != 0:
        err = hole(start, end, -1, ops, walk)
        return walk.err if err is Next.STOP else 1
    return 0


def __walk_page_range(start: ulong, end: ulong, ops: mm_walk_ops, walk: mm_walk) -> s32:
    """__walk_page_range(): a part of one VMA, between pre_vma and post_vma."""
    walk.err = 0
    if ops.pre_vma is not None:
        err = ops.pre_vma(start, end, walk)
        if err != 0:
            return err
    vma = walk.vma
    if Vma.flags and vma is not None and vma.vm_flags & VM_HUGETLB != 0:
        if ops.hugetlb_entry is not None:
            walk_hugetlb_range(start, end, ops, walk)
    else:
        walk_pgd_range(start, end, ops, walk)
    if ops.post_vma is not None:
        ops.post_vma(walk)
    return walk.err


def process_mm_walk_lock(mm: mm_struct, ops: mm_walk_ops) -> None:
    """process_mm_walk_lock(), v6.5 and later: the caller holds mmap_lock as the table says."""
    if Pagewalk.walk_locks:
        lockdep_assert_held(LockClass.MMAP_LOCK)
        if ops.walk_lock is not PGWALK_RDLOCK:  # and each vma_assert_write_locked()
            assert mm.mmap_lock.writer, "a walk wants mmap_lock for writing"


def begin_walk(mm: mm_struct, vma: vm_area_struct | None, no_vma: bool) -> mm_walk:
    """The initialiser of ``struct mm_walk walk``."""
    walk = mm_walks.current
    walk.mm = mm
    walk.vma = vma
    walk.no_vma = no_vma
    walk.err = 0
    return walk


def walk_page_range(mm: mm_struct, start: ulong, end: ulong, ops: mm_walk_ops) -> s32:
    """walk_page_range(): the pages ``start`` to ``end`` - 1, VMA by VMA; mmap_lock is held.

    The first result of a callback that is not 0, -EINVAL for an empty range, else 0.
    """
    if start >= end:
        return -EINVAL
    process_mm_walk_lock(mm, ops)
    walk = begin_walk(mm, None, False)
    err: s32 = 0
    while start < end and err == 0:
        vma = find_vma(mm, start)
        if vma is None or start < vma.vm_start:
            next = end if vma is None else min(end, vma.vm_start)
            walk.vma = None
            err = walk.err if hole(start, next, -1, ops, walk) is Next.STOP else 0
        else:
            next = min(end, vma.vm_end)
            walk.vma = vma
            err = walk_tested(start, next, ops, walk)
        start = next
    note_walk_end(err)
    return err


def walk_tested(start: ulong, end: ulong, ops: mm_walk_ops, walk: mm_walk) -> s32:
    """A part of ``walk->vma``, unless walk_page_test() leaves it out."""
    err = walk_page_test(start, end, ops, walk)
    if err > 0:
        return 0  # positive ones only say where the walk goes
    if err < 0:
        return err
    return __walk_page_range(start, end, ops, walk)


def walk_page_range_vma(vma: vm_area_struct, start: ulong, end: ulong, ops: mm_walk_ops) -> s32:
    """walk_page_range_vma(): a part of one VMA, which nobody is asked about."""
    if start >= end or start < vma.vm_start or end > vma.vm_end:
        return -EINVAL
    process_mm_walk_lock(vma.vm_mm, ops)
    walk = begin_walk(vma.vm_mm, vma, False)
    err = __walk_page_range(start, end, ops, walk)
    note_walk_end(err)
    return err


def walk_page_vma(vma: vm_area_struct, ops: mm_walk_ops) -> s32:
    """walk_page_vma(): one whole VMA."""
    process_mm_walk_lock(vma.vm_mm, ops)
    walk = begin_walk(vma.vm_mm, vma, False)
    err = walk_tested(vma.vm_start, vma.vm_end, ops, walk)
    note_walk_end(err)
    return err


def walk_page_range_novma(mm: mm_struct, start: ulong, end: ulong, ops: mm_walk_ops) -> s32:
    """walk_page_range_novma(): whatever is mapped there, of the kernel itself for example."""
    if start >= end:
        return -EINVAL
    walk = begin_walk(mm, None, True)
    walk_pgd_range(start, end, ops, walk)
    note_walk_end(walk.err)
    return walk.err


def walk_page_mapping(
    mapping: address_space, first_index: ulong, nr: ulong, ops: mm_walk_ops
) -> s32:
    """walk_page_mapping(): pages of a file, wherever they are mapped; i_mmap_rwsem is held.

    Nothing keeps anonymous pages of private mappings from being reported as well.  Linux
    kernel commit ecaad8aca204 ("mm: Add a walk_page_mapping() function to the pagewalk
    code") (in v5.5).
    """
    lockdep_assert_held(LockClass.I_MMAP_RWSEM)
    err: s32 = 0
    if Vma.flags:
        mapped = mapping.i_mmap_first
        while mapped is not None and err == 0:
            err = walk_of_mapping(mapped, first_index, nr, ops)
            mapped = mapped.shared_next
    else:
        for vma in mapping.i_mmap:
            if vma is not None and err == 0:
                err = walk_of_mapping(vma, first_index, nr, ops)
    note_walk_end(err)
    return err


def walk_of_mapping(
    vma: vm_area_struct, first_index: ulong, nr: ulong, ops: mm_walk_ops
) -> s32:
    """One round of walk_page_mapping(): what a VMA has of these pages of the file."""
    vba = vma.vm_pgoff
    vea: ulong = vba + vma.vm_end - vma.vm_start
    cba = max(first_index, vba)
    cea = min(ulong(first_index + nr), vea)
    if cba >= cea:
        return 0
    walk = begin_walk(vma.vm_mm, vma, False)
    return walk_tested(
        ulong(cba - vba + vma.vm_start), ulong(cea - vba + vma.vm_start), ops, walk
    )
