"""Looking for tables of PTEs that are empty: what David Hildenbrand would do, November 2021.

Nobody counts anything.  Somebody asks for it (here: behind each MADV_DONTNEED), and each
table of the range is looked at, with the locks that khugepaged needs: mmap_lock for writing,
and those of the reverse mapping.  So walks stay what they are, and it is the scan that costs.

At the same place Qi Zheng's series of April 2022 has the references to each table counted.
"""

from __future__ import annotations

from pagerace.machine.memory import ulong
from pagerace.mm.anon_vma import anon_vma_lock_write, anon_vma_unlock_write
from pagerace.mm.maple_tree import mas_find
from pagerace.mm.mm_types import Vma, mm_struct, vm_area_struct
from pagerace.mm.mmap import find_vma
from pagerace.mm.mmap_lock import (
    mmap_read_lock,
    mmap_read_unlock,
    mmap_write_lock,
    mmap_write_unlock,
)
from pagerace.mm.mmu_gather import (
    gathers,
    mmu_gather,
    pte_free_tlb,
    tlb_finish_mmu,
    tlb_gather_mmu,
)
from pagerace.mm.pgalloc import mm_dec_nr_ptes
from pagerace.mm.pgtable import mm_find_pmd, pmd_lock
from pagerace.mm.pgtable_levels import HPAGE_PMD_NR
from pagerace.mm.pte_refcount import try_to_free_user_pte
from pagerace.mm.spinlock import spin_unlock
from pagerace.mm.table_reclaim import detach_if_empty
from pagerace.mm.table_walk import Reclaim, TableWalk, tables_have_counters_of_cpus
from pagerace.mm.vma import i_mmap_lock_write, i_mmap_unlock_write


def scans_for_tables() -> bool:
    """Does MADV_DONTNEED ask for a scan, when it is done and holds no lock any more?"""
    return TableWalk.reclaim is Reclaim.SCANNED


def scan_empty_tables(mm: mm_struct, start: ulong, end: ulong) -> None:
    """Take away each table that is empty, if one VMA has all that it translates.

    With references to tables it does not matter how many have it.
    """
    if tables_have_counters_of_cpus():
        count_references(mm, start, end)
        return
    mmap_write_lock(mm)
    tlb = gathers.current
    tlb_gather_mmu(tlb, mm)
    addr: ulong = start - start % HPAGE_PMD_NR()
    while addr < end:
        vma = mas_find(mm, addr) if Vma.flags else find_vma(mm, addr)
        if vma is not None and vma.vm_start <= addr and addr + HPAGE_PMD_NR() <= vma.vm_end:
            scan_table(tlb, vma, addr)
        addr += HPAGE_PMD_NR()
    tlb_finish_mmu(tlb)
    mmap_write_unlock(mm)


def count_references(mm: mm_struct, start: ulong, end: ulong) -> None:
    """Each table of the range that a VMA keeps munmap() from: has anybody a reference to it?"""
    mmap_read_lock(mm)
    addr: ulong = start - start % HPAGE_PMD_NR()
    while addr < end:
        vma = find_vma(mm, addr)
        if vma is not None and vma.vm_start < addr + HPAGE_PMD_NR():
            pmd = mm_find_pmd(mm, addr)
            if pmd is not None:
                try_to_free_user_pte(mm, pmd, addr)
        addr += HPAGE_PMD_NR()
    mmap_read_unlock(mm)


def scan_table(tlb: mmu_gather, vma: vm_area_struct, addr: ulong) -> None:
    """The table of one PMD entry: nobody can be in it but with the locks that are taken."""
    pmd = mm_find_pmd(tlb.mm, addr)
    if pmd is None:
        return
    anon_vma = vma.anon_vma
    i_mmap_lock_write(vma.vm_file)
    if anon_vma is not None:
        anon_vma_lock_write(anon_vma)
    pml = pmd_lock(tlb.mm, pmd)
    table = detach_if_empty(pmd, False)
    spin_unlock(pml)
    if table is not None:
        mm_dec_nr_ptes(tlb.mm)
        pte_free_tlb(tlb, table, addr)
    if anon_vma is not None:
        anon_vma_unlock_write(anon_vma)
    i_mmap_unlock_write(vma.vm_file)
