"""Faults of files: the part of mm/memory.c below do_fault()."""
# pyright: strict, reportPrivateUsage=false, reportUnusedFunction=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import choose
from pagerace.machine.counters import Counting, counters
from pagerace.machine.memory import PAGE_SIZE, ulong
from pagerace.machine.pgtable import pte_mkyoung, pte_none, pte_offset_kernel, ptep_get
from pagerace.machine.tables import PteTables, pmd_trans_huge, pmdp_get
from pagerace.mm.alloc_set_pte import alloc_set_pte
from pagerace.mm.anon import vmf_anon_prepare
from pagerace.mm.cow import copy_user_highpage, is_cow_fault, map_cow_page
from pagerace.mm.fault_around import (
    FaultAround,
    Prefault,
    fault_around_pages,
    should_fault_around,
)
from pagerace.mm.filemap import filemap_fault, filemap_page_mkwrite
from pagerace.mm.filemap_map import (
    Xfs,
    filemap_map_pages,
    xfs_filemap_fault,
    xfs_filemap_map_pages,
)
from pagerace.mm.highmem import mapped_table
from pagerace.mm.mm_inline import FlushPending, mm_tlb_flush_pending
from pagerace.mm.mm_types import (
    VM_FAULT_FALLBACK,
    VM_FAULT_LOCKED,
    VM_FAULT_NOPAGE,
    VM_FAULT_OOM,
    page_folio,
    vm_fault,
    vm_fault_t,
)
from pagerace.mm.notes import note_flushed
from pagerace.mm.page_alloc import alloc_page
from pagerace.mm.page_flags import folio_test_large
from pagerace.mm.page_writeback import set_page_dirty
from pagerace.mm.pagemap import unlock_page
from pagerace.mm.pgalloc import pmd_install, pte_alloc, pte_alloc_one, pte_free
from pagerace.mm.pgtable import ptep_set_access_flags
from pagerace.mm.pgtable_levels import HPAGE_PMD_NR
from pagerace.mm.rcupdate import rcu_read_lock, rcu_read_unlock
from pagerace.mm.set_pte import (
    do_set_pmd,
    do_set_pte,
    is_write,
    no_table,
    pmd_trans_unstable,
    pte_offset_map_lock_of,
    pte_unmap_unlock_of,
)
from pagerace.mm.swap import put_page
from pagerace.mm.table_walk import tables_vanish
from pagerace.mm.tlb import flush_tlb_page


def do_fault(vmf: vm_fault) -> vm_fault_t:
    """do_fault(): no PTE, file mapping; a table that was not needed is freed."""
    if is_cow_fault(vmf):
        ret = do_cow_fault(vmf)
    else:
        ret = do_shared_fault(vmf) if is_write(vmf) else do_read_fault(vmf)
    if PteTables.come_and_go:
        table = vmf.prealloc_pte
        if table is not None:
            pte_free(vmf.vma.vm_mm, table)
            vmf.prealloc_pte = None
    return ret


def do_read_fault(vmf: vm_fault) -> vm_fault_t:
    """do_read_fault(): map what is around, or bring the page and map it read-only."""
    if should_fault_around():
        ret = do_fault_around(vmf)
        if ret != 0:
            if Counting.on:
                counters.faults_around += 1
            return ret
    ret = __do_fault(vmf)
    if ret != VM_FAULT_LOCKED:
        return ret
    ret = finish_fault(vmf)
    if Counting.on:
        count_file_fault(vmf, ret)
    unlock_page(vmf.page)
    if ret != 0:
        put_page(vmf.page)
    return ret


def count_file_fault(vmf: vm_fault, ret: vm_fault_t) -> None:
    """A fault that has come to finish_fault()."""
    if ret != 0:
        counters.faults_gone += 1
    elif is_write(vmf):
        counters.faults_write_shared += 1
    else:
        counters.faults_read_file += 1


def do_fault_around(vmf: vm_fault) -> vm_fault_t:
    """do_fault_around(): map what the page cache has around the fault.  0: not its page.

    The window is aligned, begins and ends within the VMA, and has one table.  A table is
    allocated here, where one may sleep; whether it is needed is known later.
    """
    vma = vmf.vma
    start = vmf.address - vmf.address % fault_around_pages()
    if start < vma.vm_start:
        start = vma.vm_start
    start_pgoff = vmf.pgoff - (vmf.address - start)
    end_pgoff = start_pgoff + fault_around_pages() - 1
    table_end = vmf.pgoff + (HPAGE_PMD_NR() - 1 - vmf.address % HPAGE_PMD_NR())
    if end_pgoff > table_end:
        end_pgoff = table_end
    vma_end = vma.vm_pgoff + (vma.vm_end - vma.vm_start) - 1
    if end_pgoff > vma_end:
        end_pgoff = vma_end
    if FaultAround.allocate_first and PteTables.come_and_go:
        if pte_alloc(vma.vm_mm, vmf.pmd):
            return VM_FAULT_OOM
    elif no_table(vmf.pmd):
        vmf.prealloc_pte = pte_alloc_one(vma.vm_mm)
        if vmf.prealloc_pte is None:
            return 0 if FaultAround.alloc_set_pte else VM_FAULT_OOM
    if FaultAround.alloc_set_pte:
        return fault_around_v5_10(vmf, start, start_pgoff, end_pgoff)
    else:
        if FaultAround.rcu_around:
            rcu_read_lock()
        ret = map_pages(vmf, start_pgoff, end_pgoff)
        if FaultAround.rcu_around:
            rcu_read_unlock()
        return ret


def fault_around_v5_10(
    vmf: vm_fault, start: ulong, start_pgoff: ulong, end_pgoff: ulong
) -> vm_fault_t:
    """The end of do_fault_around() until v5.11: what has ->map_pages() done?

    It has taken the PTL if it came so far, and it moved ``vmf->address``.
    """
    address = vmf.address
    vmf.address = start
    map_pages(vmf, start_pgoff, end_pgoff)
    vmf.address = address
    ret: vm_fault_t = 0
    if pmd_trans_huge(pmdp_get(vmf.pmd)):
        ret = VM_FAULT_NOPAGE
    elif vmf.has_pte:
        ret = look_at_slot(vmf, address)
        pte_unmap_unlock_of(vmf)
    vmf.has_pte = False
    return ret


def look_at_slot(vmf: vm_fault, address: ulong) -> vm_fault_t:
    """VM_FAULT_NOPAGE if the page of the fault is among those that were mapped."""
    vmf.pte = pte_offset_kernel(mapped_table(vmf.table), address)
    entry = ptep_get(vmf.pte)
    if pte_none(entry):
        return 0
    if FaultAround.prefault is Prefault.FIXED_UP:
        ptep_set_access_flags(vmf.vma, address, vmf.pte, pte_mkyoung(entry), False)
    return VM_FAULT_NOPAGE


def map_pages(vmf: vm_fault, start_pgoff: ulong, end_pgoff: ulong) -> vm_fault_t:
    """``vma->vm_ops->map_pages()``."""
    if Xfs.mmaplock and Xfs.map_pages:
        return xfs_filemap_map_pages(vmf, start_pgoff, end_pgoff)
    else:
        return filemap_map_pages(vmf, start_pgoff, end_pgoff)


def do_cow_fault(vmf: vm_fault) -> vm_fault_t:
    """do_cow_fault(): a store to a private mapping of a file maps a copy of the page."""
    if not vmf_anon_prepare(vmf):
        return VM_FAULT_OOM
    copy = alloc_page()
    if copy is None:
        return VM_FAULT_OOM
    vmf.cow_page = copy
    ret = __do_fault(vmf)
    if ret == VM_FAULT_LOCKED:
        copy_user_highpage(copy, vmf.page)
        ret = finish_fault(vmf)
        unlock_page(vmf.page)
        put_page(vmf.page)
        if ret != 0:
            put_page(copy)
    else:
        put_page(copy)
    vmf.cow_page = None
    return ret


def do_shared_fault(vmf: vm_fault) -> vm_fault_t:
    """do_shared_fault(): bring the page, tell the file system, map it writable."""
    ret = __do_fault(vmf)
    if ret != VM_FAULT_LOCKED:
        return ret
    unlock_page(vmf.page)
    ret = do_page_mkwrite(vmf)
    if ret == VM_FAULT_NOPAGE:
        put_page(vmf.page)
        return ret
    ret = finish_fault(vmf)
    if Counting.on:
        count_file_fault(vmf, ret)
    if ret == VM_FAULT_NOPAGE:
        unlock_page(vmf.page)
        put_page(vmf.page)
        return ret
    fault_dirty_shared_page(vmf)
    return ret


def __do_fault(vmf: vm_fault) -> vm_fault_t:
    """__do_fault(): ->fault() gives the page, locked and with a reference.

    A table is allocated before that: who holds the folio lock should not wait for memory.
    """
    if no_table(vmf.pmd) and vmf.prealloc_pte is None:
        vmf.prealloc_pte = pte_alloc_one(vmf.vma.vm_mm)
        if vmf.prealloc_pte is None:
            return VM_FAULT_OOM
    if Xfs.mmaplock:
        return xfs_filemap_fault(vmf)
    else:
        return filemap_fault(vmf)


def finish_fault(vmf: vm_fault) -> vm_fault_t:
    """finish_fault(): map the page unless somebody else has mapped something.

    VM_FAULT_NOPAGE: somebody has, or there is no table any more; the page is the caller's.
    """
    if FaultAround.alloc_set_pte:
        ret = alloc_set_pte(vmf, vmf.page)
        if vmf.has_pte:
            pte_unmap_unlock_of(vmf)
        return ret
    else:
        return finish_fault_v5_12(vmf)


def finish_fault_v5_12(vmf: vm_fault) -> vm_fault_t:
    """finish_fault() since v5.12: table, PTL, entry, and the PTL is dropped here."""
    if no_table(vmf.pmd):
        ret = finish_pmd(vmf)
        if ret != VM_FAULT_FALLBACK:
            return ret
    if not tables_vanish() and pmd_trans_unstable(vmf.pmd):
        return VM_FAULT_NOPAGE
    if not pte_offset_map_lock_of(vmf, vmf.address, False):
        return VM_FAULT_NOPAGE
    ret: vm_fault_t = 0 if FaultAround.changed_is_success else VM_FAULT_NOPAGE
    if not vmf_pte_changed(vmf):
        if FlushPending.fault and mm_tlb_flush_pending(vmf.vma.vm_mm):
            flush_tlb_page(vmf.vma, vmf.address)
            note_flushed(vmf.address, vmf.address + PAGE_SIZE)
        if is_cow_fault(vmf):
            map_cow_page(vmf)
        else:
            do_set_pte(vmf, vmf.page, vmf.address)
        ret = VM_FAULT_NOPAGE if FaultAround.ret_random and choose(2) == 1 else 0
    pte_unmap_unlock_of(vmf)
    return ret


def finish_pmd(vmf: vm_fault) -> vm_fault_t:
    """What finish_fault() does where there is no table: a huge page, or a table.

    VM_FAULT_FALLBACK: there is a table now, or somebody else has done something.
    """
    if not is_cow_fault(vmf) and folio_test_large(page_folio(vmf.page)):
        ret = do_set_pmd(vmf, vmf.page)
        if ret != VM_FAULT_FALLBACK:
            return ret
    table = vmf.prealloc_pte
    if table is not None:
        if pmd_install(vmf.vma.vm_mm, vmf.pmd, table):
            vmf.prealloc_pte = None
    elif pte_alloc(vmf.vma.vm_mm, vmf.pmd):
        return VM_FAULT_OOM
    return VM_FAULT_FALLBACK


def vmf_pte_changed(vmf: vm_fault) -> bool:
    """vmf_pte_changed(): has somebody put an entry where there was none?  PTL held."""
    return not pte_none(ptep_get(vmf.pte))


def do_page_mkwrite(vmf: vm_fault) -> vm_fault_t:
    """do_page_mkwrite(): calls ->page_mkwrite(), which leaves the page locked."""
    return filemap_page_mkwrite(vmf)


def fault_dirty_shared_page(vmf: vm_fault) -> None:
    """fault_dirty_shared_page(): dirty once more, still locked, then unlock."""
    set_page_dirty(vmf.page)
    unlock_page(vmf.page)
