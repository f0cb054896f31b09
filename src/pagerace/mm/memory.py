"""Zapping pages and serving faults: mm/memory.c."""
# pyright: strict, reportPrivateUsage=false, reportUnusedFunction=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import Struct, per_thread, u1
from pagerace.machine.counters import Counting, counters
from pagerace.machine.memory import PAGE_SIZE, Machine, ulong
from pagerace.machine.pgtable import (
    pte_dirty,
    pte_mkdirty,
    pte_mkyoung,
    pte_none,
    pte_pfn,
    pte_present,
    pte_same,
    pte_t,
    pte_write,
    ptep_get,
)
from pagerace.machine.tables import (
    PteTables,
    pmd_mkdirty,
    pmd_mkyoung,
    pmd_none,
    pmd_page_vaddr,
    pmd_same,
    pmd_t,
    pmd_trans_huge,
    pmd_write,
    pmdp_get,
    pmdval_t,
)
from pagerace.mm.anon import (
    PageAnon,
    do_anonymous_page,
    is_zero_pte,
    vma_is_anonymous,
)
from pagerace.mm.cow import do_wp_private, vma_is_private, wp_page_copy, wp_page_reuse
from pagerace.mm.fault_around import should_fault_around
from pagerace.mm.file_fault import do_fault, do_page_mkwrite, fault_dirty_shared_page
from pagerace.mm.huge_anon import do_huge_pmd_anonymous_page, hugepage_allowed, wp_huge_pmd
from pagerace.mm.huge_memory import __split_huge_pmd, zap_huge_pmd
from pagerace.mm.mm_types import (
    VM_FAULT_FALLBACK,
    VM_FAULT_NOPAGE,
    VM_FAULT_OOM,
    Thp,
    folio,
    linear_page_index,
    pfn_to_page,
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
from pagerace.mm.mmu_notifier import (
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
)
from pagerace.mm.notes import note_break, note_cleared
from pagerace.mm.page_writeback import set_page_dirty
from pagerace.mm.pagemap import unlock_page
from pagerace.mm.pgalloc import pmd_alloc_at
from pagerace.mm.pgtable import (
    find_pte_table,
    mm_find_pmd,
    pmd_lock,
    pmdp_set_access_flags,
    pte_lockptr,
    ptep_get_and_clear_full,
    ptep_set_access_flags,
)
from pagerace.mm.pgtable_generic import (
    mapped_pte,
    pte_maps,
    pte_offset_map_lock,
    pte_offset_map_rw_nolock,
    pte_removed,
    pte_unmap,
    pte_unmap_unlock,
)
from pagerace.mm.pgtable_levels import HPAGE_PMD_NR, pmd_addr_end
from pagerace.mm.pt_reclaim import (
    begin_reclaim,
    finish_reclaim,
    forbid_direct_reclaim,
    reclaim_directly,
)
from pagerace.mm.pte_refcount import put_new_table
from pagerace.mm.rmap import page_remove_rmap
from pagerace.mm.sched import cond_resched, need_resched
from pagerace.mm.set_pte import find_ptl, is_write, pmd_trans_unstable, pte_unmap_unlock_of
from pagerace.mm.spinlock import spin_lock, spin_unlock
from pagerace.mm.swap import get_page, put_page
from pagerace.mm.swapops import Swap, is_pte_marker, migration_entry_wait
from pagerace.mm.table_reclaim import reclaim_emptied_table
from pagerace.mm.table_walk import table_entries_are_counted, tables_vanish

ZAP_FLAG_FORCE_FLUSH = 1


class zap_details(Struct):
    """struct zap_details of include/linux/mm.h: what the caller of a zap asks for.

    ``zap_flags``: ZAP_FLAG_FORCE_FLUSH, which Peter Zijlstra proposed in October 2022,
    flushes whatever was cleared before the PTL is dropped, also if nothing was dirty.
    ``reclaim_pt``: a table that is empty afterwards may go, see mm/pt_reclaim.py.
    """

    zap_flags: u1
    reclaim_pt: bool


details_of = per_thread(zap_details)


def vm_normal_page(vma: vm_area_struct, addr: ulong, pte: pte_t) -> folio:
    """vm_normal_page(): the page of a PTE; every page has a struct page here."""
    return pfn_to_page(pte_pfn(pte))


def unmap_vmas(tlb: mmu_gather, vma: vm_area_struct, start: ulong, end: ulong) -> None:
    """unmap_vmas(), of one VMA, with no wishes."""
    mmu_notifier_invalidate_range_start(tlb.mm, start, end)
    unmap_page_range(tlb, vma, start, end, None)
    mmu_notifier_invalidate_range_end(tlb.mm, start, end)


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
        if pmd is not None and not zap_whole_huge_pmd(tlb, vma, pmd, addr, next):
            begin_reclaim(addr, next, details is not None and details.reclaim_pt)
            behind = zap_pte_range(tlb, vma, pmd, addr, next, details)
            if behind == next:
                finish_reclaim(tlb, pmd, addr)
                reclaim_emptied_table(tlb, pmd, addr)
            next = behind
        addr = next


def zap_whole_huge_pmd(
    tlb: mmu_gather, vma: vm_area_struct, pmd: pmd_t, addr: ulong, next: ulong
) -> bool:
    """What zap_pmd_range() does with an entry that has no table: True, it is done.

    pmd_none_or_trans_huge_or_clear_bad(): what comes meanwhile is not for this zap.
    """
    if Machine.huge_pages and pmd_trans_huge(pmdp_get(pmd)):
        if next - addr != HPAGE_PMD_NR():
            __split_huge_pmd(vma, pmd, addr - addr % HPAGE_PMD_NR())
        elif zap_huge_pmd(tlb, vma, pmd, addr):
            return True
    return Machine.huge_pages and pmd_trans_unstable(pmd)


def zap_page_range_single(
    vma: vm_area_struct, address: ulong, size: ulong, details: zap_details | None
) -> None:
    """zap_page_range_single(): drop what a part of a VMA maps; the VMA stays."""
    tlb = gathers.current
    tlb_gather_mmu(tlb, vma.vm_mm)
    mmu_notifier_invalidate_range_start(tlb.mm, address, address + size)
    unmap_page_range(tlb, vma, address, address + size, details)
    mmu_notifier_invalidate_range_end(tlb.mm, address, address + size)
    tlb_finish_mmu(tlb)


def zap_force_flush(details: zap_details | None) -> bool:
    """Does the caller want the flush under the PTL, whatever was zapped?"""
    return details is not None and details.zap_flags & ZAP_FLAG_FORCE_FLUSH != 0


def zap_pte_range(
    tlb: mmu_gather, vma: vm_area_struct, pmd: pmd_t,
    start: ulong, end: ulong, details: zap_details | None,
) -> ulong:  # fmt: skip
    """zap_pte_range(): clear the PTEs from ``start`` to ``end`` - 1; how far it came.

    For a dirty file page set_page_dirty() and the TLB flush come before the PTL is dropped,
    and the rmap goes later.  Linux kernel commit 1cf35d47712d (in v3.15) and commit
    5df397dec7c4 (in v6.2).
    """
    mm = tlb.mm
    map = pte_maps.current
    addr = start
    while addr != end:
        force_flush = False
        start = addr
        if pte_offset_map_lock(mm, pmd, addr, map) is None:
            return addr
        while addr != end:
            pte = mapped_pte(map, addr)
            ptent = ptep_get(pte)
            if pte_none(ptent):
                addr += PAGE_SIZE
                continue
            if need_resched():
                forbid_direct_reclaim()
                break
            page = vm_normal_page(vma, addr, ptent)
            ptent = ptep_get_and_clear_full(mm, addr, pte, tlb.fullmm)
            pte_removed(map)
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
                forbid_direct_reclaim()
                break
        if addr == end:
            reclaim_directly(mm, pmd)
        if not MmuGather.flush_under_ptl:
            pte_unmap_unlock(map)
        if force_flush:
            tlb_flush_mmu_tlbonly(tlb)
            tlb_flush_rmaps(tlb, vma)
        if MmuGather.flush_under_ptl:
            pte_unmap_unlock(map)
        if force_flush:
            tlb_flush_mmu(tlb)
        if addr != end:
            note_break(addr, start)
            cond_resched()
    return addr


def handle_mm_fault(vmf: vm_fault) -> vm_fault_t:
    """handle_mm_fault() and __handle_mm_fault(): down to the PMD entry."""
    pmd = mm_find_pmd(vmf.vma.vm_mm, vmf.address)
    if PteTables.come_and_go:
        pmd = pmd_alloc_at(vmf.vma.vm_mm, vmf.address)
    if pmd is None:
        if Counting.on:
            counters.faults_no_memory += 1
        return VM_FAULT_OOM
    vmf.pmd = pmd
    if should_fault_around():
        vmf.pgoff = linear_page_index(vmf.vma, vmf.address)
        vmf.prealloc_pte = None
        vmf.has_pte = False
    if Thp.anonymous and pmd_none(pmdp_get(pmd)) and hugepage_allowed(vmf.vma, False):
        ret = do_huge_pmd_anonymous_page(vmf)  # create_huge_pmd()
        if ret & VM_FAULT_FALLBACK == 0:
            return ret
    elif Machine.huge_pages and pmd_trans_huge(pmdp_get(pmd)):
        ret = huge_pmd_fault(vmf)
        if ret & VM_FAULT_FALLBACK == 0:
            return ret
    ret = handle_pte_fault(vmf)
    if table_entries_are_counted():
        put_new_table(vmf.vma.vm_mm, vmf.address)
    return ret


def huge_pmd_fault(vmf: vm_fault) -> vm_fault_t:
    """What __handle_mm_fault() does where a PMD entry maps a huge page.

    wp_huge_pmd() of a file that has no ->huge_fault() splits it: PTEs come in its place.
    huge_pmd_set_accessed() makes it young.  VM_FAULT_FALLBACK: there are PTEs now.
    """
    if Counting.on:
        counters.faults_huge += 1
    vma = vmf.vma
    haddr = vmf.address - vmf.address % HPAGE_PMD_NR()
    entry = pmdp_get(vmf.pmd)
    if Thp.anonymous:
        vmf.orig_pmd = entry
    if is_write(vmf) and not pmd_write(entry):
        if Thp.anonymous:
            return wp_huge_pmd(vmf)
        __split_huge_pmd(vma, vmf.pmd, haddr)
        return 0
    ptl = pmd_lock(vma.vm_mm, vmf.pmd)
    if pmd_same(entry, pmdp_get(vmf.pmd)):
        young = pmd_mkyoung(entry)
        if is_write(vmf):
            young = pmd_mkdirty(young)
        pmdp_set_access_flags(vma, haddr, vmf.pmd, young, is_write(vmf))
    spin_unlock(ptl)
    return 0


def handle_pte_fault(vmf: vm_fault) -> vm_fault_t:
    """handle_pte_fault(): the PTE is read without a lock, and looked at again under the PTL.

    0 where the table gave way to a huge page, or vanished: the access is tried again.
    """
    pmd = pmdp_get(vmf.pmd)
    if pmd_none(pmd):
        vmf.orig_pte = pte_t()
        return do_pte_missing(vmf)
    if not map_table_of_fault(vmf, pmd):
        return 0
    map = pte_maps.current
    vmf.table = map.table
    vmf.pte = mapped_pte(map, vmf.address)
    vmf.orig_pte = ptep_get(vmf.pte)
    if not pte_present(vmf.orig_pte):
        pte_unmap(map)
        if Swap.markers and not pte_none(vmf.orig_pte):
            return do_swap_page(vmf)
        return do_pte_missing(vmf)
    lock_table_of_fault(vmf)
    if pte_same(ptep_get(vmf.pte), vmf.orig_pte):
        entry = pte_mkyoung(vmf.orig_pte)
        if is_write(vmf):
            if not pte_write(vmf.orig_pte):
                return do_wp_page(vmf)
            entry = pte_mkdirty(entry)
        ptep_set_access_flags(vmf.vma, vmf.address, vmf.pte, entry, is_write(vmf))
    pte_unmap_unlock_of(vmf)
    if Counting.on:
        counters.faults_gone += 1
    return 0


def map_table_of_fault(vmf: vm_fault, pmd: pmdval_t) -> bool:
    """What handle_pte_fault() does where the PMD entry is not none: False, it has no table.

    Until v6.4 pmd_devmap_trans_unstable() and pte_offset_map(); from v6.5 on the table is
    mapped with its lock, which is not looked for again when it is taken.
    """
    map = pte_maps.current
    if tables_vanish():
        pte = pte_offset_map_rw_nolock(vmf.vma.vm_mm, vmf.pmd, vmf.address, map)
        return pte is not None
    elif pmd_trans_huge(pmd):
        return False
    else:
        map.table = pmd_page_vaddr(pmd)
        return True


def lock_table_of_fault(vmf: vm_fault) -> None:
    """``spin_lock(vmf->ptl)`` in handle_pte_fault(), which until v6.4 looks it up first."""
    map = pte_maps.current
    if not tables_vanish():
        map.ptl = pte_lockptr(vmf.vma.vm_mm, vmf.pmd)
    spin_lock(map.ptl)


def do_pte_missing(vmf: vm_fault) -> vm_fault_t:
    """do_pte_missing(): there is no entry, and perhaps no table."""
    if vma_is_anonymous(vmf.vma):
        return do_anonymous_page(vmf)
    return do_fault(vmf)


def do_swap_page(vmf: vm_fault) -> vm_fault_t:
    """do_swap_page(): nothing is swapped out, so that it is a marker, or a page that moves.

    handle_pte_marker() of a page that is poisoned: VM_FAULT_HWPOISON, and SIGBUS.
    """
    if is_pte_marker(vmf.orig_pte):
        vmf.sigbus = True
    else:
        migration_entry_wait(vmf)
    return 0


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
    find_ptl(vmf)
    pte_unmap_unlock(pte_maps.current)
    ret = do_page_mkwrite(vmf)
    if ret != VM_FAULT_NOPAGE:
        ret = finish_mkwrite_fault(vmf)
        if ret == VM_FAULT_NOPAGE:
            unlock_page(vmf.page)
        else:
            fault_dirty_shared_page(vmf)
    put_page(vmf.page)
    return ret


def finish_mkwrite_fault(vmf: vm_fault) -> vm_fault_t:
    """finish_mkwrite_fault(): make the PTE writable unless it changed meanwhile."""
    map = pte_maps.current
    find_ptl(vmf)
    pte = pte_offset_map_lock(vmf.vma.vm_mm, vmf.pmd, vmf.address, map)
    if pte is None:
        return VM_FAULT_NOPAGE
    if not pte_same(ptep_get(pte), vmf.orig_pte):
        pte_unmap_unlock(map)
        if Counting.on:
            counters.faults_gone += 1
        return VM_FAULT_NOPAGE
    if Counting.on:
        counters.faults_write_shared += 1
    wp_page_reuse(vmf)
    return 0
