"""Tables that give way to huge pages: mm/khugepaged.c."""

from __future__ import annotations

from pagerace.machine.memory import ulong
from pagerace.machine.tables import pmd_none, pmd_page_vaddr, pmd_trans_huge, pmdp_get
from pagerace.mm.mm_types import address_space, vm_area_struct
from pagerace.mm.pgalloc import mm_dec_nr_ptes, pmdp_collapse_flush, pte_free_defer
from pagerace.mm.pgtable import mm_find_pmd, pmd_lock, pte_lockptr
from pagerace.mm.rwsem import down_read, up_read
from pagerace.mm.set_pte import transhuge_vma_suitable
from pagerace.mm.spinlock import spin_lock, spin_unlock


def retract_page_tables(mapping: address_space, pgoff: ulong) -> None:
    """retract_page_tables(): take the empty tables away where a huge page is to be mapped.

    From v6.6 on without mmap_lock: faults go on meanwhile, and find none.
    """
    down_read(mapping.i_mmap_rwsem)
    for vma in mapping.i_mmap:
        if vma is not None:
            addr = vma.vm_start + pgoff - vma.vm_pgoff
            if transhuge_vma_suitable(vma, addr):
                retract_page_table(vma, addr)
    up_read(mapping.i_mmap_rwsem)


def retract_page_table(vma: vm_area_struct, addr: ulong) -> None:
    """Its loop: the table of one VMA."""
    mm = vma.vm_mm
    pmd = mm_find_pmd(mm, addr)
    if pmd is None:
        return
    pml = pmd_lock(mm, pmd)
    if pmd_none(pmdp_get(pmd)) or pmd_trans_huge(pmdp_get(pmd)):
        spin_unlock(pml)
        return
    ptl = pte_lockptr(mm, pmd)
    spin_lock(ptl)
    entry = pmdp_collapse_flush(mm, pmd)
    spin_unlock(ptl)
    spin_unlock(pml)
    mm_dec_nr_ptes(mm)
    pte_free_defer(mm, pmd_page_vaddr(entry))
