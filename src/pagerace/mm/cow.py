"""Copies on write: do_wp_page() of private mappings and do_cow_fault() of mm/memory.c."""

from __future__ import annotations

from pagerace.lang import atomic
from pagerace.machine.counters import Counting, counters
from pagerace.machine.memory import frames
from pagerace.machine.pgtable import (
    pte_mkdirty,
    pte_mkwrite,
    pte_mkyoung,
    pte_pfn,
    pte_same,
    ptep_get,
    set_pte,
)
from pagerace.mm.anon import (
    PageAnon,
    alloc_zeroed_user_highpage_movable,
    is_zero_pte,
    mk_anon_pte,
    page_add_new_anon_rmap,
    vmf_anon_prepare,
)
from pagerace.mm.mm_types import (
    FAULT_FLAG_WRITE,
    VM_FAULT_OOM,
    Thp,
    Vma,
    folio,
    page_folio,
    page_to_pfn,
    pfn_to_page,
    vm_area_struct,
    vm_fault,
    vm_fault_t,
)
from pagerace.mm.mman import VM_MAYSHARE, VM_MAYWRITE, VM_SHARED
from pagerace.mm.page_alloc import alloc_page
from pagerace.mm.page_flags import folio_ref_count, folio_test_large
from pagerace.mm.pagemap import folio_trylock, folio_unlock
from pagerace.mm.pgtable import ptep_clear_flush, ptep_set_access_flags
from pagerace.mm.pgtable_generic import (
    pte_added,
    pte_maps,
    pte_offset_map_lock,
    pte_unmap_unlock,
)
from pagerace.mm.rmap import page_remove_rmap
from pagerace.mm.rmap_large import wp_can_reuse_large_anon_folio
from pagerace.mm.set_pte import find_ptl
from pagerace.mm.swap import get_page, put_page


def vma_is_private(vma: vm_area_struct) -> bool:
    """``!(vma->vm_flags & (VM_SHARED | VM_MAYSHARE))``; all are shared without Vma.flags."""
    return Vma.flags and vma.vm_flags & (VM_SHARED | VM_MAYSHARE) == 0


def is_cow_mapping(vma: vm_area_struct) -> bool:
    """is_cow_mapping() of include/linux/mm.h: a store to it brings a page of its own."""
    return vma.vm_flags & (VM_SHARED | VM_MAYWRITE) == VM_MAYWRITE


def is_cow_fault(vmf: vm_fault) -> bool:
    """``is_cow`` of finish_fault(): a store to what is not shared."""
    if not Vma.flags:
        return False
    return vmf.flags & FAULT_FLAG_WRITE != 0 and vmf.vma.vm_flags & VM_SHARED == 0


def map_cow_page(vmf: vm_fault) -> None:
    """set_pte_range() of the copy; PTL held.  It is the mapping's from here on."""
    copy = vmf.cow_page
    if copy is not None:
        page_add_new_anon_rmap(copy, vmf.vma, vmf.address)
        pte_added(pte_maps.current)
        set_pte(vmf.pte, mk_anon_pte(copy))


def do_wp_private(vmf: vm_fault) -> vm_fault_t:
    """do_wp_page(), its part for private mappings; PTL held, dropped on the way.

    A page that nobody else can have is written to; else it is copied.
    """
    if is_zero_pte(vmf.orig_pte):
        return wp_page_copy(vmf, None)
    page = pfn_to_page(pte_pfn(vmf.orig_pte))
    if PageAnon(page):
        if page.PG_anon_exclusive or wp_can_reuse_anon_folio(page):
            page.PG_anon_exclusive = True
            if Counting.on:
                counters.faults_reused += 1
            wp_page_reuse(vmf)
            return 0
    get_page(page)
    return wp_page_copy(vmf, page)


def wp_can_reuse_anon_folio(folio: folio) -> bool:
    """wp_can_reuse_anon_folio(): all others that had it are gone; PTL held.

    Whoever still looks at it, as reclaim does, has a reference, and makes it be copied.  No
    folio is in the swap cache or in a batch for the LRU lists.
    """
    if Thp.anonymous and folio_test_large(page_folio(folio)):
        return wp_can_reuse_large_anon_folio(page_folio(folio))
    if folio_ref_count(folio) != 1 or not folio_trylock(folio):
        return False
    alone = folio_ref_count(folio) == 1
    folio_unlock(folio)  # and folio_move_anon_rmap()
    return alone


def wp_page_reuse(vmf: vm_fault) -> None:
    """wp_page_reuse(): the PTE becomes writable and dirty; PTL held, dropped."""
    entry = pte_mkyoung(vmf.orig_pte)
    entry = pte_mkwrite(pte_mkdirty(entry))
    ptep_set_access_flags(vmf.vma, vmf.address, vmf.pte, entry, True)
    find_ptl(vmf)
    pte_unmap_unlock(pte_maps.current)


def wp_page_copy(vmf: vm_fault, old: folio | None) -> vm_fault_t:
    """wp_page_copy(): a page of its own for who stores; PTL held, dropped on the way.

    ``old``: what is mapped, with a reference; None: the zero page.  The copy is made without
    the PTL: if the entry is another one by then, it was in vain.
    """
    map = pte_maps.current
    find_ptl(vmf)
    pte_unmap_unlock(map)
    new = alloc_copy(vmf, old)
    if new is None:
        if old is not None:
            put_page(old)
        return VM_FAULT_OOM
    pte = pte_offset_map_lock(vmf.vma.vm_mm, vmf.pmd, vmf.address, map)
    if pte is not None and pte_same(ptep_get(pte), vmf.orig_pte):
        vmf.pte = pte
        if Counting.on:
            counters.faults_cow += 1
        ptep_clear_flush(vmf.vma, vmf.address, vmf.pte)
        page_add_new_anon_rmap(new, vmf.vma, vmf.address)
        set_pte(vmf.pte, mk_anon_pte(new))
        if old is not None:
            page_remove_rmap(old, vmf.vma)
        pte_unmap_unlock(map)
        if old is not None:
            put_page(old)  # the mapping's
    else:
        if Counting.on:
            counters.faults_gone += 1
        if pte is not None:
            pte_unmap_unlock(map)
        put_page(new)
    if old is not None:
        put_page(old)
    return 0


def alloc_copy(vmf: vm_fault, old: folio | None) -> folio | None:
    """folio_prealloc() with __wp_page_copy_user(): a page with the content of ``old``."""
    if not vmf_anon_prepare(vmf):
        return None
    if old is None:
        return alloc_zeroed_user_highpage_movable()
    new = alloc_page()
    if new is not None:
        copy_user_highpage(new, old)
    return new


def copy_user_highpage(to: folio, source: folio) -> None:
    """copy_user_highpage() of include/linux/highmem.h: all of it, in one step."""
    with atomic():  # nobody else knows the page yet
        frames[page_to_pfn(to)].content = frames[page_to_pfn(source)].content
