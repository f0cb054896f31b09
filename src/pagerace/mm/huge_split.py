"""Folios of anonymous memory that become single pages: __folio_split() of mm/huge_memory.c."""
# pyright: strict, reportPrivateUsage=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import atomic
from pagerace.machine.memory import frames, ulong
from pagerace.machine.pgtable import (
    pfn_pte,
    pte_dirty,
    pte_mkyoung,
    pte_modify,
    pte_pfn,
    pte_present,
    ptep_get,
    set_pte,
)
from pagerace.machine.tables import pmd_none, pmd_pfn, pmd_trans_huge, pmdp_get
from pagerace.mm.anon import Anon
from pagerace.mm.huge_memory import split_huge_pmd
from pagerace.mm.mm_types import (
    folio,
    folio_nr_pages,
    folio_page,
    page_to_pfn,
    vm_area_struct,
)
from pagerace.mm.page_flags import (
    folio_mapcount,
    folio_precise_page_mapcount,
    folio_ref_count,
    folio_ref_unfreeze,
)
from pagerace.mm.pgtable import mm_find_pmd, pte_entry
from pagerace.mm.rmap import maps_page, page_remove_rmap
from pagerace.mm.rmap_large import forget_mms
from pagerace.mm.swap import folio_put
from pagerace.mm.tlb import flush_tlb_page


def split_anonymous_folio(head: folio) -> bool:
    """split_folio(): pages of their own; False if somebody has one more reference.

    The folio is locked, and the caller has a reference to it; in the end it is one to the
    first page.  What nobody maps any more is freed.
    """
    anon_vma = head.anon_vma
    if anon_vma is None:
        return False
    avc = anon_vma.first
    while avc is not None:
        unmap_from(head, avc.vma)
        avc = avc.next
    if folio_ref_count(head) != folio_mapcount(head) + 1:
        return False
    nr = folio_nr_pages(head)
    __split_folio_to_order(head, nr)
    avc = anon_vma.first
    while avc is not None:
        for n in range(nr):
            remove_migration_pte(folio_page(head, n), avc.vma)
        avc = avc.next
    for n in range(1, nr):
        folio_put(folio_page(head, n))
    return True


def remove_migration_pte(page: folio, vma: vm_area_struct) -> None:
    """remove_migration_pte(), with RMP_USE_SHARED_ZEROPAGE: what has only zeros goes.

    try_to_map_unused_to_zeropage(): the zero page is there in its place.
    """
    address: ulong = vma.vm_start + page.index - vma.vm_pgoff
    if not maps_page(vma, page.index) or frames[page_to_pfn(page)].content != 0:
        return
    pmd = mm_find_pmd(vma.vm_mm, address)
    if pmd is None or pmd_none(pmdp_get(pmd)) or pmd_trans_huge(pmdp_get(pmd)):
        return
    slot = pte_entry(pmd, address)
    pte = ptep_get(slot)
    if pte_present(pte) and pte_pfn(pte) == page_to_pfn(page):
        zero = pte_modify(pfn_pte(Anon.zero_pfn, False), False, vma.vm_page_prot.none)
        set_pte(slot, pte_mkyoung(zero))
        flush_tlb_page(vma, address)
        page_remove_rmap(page, vma)
        folio_put(page)


def unmap_from(head: folio, vma: vm_area_struct) -> None:
    """unmap_folio(), of one VMA: PTEs map the folio, and the folio knows if one is dirty.

    The kernel has migration entries in their place until the folio is split, and who comes
    meanwhile waits.  Here that is one step, and nobody comes.
    """
    for n in range(folio_nr_pages(head)):
        if maps_page(vma, head.index + n):
            address: ulong = vma.vm_start + head.index + n - vma.vm_pgoff
            if maps_dirty(head, n, vma, address):
                head.PG_dirty = True


def maps_dirty(head: folio, n: ulong, vma: vm_area_struct, address: ulong) -> bool:
    """try_to_migrate_one(): is there a PTE of page ``n``, and is it dirty?"""
    pmd = mm_find_pmd(vma.vm_mm, address)
    if pmd is None or pmd_none(pmdp_get(pmd)):
        return False
    if pmd_trans_huge(pmdp_get(pmd)) and pmd_pfn(pmdp_get(pmd)) != page_to_pfn(head):
        return False  # check_pmd(): another huge page of the same index
    split_huge_pmd(vma, pmd, address)
    pte = ptep_get(pte_entry(pmd, address))
    return pte_present(pte) and pte_pfn(pte) == page_to_pfn(head) + n and pte_dirty(pte)


def __split_folio_to_order(head: folio, nr: ulong) -> None:
    """__split_folio_to_order(): each page has the flags, and the references are those to it.

    Each but the first has one more, of who splits.
    """
    with atomic():  # folio_ref_freeze(): nobody can have a reference to any of it
        forget_mms(head)
        for n in range(nr):
            page = folio_page(head, n)
            folio_ref_unfreeze(page, folio_precise_page_mapcount(head, page) + 1)
            page.compound_head = None
            page.anon_vma = head.anon_vma
            page.index = head.index + n
            page.PG_dirty = head.PG_dirty
        head.order = 0
