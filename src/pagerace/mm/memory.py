"""Zapping pages and serving faults: mm/memory.c."""
# pyright: strict, reportPrivateUsage=false, reportUnusedFunction=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import Struct, per_thread, u1
from pagerace.machine.memory import PAGE_SIZE, ulong
from pagerace.machine.pgtable import (
    pfn_pte,
    pte_dirty,
    pte_mkdirty,
    pte_mkwrite,
    pte_mkyoung,
    pte_none,
    pte_pfn,
    pte_present,
    pte_same,
    pte_t,
    pte_write,
    ptep_get,
    set_pte,
)
from pagerace.machine.tables import PteTables
from pagerace.mm.anon import (
    PageAnon,
    do_anonymous_page,
    is_zero_pte,
    vma_is_anonymous,
)
from pagerace.mm.cow import do_wp_private, vma_is_private, wp_page_copy, wp_page_reuse
from pagerace.mm.filemap import filemap_fault, filemap_page_mkwrite
from pagerace.mm.mm_inline import FlushPending, mm_tlb_flush_pending
from pagerace.mm.mm_types import (
    FAULT_FLAG_WRITE,
    VM_FAULT_LOCKED,
    VM_FAULT_NOPAGE,
    folio,
    page_to_pfn,
    pfn_to_page,
    pmd_t,
    vm_area_struct,
    vm_fault,
    vm_fault_t,
)
from pagerace.mm.mmu_gather import (
    MmuGather,
    __tlb_remove_page,
    gathers,
    mmu_gather,
    tlb_delay_rmap,
    tlb_finish_mmu,
    tlb_flush_mmu,
    tlb_flush_mmu_tlbonly,
    tlb_flush_rmaps,
    tlb_gather_mmu,
    tlb_note_table,
    tlb_remove_tlb_entry,
    zap_forces_flush,
)
from pagerace.mm.notes import note_break, note_cleared, note_flushed
from pagerace.mm.page_writeback import set_page_dirty
from pagerace.mm.pagemap import unlock_page
from pagerace.mm.pgalloc import pmd_alloc_at, pte_alloc
from pagerace.mm.pgtable import (
    find_pte_table,
    mm_find_pmd,
    pte_lockptr,
    pte_offset_map,
    pte_offset_map_lock,
    pte_unmap_unlock,
    ptep_get_and_clear_full,
    ptep_set_access_flags,
)
from pagerace.mm.pgtable_levels import pmd_addr_end
from pagerace.mm.rmap import page_add_file_rmap, page_remove_rmap
from pagerace.mm.sched import cond_resched, need_resched
from pagerace.mm.spinlock import spin_lock
from pagerace.mm.swap import get_page, put_page
from pagerace.mm.tlb import flush_tlb_page

ZAP_FLAG_FORCE_FLUSH = 1


class zap_details(Struct):
    """struct zap_details of include/linux/mm.h: what the caller of a zap asks for.

    ``zap_flags``: ZAP_FLAG_FORCE_FLUSH, which Peter Zijlstra proposed in October 2022,
    flushes whatever was cleared before the PTL is dropped, also if nothing was dirty.
    """

    zap_flags: u1


details_of = per_thread(zap_details)


def vm_normal_page(vma: vm_area_struct, addr: ulong, pte: pte_t) -> folio:
    """vm_normal_page(): the page of a PTE; every page has a struct page here."""
    return pfn_to_page(pte_pfn(pte))


def unmap_vmas(tlb: mmu_gather, vma: vm_area_struct, start: ulong, end: ulong) -> None:
    """unmap_vmas(), of one VMA, with no wishes."""
    unmap_page_range(tlb, vma, start, end, None)


def unmap_page_range(
    tlb: mmu_gather,
    vma: vm_area_struct,
    addr: ulong,
    end: ulong,
    details: zap_details | None,
) -> None:
    """unmap_page_range() down to zap_pmd_range(): one PMD entry after the other."""
    while addr != end:
        next = pmd_addr_end(addr, end)
        pmd = find_pte_table(tlb.mm, addr)
        if pmd is not None:
            zap_pte_range(tlb, vma, pmd, addr, next, details)
        addr = next


def zap_page_range_single(
    vma: vm_area_struct, address: ulong, size: ulong, details: zap_details | None
) -> None:
    """zap_page_range_single(): drop what a part of a VMA maps; the VMA stays."""
    tlb = gathers.current
    tlb_gather_mmu(tlb, vma.vm_mm)
    unmap_page_range(tlb, vma, address, address + size, details)
    tlb_finish_mmu(tlb)


def zap_force_flush(details: zap_details | None) -> bool:
    """Does the caller want the flush under the PTL, whatever was zapped?"""
    return details is not None and details.zap_flags & ZAP_FLAG_FORCE_FLUSH != 0


def zap_pte_range(
    tlb: mmu_gather,
    vma: vm_area_struct,
    pmd: pmd_t,
    start: ulong,
    end: ulong,
    details: zap_details | None,
) -> None:
    """zap_pte_range(): clear the PTEs from ``start`` to ``end`` - 1.

    The two moments that matter for a dirty file page are those of set_page_dirty() and
    of the TLB flush: both come before the PTL is dropped, and the rmap goes later.

    Linux kernel commit 1cf35d47712d ("mm: split 'tlb_flush_mmu()' into tlb flushing and
    memory freeing parts") (in v3.15) and commit 5df397dec7c4 ("mm: delay
    page_remove_rmap() until after the TLB has been flushed") (in v6.2).
    """
    mm = tlb.mm
    ptl = pte_lockptr(mm, pmd)
    addr = start
    while addr != end:
        force_flush = False
        start = addr
        start_pte = pte_offset_map_lock(mm, pmd, addr, ptl)
        while addr != end:
            pte = pte_offset_map(pmd, addr)
            ptent = ptep_get(pte)
            if pte_none(ptent):
                addr += PAGE_SIZE
                continue
            if need_resched():
                break
            page = vm_normal_page(vma, addr, ptent)
            ptent = ptep_get_and_clear_full(mm, addr, pte, tlb.fullmm)
            tlb_remove_tlb_entry(tlb, addr)
            tlb_note_table(tlb, pmd)
            note_cleared(addr)
            addr += PAGE_SIZE
            if zap_force_flush(details):
                force_flush = True
            if is_zero_pte(ptent):
                continue
            delay_rmap = False
            dirty = False
            if pte_dirty(ptent) and not PageAnon(page):
                if MmuGather.dirty_in_gather:
                    dirty = True
                    delay_rmap = MmuGather.delay_rmap
                else:
                    set_page_dirty(page)
                    delay_rmap = tlb_delay_rmap(tlb)
                    if zap_forces_flush(delay_rmap):
                        force_flush = True
            if not delay_rmap:
                page_remove_rmap(page, vma)
            if __tlb_remove_page(tlb, page, delay_rmap, dirty):
                force_flush = True
                break
        if not MmuGather.flush_under_ptl:
            pte_unmap_unlock(start_pte, ptl)
        if force_flush:
            tlb_flush_mmu_tlbonly(tlb)
            tlb_flush_rmaps(tlb, vma)
        if MmuGather.flush_under_ptl:
            pte_unmap_unlock(start_pte, ptl)
        if force_flush:
            tlb_flush_mmu(tlb)
        if addr != end:
            note_break(addr, start)
            cond_resched()


def handle_mm_fault(vmf: vm_fault) -> vm_fault_t:
    """handle_mm_fault() and __handle_mm_fault(): the tables of all levels are there."""
    pmd = mm_find_pmd(vmf.vma.vm_mm, vmf.address)
    if PteTables.come_and_go:
        pmd = pmd_alloc_at(vmf.vma.vm_mm, vmf.address)
        if pmd is None or pte_alloc(vmf.vma.vm_mm, pmd):
            return 0
    assert pmd is not None, "no page table is ever missing"
    vmf.pmd = pmd
    return handle_pte_fault(vmf)


def handle_pte_fault(vmf: vm_fault) -> vm_fault_t:
    """handle_pte_fault(): nothing is swapped out.

    The PTE is read without a lock, and looked at again under the PTL.
    """
    vmf.pte = pte_offset_map(vmf.pmd, vmf.address)
    vmf.orig_pte = ptep_get(vmf.pte)
    if not pte_present(vmf.orig_pte):
        if vma_is_anonymous(vmf.vma):
            return do_anonymous_page(vmf)
        return do_fault(vmf)
    ptl = pte_lockptr(vmf.vma.vm_mm, vmf.pmd)
    spin_lock(ptl)
    if pte_same(ptep_get(vmf.pte), vmf.orig_pte):
        entry = pte_mkyoung(vmf.orig_pte)
        if is_write(vmf):
            if not pte_write(vmf.orig_pte):
                return do_wp_page(vmf)
            entry = pte_mkdirty(entry)
        ptep_set_access_flags(vmf.vma, vmf.address, vmf.pte, entry, is_write(vmf))
    pte_unmap_unlock(vmf.pte, ptl)
    return 0


def is_write(vmf: vm_fault) -> bool:
    """``vmf->flags & FAULT_FLAG_WRITE``."""
    return vmf.flags & FAULT_FLAG_WRITE != 0


def do_fault(vmf: vm_fault) -> vm_fault_t:
    """do_fault(): no PTE, file mapping; all mappings are shared."""
    if not is_write(vmf):
        return do_read_fault(vmf)
    return do_shared_fault(vmf)


def do_read_fault(vmf: vm_fault) -> vm_fault_t:
    """do_read_fault(): bring the page and map it read-only, without its neighbours."""
    ret = __do_fault(vmf)
    if ret != VM_FAULT_LOCKED:
        return ret
    ret = finish_fault(vmf)
    unlock_page(vmf.page)
    if ret == VM_FAULT_NOPAGE:
        put_page(vmf.page)
    return ret


def do_shared_fault(vmf: vm_fault) -> vm_fault_t:
    """do_shared_fault(): bring the page, tell the file system, map it writable."""
    ret = __do_fault(vmf)
    if ret != VM_FAULT_LOCKED:
        return ret
    unlock_page(vmf.page)
    ret = do_page_mkwrite(vmf)
    if ret == VM_FAULT_NOPAGE:
        put_page(vmf.page)
        return ret
    ret = finish_fault(vmf)
    if ret == VM_FAULT_NOPAGE:
        unlock_page(vmf.page)
        put_page(vmf.page)
        return ret
    fault_dirty_shared_page(vmf)
    return ret


def __do_fault(vmf: vm_fault) -> vm_fault_t:
    """__do_fault(): ->fault() gives the page, locked and with a reference."""
    return filemap_fault(vmf)


def finish_fault(vmf: vm_fault) -> vm_fault_t:
    """finish_fault(): map the page unless somebody else has mapped something."""
    ptl = pte_lockptr(vmf.vma.vm_mm, vmf.pmd)
    vmf.pte = pte_offset_map_lock(vmf.vma.vm_mm, vmf.pmd, vmf.address, ptl)
    ret: vm_fault_t = VM_FAULT_NOPAGE
    if pte_none(ptep_get(vmf.pte)):
        if FlushPending.fault and mm_tlb_flush_pending(vmf.vma.vm_mm):
            flush_tlb_page(vmf.vma, vmf.address)
            note_flushed(vmf.address, vmf.address + PAGE_SIZE)
        do_set_pte(vmf, vmf.page, vmf.address)
        ret = 0
    pte_unmap_unlock(vmf.pte, ptl)
    return ret


def do_set_pte(vmf: vm_fault, page: folio, addr: ulong) -> None:
    """do_set_pte(): the mapping takes the page's reference over."""
    entry = pte_mkyoung(pfn_pte(page_to_pfn(page), False))
    if is_write(vmf):
        entry = pte_mkwrite(pte_mkdirty(entry))
    page_add_file_rmap(page, vmf.vma)
    set_pte(vmf.pte, entry)


def do_wp_page(vmf: vm_fault) -> vm_fault_t:
    """do_wp_page(): a write to a read-only PTE; PTL held, dropped on the way."""
    if vma_is_private(vmf.vma):
        return do_wp_private(vmf)
    if vma_is_anonymous(vmf.vma):
        return wp_page_copy(vmf, None)
    vmf.page = vm_normal_page(vmf.vma, vmf.address, vmf.orig_pte)
    return wp_page_shared(vmf)


def wp_page_shared(vmf: vm_fault) -> vm_fault_t:
    """wp_page_shared(): the file system has to know before the page is written to."""
    get_page(vmf.page)
    pte_unmap_unlock(vmf.pte, pte_lockptr(vmf.vma.vm_mm, vmf.pmd))
    ret = do_page_mkwrite(vmf)
    if ret != VM_FAULT_NOPAGE:
        ret = finish_mkwrite_fault(vmf)
        if ret == VM_FAULT_NOPAGE:
            unlock_page(vmf.page)
        else:
            fault_dirty_shared_page(vmf)
    put_page(vmf.page)
    return ret


def do_page_mkwrite(vmf: vm_fault) -> vm_fault_t:
    """do_page_mkwrite(): calls ->page_mkwrite(), which leaves the page locked."""
    return filemap_page_mkwrite(vmf)


def finish_mkwrite_fault(vmf: vm_fault) -> vm_fault_t:
    """finish_mkwrite_fault(): make the PTE writable unless it changed meanwhile."""
    ptl = pte_lockptr(vmf.vma.vm_mm, vmf.pmd)
    pte = pte_offset_map_lock(vmf.vma.vm_mm, vmf.pmd, vmf.address, ptl)
    if not pte_same(ptep_get(pte), vmf.orig_pte):
        pte_unmap_unlock(pte, ptl)
        return VM_FAULT_NOPAGE
    wp_page_reuse(vmf)
    return 0


def fault_dirty_shared_page(vmf: vm_fault) -> None:
    """fault_dirty_shared_page(): dirty once more, still locked, then unlock."""
    set_page_dirty(vmf.page)
    unlock_page(vmf.page)
