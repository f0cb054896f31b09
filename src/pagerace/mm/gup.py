"""Pages of user space without a lock: the fast path of mm/gup.c, as in v6.1."""

from __future__ import annotations

from pagerace.lang import Array, Config, Struct, array, per_thread, u1
from pagerace.machine.entry import load_entry_whole, pte_t
from pagerace.machine.irq import local_irq_restore, local_irq_save
from pagerace.machine.memory import PAGE_SIZE, Machine, nr_t, ulong
from pagerace.machine.pgtable import (
    pte_offset_kernel,
    pte_pfn,
    pte_present,
    pte_same,
    pte_write,
    ptep_get,
    ptrs_per_pte,
)
from pagerace.machine.tables import (
    pmd_leaf,
    pmd_page_vaddr,
    pmd_pfn,
    pmd_present,
    pmd_same,
    pmd_write,
    pmdp_get,
    pmdval_t,
)
from pagerace.mm.mm_types import folio, mm_struct, nth_page, page_folio, pfn_to_page, pmd_t
from pagerace.mm.page_flags import folio_try_get
from pagerace.mm.pgtable import mm_find_pmd
from pagerace.mm.pgtable_lockless import pmdp_get_lockless, ptep_get_lockless
from pagerace.mm.swap import folio_put


class Gup(Config):
    """``pmd_recheck``: the PMD entry is looked at again, as the PTE is.

    ``whole_recheck``: a PTE is compared as one word of 64 bits on all machines.
    """

    pmd_recheck: bool = True
    whole_recheck: bool = False


V6_0 = Gup(pmd_recheck=False)
V6_1 = Gup()

# Flags of get_user_pages_fast().
FOLL_WRITE = 1


class page_list(Struct):
    """The array ``pages`` of a caller, and how many of it are filled."""

    nr: nr_t
    page: Array[folio | None] = array(lambda: Machine.pages)


page_lists = per_thread(page_list)


def lockless_pages_from_mm(
    mm: mm_struct, start: ulong, end: ulong, gup_flags: u1, pages: page_list
) -> nr_t:
    """lockless_pages_from_mm(): how many pages were got, each with a reference.

    With interrupts off, a TLB flush that interrupts this CPU does not get past it, and
    neither does what waits for such a flush: page tables that are walked are not freed.
    """
    pages.nr = 0
    flags = local_irq_save()
    gup_pmd_range(mm, start, end, gup_flags, pages)
    local_irq_restore(flags)
    return pages.nr


def gup_pmd_range(mm: mm_struct, addr: ulong, end: ulong, flags: u1, pages: page_list) -> bool:
    """gup_pgd_range() down to gup_pmd_range(): one PMD entry covers the whole mm.

    Linux kernel commit 1180e732c985 ("mm/gup: Fix the lockless PMD access") (in v6.2).
    """
    pmd = mm_find_pmd(mm, addr)
    if pmd is None:
        return False
    entry = pmdp_get_lockless(pmd)
    if not pmd_present(entry):
        return False
    while addr != end:
        if Machine.huge_pages and pmd_leaf(entry):
            if not gup_huge_pmd(pmd, entry, addr, flags, pages):
                return False
        elif not gup_pte_range(pmd, entry, addr, flags, pages):
            return False
        addr += PAGE_SIZE
    return True


def gup_huge_pmd(
    pmd: pmd_t, orig: pmdval_t, addr: ulong, flags: u1, pages: page_list
) -> bool:
    """gup_huge_pmd(), of one page: False if the slow path has to do it."""
    if flags & FOLL_WRITE != 0 and not pmd_write(orig):
        return False
    page = nth_page(pfn_to_page(pmd_pfn(orig)), addr % ptrs_per_pte())
    folio = try_get_folio(page)
    if folio is None:
        return False
    if pmd_changed(pmd, orig):
        folio_put(folio)
        return False
    pages.page[pages.nr] = page
    pages.nr += 1
    return True


def pte_access_permitted(pte: pte_t, write: bool) -> bool:
    """pte_access_permitted() of arch/x86/include/asm/pgtable.h."""
    return pte_present(pte) and (not write or pte_write(pte))


def pmd_changed(pmd: pmd_t, entry: pmdval_t) -> bool:
    """``pmd_val(pmd) != pmd_val(*pmdp)``: is it another one than was read before?"""
    return not pmd_same(entry, pmdp_get(pmd))


def gup_pte_range(
    pmd: pmd_t, entry: pmdval_t, addr: ulong, flags: u1, pages: page_list
) -> bool:
    """gup_pte_range(), of one entry: False if the slow path has to do it.

    ``entry`` is what the PMD entry was.  A reference keeps neither that nor the PTE from
    changing, so that both are looked at again.  ``*ptep`` is two loads on PAE, so that the
    second look can be as torn as the first.

    Linux kernel commit 70cbc3cc78a9 ("mm: gup: fix the fast GUP race against THP
    collapse") (in v6.1) added the second look at the PMD entry.
    """
    ptep = pte_offset_kernel(pmd_page_vaddr(entry), addr)
    pte = ptep_get_lockless(ptep)
    if not pte_access_permitted(pte, flags & FOLL_WRITE != 0):
        return False
    folio = try_get_folio(pfn_to_page(pte_pfn(pte)))
    if folio is None:
        return False
    if Gup.pmd_recheck and pmd_changed(pmd, entry):
        folio_put(folio)
        return False
    again = load_entry_whole(ptep) if Gup.whole_recheck else ptep_get(ptep)
    if not pte_same(pte, again):
        folio_put(folio)
        return False
    pages.page[pages.nr] = folio
    pages.nr += 1
    return True


def try_get_folio(page: folio) -> folio | None:
    """try_get_folio(): None if the page is being freed.  No folio is ever split here."""
    folio = page_folio(page)
    if not folio_try_get(folio):
        return None
    return folio
