"""Anonymous memory: the part of mm/memory.c that serves its faults.

``Anon.private`` makes all VMAs private and anonymous; with Vma.flags each says for itself.
What a read fault maps there is the zero page, frame ``Anon.zero_pfn``, which nobody counts; a
write fault brings a page.
"""

from __future__ import annotations

from pagerace.lang import Config, atomic
from pagerace.machine.counters import Counting, counters
from pagerace.machine.memory import frames, ulong
from pagerace.machine.pgtable import (
    pfn_pte,
    pte_mkdirty,
    pte_mkwrite,
    pte_mkyoung,
    pte_none,
    pte_pfn,
    pte_t,
    ptep_get,
    set_pte,
)
from pagerace.machine.tables import PteTables
from pagerace.mm.anon_vma import anon_vma_prepare
from pagerace.mm.mm_types import (
    FAULT_FLAG_WRITE,
    VM_FAULT_OOM,
    Vma,
    folio,
    linear_page_index,
    page_folio,
    page_to_pfn,
    vm_area_struct,
    vm_fault,
    vm_fault_t,
)
from pagerace.mm.page_alloc import alloc_page
from pagerace.mm.page_flags import mapcount_inc
from pagerace.mm.pgalloc import pte_alloc
from pagerace.mm.pgtable_generic import (
    pte_added,
    pte_maps,
    pte_offset_map_lock,
    pte_unmap_unlock,
)
from pagerace.mm.swap import put_page


class Anon(Config):
    """``private``: there is anonymous memory, and nothing else.  ``zero_pfn``: ZERO_PAGE."""

    private: bool = False
    zero_pfn: int = 0


def vma_is_anonymous(vma: vm_area_struct) -> bool:
    """vma_is_anonymous() of include/linux/mm.h."""
    if Vma.flags:
        return vma.vm_file is None
    return Anon.private


def PageAnon(page: folio) -> bool:
    """PageAnon() of include/linux/page-flags.h."""
    if Vma.flags:
        return page_folio(page).anon_vma is not None
    return Anon.private


def is_zero_pte(pte: pte_t) -> bool:
    """is_zero_pfn(pte_pfn()): then vm_normal_page() has no page to give."""
    return (Anon.private or Vma.flags) and pte_pfn(pte) == Anon.zero_pfn


def vmf_anon_prepare(vmf: vm_fault) -> bool:
    """vmf_anon_prepare(): the VMA can have pages of its own; False: there is no memory."""
    return not Vma.flags or anon_vma_prepare(vmf.vma)


def do_anonymous_page(vmf: vm_fault) -> vm_fault_t:
    """do_anonymous_page(): the zero page, or a page of its own for a write."""
    if PteTables.come_and_go and pte_alloc(vmf.vma.vm_mm, vmf.pmd):
        return VM_FAULT_OOM
    page: folio | None = None
    entry = pte_mkyoung(pfn_pte(Anon.zero_pfn, False))
    if vmf.flags & FAULT_FLAG_WRITE != 0:
        if not vmf_anon_prepare(vmf):
            return VM_FAULT_OOM
        page = alloc_zeroed_user_highpage_movable()
        if page is None:
            return VM_FAULT_OOM
        entry = mk_anon_pte(page)
    map = pte_maps.current
    pte = pte_offset_map_lock(vmf.vma.vm_mm, vmf.pmd, vmf.address, map)
    if pte is None:
        if page is not None:
            put_page(page)
        return 0
    vmf.pte = pte
    if pte_none(ptep_get(vmf.pte)):
        if page is not None:
            page_add_new_anon_rmap(page, vmf.vma, vmf.address)
        pte_added(map)
        set_pte(vmf.pte, entry)
        pte_unmap_unlock(map)
        if Counting.on:
            if page is None:
                counters.faults_zero_page += 1
            else:
                counters.faults_anonymous += 1
    else:
        pte_unmap_unlock(map)
        if Counting.on:
            counters.faults_gone += 1
        if page is not None:
            put_page(page)
    return 0


def mk_anon_pte(page: folio) -> pte_t:
    """mk_pte() of a page that is written to: writable and dirty from the start."""
    return pte_mkwrite(pte_mkdirty(pte_mkyoung(pfn_pte(page_to_pfn(page), False))))


def page_add_new_anon_rmap(page: folio, vma: vm_area_struct, address: ulong) -> None:
    """folio_add_new_anon_rmap() of mm/rmap.c, RMAP_EXCLUSIVE; PTL held."""
    if Vma.flags:
        with atomic():  # nobody else knows the page yet
            page.anon_vma = vma.anon_vma
            page.index = linear_page_index(vma, address)
            page.PG_anon_exclusive = True
    mapcount_inc(page)


def alloc_zeroed_user_highpage_movable() -> folio | None:
    """alloc_zeroed_user_highpage_movable() of include/linux/highmem.h."""
    page = alloc_page()
    if page is not None:
        with atomic():  # nobody else knows the page yet
            frames[page_to_pfn(page)].content = 0
    return page
