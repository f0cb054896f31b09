"""Mapping one page of a file: the part of mm/memory.c that fault and fault-around share."""
# pyright: strict, reportPrivateUsage=false, reportUnusedFunction=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.machine.counters import Counting, counters
from pagerace.machine.memory import ulong
from pagerace.machine.pgtable import (
    pfn_pte,
    pte_mkdirty,
    pte_mkwrite,
    pte_mkyoung,
    pte_offset_kernel,
    pte_t,
    set_pte,
)
from pagerace.machine.tables import (
    PteTables,
    pfn_pmd,
    pmd_mkdirty,
    pmd_mkwrite,
    pmd_mkyoung,
    pmd_none,
    pmd_trans_huge,
    pmdp_get,
)
from pagerace.mm.fault_around import created_old, should_fault_around
from pagerace.mm.highmem import kmap_atomic, kunmap_atomic
from pagerace.mm.mm_types import (
    FAULT_FLAG_WRITE,
    VM_FAULT_FALLBACK,
    Vma,
    folio,
    linear_page_index,
    nth_page,
    page_folio,
    page_to_pfn,
    pmd_t,
    vm_area_struct,
    vm_fault,
    vm_fault_t,
)
from pagerace.mm.page_flags import folio_test_pmd_mappable
from pagerace.mm.pgtable import pmd_lock, pte_lockptr, set_pmd_at
from pagerace.mm.pgtable_generic import (
    pte_added,
    pte_maps,
    pte_offset_map_lock,
    pte_unmap_unlock,
)
from pagerace.mm.pgtable_levels import HPAGE_PMD_NR
from pagerace.mm.rmap import page_add_file_rmap
from pagerace.mm.rmap_large import folio_add_rmap_pmd
from pagerace.mm.spinlock import spin_unlock


def is_write(vmf: vm_fault) -> bool:
    """``vmf->flags & FAULT_FLAG_WRITE``."""
    return vmf.flags & FAULT_FLAG_WRITE != 0


def no_table(pmd: pmd_t) -> bool:
    """``pmd_none(*pmd)``, which cannot be where no table is ever allocated."""
    return PteTables.come_and_go and pmd_none(pmdp_get(pmd))


def pmd_trans_unstable(pmd: pmd_t) -> bool:
    """pmd_devmap_trans_unstable(): is there no table, or none any more?  Until v6.4."""
    entry = pmdp_get(pmd)
    return pmd_none(entry) or pmd_trans_huge(entry)


def pte_offset_map_lock_of(vmf: vm_fault, address: ulong, nowait: bool) -> bool:
    """pte_offset_map_lock() for a fault: into ``vmf->ptl`` and ``vmf->pte``.

    False: there is no table, where tables may vanish.  ``nowait``: in an RCU section.
    """
    map = pte_maps.current
    map.nowait = nowait
    find_ptl(vmf)
    pte = pte_offset_map_lock(vmf.vma.vm_mm, vmf.pmd, address, map)
    if pte is None:
        map.nowait = False
        return False
    vmf.pte = pte
    vmf.table = map.table
    if should_fault_around():
        kmap_atomic(vmf.table)
    return True


def find_ptl(vmf: vm_fault) -> None:
    """``vmf->ptl`` of a table that stays, looked up once more; of others it is kept."""
    if not PteTables.come_and_go:
        pte_maps.current.ptl = pte_lockptr(vmf.vma.vm_mm, vmf.pmd)


def pte_unmap_unlock_of(vmf: vm_fault) -> None:
    """pte_unmap_unlock(vmf->pte, vmf->ptl)."""
    pte_unmap_unlock(pte_maps.current)
    pte_maps.current.nowait = False
    kunmap_atomic()


def file_pte(vmf: vm_fault, page: folio, prefault: bool) -> pte_t:
    """mk_pte() and what follows it.  ``prefault``: it is not the page of the fault."""
    writable = Vma.flags and vmf.vma.vm_page_prot.writable
    entry = pfn_pte(page_to_pfn(page), writable)
    if not created_old(prefault):
        entry = pte_mkyoung(entry)
    if is_write(vmf):
        entry = pte_mkwrite(pte_mkdirty(entry))
    return entry


def do_set_pte(vmf: vm_fault, page: folio, addr: ulong) -> None:
    """do_set_pte(): the mapping takes the page's reference over.

    Linux kernel commit f9ce0be71d1f ("mm: Cleanup faultaround and finish_fault()
    codepaths") (in v5.12); the address came with commit 9d3af4b448a1.
    """
    entry = file_pte(vmf, page, addr != vmf.address)
    if Counting.on and should_fault_around():
        if linear_page_index(vmf.vma, addr) != vmf.pgoff:  # vmf->address may move
            entry = note_prefaulted(entry)
    page_add_file_rmap(page, vmf.vma)
    pte_added(pte_maps.current)
    set_pte(vmf.pte, entry)


def note_prefaulted(entry: pte_t) -> pte_t:
    """An entry beside that of the fault: whether it is ever used, the walker tells."""
    counters.around_mapped += 1
    return entry.replace(prefaulted=True)


def set_pte_range(vmf: vm_fault, page: folio, nr: ulong, addr: ulong) -> None:
    """set_pte_range(): the same for ``nr`` pages of a folio at once (v6.6 and later).

    They are of one age: if the page of the fault is among them, none is prefaulted.
    """
    prefault = not addr <= vmf.address < addr + nr
    for i in range(nr):
        entry = file_pte(vmf, nth_page(page, i), prefault)
        if Counting.on and addr + i != vmf.address:
            entry = note_prefaulted(entry)
        page_add_file_rmap(page, vmf.vma)
        pte_added(pte_maps.current)
        set_pte(pte_offset_kernel(vmf.table, addr + i), entry)


def transhuge_vma_suitable(vma: vm_area_struct, haddr: ulong) -> bool:
    """transhuge_vma_suitable(): has the VMA all of the huge page, and at its right place?"""
    if (vma.vm_start - vma.vm_pgoff) % HPAGE_PMD_NR() != 0:
        return False
    return haddr >= vma.vm_start and haddr + HPAGE_PMD_NR() <= vma.vm_end


def do_set_pmd(vmf: vm_fault, page: folio) -> vm_fault_t:
    """do_set_pmd(): map a huge page by the PMD entry, or VM_FAULT_FALLBACK.

    No table is deposited (arch_needs_pgtable_deposit() is powerpc's).
    """
    haddr = vmf.address - vmf.address % HPAGE_PMD_NR()
    if not transhuge_vma_suitable(vmf.vma, haddr):
        return VM_FAULT_FALLBACK
    folio = page_folio(page)
    if not folio_test_pmd_mappable(folio):
        return VM_FAULT_FALLBACK
    ret: vm_fault_t = VM_FAULT_FALLBACK
    ptl = pmd_lock(vmf.vma.vm_mm, vmf.pmd)
    if pmd_none(pmdp_get(vmf.pmd)):
        entry = pmd_mkyoung(pfn_pmd(page_to_pfn(folio), False))
        if is_write(vmf):
            entry = pmd_mkwrite(pmd_mkdirty(entry))
        folio_add_rmap_pmd(folio, vmf.vma)
        set_pmd_at(vmf.vma.vm_mm, haddr, vmf.pmd, entry)
        ret = 0
    spin_unlock(ptl)
    return ret
