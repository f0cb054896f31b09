"""Faults of pages that nobody touches: the part of mm/gup.c that populates, with Vma.flags."""

from __future__ import annotations

from pagerace.lang import per_thread, s64
from pagerace.machine.counters import Counting, counters
from pagerace.machine.memory import PAGE_SIZE, ulong
from pagerace.machine.pgtable import (
    pte_dirty,
    pte_pfn,
    pte_present,
    pte_t,
    pte_write,
    ptep_get,
)
from pagerace.machine.tables import pmd_trans_huge, pmdp_get
from pagerace.mm.anon import is_zero_pte
from pagerace.mm.errno import EFAULT, EINVAL, ENOMEM
from pagerace.mm.huge_anon import follow_huge_pmd
from pagerace.mm.maple_tree import mas_find
from pagerace.mm.memory import handle_mm_fault
from pagerace.mm.mm_types import (
    FAULT_FLAG_WRITE,
    Thp,
    mm_struct,
    page_folio,
    pfn_to_page,
    vm_area_struct,
    vm_fault,
)
from pagerace.mm.mman import VM_ACCESS_FLAGS, VM_READ, VM_SHARED, VM_WRITE
from pagerace.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from pagerace.mm.page_flags import folio_test_dirty
from pagerace.mm.page_writeback import folio_mark_dirty
from pagerace.mm.pgtable import find_pte_table
from pagerace.mm.pgtable_generic import pte_maps, pte_offset_map_lock, pte_unmap_unlock

faults = per_thread(vm_fault)


def madvise_populate(mm: mm_struct, start: ulong, end: ulong, write: bool) -> s64:
    """madvise_populate() of mm/madvise.c with faultin_page_range().

    0; -ENOMEM where nothing is mapped; -EINVAL without the right; -EFAULT behind the end of
    the file.  What comes before that is populated.
    """
    mmap_read_lock(mm)
    error: s64 = 0
    addr = start
    while addr < end and error == 0:
        vma = mas_find(mm, addr)
        if vma is None or addr < vma.vm_start:
            error = -ENOMEM
        elif vma.vm_flags & (VM_WRITE if write else VM_READ) == 0:
            error = -EINVAL
        else:
            error = populate_vma_page_range(vma, addr, min(vma.vm_end, end), write)
            addr = min(vma.vm_end, end)
    mmap_read_unlock(mm)
    return error


def mm_populate(mm: mm_struct, start: ulong, len: ulong) -> None:
    """mm_populate() of MAP_POPULATE: what cannot be populated is left out.

    A private mapping is written to, so that its pages are its own at once.
    """
    mmap_read_lock(mm)
    end = start + len
    addr = start
    while addr < end:
        vma = mas_find(mm, addr)
        if vma is None or vma.vm_start >= end:
            break
        addr = max(addr, vma.vm_start)
        if vma.vm_flags & VM_ACCESS_FLAGS != 0:
            write = vma.vm_flags & (VM_WRITE | VM_SHARED) == VM_WRITE
            populate_vma_page_range(vma, addr, min(vma.vm_end, end), write)
        addr = vma.vm_end
    mmap_read_unlock(mm)


def populate_vma_page_range(
    vma: vm_area_struct, start: ulong, end: ulong, write: bool
) -> s64:
    """populate_vma_page_range(): 0 or -EFAULT."""
    addr = start
    while addr < end:
        if follow_page(vma, addr, write):
            addr += PAGE_SIZE
        elif not faultin_page(vma, addr, write):
            return -EFAULT
    return 0


def follow_page(vma: vm_area_struct, addr: ulong, write: bool) -> bool:
    """follow_pmd_mask() and follow_page_pte(): is it mapped as it is to be?"""
    pmd = find_pte_table(vma.vm_mm, addr)
    if pmd is None:
        return False
    if Thp.anonymous and pmd_trans_huge(pmdp_get(pmd)):
        return follow_huge_pmd(vma, addr, pmd, write)
    map = pte_maps.current
    ptep = pte_offset_map_lock(vma.vm_mm, pmd, addr, map)
    if ptep is None:
        return False
    pte = ptep_get(ptep)
    mapped = is_mapped_as_wanted(pte, write)
    pte_unmap_unlock(map)
    return mapped


def is_mapped_as_wanted(pte: pte_t, write: bool) -> bool:
    """The rest of follow_page_pte(); PTL held: a store would find a dirty page."""
    if not pte_present(pte) or (write and not pte_write(pte)):
        return False
    if write and not is_zero_pte(pte) and not pte_dirty(pte):  # FOLL_TOUCH
        folio = page_folio(pfn_to_page(pte_pfn(pte)))
        if not folio_test_dirty(folio):
            folio_mark_dirty(folio)
    return True


def faultin_page(vma: vm_area_struct, addr: ulong, write: bool) -> bool:
    """faultin_page(): one fault; False where it would be a signal."""
    vmf = faults.current
    vmf.vma = vma
    vmf.address = addr
    vmf.flags = FAULT_FLAG_WRITE if write else 0
    vmf.sigbus = False
    handle_mm_fault(vmf)
    vmf.address = 0
    vmf.flags = 0
    vmf.orig_pte = pte_t()
    if Counting.on and not vmf.sigbus:
        counters.accounted += 1  # mm_account_fault()
    return not vmf.sigbus
