"""Tables that give way to huge pages of files: mm/khugepaged.c.

What was done about each of these is a switch, see Khugepaged; anonymous memory is in
mm/khugepaged_anon.py.

    BEFORE_2BA99C5E0881   a table is freed while GUP-fast may be in it
    BEFORE_8D3C106E19E8   and while a walk of the reverse mapping may be
    BEFORE_F268F6CF875F   nobody tells a device that walks it
    V6_5                  all three mended; mmap_lock is held for writing
    V6_6                  mmap_lock is not, or for reading; tables are freed by RCU
"""

from __future__ import annotations

from pagerace.lang import Config
from pagerace.machine.arch import Arch
from pagerace.machine.memory import Machine, count_t, ulong
from pagerace.machine.pgtable import page_table, pte_none, pte_pfn, pte_present, ptep_get
from pagerace.machine.tables import pmd_none, pmd_page_vaddr, pmd_same, pmd_trans_huge, pmdp_get
from pagerace.mm.mm_types import (
    address_space,
    folio,
    folio_page,
    linear_page_index,
    mm_struct,
    page_to_pfn,
    pmd_t,
    vm_area_struct,
)
from pagerace.mm.mmap import vma_lookup
from pagerace.mm.mmap_lock import (
    mmap_read_lock,
    mmap_read_unlock,
    mmap_write_lock,
    mmap_write_trylock,
    mmap_write_unlock,
)
from pagerace.mm.mmu_notifier import (
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
)
from pagerace.mm.page_flags import folio_ref_sub_and_test, folio_test_pmd_mappable
from pagerace.mm.pagemap import filemap_get_folio, folio_lock, folio_unlock
from pagerace.mm.pgalloc import mm_dec_nr_ptes, pmdp_collapse_flush, pte_free, pte_free_defer
from pagerace.mm.pgtable import mm_find_pmd, pmd_lock, pte_lockptr, ptep_get_and_clear
from pagerace.mm.pgtable_generic import (
    mapped_pte,
    pte_map,
    pte_maps,
    pte_offset_map_lock,
    pte_offset_map_rw_nolock,
    pte_unmap_unlock,
)
from pagerace.mm.pgtable_levels import HPAGE_PMD_NR
from pagerace.mm.rmap import page_remove_rmap
from pagerace.mm.rwsem import down_read, down_write, up_read, up_write
from pagerace.mm.set_pte import transhuge_vma_suitable
from pagerace.mm.spinlock import spin_lock, spin_unlock
from pagerace.mm.swap import folio_put
from pagerace.mm.table_free import tlb_remove_table_sync_one
from pagerace.mm.table_walk import tables_vanish
from pagerace.mm.vma import i_mmap_lock_write, i_mmap_unlock_write


class Khugepaged(Config):
    """``retract_write_lock``, ``pte_mapped_write_lock``: mmap_lock is held for writing, and
    the table freed at once: until Linux kernel commit 1d65b771bc08 and commit 1043173eb5eb.
    These had, and were given one after the other:

    ``sync_one``: commit 2ba99c5e0881, an interrupt to all CPUs after the flush.
    ``rmap_lock``: commit 8d3c106e19e8, the file's lock while a table goes.
    ``notifiers``: commit f268f6cf875f, secondary MMUs are told.
    """

    retract_write_lock: bool = False
    pte_mapped_write_lock: bool = False
    sync_one: bool = True
    rmap_lock: bool = True
    notifiers: bool = True


V6_6 = Khugepaged()
V6_5 = Khugepaged(retract_write_lock=True, pte_mapped_write_lock=True)
BEFORE_2BA99C5E0881 = V6_5.replace(sync_one=False)
BEFORE_8D3C106E19E8 = V6_5.replace(rmap_lock=False)
BEFORE_F268F6CF875F = V6_5.replace(notifiers=False)
V5_11 = V6_5.replace(sync_one=False, rmap_lock=False, notifiers=False)


def invalidate_start(mm: mm_struct, haddr: ulong) -> None:
    """mmu_notifier_invalidate_range_start(), of what a huge page covers."""
    if Khugepaged.notifiers:
        mmu_notifier_invalidate_range_start(mm, haddr, haddr + HPAGE_PMD_NR())


def invalidate_end(mm: mm_struct, haddr: ulong) -> None:
    """mmu_notifier_invalidate_range_end(), of the same."""
    if Khugepaged.notifiers:
        mmu_notifier_invalidate_range_end(mm, haddr, haddr + HPAGE_PMD_NR())


def retract_page_tables(mapping: address_space, pgoff: ulong) -> None:
    """retract_page_tables(): take the empty tables away where a huge page is to be mapped.

    The huge page is locked, and mapped nowhere.  Until v6.5 with mmap_lock for writing, which
    can only be tried for: the lock of a page is inside it.  From v6.6 on without: faults go
    on meanwhile, and find none.
    """
    if Khugepaged.retract_write_lock:
        down_write(mapping.i_mmap_rwsem)
    else:
        down_read(mapping.i_mmap_rwsem)
    for vma in mapping.i_mmap:
        if vma is not None and vma.anon_vma is None:
            addr = vma.vm_start + pgoff - vma.vm_pgoff
            if transhuge_vma_suitable(vma, addr):
                if Khugepaged.retract_write_lock:
                    retract_with_mmap_lock(vma, addr)
                else:
                    retract_page_table(vma, addr)
    if Khugepaged.retract_write_lock:
        up_write(mapping.i_mmap_rwsem)
    else:
        up_read(mapping.i_mmap_rwsem)


def retract_with_mmap_lock(vma: vm_area_struct, addr: ulong) -> None:
    """Its loop until v6.5; where mmap_lock is not to be had, khugepaged comes again later."""
    mm = vma.vm_mm
    pmd = find_pmd_or_thp_or_none(mm, addr)
    if pmd is not None and mmap_write_trylock(mm):
        collapse_and_free_pmd(mm, vma, addr, pmd)
        mmap_write_unlock(mm)


def find_pmd_or_thp_or_none(mm: mm_struct, address: ulong) -> pmd_t | None:
    """find_pmd_or_thp_or_none(): the PMD entry if it has a table; looked at without a lock."""
    pmd = mm_find_pmd(mm, address)
    if pmd is None or not has_table(pmd):
        return None
    return pmd


def has_table(pmd: pmd_t) -> bool:
    """check_pmd_state() == SCAN_SUCCEED."""
    return not pmd_none(pmdp_get(pmd)) and not pmd_trans_huge(pmdp_get(pmd))


def collapse_and_free_pmd(
    mm: mm_struct, vma: vm_area_struct, addr: ulong, pmd: pmd_t
) -> None:
    """collapse_and_free_pmd(): the table goes, and is freed at once.

    mmap_lock is held for writing.
    """
    invalidate_start(mm, addr)
    pml = pmd_lock(mm, pmd)
    entry = pmdp_collapse_flush(mm, addr, pmd)
    spin_unlock(pml)
    if Khugepaged.sync_one:
        tlb_remove_table_sync_one()
    invalidate_end(mm, addr)
    mm_dec_nr_ptes(mm)
    pte_free(mm, pmd_page_vaddr(entry))


def retract_page_table(vma: vm_area_struct, addr: ulong) -> None:
    """Its loop from v6.6 on: the table of one VMA."""
    mm = vma.vm_mm
    pmd = mm_find_pmd(mm, addr)
    if pmd is None:
        return
    invalidate_start(mm, addr)
    retracted: page_table | None = None
    pml = pmd_lock(mm, pmd)
    if has_table(pmd):
        ptl = pte_lockptr(mm, pmd)
        spin_lock(ptl)
        if vma.anon_vma is None:
            retracted = pmd_page_vaddr(pmdp_collapse_flush(mm, addr, pmd))
            pmdp_get_lockless_sync()
        spin_unlock(ptl)
    spin_unlock(pml)
    invalidate_end(mm, addr)
    if retracted is not None:
        mm_dec_nr_ptes(mm)
        pte_free_defer(mm, retracted)


def pmdp_get_lockless_sync() -> None:
    """pmdp_get_lockless_sync(): on PAE nobody is between the two halves of the entry."""
    if Machine.arch is Arch.X86_PAE:
        tlb_remove_table_sync_one()


def khugepaged_collapse_pte_mapped_thp(mm: mm_struct, addr: ulong) -> None:
    """collapse_pte_mapped_thp() as khugepaged calls it, with mmap_lock."""
    if Khugepaged.pte_mapped_write_lock:
        mmap_write_lock(mm)
        collapse_pte_mapped_thp(mm, addr)
        mmap_write_unlock(mm)
    else:
        mmap_read_lock(mm)
        collapse_pte_mapped_thp(mm, addr)
        mmap_read_unlock(mm)


def collapse_pte_mapped_thp(mm: mm_struct, addr: ulong) -> None:
    """collapse_pte_mapped_thp(): a huge page that is mapped by PTEs is not any more.

    A fault maps it by the PMD entry then.  Nothing is done where the table has anything else.
    """
    haddr = addr - addr % HPAGE_PMD_NR()
    vma = vma_lookup(mm, haddr)
    if vma is None:
        return
    mapping = vma.vm_file
    if mapping is None or not transhuge_vma_suitable(vma, haddr):
        return
    hpage = filemap_get_folio(mapping, linear_page_index(vma, haddr))
    if hpage is None:
        return
    folio_lock(hpage)
    pmd = find_pmd_or_thp_or_none(mm, haddr)
    if hpage.mapping is mapping and folio_test_pmd_mappable(hpage) and pmd is not None:
        if Khugepaged.pte_mapped_write_lock:
            collapse_with_write_lock(vma, haddr, pmd, hpage)
        else:
            collapse_with_read_lock(vma, haddr, pmd, hpage)
    folio_unlock(hpage)
    folio_put(hpage)


def maps_only(map: pte_map, haddr: ulong, hpage: folio) -> bool:
    """Step 1: is each entry of the table none, or of the right page of the huge one?"""
    for n in range(HPAGE_PMD_NR()):
        pte = ptep_get(mapped_pte(map, haddr + n))
        if not pte_none(pte):
            if not pte_present(pte) or pte_pfn(pte) != page_to_pfn(folio_page(hpage, ulong(n))):
                return False
    return True


def another_table(map: pte_map, pmd: pmd_t) -> bool:
    """Has the entry another table than that which is mapped?  Where tables stay, never."""
    return tables_vanish() and not pmd_same(map.pmdval, pmdp_get(pmd))


def folio_ref_sub(folio: folio, nr: count_t) -> None:
    """folio_ref_sub() of include/linux/page_ref.h; the caller has one more."""
    if nr != 0:
        folio_ref_sub_and_test(folio, nr)


def collapse_with_write_lock(
    vma: vm_area_struct, haddr: ulong, pmd: pmd_t, hpage: folio
) -> None:
    """Steps 1 to 4 until v6.5: the entries go with their table."""
    mm = vma.vm_mm
    if Khugepaged.rmap_lock:
        i_mmap_lock_write(vma.vm_file)
    map = pte_maps.current
    count: count_t = 0
    if pte_offset_map_lock(mm, pmd, haddr, map) is not None:
        alone = maps_only(map, haddr, hpage)
        if alone:
            for n in range(HPAGE_PMD_NR()):
                if not pte_none(ptep_get(mapped_pte(map, haddr + n))):
                    page_remove_rmap(hpage, vma)
                    count += 1
        pte_unmap_unlock(map)
        if alone:
            folio_ref_sub(hpage, count)
            collapse_and_free_pmd(mm, vma, haddr, pmd)
    if Khugepaged.rmap_lock:
        i_mmap_unlock_write(vma.vm_file)


def collapse_with_read_lock(
    vma: vm_area_struct, haddr: ulong, pmd: pmd_t, hpage: folio
) -> None:
    """Steps 1 to 4 from v6.6 on: under the PTL, then under PML and PTL.

    Between the two a fault can map the huge page anew, but nothing else: it is locked.
    """
    mm = vma.vm_mm
    map = pte_maps.current
    if pte_offset_map_lock(mm, pmd, haddr, map) is None:
        return
    alone = maps_only(map, haddr, hpage)
    pte_unmap_unlock(map)
    if not alone:
        return
    invalidate_start(mm, haddr)
    retracted = remove_entries_and_table(vma, haddr, pmd, hpage)
    invalidate_end(mm, haddr)
    if retracted is not None:
        mm_dec_nr_ptes(mm)
        pte_free_defer(mm, retracted)


def remove_entries_and_table(
    vma: vm_area_struct, haddr: ulong, pmd: pmd_t, hpage: folio
) -> page_table | None:
    """Steps 2 to 4: the entries, what they counted, and the table; None: there is another."""
    mm = vma.vm_mm
    map = pte_maps.current
    if pte_offset_map_rw_nolock(mm, pmd, haddr, map) is None:
        return None
    spin_lock(map.ptl)
    if another_table(map, pmd) or not maps_only(map, haddr, hpage):
        pte_unmap_unlock(map)
        return None
    count: count_t = 0
    for n in range(HPAGE_PMD_NR()):
        pte = mapped_pte(map, haddr + n)
        if not pte_none(ptep_get(pte)):
            ptep_get_and_clear(mm, haddr + n, pte)  # ptep_clear()
            page_remove_rmap(hpage, vma)
            count += 1
    spin_unlock(map.ptl)
    folio_ref_sub(hpage, count)
    pml = pmd_lock(mm, pmd)
    spin_lock(map.ptl)
    retracted: page_table | None = None
    if not another_table(map, pmd):
        retracted = pmd_page_vaddr(pmdp_collapse_flush(mm, haddr, pmd))
        pmdp_get_lockless_sync()
    pte_unmap_unlock(map)
    spin_unlock(pml)
    return retracted
