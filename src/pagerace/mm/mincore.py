"""Which pages are there: mm/mincore.c."""

from __future__ import annotations

from pagerace.lang import Array, Struct, array, per_thread, s32, s64, u32
from pagerace.machine.memory import PAGE_SIZE, Machine, file_pages, ulong
from pagerace.machine.pgtable import pte_none, pte_present, pte_slot, ptep_get
from pagerace.machine.tables import pmd_t
from pagerace.mm.errno import EINVAL, ENOMEM
from pagerace.mm.huge_memory import pmd_trans_huge_lock
from pagerace.mm.mm_types import address_space, linear_page_index, mm_struct, vm_area_struct
from pagerace.mm.mmap import vma_lookup
from pagerace.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from pagerace.mm.munmap import task_size
from pagerace.mm.page_flags import folio_test_uptodate
from pagerace.mm.pagemap import filemap_get_folio
from pagerace.mm.pagewalk import walk_page_range
from pagerace.mm.pagewalk_ops import ACTION_AGAIN, PGWALK_RDLOCK, mm_walk, mm_walk_ops
from pagerace.mm.pgtable_generic import (
    mapped_pte,
    pte_maps,
    pte_offset_map_lock,
    pte_unmap_unlock,
)
from pagerace.mm.sched import cond_resched
from pagerace.mm.spinlock import spin_unlock
from pagerace.mm.swap import folio_put
from pagerace.mm.swapops import Swap, is_pte_marker

# Answers that fit into the page that the kernel fills before it copies them to the user.
VEC_PAGES = 4096


def vec_pages() -> int:
    """Pages that are asked about at once."""
    return VEC_PAGES if Machine.full_size else Machine.pages


class mincore_vec(Struct):
    """``tmp`` of sys_mincore(): ``vec[i]`` is of the i-th page.

    ``at``: what ``walk->private`` points to, the place of the next answer.
    """

    vec: Array[bool] = array(lambda: vec_pages())
    at: u32


mincore_vecs = per_thread(mincore_vec)
# The vector of the user, of the last call.
mincore_all = per_thread(mincore_vec)


def mincore_page(mapping: address_space, index: ulong) -> bool:
    """mincore_page(): is the page of the file in the page cache, and has it been read?"""
    if index >= file_pages():
        return False
    folio = filemap_get_folio(mapping, index)
    if folio is None:
        return False
    present = folio_test_uptodate(folio)
    folio_put(folio)
    return present


def __mincore_unmapped_range(
    addr: ulong, end: ulong, vma: vm_area_struct | None, answers: mincore_vec
) -> None:
    """__mincore_unmapped_range(): nothing is mapped, but a file may be cached."""
    file = None if vma is None else vma.vm_file
    while addr != end:
        present = False
        if vma is not None and file is not None:
            present = mincore_page(file, linear_page_index(vma, addr))
        answers.vec[answers.at] = present
        answers.at += 1
        addr += PAGE_SIZE


def mincore_unmapped_range(addr: ulong, end: ulong, depth: s32, walk: mm_walk) -> s32:
    """mincore_unmapped_range(): the pte_hole of the walk."""
    __mincore_unmapped_range(addr, end, walk.vma, mincore_vecs.current)
    return 0


def mincore_hugetlb(pte: pte_slot, addr: ulong, end: ulong, walk: mm_walk) -> s32:
    """mincore_hugetlb(): all of it, or nothing."""
    present = not pte_none(ptep_get(pte))
    note_all(addr, end, present, mincore_vecs.current)
    return 0


def note_all(addr: ulong, end: ulong, present: bool, answers: mincore_vec) -> None:
    """memset() of the answers for a range."""
    while addr != end:
        answers.vec[answers.at] = present
        answers.at += 1
        addr += PAGE_SIZE


def mincore_pte_range(pmd: pmd_t, addr: ulong, end: ulong, walk: mm_walk) -> s32:
    """mincore_pte_range(): a huge page is there; else each PTE says, and the page cache.

    There is no swap.  Of a page that a marker stands for, only a file can say.
    """
    vma = walk.vma
    answers = mincore_vecs.current
    if vma is None:
        return 0
    ptl = pmd_trans_huge_lock(pmd, vma)
    if ptl is not None:
        note_all(addr, end, True, answers)
        spin_unlock(ptl)
        return 0
    map = pte_maps.current
    if pte_offset_map_lock(walk.mm, pmd, addr, map) is None:
        walk.action = ACTION_AGAIN
        return 0
    while addr != end:
        pte = ptep_get(mapped_pte(map, addr))
        if pte_none(pte) or (Swap.markers and is_pte_marker(pte)):
            __mincore_unmapped_range(addr, addr + PAGE_SIZE, vma, answers)
        else:
            answers.vec[answers.at] = pte_present(pte)
            answers.at += 1
        addr += PAGE_SIZE
    pte_unmap_unlock(map)
    cond_resched()
    return 0


mincore_walk_ops = mm_walk_ops(
    pmd_entry=mincore_pte_range,
    pte_hole=mincore_unmapped_range,
    hugetlb_entry=mincore_hugetlb,
    walk_lock=PGWALK_RDLOCK,
)


def do_mincore(mm: mm_struct, addr: ulong, pages: ulong) -> s64:
    """do_mincore(): of one VMA; how many pages it told of, or -ENOMEM.

    can_do_mincore() is taken to be true: the caller may write to any file.
    """
    vma = vma_lookup(mm, addr)
    if vma is None:
        return -ENOMEM
    end = min(vma.vm_end, ulong(addr + pages))
    mincore_vecs.current.at = 0
    err = walk_page_range(mm, addr, end, mincore_walk_ops)
    if err < 0:
        return s64(err)
    return s64(end - addr)


def mincore(mm: mm_struct, start: ulong, len: ulong) -> s64:
    """sys_mincore(): 0, or an error; ``mincore_all`` has the answers.

    Of vec_pages() pages at most: in the kernel a loop copies one such part after the other.
    -ENOMEM where a page on the way is not mapped; what is before it was told.
    """
    answers = mincore_all.current
    answers.at = 0
    if start + len < start or start + len > task_size():
        return -ENOMEM
    if len > vec_pages():
        return -EINVAL
    done: s64 = 0
    while done >= 0 and answers.at < len:
        mmap_read_lock(mm)
        done = do_mincore(mm, start + answers.at, len - answers.at)
        mmap_read_unlock(mm)
        if done > 0:
            copy_to_user(answers, u32(done))
    return done if done < 0 else s64(0)


def copy_to_user(answers: mincore_vec, number: u32) -> None:
    """copy_to_user() of one part."""
    tmp = mincore_vecs.current
    for i in range(number):
        answers.vec[answers.at + i] = tmp.vec[i]
    answers.at += number
