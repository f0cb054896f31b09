"""Dirty tracking of a range of a file, PTE by PTE: mm/mapping_dirty_helpers.c.

For those whose pages have no struct page that could be dirty, as graphics memory: write-protect
the PTEs, so that each write faults, or clean them and note which were dirty.  Linux kernel
commit c5acad84cf06 ("mm: Add write-protect and clean utilities for address space ranges")
(in v5.5); the hash is not verified.
"""

from __future__ import annotations

from pagerace.lang import Array, Config, Struct, array, per_thread, s32
from pagerace.machine.memory import PAGE_SIZE, file_pages, ulong
from pagerace.machine.pgtable import (
    pte_dirty,
    pte_mkclean,
    pte_slot,
    pte_write,
    pte_wrprotect,
    ptep_get,
)
from pagerace.machine.tables import (
    pmd_dirty,
    pmd_none,
    pmd_t,
    pmd_trans_huge,
    pmd_write,
    pmdval_t,
    pud_t,
    pud_trans_huge,
)
from pagerace.mm.mm_inline import (
    dec_tlb_flush_pending,
    inc_tlb_flush_pending,
    mm_tlb_flush_nested,
)
from pagerace.mm.mm_types import Vma, address_space, linear_page_index, vm_area_struct
from pagerace.mm.mman import VM_HUGETLB, VM_MAYWRITE, VM_SHARED
from pagerace.mm.pagewalk import walk_page_mapping
from pagerace.mm.pagewalk_ops import ACTION_AGAIN, ACTION_CONTINUE, mm_walk, mm_walk_ops
from pagerace.mm.pgtable import ptep_modify_prot_commit, ptep_modify_prot_start
from pagerace.mm.pgtable_lockless import pmdp_get_lockless
from pagerace.mm.rwsem import down_read, up_read
from pagerace.mm.tlb import flush_tlb_mm_range


class DirtyHelpers(Config):
    """``actions``: what the helpers answer to a walker that knows ``walk->action``.

    Without it they are as first merged: of a huge entry they warn, and go on.
    """

    actions: bool = True


class wp_walk(Struct):
    """struct wp_walk and struct clean_walk, which begins with one.

    ``start`` to ``end`` - 1: pages of the VMA at work; ``tlbflush_start`` to
    ``tlbflush_end`` - 1: those whose PTEs were changed.  ``total``: PTEs changed in all.
    ``bitmap_pgoff``: the page of the file that bit 0 is about; ``bit_start`` to
    ``bit_end`` - 1: the bits that were set, by others too.
    """

    start: ulong
    end: ulong
    tlbflush_start: ulong
    tlbflush_end: ulong
    total: ulong
    bitmap_pgoff: ulong
    bit_start: ulong
    bit_end: ulong
    bitmap: dirty_bitmap | None = None


class dirty_bitmap(Struct):
    """``bit[i]``: page ``bitmap_pgoff`` + i of the file was dirty."""

    bit: Array[bool] = array(lambda: file_pages())


wp_walks = per_thread(wp_walk)


def note_changed(wpwalk: wp_walk, addr: ulong) -> None:
    """A PTE was changed: TLBs may have it as it was."""
    wpwalk.total += 1
    wpwalk.tlbflush_start = min(wpwalk.tlbflush_start, addr)
    wpwalk.tlbflush_end = max(wpwalk.tlbflush_end, ulong(addr + PAGE_SIZE))


def wp_pte(pte: pte_slot, addr: ulong, end: ulong, walk: mm_walk) -> s32:
    """wp_pte(): write-protect a PTE, in a transaction: no bit that the walker sets is lost."""
    vma = walk.vma
    if vma is not None and pte_write(ptep_get(pte)):
        old_pte = ptep_modify_prot_start(vma, addr, pte)
        ptep_modify_prot_commit(vma, addr, pte, pte_wrprotect(old_pte))
        note_changed(wp_walks.current, addr)
    return 0


def clean_record_pte(pte: pte_slot, addr: ulong, end: ulong, walk: mm_walk) -> s32:
    """clean_record_pte(): clean a dirty PTE, and set the bit of its page."""
    vma = walk.vma
    if vma is not None and pte_dirty(ptep_get(pte)):
        cwalk = wp_walks.current
        old_pte = ptep_modify_prot_start(vma, addr, pte)
        ptep_modify_prot_commit(vma, addr, pte, pte_mkclean(old_pte))
        note_changed(cwalk, addr)
        set_dirty_bit(cwalk, ulong(linear_page_index(vma, addr) - cwalk.bitmap_pgoff))
    return 0


def set_dirty_bit(cwalk: wp_walk, pgoff: ulong) -> None:
    """__set_bit(), and the range of the bits that are set."""
    bitmap = cwalk.bitmap
    if bitmap is not None:
        bitmap.bit[pgoff] = True
    cwalk.bit_start = min(cwalk.bit_start, pgoff)
    cwalk.bit_end = max(cwalk.bit_end, ulong(pgoff + 1))


def warn_of_huge(value: pmdval_t) -> None:
    """The WARN_ON() of both: a split would lose what a huge entry knows of writes."""
    assert not pmd_write(value) and not pmd_dirty(value), "a huge entry can be written to"


def wp_clean_pmd_entry(pmd: pmd_t, addr: ulong, end: ulong, walk: mm_walk) -> s32:
    """wp_clean_pmd_entry(): huge ones are left alone, and never split.

    By a snapshot of the entry: what is none is looked at again, for somebody may map a huge
    page or a table there.
    """
    value = pmdp_get_lockless(pmd)
    if DirtyHelpers.actions and pmd_none(value):
        walk.action = ACTION_AGAIN
    if pmd_trans_huge(value):
        warn_of_huge(value)
        if DirtyHelpers.actions:
            walk.action = ACTION_CONTINUE
    return 0


def wp_clean_pud_entry(pud: pud_t, addr: ulong, end: ulong, walk: mm_walk) -> s32:
    """wp_clean_pud_entry(): the same of a PUD entry."""
    value = pmdp_get_lockless(pud)
    if pud_trans_huge(value):
        warn_of_huge(value)
        if DirtyHelpers.actions:
            walk.action = ACTION_CONTINUE
    return 0


def wp_clean_pre_vma(start: ulong, end: ulong, walk: mm_walk) -> s32:
    """wp_clean_pre_vma(): no gather, which would flush the whole range."""
    wpwalk = wp_walks.current
    wpwalk.start = start
    wpwalk.end = end
    wpwalk.tlbflush_start = end
    wpwalk.tlbflush_end = start
    inc_tlb_flush_pending(walk.mm)
    return 0


def wp_clean_post_vma(walk: mm_walk) -> None:
    """wp_clean_post_vma(): flush what was changed.

    All of it if somebody else gathers too: what is clean or read-only already may be in a TLB
    as it was, because of them.
    """
    wpwalk = wp_walks.current
    if mm_tlb_flush_nested(walk.mm):
        flush_tlb_mm_range(walk.mm, wpwalk.start, wpwalk.end)
    elif wpwalk.tlbflush_end > wpwalk.tlbflush_start:
        flush_tlb_mm_range(walk.mm, wpwalk.tlbflush_start, wpwalk.tlbflush_end)
    dec_tlb_flush_pending(walk.mm)


def wp_clean_test_walk(start: ulong, end: ulong, walk: mm_walk) -> s32:
    """wp_clean_test_walk(): shared mappings that can be written to, and no hugetlbfs."""
    vma = walk.vma
    return 0 if vma is not None and tracks(vma) else 1


def tracks(vma: vm_area_struct) -> bool:
    """What wp_clean_test_walk() asks of a VMA; without Vma.flags all are like that."""
    if not Vma.flags:
        return True
    flags = vma.vm_flags & (VM_SHARED | VM_MAYWRITE | VM_HUGETLB)
    return flags == VM_SHARED | VM_MAYWRITE


wp_walk_ops = mm_walk_ops(
    pte_entry=wp_pte,
    pmd_entry=wp_clean_pmd_entry,
    pud_entry=wp_clean_pud_entry,
    test_walk=wp_clean_test_walk,
    pre_vma=wp_clean_pre_vma,
    post_vma=wp_clean_post_vma,
)
clean_walk_ops = mm_walk_ops(
    pte_entry=clean_record_pte,
    pmd_entry=wp_clean_pmd_entry,
    pud_entry=wp_clean_pud_entry,
    test_walk=wp_clean_test_walk,
    pre_vma=wp_clean_pre_vma,
    post_vma=wp_clean_post_vma,
)


def wp_shared_mapping_range(mapping: address_space, first_index: ulong, nr: ulong) -> ulong:
    """wp_shared_mapping_range(): write-protect all PTEs of these pages; how many it changed.

    When it returns, each write to one of them faults.
    """
    wpwalk = wp_walks.current
    wpwalk.total = 0
    down_read(mapping.i_mmap_rwsem)
    walk_page_mapping(mapping, first_index, nr, wp_walk_ops)
    up_read(mapping.i_mmap_rwsem)
    return wpwalk.total


def clean_record_shared_mapping_range(
    mapping: address_space,
    first_index: ulong,
    nr: ulong,
    bitmap_pgoff: ulong,
    bitmap: dirty_bitmap,
    start: ulong,
    end: ulong,
) -> ulong:
    """clean_record_shared_mapping_range(): clean them, and set bits; how many were dirty.

    ``start`` and ``end``: the bits that are set already, if any (``*start`` and ``*end`` in C);
    those that are set now are in ``wp_walks.current``, from ``bit_start`` to ``bit_end`` - 1.
    What is written to after it returns sets a dirty bit again.
    """
    cwalk = wp_walks.current
    none_set = start >= end
    cwalk.total = 0
    cwalk.bitmap_pgoff = bitmap_pgoff
    cwalk.bitmap = bitmap
    cwalk.bit_start = nr if none_set else start
    cwalk.bit_end = 0 if none_set else end
    down_read(mapping.i_mmap_rwsem)
    walk_page_mapping(mapping, first_index, nr, clean_walk_ops)
    up_read(mapping.i_mmap_rwsem)
    return cwalk.total
