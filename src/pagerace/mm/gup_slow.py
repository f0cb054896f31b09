"""Pages of user space by way of page faults: the slow path of mm/gup.c.

mmap_lock is held for reading, and a table has its lock while a page is got from it: of all
walkers the one that is said to be fully locked.  Above the PTEs it is not.
"""
# pyright: strict, reportPrivateUsage=false, reportUnusedFunction=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import u1
from pagerace.machine.memory import PAGE_SIZE, nr_t, ulong
from pagerace.machine.pgtable import pte_pfn, pte_present, pte_write, ptep_get
from pagerace.machine.tables import pmd_none, pmd_trans_huge, pmdp_get
from pagerace.mm.gup import FOLL_WRITE, page_list
from pagerace.mm.mm_types import (
    folio,
    mm_struct,
    page_folio,
    pfn_to_page,
    pmd_t,
    vm_area_struct,
)
from pagerace.mm.mmap import find_vma
from pagerace.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from pagerace.mm.page_flags import folio_get
from pagerace.mm.pgtable import mm_find_pmd
from pagerace.mm.pgtable_generic import pte_maps, pte_offset_map_lock, pte_unmap_unlock
from pagerace.mm.populate import faultin_page


def get_user_pages_unlocked(
    mm: mm_struct, start: ulong, nr_pages: ulong, gup_flags: u1, pages: page_list
) -> nr_t:
    """get_user_pages_unlocked(): how many pages were got, each with a reference."""
    pages.nr = 0
    mmap_read_lock(mm)
    for address in range(start, start + nr_pages, PAGE_SIZE):
        page = get_user_page(mm, address, gup_flags)
        if page is None:
            break
        pages.page[pages.nr] = page
        pages.nr += 1
    mmap_read_unlock(mm)
    return pages.nr


def get_user_page(mm: mm_struct, address: ulong, gup_flags: u1) -> folio | None:
    """The loop of __get_user_pages(), of one page: look, fault, and look again.

    None: nothing is mapped there, or a fault of the access would end in a signal.
    """
    vma = find_vma(mm, address)
    if vma is None or address < vma.vm_start:
        return None
    write = gup_flags & FOLL_WRITE != 0
    while True:
        page = follow_page_mask(vma, address, write)
        if page is not None:
            return page
        if not faultin_page(vma, address, write):
            return None


def follow_page_mask(vma: vm_area_struct, address: ulong, write: bool) -> folio | None:
    """follow_page_mask() down to follow_pmd_mask(): no lock is held on the way.

    A huge page is left to a fault: it maps PTEs where a store finds it read-only.
    """
    pmd = mm_find_pmd(vma.vm_mm, address)
    if pmd is None:
        return None
    entry = pmdp_get(pmd)
    if pmd_none(entry) or pmd_trans_huge(entry):
        return None
    return follow_page_pte(vma, address, pmd, write)


def follow_page_pte(
    vma: vm_area_struct, address: ulong, pmd: pmd_t, write: bool
) -> folio | None:
    """follow_page_pte(): the page of a PTE with a reference; None: no_page_table().

    The zero page is one that can be read as well as any other.
    """
    map = pte_maps.current
    ptep = pte_offset_map_lock(vma.vm_mm, pmd, address, map)
    if ptep is None:
        return None
    page: folio | None = None
    pte = ptep_get(ptep)
    if pte_present(pte) and (not write or pte_write(pte)):
        page = page_folio(pfn_to_page(pte_pfn(pte)))
        folio_get(page)  # try_grab_folio(): nobody can free it while the PTL is held
    pte_unmap_unlock(map)
    return page
