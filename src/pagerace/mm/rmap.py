"""Reverse mapping: mm/rmap.c.

The mapcount is the number of page-table entries, so that it tells whether a walk over
the VMAs of the file could find anything.
"""

from __future__ import annotations

from pagerace.lang import Config, Struct, per_thread, u1
from pagerace.machine.memory import PAGE_SIZE, nr_t, ulong
from pagerace.machine.pgtable import (
    pte_dirty,
    pte_mkclean,
    pte_write,
    pte_wrprotect,
    ptep_get,
    set_pte,
)
from pagerace.mm.mm_types import (
    Vma,
    folio,
    page_folio,
    page_to_pfn,
    vm_area_struct,
    vm_flags_t,
    vma_address,
)
from pagerace.mm.mman import VM_SHARED
from pagerace.mm.mmu_notifier import (
    MmuNotifier,
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
)
from pagerace.mm.page_flags import folio_mapped, folio_test_locked, mapcount_dec
from pagerace.mm.page_vma_mapped import (
    PVMW_SYNC,
    page_vma_mapped_walk,
    page_vma_mapped_walk_t,
    walks,
)
from pagerace.mm.pgtable import ptep_clear_flush, ptep_clear_flush_young
from pagerace.mm.pgtable_generic import pte_removed, rmap_pte_maps
from pagerace.mm.rmap_large import folio_add_rmap_pte, folio_remove_rmap_pte
from pagerace.mm.rwsem import down_read, up_read
from pagerace.mm.swap import folio_put


class Mkclean(Config):
    """``trust_mapcount``: folio_mkclean() does not look for what is not mapped.

    That it should never trust it was one of the proposals of October 2022.
    """

    trust_mapcount: bool = True


def page_add_file_rmap(page: folio, vma: vm_area_struct) -> None:
    """page_add_file_rmap(): one more entry maps the page; PTL held."""
    folio_add_rmap_pte(page, vma)


def page_remove_rmap(page: folio, vma: vm_area_struct) -> None:
    """page_remove_rmap(): one entry less.

    Linux kernel commit 5df397dec7c4 ("mm: delay page_remove_rmap() until after the TLB
    has been flushed") (in v6.2) lets the caller choose the moment.
    """
    folio_remove_rmap_pte(page, vma)


def page_zap_pte_rmap(page: folio) -> None:
    """page_zap_pte_rmap() of the RFC of October 2022: without the PTL."""
    mapcount_dec(page_folio(page))


def folio_mkclean(folio: folio) -> nr_t:
    """folio_mkclean(): clean and write-protect every PTE of the folio; how many it was.

    A folio without rmap is not looked for: no PTL is taken, and no zapper waited for.
    """
    assert folio_test_locked(folio), "folio_mkclean() wants the folio locked"
    if Mkclean.trust_mapcount and not folio_mapped(folio):
        return 0
    if folio.mapping is None:
        return 0
    return rmap_walk_file(folio)


def rmap_walk_file(folio: folio) -> nr_t:
    """rmap_walk_file(), with page_mkclean_one() as its ->rmap_one()."""
    cleaned: nr_t = 0
    mapping = folio.mapping
    if mapping is None:
        return 0
    down_read(mapping.i_mmap_rwsem)
    if Vma.flags:
        mapped = mapping.i_mmap_first
        while mapped is not None:
            if maps_page(mapped, folio.index) and not invalid_mkclean_vma(mapped):
                cleaned += page_mkclean_one(folio, mapped)
            mapped = mapped.shared_next
    else:
        for vma in mapping.i_mmap:
            if vma is not None:
                cleaned += page_mkclean_one(folio, vma)
    up_read(mapping.i_mmap_rwsem)
    return cleaned


def maps_page(vma: vm_area_struct, index: ulong) -> bool:
    """vma_interval_tree_foreach(): is the page of the file in the part that the VMA maps?"""
    return vma.vm_pgoff <= index < vma.vm_pgoff + vma.vm_end - vma.vm_start


def invalid_mkclean_vma(vma: vm_area_struct) -> bool:
    """invalid_mkclean_vma(): what is private has no right to write to pages of the file."""
    return vma.vm_flags & VM_SHARED == 0


def DEFINE_FOLIO_VMA_WALK(
    pvmw: page_vma_mapped_walk_t, folio: folio, vma: vm_area_struct, flags: u1
) -> None:
    """DEFINE_FOLIO_VMA_WALK() of include/linux/rmap.h: at where ``vma`` maps the folio."""
    pvmw.pfn = page_to_pfn(folio)
    pvmw.vma = vma
    pvmw.address = vma_address(folio, vma)
    pvmw.flags = flags


def invalidate_start(vma: vm_area_struct, address: ulong) -> None:
    """mmu_notifier_invalidate_range_start(), of one page."""
    if MmuNotifier.on:
        mmu_notifier_invalidate_range_start(vma.vm_mm, address, address + PAGE_SIZE)


def invalidate_end(vma: vm_area_struct, address: ulong) -> None:
    """mmu_notifier_invalidate_range_end(), of one page."""
    if MmuNotifier.on:
        mmu_notifier_invalidate_range_end(vma.vm_mm, address, address + PAGE_SIZE)


def page_mkclean_one(folio: folio, vma: vm_area_struct) -> nr_t:
    """page_mkclean_one() with page_vma_mkclean_one(): the PTEs of one VMA."""
    cleaned: nr_t = 0
    pvmw = walks.current
    DEFINE_FOLIO_VMA_WALK(pvmw, folio, vma, PVMW_SYNC)
    invalidate_start(vma, pvmw.address)
    while page_vma_mapped_walk(pvmw):
        pte = pvmw.pte
        if not pte_dirty(ptep_get(pte)) and not pte_write(ptep_get(pte)):
            continue
        entry = ptep_clear_flush(vma, pvmw.address, pte)
        entry = pte_wrprotect(entry)
        entry = pte_mkclean(entry)
        set_pte(pte, entry)
        cleaned += 1
    invalidate_end(vma, pvmw.address)
    return cleaned


class folio_referenced_arg(Struct):
    """struct folio_referenced_arg: what a walk has found; ``vm_flags`` of who used the page."""

    referenced: nr_t
    vm_flags: vm_flags_t


referenced_args = per_thread(folio_referenced_arg)


def folio_referenced(folio: folio) -> nr_t:
    """folio_referenced(): how many PTEs say that it was used; they say so no more."""
    pra = referenced_args.current
    pra.referenced = 0
    pra.vm_flags = 0
    mapping = folio.mapping
    if mapping is None or not folio_mapped(folio):
        return 0
    down_read(mapping.i_mmap_rwsem)
    vma = mapping.i_mmap_first
    while vma is not None:
        if maps_page(vma, folio.index):
            folio_referenced_one(folio, vma)
        vma = vma.shared_next
    up_read(mapping.i_mmap_rwsem)
    return pra.referenced


def folio_referenced_one(folio: folio, vma: vm_area_struct) -> None:
    """folio_referenced_one(): of the PTE by which one VMA maps it."""
    pra = referenced_args.current
    pvmw = walks.current
    DEFINE_FOLIO_VMA_WALK(pvmw, folio, vma, 0)
    while page_vma_mapped_walk(pvmw):
        if ptep_clear_flush_young(vma, pvmw.address, pvmw.pte):
            pra.referenced += 1
            pra.vm_flags |= vma.vm_flags


def folio_referenced_by(flags: vm_flags_t) -> bool:
    """Not the kernel's: had a VMA that used the page, in the walk before, such a flag?"""
    return referenced_args.current.vm_flags & flags != 0


def try_to_unmap(folio: folio) -> None:
    """try_to_unmap(), of a page of a file: no PTE maps it any more."""
    mapping = folio.mapping
    if mapping is None:
        return
    down_read(mapping.i_mmap_rwsem)
    vma = mapping.i_mmap_first
    while vma is not None and folio_mapped(folio):
        if maps_page(vma, folio.index):
            try_to_unmap_one(folio, vma)
        vma = vma.shared_next
    up_read(mapping.i_mmap_rwsem)


def try_to_unmap_one(folio: folio, vma: vm_area_struct) -> None:
    """try_to_unmap_one(): with a flush of its own, where x86 can defer them."""
    pvmw = walks.current
    DEFINE_FOLIO_VMA_WALK(pvmw, folio, vma, 0)
    invalidate_start(vma, pvmw.address)
    while page_vma_mapped_walk(pvmw):
        pteval = ptep_clear_flush(vma, pvmw.address, pvmw.pte)
        pte_removed(rmap_pte_maps.current)
        if pte_dirty(pteval):
            folio.PG_dirty = True  # folio_mark_dirty(), which needs page-writeback.c
        page_remove_rmap(folio, vma)
        folio_put(folio)
    invalidate_end(vma, pvmw.address)
