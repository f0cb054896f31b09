"""Advice about memory: mm/madvise.c."""

from __future__ import annotations

from pagerace.lang import Config, s64, u32
from pagerace.machine.memory import PAGE_SIZE, ulong
from pagerace.machine.pgtable import (
    pte_dirty,
    pte_mkclean,
    pte_mkold,
    pte_pfn,
    pte_present,
    pte_young,
    ptep_get,
    set_pte,
)
from pagerace.machine.tables import pmd_trans_huge, pmdp_get
from pagerace.mm.anon import is_zero_pte, vma_is_anonymous
from pagerace.mm.errno import EAGAIN, EINVAL, ENOMEM
from pagerace.mm.huge_anon import madvise_free_huge_pmd
from pagerace.mm.huge_split import split_anonymous_folio
from pagerace.mm.madvise_cold import madvise_cold, madvise_pageout
from pagerace.mm.maple_tree import mas_find
from pagerace.mm.memory import ZAP_FLAG_FORCE_FLUSH, details_of, zap_page_range_single
from pagerace.mm.mm_types import (
    Thp,
    folio,
    folio_nr_pages,
    mm_struct,
    page_folio,
    page_to_pfn,
    pfn_to_page,
    pmd_t,
    vm_area_struct,
    vm_flags_t,
)
from pagerace.mm.mman import (
    MADV_COLD,
    MADV_DOFORK,
    MADV_DONTFORK,
    MADV_DONTNEED,
    MADV_FREE,
    MADV_HUGEPAGE,
    MADV_KEEPONFORK,
    MADV_NOHUGEPAGE,
    MADV_NORMAL,
    MADV_PAGEOUT,
    MADV_POPULATE_READ,
    MADV_POPULATE_WRITE,
    MADV_RANDOM,
    MADV_SEQUENTIAL,
    MADV_WILLNEED,
    MADV_WIPEONFORK,
    VM_DONTCOPY,
    VM_HUGEPAGE,
    VM_LOCKED,
    VM_NOHUGEPAGE,
    VM_RAND_READ,
    VM_SEQ_READ,
    VM_SHARED,
    VM_WIPEONFORK,
)
from pagerace.mm.mmap import find_vma
from pagerace.mm.mmap_lock import (
    mmap_read_lock,
    mmap_read_unlock,
    mmap_write_lock,
    mmap_write_unlock,
)
from pagerace.mm.mmu_gather import (
    gathers,
    mmu_gather,
    tlb_finish_mmu,
    tlb_gather_mmu,
    tlb_remove_tlb_entry,
)
from pagerace.mm.munmap import task_size
from pagerace.mm.page_flags import (
    folio_get,
    folio_mapcount,
    folio_test_dirty,
    folio_test_large,
)
from pagerace.mm.pagemap import folio_trylock, folio_unlock
from pagerace.mm.pgtable import find_pte_table, pte_entry, ptep_get_and_clear_full
from pagerace.mm.pgtable_generic import (
    mapped_pte,
    pte_maps,
    pte_offset_map_lock,
    pte_unmap_unlock,
)
from pagerace.mm.pgtable_levels import pmd_addr_end
from pagerace.mm.populate import madvise_populate
from pagerace.mm.pt_reclaim import reclaims_in_zap
from pagerace.mm.rmap_large import folio_maybe_mapped_shared
from pagerace.mm.swap import folio_put
from pagerace.mm.table_scan import scan_empty_tables, scans_for_tables
from pagerace.mm.vma import vma_modify_flags

# Sets of advice: what is done once, what faults pages in, what the VMA keeps.
ADVICE_AT_ONCE = (
    1 << MADV_WILLNEED | 1 << MADV_DONTNEED | 1 << MADV_FREE
    | 1 << MADV_COLD | 1 << MADV_PAGEOUT
)  # fmt: skip
ADVICE_TO_POPULATE = 1 << MADV_POPULATE_READ | 1 << MADV_POPULATE_WRITE
ADVICE_KEPT = (
    1 << MADV_NORMAL | 1 << MADV_RANDOM | 1 << MADV_SEQUENTIAL
    | 1 << MADV_DONTFORK | 1 << MADV_DOFORK | 1 << MADV_WIPEONFORK | 1 << MADV_KEEPONFORK
    | 1 << MADV_HUGEPAGE | 1 << MADV_NOHUGEPAGE
)  # fmt: skip


class Madvise(Config):
    """``force_flush``: MADV_DONTNEED always flushes before it drops the PTL.

    Peter Zijlstra's proposal of October 2022; no kernel does it.
    """

    force_flush: bool = False


def madvise_dontneed(mm: mm_struct, start: ulong) -> None:
    """madvise(MADV_DONTNEED) of the one whole VMA that begins at ``start``.

    Faults go on meanwhile, and what is touched again comes back from the page cache.
    """
    mmap_read_lock(mm)
    vma = find_vma(mm, start)
    if vma is not None:
        madvise_dontneed_single_vma(vma)
    mmap_read_unlock(mm)
    if scans_for_tables():
        scan_empty_tables(mm, start, start + 1)


def madvise_dontneed_single_vma(vma: vm_area_struct) -> None:
    """madvise_dontneed_single_vma()."""
    details = details_of.current
    details.zap_flags = ZAP_FLAG_FORCE_FLUSH if Madvise.force_flush else 0
    details.reclaim_pt = reclaims_in_zap()
    zap_page_range_single(vma, vma.vm_start, vma.vm_end - vma.vm_start, details)


def do_madvise(mm: mm_struct, start: ulong, len: ulong, behavior: u32) -> s64:
    """do_madvise(), with Vma.flags: 0; -EINVAL; -ENOMEM where something is not mapped.

    What is mapped behind a hole gets the advice all the same.
    """
    if not madvise_behavior_valid(behavior):
        return -EINVAL
    end = start + len
    if end < start or end > task_size():
        return -EINVAL
    if end == start:
        return 0
    if u32(1) << behavior & ADVICE_TO_POPULATE != 0:
        return madvise_populate(mm, start, end, behavior == MADV_POPULATE_WRITE)
    changes = madvise_changes_flags(behavior)
    if changes:
        mmap_write_lock(mm)
    else:
        mmap_read_lock(mm)
    error = madvise_walk_vmas(mm, start, end, behavior)
    if changes:
        mmap_write_unlock(mm)
    else:
        mmap_read_unlock(mm)
    if behavior == MADV_DONTNEED and scans_for_tables():
        scan_empty_tables(mm, start, end)
    return error


def madvise_behavior_valid(behavior: u32) -> bool:
    """madvise_behavior_valid(), of what is known here."""
    return u32(1) << behavior & (ADVICE_AT_ONCE | ADVICE_TO_POPULATE | ADVICE_KEPT) != 0


def madvise_changes_flags(behavior: u32) -> bool:
    """get_lock_mode(): is the advice one that the VMA keeps?"""
    return u32(1) << behavior & ADVICE_KEPT != 0


def madvise_walk_vmas(mm: mm_struct, start: ulong, end: ulong, behavior: u32) -> s64:
    """madvise_walk_vmas(): VMA by VMA; -ENOMEM at the end, if there was a hole."""
    unmapped_error: s64 = 0
    addr = start
    while addr < end:
        vma = mas_find(mm, addr)
        if vma is None or vma.vm_start >= end:
            return -ENOMEM
        if addr < vma.vm_start:
            unmapped_error = -ENOMEM
            addr = vma.vm_start
        behind = min(vma.vm_end, end)
        error = madvise_vma_behavior(vma, addr, behind, behavior)
        if error != 0:
            return error
        addr = behind
    return unmapped_error


def madvise_vma_behavior(
    vma: vm_area_struct, start: ulong, end: ulong, behavior: u32
) -> s64:
    """madvise_vma_behavior(): the advice for a part of one VMA."""
    if behavior == MADV_WILLNEED:
        return 0
    if behavior == MADV_DONTNEED:
        if vma.vm_flags & VM_LOCKED != 0:
            return -EINVAL
        if reclaims_in_zap():
            details_of.current.reclaim_pt = True
            zap_page_range_single(vma, start, end - start, details_of.current)
        else:
            zap_page_range_single(vma, start, end - start, None)
        return 0
    if behavior == MADV_FREE:
        if vma.vm_flags & VM_LOCKED != 0 or not vma_is_anonymous(vma):
            return -EINVAL
        madvise_free_single_vma(vma, start, end)
        return 0
    if behavior == MADV_COLD:
        return madvise_cold(vma, start, end)
    if behavior == MADV_PAGEOUT:
        return madvise_pageout(vma, start, end)
    if behavior == MADV_WIPEONFORK:
        if vma.vm_file is not None or vma.vm_flags & VM_SHARED != 0:
            return -EINVAL
    new_flags = flags_with_advice(vma.vm_flags, behavior)
    return madvise_update_vma(vma, start, end, new_flags)


def flags_with_advice(flags: vm_flags_t, behavior: u32) -> vm_flags_t:
    """The switch of madvise_vma_behavior(), with hugepage_madvise()."""
    if behavior == MADV_NORMAL:
        return flags & u32(~(VM_RAND_READ | VM_SEQ_READ))
    if behavior == MADV_RANDOM:
        return flags & u32(~VM_SEQ_READ) | VM_RAND_READ
    if behavior == MADV_SEQUENTIAL:
        return flags & u32(~VM_RAND_READ) | VM_SEQ_READ
    if behavior == MADV_DONTFORK:
        return flags | VM_DONTCOPY
    if behavior == MADV_DOFORK:
        return flags & u32(~VM_DONTCOPY)
    if behavior == MADV_WIPEONFORK:
        return flags | VM_WIPEONFORK
    if behavior == MADV_KEEPONFORK:
        return flags & u32(~VM_WIPEONFORK)
    if behavior == MADV_HUGEPAGE:
        return flags & u32(~VM_NOHUGEPAGE) | VM_HUGEPAGE
    return flags & u32(~VM_HUGEPAGE) | VM_NOHUGEPAGE


def madvise_update_vma(
    vma: vm_area_struct, start: ulong, end: ulong, new_flags: vm_flags_t
) -> s64:
    """madvise_update_vma(): other flags for a part of one VMA; 0 or -ENOMEM."""
    if new_flags == vma.vm_flags:
        return 0
    modified = vma_modify_flags(vma, start, end, new_flags)
    if modified is None:
        return -EAGAIN  # madvise_vma_behavior(): -ENOMEM would be a hole
    modified.vm_flags = new_flags
    return 0


def madvise_free_single_vma(vma: vm_area_struct, start: ulong, end: ulong) -> None:
    """madvise_free_single_vma(): what is not stored to again may be taken away."""
    tlb = gathers.current
    tlb_gather_mmu(tlb, vma.vm_mm)
    addr = start
    while addr != end:
        next = pmd_addr_end(addr, end)
        pmd = find_pte_table(vma.vm_mm, addr)
        if pmd is not None:
            madvise_free_pte_range(tlb, vma, pmd, addr, next)
        addr = next
    tlb_finish_mmu(tlb)


def madvise_free_pte_range(
    tlb: mmu_gather, vma: vm_area_struct, pmd: pmd_t, start: ulong, end: ulong
) -> None:
    """madvise_free_pte_range(): clean and old, so that a store is seen.

    A dirty page that others have, too, stays as it is.
    """
    if Thp.anonymous:
        if pmd_trans_huge(pmdp_get(pmd)) and madvise_free_huge_pmd(tlb, vma, pmd, start, end):
            return
        if pmd_trans_huge(pmdp_get(pmd)):
            return
        split_folios_of_range(pmd, start, end)
    map = pte_maps.current
    if pte_offset_map_lock(tlb.mm, pmd, start, map) is None:
        return
    for addr in range(start, end, PAGE_SIZE):
        ptep = mapped_pte(map, addr)
        ptent = ptep_get(ptep)
        if pte_present(ptent) and not is_zero_pte(ptent):
            page = page_folio(pfn_to_page(pte_pfn(ptent)))
            if may_free_lazily(page):
                page.PG_dirty = False
                if pte_young(ptent) or pte_dirty(ptent):
                    ptent = ptep_get_and_clear_full(tlb.mm, addr, ptep, tlb.fullmm)
                    set_pte(ptep, pte_mkold(pte_mkclean(ptent)))
                    tlb_remove_tlb_entry(tlb, addr)
    pte_unmap_unlock(map)


def may_free_lazily(folio: folio) -> bool:
    """The tests of madvise_free_pte_range(): nobody else has it, or it is clean already.

    A folio of several pages was split, if the range has not all of it or others have it not.
    """
    if Thp.anonymous and folio_test_large(folio):
        if folio_maybe_mapped_shared(folio):
            return False
        return not folio_test_dirty(folio) or folio_mapcount(folio) == folio_nr_pages(folio)
    return folio_mapcount(folio) == 1 or not folio_test_dirty(folio)


def split_folios_of_range(pmd: pmd_t, start: ulong, end: ulong) -> None:
    """madvise_free_pte_range(), of large folios of which the range has a part: they are split.

    What others map, too, stays as it is.  The kernel drops the PTL for each.
    """
    addr = start
    while addr != end:
        ptent = ptep_get(pte_entry(pmd, addr))
        addr += PAGE_SIZE
        if pte_present(ptent) and not is_zero_pte(ptent):
            page = pfn_to_page(pte_pfn(ptent))
            folio = page_folio(page)
            if folio_test_large(folio) and not folio_maybe_mapped_shared(folio):
                if madvise_folio_pte_batch(pmd, addr - PAGE_SIZE, end, folio):
                    addr += folio_nr_pages(folio) - PAGE_SIZE
                elif folio_trylock(folio):
                    folio_get(folio)
                    split_anonymous_folio(folio)
                    folio_unlock(folio)
                    folio_put(folio)


def madvise_folio_pte_batch(pmd: pmd_t, addr: ulong, end: ulong, folio: folio) -> bool:
    """madvise_folio_pte_batch(): do PTEs from here on, up to ``end``, map all of the folio?"""
    nr = folio_nr_pages(folio)
    if addr + nr > end:
        return False
    for n in range(nr):
        ptent = ptep_get(pte_entry(pmd, addr + n))
        if not pte_present(ptent) or pte_pfn(ptent) != page_to_pfn(folio) + n:
            return False
    return True
