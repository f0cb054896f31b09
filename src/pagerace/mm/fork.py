"""What fork() does to the page tables of the parent: kernel/fork.c, mm/memory.c.

Of a mapping that is to be copied on write.  The child's tables are left out: nobody runs on
them yet.
"""

from __future__ import annotations

from pagerace.machine.memory import PAGE_SIZE, ulong
from pagerace.machine.pgtable import pte_present, pte_slot, pte_write, ptep_get
from pagerace.mm.mm_types import mm_struct, pmd_t, vm_area_struct
from pagerace.mm.mmap import find_vma
from pagerace.mm.mmap_lock import mmap_write_lock, mmap_write_unlock
from pagerace.mm.pgtable import (
    mm_find_pmd,
    pte_lockptr,
    pte_offset_map,
    pte_offset_map_lock,
    pte_unmap_unlock,
    ptep_set_wrprotect,
)
from pagerace.mm.pgtable_levels import pmd_addr_end
from pagerace.mm.tlb import flush_tlb_mm_range


def dup_mmap(oldmm: mm_struct, start: ulong) -> None:
    """dup_mmap() of kernel/fork.c, of the VMA that begins at ``start``."""
    mmap_write_lock(oldmm)
    vma = find_vma(oldmm, start)
    if vma is not None:
        copy_page_range(vma)
        flush_tlb_mm_range(oldmm, vma.vm_start, vma.vm_end)
    mmap_write_unlock(oldmm)


def copy_page_range(src_vma: vm_area_struct) -> None:
    """copy_page_range() of mm/memory.c."""
    addr = src_vma.vm_start
    while addr != src_vma.vm_end:
        next = pmd_addr_end(addr, src_vma.vm_end)
        pmd = mm_find_pmd(src_vma.vm_mm, addr)
        if pmd is not None:
            copy_pte_range(src_vma, pmd, addr, next)
        addr = next


def copy_pte_range(src_vma: vm_area_struct, pmd: pmd_t, start: ulong, end: ulong) -> None:
    """copy_pte_range() of mm/memory.c."""
    ptl = pte_lockptr(src_vma.vm_mm, pmd)
    start_pte = pte_offset_map_lock(src_vma.vm_mm, pmd, start, ptl)
    for addr in range(start, end, PAGE_SIZE):
        pte = pte_offset_map(pmd, addr)
        if pte_present(ptep_get(pte)):
            copy_present_pte(src_vma, addr, pte)
    pte_unmap_unlock(start_pte, ptl)


def copy_present_pte(src_vma: vm_area_struct, addr: ulong, src_pte: pte_slot) -> None:
    """copy_present_pte() of mm/memory.c: the parent may not write any more either."""
    if pte_write(ptep_get(src_pte)):
        ptep_set_wrprotect(src_vma.vm_mm, addr, src_pte)
