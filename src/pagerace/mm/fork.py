"""Address spaces that come, and are copied: kernel/fork.c, copy_page_range() of mm/memory.c.

Without Vma.flags it is the parent alone that is looked at: the child's tables are left out,
for nobody runs on them yet.
"""
# pyright: strict, reportPrivateUsage=false, reportUnusedFunction=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import atomic, s64, u32
from pagerace.machine.memory import PAGE_SIZE, ulong
from pagerace.machine.pgtable import (
    pte_mkclean,
    pte_mkold,
    pte_pfn,
    pte_present,
    pte_slot,
    pte_write,
    pte_wrprotect,
    ptep_get,
    set_pte,
)
from pagerace.machine.tables import pmd_trans_huge, pmdp_get
from pagerace.mm.anon import PageAnon, is_zero_pte
from pagerace.mm.anon_vma import anon_vma_fork
from pagerace.mm.cow import is_cow_mapping
from pagerace.mm.errno import EAGAIN, ENOMEM
from pagerace.mm.exit import exit_mmap
from pagerace.mm.huge_anon import copy_huge_pmd
from pagerace.mm.lockdep import LockClass
from pagerace.mm.maple_tree import mas_store
from pagerace.mm.mm_types import (
    Thp,
    Vma,
    mm_struct,
    mms,
    pfn_to_page,
    pmd_t,
    vm_area_struct,
)
from pagerace.mm.mman import VM_DONTCOPY, VM_LOCKED, VM_SHARED, VM_WIPEONFORK
from pagerace.mm.mmap import find_vma
from pagerace.mm.mmap_lock import mmap_write_lock, mmap_write_unlock
from pagerace.mm.munmap import task_size
from pagerace.mm.pgalloc import pgd_alloc, pgd_free, pmd_alloc_at, pte_alloc
from pagerace.mm.pgtable import find_pte_table, ptep_set_wrprotect
from pagerace.mm.pgtable_generic import (
    mapped_pte,
    pte_added,
    pte_map,
    pte_maps,
    pte_offset_map_lock,
    pte_offset_map_rw_nolock,
    pte_unmap,
    pte_unmap_unlock,
    second_pte_maps,
)
from pagerace.mm.pgtable_levels import init_table_locks, pmd_addr_end
from pagerace.mm.pte_refcount import put_new_table
from pagerace.mm.rmap_large import folio_add_rmap_pte
from pagerace.mm.rwsem import init_rwsem
from pagerace.mm.spinlock import spin_lock_init, spin_lock_nested, spin_unlock_nested
from pagerace.mm.swap import get_page
from pagerace.mm.table_walk import table_entries_are_counted, tables_are_locked
from pagerace.mm.tlb import flush_tlb_mm_range
from pagerace.mm.vma import get_file, vm_area_dup, vma_link_file


def mm_alloc() -> mm_struct | None:
    """mm_alloc() with mm_init(): an address space with nothing in it, or None."""
    mm = mms.alloc()
    if mm is not None:
        with atomic():  # nobody else knows it yet
            init_rwsem(mm.mmap_lock, LockClass.MMAP_LOCK)
            mm.map_count = 0
            mm.cpu_bitmap = 0
            mm.start_brk = 0
            mm.brk = 0
            mm.mmap_base = task_size()
            mm.pgd = None
            spin_lock_init(mm.page_table_lock, LockClass.PMD_LOCK)
            init_table_locks(mm)
        pgd = pgd_alloc(mm)
        if pgd is None:
            mms.free(mm)
            return None
        mm.pgd = pgd
    return mm


def mmput(mm: mm_struct) -> None:
    """mmput(): its last user is gone."""
    exit_mmap(mm)
    pgd = mm.pgd
    if pgd is not None:
        pgd_free(mm, pgd)
    mm.pgd = None
    mms.free(mm)


def dup_mm(oldmm: mm_struct) -> mm_struct | None:
    """dup_mm(): a copy of an address space, or None."""
    mm = mm_alloc()
    if mm is None:
        return None
    mm.start_brk = oldmm.start_brk
    mm.brk = oldmm.brk
    mm.mmap_base = oldmm.mmap_base
    if dup_mmap(mm, oldmm) != 0:
        mmput(mm)
        return None
    return mm


def dup_mmap(mm: mm_struct | None, oldmm: mm_struct) -> s64:
    """dup_mmap() of mm/mmap.c: all mappings of ``oldmm``; 0 or -ENOMEM.

    The parent's stores are stopped by the flush at the end, which is before anybody runs on
    the child's tables.  Without Vma.flags there is no child, and one VMA, which begins at 0.
    """
    mmap_write_lock(oldmm)
    error: s64 = 0
    if Vma.flags:
        if mm is not None:
            for slot in range(oldmm.map_count):
                vma = oldmm.mm_mt[slot]
                if vma is not None and error == 0 and vma.vm_flags & VM_DONTCOPY == 0:
                    error = dup_vma(mm, vma)
            flush_tlb_mm_range(oldmm, 0, task_size())
    else:
        mapped = find_vma(oldmm, 0)
        if mapped is not None:
            copy_page_range(None, mapped)
            flush_tlb_mm_range(oldmm, mapped.vm_start, mapped.vm_end)
    mmap_write_unlock(oldmm)
    return error


def dup_vma(mm: mm_struct, mpnt: vm_area_struct) -> s64:
    """The body of the loop of dup_mmap(): one mapping more of the child."""
    tmp = vm_area_dup(mpnt)
    if tmp is None:
        return -ENOMEM
    tmp.vm_mm = mm
    tmp.vm_flags &= u32(~VM_LOCKED)
    get_file(tmp.vm_file)
    wiped = tmp.vm_flags & VM_WIPEONFORK != 0
    if wiped:
        tmp.anon_vma = None
    forked = wiped or anon_vma_fork(tmp, mpnt)
    mas_store(mm, tmp)
    vma_link_file(tmp)
    if not forked:
        return -ENOMEM
    if not wiped:
        return copy_page_range(tmp, mpnt)
    return 0


def vma_needs_copy(src_vma: vm_area_struct) -> bool:
    """vma_needs_copy() of mm/memory.c: faults bring all pages again that are the file's."""
    return src_vma.anon_vma is not None


def copy_page_range(dst_vma: vm_area_struct | None, src_vma: vm_area_struct) -> s64:
    """copy_page_range() of mm/memory.c; 0 or -ENOMEM."""
    if Vma.flags and not vma_needs_copy(src_vma):
        return 0
    addr = src_vma.vm_start
    while addr != src_vma.vm_end:
        next = pmd_addr_end(addr, src_vma.vm_end)
        pmd = find_pte_table(src_vma.vm_mm, addr)
        error: s64 = 0
        if pmd is not None:
            error = copy_pmd_entry(dst_vma, src_vma, pmd, addr, next)
            if table_entries_are_counted() and dst_vma is not None:
                put_new_table(dst_vma.vm_mm, addr)
        if (tables_are_locked() or table_entries_are_counted()) and error == -EAGAIN:
            continue
        if error != 0:
            return error
        addr = next
    return 0


def copy_pmd_entry(
    dst_vma: vm_area_struct | None,
    src_vma: vm_area_struct,
    src_pmd: pmd_t,
    addr: ulong,
    next: ulong,
) -> s64:
    """The loop of copy_pmd_range(): what one PMD entry covers; 0 or -ENOMEM."""
    if Thp.anonymous and dst_vma is not None and pmd_trans_huge(pmdp_get(src_pmd)):
        mm = dst_vma.vm_mm
        dst_pmd = pmd_alloc_at(mm, addr)
        if dst_pmd is None:
            return -ENOMEM
        error = copy_huge_pmd(mm, src_vma.vm_mm, dst_pmd, src_pmd, addr, dst_vma)
        if error != -EAGAIN:
            return error
    return copy_pte_range(dst_vma, src_vma, src_pmd, addr, next)


def copy_pte_range(
    dst_vma: vm_area_struct | None,
    src_vma: vm_area_struct,
    src_pmd: pmd_t,
    start: ulong,
    end: ulong,
) -> s64:
    """copy_pte_range() of mm/memory.c: of two tables, both of which are locked."""
    dst_pmd = src_pmd
    if Vma.flags and dst_vma is not None:
        allocated = pmd_alloc_at(dst_vma.vm_mm, start)
        if allocated is None or pte_alloc(dst_vma.vm_mm, allocated):
            return -ENOMEM
        dst_pmd = allocated
    dst = pte_maps.current
    src = dst
    if pte_offset_map_lock(src_vma.vm_mm, dst_pmd, start, dst) is None:
        return -ENOMEM
    if Vma.flags:
        src = second_pte_maps.current
        # The source cannot change: mmap_lock is held for writing, and no rmap walk writes.
        src.nowait = True  # a PTL is held
        if pte_offset_map_rw_nolock(src_vma.vm_mm, src_pmd, start, src) is None:
            pte_unmap_unlock(dst)
            return -EAGAIN if tables_are_locked() or table_entries_are_counted() else 0
        spin_lock_nested(src.ptl, LockClass.PAGE_TABLE_LOCK_NESTED)
    for addr in range(start, end, PAGE_SIZE):
        pte = mapped_pte(src, addr)
        if pte_present(ptep_get(pte)):
            copy_present_pte(dst_vma, src_vma, addr, dst, pte)
    if Vma.flags:
        spin_unlock_nested(src.ptl, LockClass.PAGE_TABLE_LOCK_NESTED)
    pte_unmap_unlock(dst)
    if Vma.flags:
        pte_unmap(src)
    return 0


def copy_present_pte(
    dst_vma: vm_area_struct | None,
    src_vma: vm_area_struct,
    addr: ulong,
    dst: pte_map,
    src_pte: pte_slot,
) -> None:
    """copy_present_pte() of mm/memory.c: the parent may not write any more either.

    The page is not exclusive to anybody from here on.  No page is pinned.
    """
    if Vma.flags and dst_vma is not None:
        pte = ptep_get(src_pte)
        if not is_zero_pte(pte):
            page = pfn_to_page(pte_pfn(pte))
            get_page(page)
            if PageAnon(page):
                page.PG_anon_exclusive = False  # folio_try_dup_anon_rmap_pte()
            folio_add_rmap_pte(page, dst_vma)
        if is_cow_mapping(src_vma) and pte_write(pte):
            ptep_set_wrprotect(src_vma.vm_mm, addr, src_pte)
            pte = pte_wrprotect(pte)
        if src_vma.vm_flags & VM_SHARED != 0:
            pte = pte_mkclean(pte)
        pte_added(dst)
        set_pte(mapped_pte(dst, addr), pte_mkold(pte))
    elif pte_write(ptep_get(src_pte)):
        ptep_set_wrprotect(src_vma.vm_mm, addr, src_pte)
