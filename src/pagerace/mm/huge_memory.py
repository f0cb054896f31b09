"""Entries above the PTEs that map pages: mm/huge_memory.c.

What maps a huge page of a file stands here, and how any is zapped and split.  How anonymous
memory gets huge pages is in mm/huge_anon.py.
"""
# pyright: strict, reportPrivateUsage=false, reportUnusedFunction=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import atomic, smp_store_release
from pagerace.machine.memory import PAGE_SIZE, Machine, count_t, ulong
from pagerace.machine.pgtable import pfn_pte, pte_mkyoung, pte_modify, set_pte
from pagerace.machine.tables import (
    pmd_dirty,
    pmd_pfn,
    pmd_t,
    pmd_trans_huge,
    pmd_write,
    pmdp_get,
    pud_t,
    pud_trans_huge,
)
from pagerace.mm.anon import Anon, PageAnon, vma_is_anonymous
from pagerace.mm.huge_zero import is_huge_zero_pmd
from pagerace.mm.mm_types import (
    Thp,
    address_space,
    folio,
    folio_nr_pages,
    folio_page,
    mm_struct,
    pfn_to_page,
    vm_area_struct,
)
from pagerace.mm.mmu_gather import (
    __tlb_remove_page,
    mmu_gather,
    tlb_flush_mmu,
    tlb_remove_tlb_entry,
)
from pagerace.mm.page_flags import (
    folio_ref_add,
    folio_ref_freeze,
    folio_ref_unfreeze,
    folio_test_uptodate,
)
from pagerace.mm.page_writeback import set_page_dirty
from pagerace.mm.pagemap import filemap_get_folio, folio_lock, folio_unlock
from pagerace.mm.pgalloc import mm_dec_nr_ptes, pmd_populate, pte_free
from pagerace.mm.pgtable import (
    mm_find_pmd,
    pgtable_trans_huge_withdraw,
    pmd_lock,
    pmdp_huge_clear_flush,
    pmdp_huge_get_and_clear,
    pmdp_invalidate,
)
from pagerace.mm.pgtable_levels import HPAGE_PMD_NR, HPAGE_PUD_NR
from pagerace.mm.rmap_large import folio_add_anon_rmap_ptes, folio_remove_rmap_pmd
from pagerace.mm.rwsem import down_read, up_read
from pagerace.mm.spinlock import spin_lock, spin_unlock, spinlock_t
from pagerace.mm.swap import folio_put, put_page
from pagerace.mm.tlb import flush_tlb_mm_range


def zap_huge_pmd(tlb: mmu_gather, vma: vm_area_struct, pmd: pmd_t, addr: ulong) -> bool:
    """zap_huge_pmd(): clear a PMD entry that maps a huge page.

    False: it does not, any more (pmd_trans_huge_lock()).
    """
    ptl = pmd_lock(tlb.mm, pmd)
    if not pmd_trans_huge(pmdp_get(pmd)):
        spin_unlock(ptl)
        return False
    entry = pmdp_huge_get_and_clear(tlb.mm, addr, pmd)
    tlb_remove_tlb_entry(tlb, addr)
    tlb_remove_tlb_entry(tlb, addr + HPAGE_PMD_NR() - PAGE_SIZE)
    if is_huge_zero_pmd(entry):
        zap_deposited_table(tlb.mm, pmd)
        spin_unlock(ptl)
        return True
    page = pfn_to_page(pmd_pfn(entry))
    if Thp.anonymous and PageAnon(page):
        zap_deposited_table(tlb.mm, pmd)
    elif pmd_dirty(entry):
        set_page_dirty(page)
    folio_remove_rmap_pmd(page, vma)
    spin_unlock(ptl)
    if __tlb_remove_page(tlb, page, False, False):  # tlb_remove_page_size()
        tlb_flush_mmu(tlb)
    return True


def zap_deposited_table(mm: mm_struct, pmd: pmd_t) -> None:
    """zap_deposited_table(): what would have been needed for a split; PML held."""
    table = pgtable_trans_huge_withdraw(mm, pmd)
    pte_free(mm, table)
    mm_dec_nr_ptes(mm)


def __split_huge_pmd(vma: vm_area_struct, pmd: pmd_t, haddr: ulong) -> None:
    """__split_huge_pmd(): no leaf is left; the caller has rounded the address."""
    ptl = pmd_lock(vma.vm_mm, pmd)
    if pmd_trans_huge(pmdp_get(pmd)):
        __split_huge_pmd_locked(vma, pmd, haddr)
    spin_unlock(ptl)


def __split_huge_pmd_locked(vma: vm_area_struct, pmd: pmd_t, haddr: ulong) -> None:
    """__split_huge_pmd_locked(); PML held.  Of a file the entry goes, and faults bring PTEs."""
    if Thp.anonymous and vma_is_anonymous(vma):
        if is_huge_zero_pmd(pmdp_get(pmd)):
            __split_huge_zero_page_pmd(vma, haddr, pmd)
        else:
            split_anonymous_pmd(vma, haddr, pmd)
    else:
        entry = pmdp_huge_clear_flush(vma, haddr, pmd)
        page = pfn_to_page(pmd_pfn(entry))
        if pmd_dirty(entry):
            set_page_dirty(page)
        folio_remove_rmap_pmd(page, vma)
        put_page(page)


def __split_huge_zero_page_pmd(vma: vm_area_struct, haddr: ulong, pmd: pmd_t) -> None:
    """__split_huge_zero_page_pmd(): PTEs of the small zero page."""
    pmdp_huge_clear_flush(vma, haddr, pmd)
    table = pgtable_trans_huge_withdraw(vma.vm_mm, pmd)
    entry = pte_modify(pfn_pte(Anon.zero_pfn, False), False, vma.vm_page_prot.none)
    for n in range(HPAGE_PMD_NR()):
        set_pte(table.pte[n], pte_mkyoung(entry))
    pmd_populate(vma.vm_mm, pmd, table)


def split_anonymous_pmd(vma: vm_area_struct, haddr: ulong, pmd: pmd_t) -> None:
    """The rest of __split_huge_pmd_locked(): a PTE for each page, with what the entry had.

    The table is filled before anybody can come to it.  Meanwhile the entry is a leaf that no
    walker takes.
    """
    nr = HPAGE_PMD_NR()
    old = pmdp_invalidate(vma, haddr, pmd)
    page = pfn_to_page(pmd_pfn(old))
    if pmd_dirty(old):
        page.PG_dirty = True  # folio_set_dirty()
    folio_ref_add(page, count_t(nr - 1))
    folio_add_anon_rmap_ptes(page, vma, page.PG_anon_exclusive)
    table = pgtable_trans_huge_withdraw(vma.vm_mm, pmd)
    entry = pte_modify(old.replace(huge=False), pmd_write(old), vma.vm_page_prot.none)
    for n in range(nr):
        set_pte(table.pte[n], entry.replace(pfn=pmd_pfn(old) + n))
    folio_remove_rmap_pmd(page, vma)
    pmd_populate(vma.vm_mm, pmd, table)


def split_huge_pmd_if_needed(vma: vm_area_struct, address: ulong) -> None:
    """split_huge_pmd_if_needed(): the VMA is about to begin, or to end, at ``address``."""
    if not Thp.anonymous or address % HPAGE_PMD_NR() == 0:
        return
    haddr: ulong = address - address % HPAGE_PMD_NR()
    if haddr >= vma.vm_start and haddr + HPAGE_PMD_NR() <= vma.vm_end:
        pmd = mm_find_pmd(vma.vm_mm, haddr)  # split_huge_pmd_address()
        if pmd is not None:
            split_huge_pmd(vma, pmd, haddr)


def split_huge_pmd(vma: vm_area_struct, pmd: pmd_t, address: ulong) -> None:
    """split_huge_pmd() of include/linux/huge_mm.h: whoever walks on finds PTEs, or nothing.

    Of anonymous memory PTEs map each page, as the entry did; of a file faults bring them.
    """
    if Machine.huge_pages and pmd_trans_huge(pmdp_get(pmd)):
        __split_huge_pmd(vma, pmd, address - address % HPAGE_PMD_NR())


def pmd_trans_huge_lock(pmd: pmd_t, vma: vm_area_struct) -> spinlock_t | None:
    """pmd_trans_huge_lock() of include/linux/huge_mm.h: the PML, taken; None: it has no leaf.

    The entry is looked at without the lock first, as the kernel does.
    """
    if not Machine.huge_pages or not pmd_trans_huge(pmdp_get(pmd)):
        return None
    return __pmd_trans_huge_lock(pmd, vma)


def __pmd_trans_huge_lock(pmd: pmd_t, vma: vm_area_struct) -> spinlock_t | None:
    """__pmd_trans_huge_lock(): the lock is dropped again where the entry is no leaf."""
    ptl = pmd_lock(vma.vm_mm, pmd)
    if pmd_trans_huge(pmdp_get(pmd)):
        return ptl
    spin_unlock(ptl)
    return None


def pud_trans_huge_lock(pud: pud_t, vma: vm_area_struct) -> spinlock_t | None:
    """pud_trans_huge_lock() of include/linux/huge_mm.h: the same of a PUD entry.

    There are no split PUD locks (pud_lockptr()): it is the mm's page_table_lock.
    """
    if not Machine.huge_puds or not pud_trans_huge(pmdp_get(pud)):
        return None
    ptl = vma.vm_mm.page_table_lock
    spin_lock(ptl)
    if pud_trans_huge(pmdp_get(pud)):
        return ptl
    spin_unlock(ptl)
    return None


def split_huge_pud(vma: vm_area_struct, pud: pud_t, address: ulong) -> None:
    """split_huge_pud() of include/linux/huge_mm.h: the entry goes, faults bring what it mapped.

    Nothing but a file of DAX memory or of a device has such an entry.  The pages have no
    folio then: no reference and no rmap is dropped.
    """
    if Machine.huge_puds and pud_trans_huge(pmdp_get(pud)):
        __split_huge_pud(vma, pud, address - address % HPAGE_PUD_NR())


def __split_huge_pud(vma: vm_area_struct, pud: pud_t, haddr: ulong) -> None:
    """__split_huge_pud() and __split_huge_pud_locked(): pudp_huge_clear_flush()."""
    ptl = vma.vm_mm.page_table_lock
    spin_lock(ptl)
    if pud_trans_huge(pmdp_get(pud)):
        pmdp_huge_get_and_clear(vma.vm_mm, haddr, pud)
        flush_tlb_mm_range(vma.vm_mm, haddr, haddr + HPAGE_PUD_NR())
    spin_unlock(ptl)


def unmap_folio(folio: folio, mapping: address_space) -> None:
    """unmap_folio(): take a huge folio out of all page tables, where a PMD entry maps it.

    Its pages that PTEs map are left alone here: then the split fails.
    """
    for vma in mapping.i_mmap:
        if vma is not None:
            haddr = vma.vm_start + folio.index - vma.vm_pgoff
            pmd = mm_find_pmd(vma.vm_mm, haddr)
            if pmd is not None:
                __split_huge_pmd(vma, pmd, haddr)


def split_huge_page(folio: folio) -> bool:
    """split_huge_page() of a file: pages of their own; False if somebody has a reference.

    The folio is locked, and the caller has a reference.
    """
    mapping = folio.mapping
    if mapping is None:
        return False
    nr = folio_nr_pages(folio)
    down_read(mapping.i_mmap_rwsem)
    unmap_folio(folio, mapping)
    split = folio_ref_freeze(folio, count_t(nr + 1))
    if split:
        __split_huge_page(folio, mapping, nr)
    up_read(mapping.i_mmap_rwsem)
    return split


def __split_huge_page(head: folio, mapping: address_space, nr: ulong) -> None:
    """__split_huge_page(): nobody can have a reference to any page of it meanwhile."""
    for n in range(1, nr):
        tail = folio_page(head, n)
        with atomic():  # nobody else knows the tail yet
            tail.compound_head = None
            tail.mapping = mapping
            tail.index = head.index + n
            tail.PG_dirty = head.PG_dirty
            tail.PG_uptodate = folio_test_uptodate(head)
        folio_ref_unfreeze(tail, 1)
        smp_store_release(mapping.i_pages[tail.index], tail)
    head.order = 0
    folio_ref_unfreeze(head, 2)


def split_huge_pages_in_file(mapping: address_space) -> None:
    """split_huge_pages_in_file(): what debugfs offers, of the folio of page 0."""
    folio = filemap_get_folio(mapping, 0)
    if folio is not None:
        folio_lock(folio)
        if folio.mapping is mapping and folio.order != 0:
            split_huge_page(folio)
        folio_unlock(folio)
        folio_put(folio)
