"""Small anonymous pages, copied into a huge one: collapse_huge_page() of mm/khugepaged.c.

The PMD entry goes first, so that nobody but who has walked past it already can take another
reference; then the pages are locked and their references counted; then they are copied.  Who
has walked past it is GUP-fast: see Gup.pmd_recheck.
"""
# pyright: strict, reportPrivateUsage=false, reportUnusedFunction=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import atomic
from pagerace.machine.memory import frames, ulong
from pagerace.machine.pgtable import (
    page_table,
    pte_none,
    pte_offset_kernel,
    pte_pfn,
    pte_present,
    pte_slot,
    ptep_get,
)
from pagerace.machine.tables import (
    page_tables,
    pfn_pmd,
    pmd_mkdirty,
    pmd_mkwrite,
    pmd_mkyoung,
    pmd_none,
    pmd_page_vaddr,
    pmdp_get,
    pmdval_t,
)
from pagerace.mm.anon import PageAnon, is_zero_pte, page_add_new_anon_rmap, vma_is_anonymous
from pagerace.mm.anon_vma import anon_vma_lock_write, anon_vma_unlock_write
from pagerace.mm.cow import copy_user_highpage
from pagerace.mm.huge_anon import map_anon_folio_pmd
from pagerace.mm.khugepaged import (
    Khugepaged,
    find_pmd_or_thp_or_none,
    invalidate_end,
    invalidate_start,
)
from pagerace.mm.mm_types import (
    Thp,
    folio,
    folio_page,
    mm_struct,
    page_folio,
    page_to_pfn,
    pfn_to_page,
    pmd_t,
    ptdescs,
    vm_area_struct,
)
from pagerace.mm.mmap import vma_lookup
from pagerace.mm.mmap_lock import mmap_write_lock, mmap_write_unlock
from pagerace.mm.page_alloc import folio_alloc
from pagerace.mm.page_flags import folio_mapcount, folio_ref_count, folio_test_large
from pagerace.mm.pagemap import folio_trylock, folio_unlock
from pagerace.mm.pgalloc import pmd_populate, pmdp_collapse_flush
from pagerace.mm.pgtable import (
    pgtable_trans_huge_deposit,
    pmd_lock,
    ptep_get_and_clear,
    set_pmd_at,
)
from pagerace.mm.pgtable_levels import HPAGE_PMD_NR, HPAGE_PMD_ORDER
from pagerace.mm.rmap import page_remove_rmap
from pagerace.mm.spinlock import spin_lock, spin_unlock
from pagerace.mm.swap import folio_put, put_page
from pagerace.mm.table_free import tlb_remove_table_sync_one


def collapse_huge_page(mm: mm_struct, address: ulong) -> bool:
    """collapse_huge_page(): one huge page in the place of small ones; False: all as before.

    What khugepaged_scan_pmd() has found is not looked at here: any range is tried.
    """
    haddr = address - address % HPAGE_PMD_NR()
    new = folio_alloc(HPAGE_PMD_ORDER())
    if new is None:
        return False
    mmap_write_lock(mm)
    collapsed = collapse_under_write_lock(mm, haddr, new)
    mmap_write_unlock(mm)
    if not collapsed:
        folio_put(new)
    return collapsed


def collapse_under_write_lock(mm: mm_struct, haddr: ulong, new: folio) -> bool:
    """Its middle: no fault comes, for mmap_lock is held for writing."""
    vma = vma_lookup(mm, haddr)
    if vma is None or not vma_is_anonymous(vma) or vma.vm_end - haddr < HPAGE_PMD_NR():
        return False  # hugepage_vma_revalidate()
    pmd = find_pmd_or_thp_or_none(mm, haddr)
    if pmd is None:
        return False
    anon_vma = vma.anon_vma
    if anon_vma is not None:
        anon_vma_lock_write(anon_vma)
    invalidate_start(mm, haddr)
    pml = pmd_lock(mm, pmd)
    entry = pmdp_collapse_flush(mm, haddr, pmd)
    spin_unlock(pml)
    invalidate_end(mm, haddr)
    if Khugepaged.sync_one:
        tlb_remove_table_sync_one()
    table = pmd_page_vaddr(entry)
    isolated = isolate(vma, haddr, table)
    if not isolated:
        put_table_back(mm, pmd, entry)
    if anon_vma is not None:
        anon_vma_unlock_write(anon_vma)
    if not isolated:
        return False
    __collapse_huge_page_copy(vma, haddr, table, new)
    install_huge_page(vma, haddr, pmd, table, new)
    return True


def isolate(vma: vm_area_struct, haddr: ulong, table: page_table) -> bool:
    """__collapse_huge_page_isolate(), with the PTL of the table that nobody finds any more."""
    ptl = ptdescs[page_tables.index(table)].ptl
    spin_lock(ptl)
    isolated = __collapse_huge_page_isolate(vma, haddr, table)
    spin_unlock(ptl)
    return isolated


def __collapse_huge_page_isolate(
    vma: vm_area_struct, haddr: ulong, table: page_table
) -> bool:
    """__collapse_huge_page_isolate(): lock each page that has no reference but of entries.

    What belongs to a large folio already is left as it is, which the kernel would copy, too.
    """
    for n in range(HPAGE_PMD_NR()):
        pte = ptep_get(pte_offset_kernel(table, haddr + n))
        if pte_none(pte) or is_zero_pte(pte):
            continue
        page = pfn_to_page(pte_pfn(pte))
        usable = pte_present(pte) and PageAnon(page) and not folio_test_large(page_folio(page))
        if not usable or not folio_trylock(page):
            release_pte_pages(haddr, table, ulong(n))
            return False
        if not is_refcount_suitable(page):
            folio_unlock(page)
            release_pte_pages(haddr, table, ulong(n))
            return False
    return True


def is_refcount_suitable(page: folio) -> bool:
    """is_refcount_suitable(): nobody has a reference but the entries that map it."""
    return folio_ref_count(page) == folio_mapcount(page)


def release_pte_pages(haddr: ulong, table: page_table, end: ulong) -> None:
    """release_pte_pages(): of the first ``end`` entries."""
    for n in range(end):
        pte = ptep_get(pte_offset_kernel(table, haddr + n))
        if not pte_none(pte) and not is_zero_pte(pte):
            folio_unlock(pfn_to_page(pte_pfn(pte)))


def put_table_back(mm: mm_struct, pmd: pmd_t, entry: pmdval_t) -> None:
    """The end of collapse_huge_page() where it cannot: the table is to be found again."""
    pml = pmd_lock(mm, pmd)
    pmd_populate(mm, pmd, pmd_page_vaddr(entry))
    spin_unlock(pml)


def __collapse_huge_page_copy(
    vma: vm_area_struct, haddr: ulong, table: page_table, new: folio
) -> None:
    """__collapse_huge_page_copy(): copy all, then clear the entries and let the pages go."""
    for n in range(HPAGE_PMD_NR()):
        pte = ptep_get(pte_offset_kernel(table, haddr + n))
        to = folio_page(new, ulong(n))
        if pte_none(pte) or is_zero_pte(pte):
            clear_user_highpage(to)
        else:
            copy_user_highpage(to, pfn_to_page(pte_pfn(pte)))
    for n in range(HPAGE_PMD_NR()):
        clear_copied(vma, haddr + n, pte_offset_kernel(table, haddr + n), table)


def clear_copied(
    vma: vm_area_struct, address: ulong, ptep: pte_slot, table: page_table
) -> None:
    """__collapse_huge_page_copy_succeeded(), of one entry."""
    pte = ptep_get(ptep)
    if pte_none(pte):
        return
    ptl = ptdescs[page_tables.index(table)].ptl
    page = pfn_to_page(pte_pfn(pte))
    if not is_zero_pte(pte):
        folio_unlock(page)  # release_pte_folio()
    spin_lock(ptl)
    ptep_get_and_clear(vma.vm_mm, address, ptep)  # ptep_clear()
    if not is_zero_pte(pte):
        page_remove_rmap(page, vma)
    spin_unlock(ptl)
    if not is_zero_pte(pte):
        put_page(page)


def clear_user_highpage(page: folio) -> None:
    """clear_user_highpage() of include/linux/highmem.h: all of it, in one step."""
    with atomic():  # nobody else knows the page yet
        frames[page_to_pfn(page)].content = 0


def install_huge_page(
    vma: vm_area_struct, haddr: ulong, pmd: pmd_t, table: page_table, new: folio
) -> None:
    """The end of collapse_huge_page() where it can, under the PML; the table is kept."""
    mm = vma.vm_mm
    pml = pmd_lock(mm, pmd)
    assert pmd_none(pmdp_get(pmd)), "BUG_ON(!pmd_none(*pmd))"
    pgtable_trans_huge_deposit(mm, pmd, table)
    if Thp.anonymous:
        map_anon_folio_pmd(new, pmd, vma, haddr)
    else:
        entry = pmd_mkyoung(pmd_mkdirty(pfn_pmd(page_to_pfn(new), False)))
        page_add_new_anon_rmap(new, vma, haddr)
        set_pmd_at(mm, haddr, pmd, pmd_mkwrite(entry))
    spin_unlock(pml)
