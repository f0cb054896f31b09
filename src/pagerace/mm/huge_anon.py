"""Anonymous huge pages: the part of mm/huge_memory.c that has its faults and system calls.

A PMD entry maps all pages of a folio at once, and a table of PTEs is put aside for the day on
which it has to be split: when a part of it is unmapped or protected, or when a process stores
to a page that others have, too.  A split changes nothing that anybody sees: it keeps the
folio, and PTEs map its pages with the rights and the dirty bit of the entry.
"""
# pyright: strict, reportPrivateUsage=false

from __future__ import annotations

from pagerace.lang import s64
from pagerace.machine.counters import Counting, counters
from pagerace.machine.memory import ulong
from pagerace.machine.pgtable import pte_needs_flush
from pagerace.machine.tables import (
    pfn_pmd,
    pmd_dirty,
    pmd_mkclean,
    pmd_mkdirty,
    pmd_mkold,
    pmd_mkwrite,
    pmd_mkyoung,
    pmd_modify,
    pmd_none,
    pmd_pfn,
    pmd_same,
    pmd_t,
    pmd_trans_huge,
    pmd_write,
    pmd_wrprotect,
    pmd_young,
    pmdp_get,
    pmdval_t,
)
from pagerace.mm.anon import PageAnon, vma_is_anonymous, vmf_anon_prepare
from pagerace.mm.errno import EAGAIN, ENOMEM
from pagerace.mm.huge_memory import __split_huge_pmd, pmd_trans_huge_lock
from pagerace.mm.huge_split import split_anonymous_folio
from pagerace.mm.huge_zero import clear_huge_page, is_huge_zero_pmd, mm_get_huge_zero_folio
from pagerace.mm.lockdep import LockClass
from pagerace.mm.mm_types import (
    FAULT_FLAG_WRITE,
    VM_FAULT_FALLBACK,
    VM_FAULT_OOM,
    Thp,
    folio,
    mm_struct,
    page_to_pfn,
    pfn_to_page,
    vm_area_struct,
    vm_fault,
    vm_fault_t,
)
from pagerace.mm.mman import VM_HUGEPAGE, VM_NOHUGEPAGE, VM_SHARED, VM_WRITE
from pagerace.mm.mmu_gather import mmu_gather, tlb_flush_pte_range, tlb_remove_tlb_entry
from pagerace.mm.page_alloc import folio_alloc
from pagerace.mm.page_flags import folio_get, folio_ref_count
from pagerace.mm.pagemap import folio_trylock, folio_unlock
from pagerace.mm.pgalloc import mm_inc_nr_ptes, pte_alloc_one, pte_free
from pagerace.mm.pgtable import (
    pgtable_trans_huge_deposit,
    pmd_lock,
    pmd_lockptr,
    pmdp_huge_get_and_clear,
    pmdp_invalidate,
    pmdp_invalidate_ad,
    pmdp_set_access_flags,
    pmdp_set_wrprotect,
    set_pmd_at,
)
from pagerace.mm.pgtable_levels import HPAGE_PMD_NR, HPAGE_PMD_ORDER
from pagerace.mm.rmap_large import (
    folio_add_new_anon_rmap,
    folio_add_rmap_pmd,
    folio_maybe_mapped_shared,
)
from pagerace.mm.spinlock import spin_lock_nested, spin_unlock, spin_unlock_nested
from pagerace.mm.swap import folio_put
from pagerace.mm.tlb import flush_tlb_mm_range


def hugepage_allowed(vma: vm_area_struct, forced: bool) -> bool:
    """thp_vma_allowable_order() of include/linux/huge_mm.h, of anonymous memory.

    ``forced``: for MADV_COLLAPSE (TVA_FORCED_COLLAPSE), whatever the settings are.
    """
    if not Thp.anonymous or not vma_is_anonymous(vma) or vma.vm_flags & VM_SHARED != 0:
        return False
    if vma.vm_flags & VM_NOHUGEPAGE != 0:
        return False
    return forced or Thp.always or vma.vm_flags & VM_HUGEPAGE != 0


def thp_vma_suitable_order(vma: vm_area_struct, haddr: ulong) -> bool:
    """thp_vma_suitable_order() of include/linux/huge_mm.h: has the VMA all of the huge page?"""
    return haddr >= vma.vm_start and haddr + HPAGE_PMD_NR() <= vma.vm_end


def haddr_of(vmf: vm_fault) -> ulong:
    """``vmf->address & HPAGE_PMD_MASK``."""
    return vmf.address - vmf.address % HPAGE_PMD_NR()


def do_huge_pmd_anonymous_page(vmf: vm_fault) -> vm_fault_t:
    """do_huge_pmd_anonymous_page(): the huge zero page, or one of its own for a write.

    VM_FAULT_FALLBACK: the VMA has not all of it, or no huge page is free.
    """
    vma = vmf.vma
    haddr = haddr_of(vmf)
    if not thp_vma_suitable_order(vma, haddr):
        return VM_FAULT_FALLBACK
    if not vmf_anon_prepare(vmf):
        return VM_FAULT_OOM
    if vmf.flags & FAULT_FLAG_WRITE == 0 and Thp.zero_page:
        return set_huge_zero_folio(vmf, haddr)
    return __do_huge_pmd_anonymous_page(vmf, haddr)


def set_huge_zero_folio(vmf: vm_fault, haddr: ulong) -> vm_fault_t:
    """set_huge_zero_folio() and who calls it: what is only read needs no memory."""
    mm = vmf.vma.vm_mm
    table = pte_alloc_one(mm)
    if table is None:
        return VM_FAULT_OOM
    zero = mm_get_huge_zero_folio(mm)
    if zero is None:
        pte_free(mm, table)
        return VM_FAULT_FALLBACK
    ptl = pmd_lock(mm, vmf.pmd)
    missing = pmd_none(pmdp_get(vmf.pmd))
    if missing:
        pgtable_trans_huge_deposit(mm, vmf.pmd, table)
        entry = pmd_modify(pfn_pmd(page_to_pfn(zero), False), False, False)
        set_pmd_at(mm, haddr, vmf.pmd, pmd_mkyoung(entry))
        mm_inc_nr_ptes(mm)
    spin_unlock(ptl)
    if not missing:
        pte_free(mm, table)
    if Counting.on:
        if missing:
            counters.faults_zero_page += 1
        else:
            counters.faults_gone += 1
    return 0


def vma_alloc_anon_folio_pmd() -> folio | None:
    """vma_alloc_anon_folio_pmd(): a huge page of zeros, or None."""
    folio = folio_alloc(HPAGE_PMD_ORDER())
    if folio is not None:
        clear_huge_page(folio)
    return folio


def __do_huge_pmd_anonymous_page(vmf: vm_fault, haddr: ulong) -> vm_fault_t:
    """__do_huge_pmd_anonymous_page(): a huge page that nobody else has."""
    mm = vmf.vma.vm_mm
    folio = vma_alloc_anon_folio_pmd()
    if folio is None:
        return VM_FAULT_FALLBACK
    table = pte_alloc_one(mm)
    if table is None:
        folio_put(folio)
        return VM_FAULT_OOM
    ptl = pmd_lock(mm, vmf.pmd)
    missing = pmd_none(pmdp_get(vmf.pmd))
    if missing:
        pgtable_trans_huge_deposit(mm, vmf.pmd, table)
        map_anon_folio_pmd(folio, vmf.pmd, vmf.vma, haddr)
        mm_inc_nr_ptes(mm)
    spin_unlock(ptl)
    if not missing:
        pte_free(mm, table)
        folio_put(folio)
    if Counting.on:
        if missing:
            counters.faults_anonymous += 1
        else:
            counters.faults_gone += 1
    return 0


def map_anon_folio_pmd(
    folio: folio, pmd: pmd_t, vma: vm_area_struct, haddr: ulong
) -> None:
    """map_anon_folio_pmd(): dirty and, if the VMA allows it, writable; PML held."""
    entry = pmd_mkyoung(pmd_mkdirty(pfn_pmd(page_to_pfn(folio), False)))
    folio_add_new_anon_rmap(folio, vma, haddr)
    set_pmd_at(vma.vm_mm, haddr, pmd, maybe_pmd_mkwrite(entry, vma))


def maybe_pmd_mkwrite(pmd: pmdval_t, vma: vm_area_struct) -> pmdval_t:
    """maybe_pmd_mkwrite()."""
    return pmd_mkwrite(pmd) if vma.vm_flags & VM_WRITE != 0 else pmd


def wp_huge_pmd(vmf: vm_fault) -> vm_fault_t:
    """wp_huge_pmd() of mm/memory.c: a write to what is read-only; by PTEs, of a file."""
    if vma_is_anonymous(vmf.vma):
        return do_huge_pmd_wp_page(vmf)
    __split_huge_pmd(vmf.vma, vmf.pmd, haddr_of(vmf))
    return VM_FAULT_FALLBACK


def do_huge_pmd_wp_page(vmf: vm_fault) -> vm_fault_t:
    """do_huge_pmd_wp_page(): it is written to if nobody else has it, else split.

    VM_FAULT_FALLBACK: there are PTEs now, and one page is copied.
    """
    vma = vmf.vma
    haddr = haddr_of(vmf)
    if is_huge_zero_pmd(vmf.orig_pmd):
        ret = do_huge_zero_wp_pmd(vmf, haddr)
        if ret & VM_FAULT_FALLBACK == 0:
            return ret
    else:
        ptl = pmd_lock(vma.vm_mm, vmf.pmd)
        if not pmd_same(pmdp_get(vmf.pmd), vmf.orig_pmd):
            spin_unlock(ptl)
            return 0
        folio = pfn_to_page(pmd_pfn(vmf.orig_pmd))
        if folio.PG_anon_exclusive or can_reuse_huge_page(folio):
            folio.PG_anon_exclusive = True
            entry = pmd_mkdirty(pmd_mkyoung(vmf.orig_pmd))
            pmdp_set_access_flags(vma, haddr, vmf.pmd, maybe_pmd_mkwrite(entry, vma), True)
            spin_unlock(ptl)
            if Counting.on:
                counters.faults_reused += 1
            return 0
        spin_unlock(ptl)
    __split_huge_pmd(vma, vmf.pmd, haddr)
    return VM_FAULT_FALLBACK


def can_reuse_huge_page(folio: folio) -> bool:
    """do_huge_pmd_wp_page() with the folio locked: is the one reference this mapping's?"""
    if folio_ref_count(folio) != 1 or not folio_trylock(folio):
        return False
    alone = folio_ref_count(folio) == 1
    folio_unlock(folio)  # and folio_move_anon_rmap()
    return alone


def do_huge_zero_wp_pmd(vmf: vm_fault, haddr: ulong) -> vm_fault_t:
    """do_huge_zero_wp_pmd(): a huge page of its own in place of the zero page (v6.13)."""
    mm = vmf.vma.vm_mm
    folio = vma_alloc_anon_folio_pmd()
    if folio is None:
        return VM_FAULT_FALLBACK
    ptl = pmd_lock(mm, vmf.pmd)
    same = pmd_same(pmdp_get(vmf.pmd), vmf.orig_pmd)
    if same:
        pmdp_huge_get_and_clear(mm, haddr, vmf.pmd)  # pmdp_huge_clear_flush()
        flush_tlb_mm_range(mm, haddr, haddr + HPAGE_PMD_NR())
        map_anon_folio_pmd(folio, vmf.pmd, vmf.vma, haddr)
    spin_unlock(ptl)
    if not same:
        folio_put(folio)
    return 0


def copy_huge_pmd(
    dst_mm: mm_struct,
    src_mm: mm_struct,
    dst_pmd: pmd_t,
    src_pmd: pmd_t,
    addr: ulong,
    dst_vma: vm_area_struct,
) -> s64:
    """copy_huge_pmd(): fork() of a huge page; 0, -ENOMEM, or -EAGAIN: it is none any more.

    Neither the parent nor the child may write afterwards, and it is exclusive to nobody.
    """
    if not vma_is_anonymous(dst_vma):
        return 0
    table = pte_alloc_one(dst_mm)
    if table is None:
        return -ENOMEM
    dst_ptl = pmd_lock(dst_mm, dst_pmd)
    src_ptl = pmd_lockptr(src_mm, src_pmd)
    spin_lock_nested(src_ptl, LockClass.PAGE_TABLE_LOCK_NESTED)
    pmd = pmdp_get(src_pmd)
    huge = pmd_trans_huge(pmd)
    if huge:
        if not is_huge_zero_pmd(pmd):
            folio = pfn_to_page(pmd_pfn(pmd))
            folio_get(folio)
            folio.PG_anon_exclusive = False  # folio_try_dup_anon_rmap_pmd()
            folio_add_rmap_pmd(folio, dst_vma)
        mm_inc_nr_ptes(dst_mm)
        pgtable_trans_huge_deposit(dst_mm, dst_pmd, table)
        pmdp_set_wrprotect(src_mm, addr, src_pmd)
        set_pmd_at(dst_mm, addr, dst_pmd, pmd_mkold(pmd_wrprotect(pmd)))
    spin_unlock_nested(src_ptl, LockClass.PAGE_TABLE_LOCK_NESTED)
    spin_unlock(dst_ptl)
    if huge:
        return 0
    pte_free(dst_mm, table)
    return -EAGAIN


def change_huge_pmd(
    tlb: mmu_gather, vma: vm_area_struct, pmd: pmd_t, addr: ulong
) -> bool:
    """change_huge_pmd(): the VMA's rights for a huge page; False: it is none any more."""
    ptl = pmd_trans_huge_lock(pmd, vma)
    if ptl is None:
        return False
    old = pmdp_invalidate_ad(vma, addr, pmd)
    entry = pmd_modify(old, vma.vm_page_prot.writable, vma.vm_page_prot.none)
    if not pmd_write(entry) and can_change_pmd_writable(vma, entry):
        entry = pmd_mkwrite(entry)
    set_pmd_at(vma.vm_mm, addr, pmd, entry)
    if pte_needs_flush(old, entry):  # huge_pmd_needs_flush()
        tlb_flush_pte_range(tlb, addr, ulong(HPAGE_PMD_NR()))
    spin_unlock(ptl)
    return True


def can_change_pmd_writable(vma: vm_area_struct, pmd: pmdval_t) -> bool:
    """can_change_pmd_writable(): a store would only fault to be let through."""
    if vma.vm_flags & VM_WRITE == 0 or pmd.protnone:
        return False
    if vma.vm_flags & VM_SHARED != 0:
        return pmd_dirty(pmd)
    if is_huge_zero_pmd(pmd):
        return False
    page = pfn_to_page(pmd_pfn(pmd))
    return PageAnon(page) and page.PG_anon_exclusive


def change_whole_huge_pmd(
    tlb: mmu_gather, vma: vm_area_struct, pmd: pmd_t, addr: ulong, next: ulong
) -> bool:
    """What change_pmd_range() does with a leaf: True, it is done; False: there are PTEs now."""
    if not pmd_trans_huge(pmdp_get(pmd)):
        return False
    if next - addr != HPAGE_PMD_NR():
        __split_huge_pmd(vma, pmd, addr - addr % HPAGE_PMD_NR())
    elif change_huge_pmd(tlb, vma, pmd, addr):
        return True
    return pmd_none(pmdp_get(pmd))


def move_huge_pmd(
    vma: vm_area_struct, old_addr: ulong, new_addr: ulong, old_pmd: pmd_t, new_pmd: pmd_t
) -> bool:
    """move_huge_pmd(): the entry as it is; False: there is a table where it is to go."""
    mm = vma.vm_mm
    if not pmd_none(pmdp_get(new_pmd)):
        return False
    ptl = pmd_trans_huge_lock(old_pmd, vma)
    if ptl is None:
        return False
    pmd = pmdp_huge_get_and_clear(mm, old_addr, old_pmd)
    set_pmd_at(mm, new_addr, new_pmd, pmd)
    flush_tlb_mm_range(mm, old_addr, old_addr + HPAGE_PMD_NR())
    spin_unlock(ptl)
    return True


def move_whole_huge_pmd(
    vma: vm_area_struct,
    old_addr: ulong,
    new_addr: ulong,
    extent: ulong,
    old_pmd: pmd_t,
    new_pmd: pmd_t,
) -> bool:
    """What move_page_tables() does with a leaf: True, it is moved; else there are PTEs now."""
    if not Thp.anonymous or not pmd_trans_huge(pmdp_get(old_pmd)):
        return False
    if extent == HPAGE_PMD_NR():
        if move_huge_pmd(vma, old_addr, new_addr, old_pmd, new_pmd):
            return True
    __split_huge_pmd(vma, old_pmd, old_addr - old_addr % HPAGE_PMD_NR())
    return pmd_none(pmdp_get(old_pmd))


def madvise_free_huge_pmd(
    tlb: mmu_gather, vma: vm_area_struct, pmd: pmd_t, addr: ulong, next: ulong
) -> bool:
    """madvise_free_huge_pmd(): clean and old; True: it is done.

    What others have, too, stays as it is.  Of a part of it pages of their own are made first.
    """
    ptl = pmd_trans_huge_lock(pmd, vma)
    if ptl is None:
        return False
    orig = pmdp_get(pmd)
    folio = pfn_to_page(pmd_pfn(orig))
    if is_huge_zero_pmd(orig) or folio_maybe_mapped_shared(folio) or not folio_trylock(folio):
        spin_unlock(ptl)
        return False
    if next - addr != HPAGE_PMD_NR():
        folio_get(folio)
        spin_unlock(ptl)
        split_anonymous_folio(folio)
        folio_unlock(folio)
        folio_put(folio)
        return False
    folio.PG_dirty = False
    folio_unlock(folio)
    if pmd_young(orig) or pmd_dirty(orig):
        orig = pmdp_invalidate(vma, addr, pmd)
        set_pmd_at(tlb.mm, addr, pmd, pmd_mkold(pmd_mkclean(orig)))
        tlb_remove_tlb_entry(tlb, addr)
    spin_unlock(ptl)
    return True


def follow_huge_pmd(vma: vm_area_struct, addr: ulong, pmd: pmd_t, write: bool) -> bool:
    """follow_huge_pmd() of mm/gup.c, with touch_pmd(): is it mapped as it is to be?"""
    ptl = pmd_trans_huge_lock(pmd, vma)
    if ptl is None:
        return False
    entry = pmdp_get(pmd)
    allowed = pmd_write(entry) or not write
    if allowed:
        young = pmd_mkyoung(entry)
        if write:
            young = pmd_mkdirty(young)
        pmdp_set_access_flags(vma, addr - addr % HPAGE_PMD_NR(), pmd, young, write)
    spin_unlock(ptl)
    return allowed
