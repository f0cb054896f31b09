"""Moving mappings: mm/mremap.c."""

from __future__ import annotations

from enum import Enum

from pagerace.lang import Config
from pagerace.machine.memory import PAGE_SIZE, ulong
from pagerace.machine.pgtable import pte_dirty, pte_none, pte_present, ptep_get, set_pte
from pagerace.machine.tables import (
    pmd_leaf,
    pmd_none,
    pmd_page_vaddr,
    pmd_present,
    pmd_same,
    pmd_trans_huge,
    pmdp_get,
)
from pagerace.mm.huge_anon import move_whole_huge_pmd
from pagerace.mm.lockdep import LockClass
from pagerace.mm.mm_types import Thp, Vma, mm_struct, pmd_t, vm_area_struct
from pagerace.mm.mmap import (
    copy_vma,
    detach_vma_to_be_unmapped,
    find_vma,
    remove_vma,
    unmap_region,
)
from pagerace.mm.mmap_lock import mmap_write_lock, mmap_write_unlock
from pagerace.mm.mmu_notifier import (
    MmuNotifier,
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
)
from pagerace.mm.pgalloc import pmd_alloc_at, pmd_clear_table, pmd_populate, pte_alloc
from pagerace.mm.pgtable import find_pte_table, mm_find_pmd, pmd_lock, ptep_get_and_clear
from pagerace.mm.pgtable_generic import (
    mapped_pte,
    pte_added,
    pte_map,
    pte_maps,
    pte_offset_map_lock,
    pte_offset_map_rw_nolock,
    pte_removed,
    pte_unmap,
    pte_unmap_unlock,
    second_pte_maps,
)
from pagerace.mm.pgtable_levels import HPAGE_PMD_NR, pmd_addr_end
from pagerace.mm.pgtable_lockless import pmdp_get_lockless
from pagerace.mm.pte_refcount import put_new_table
from pagerace.mm.spinlock import spin_lock_nested, spin_unlock, spin_unlock_nested
from pagerace.mm.table_walk import table_entries_are_counted, tables_vanish
from pagerace.mm.tlb import flush_freed_tables, flush_tlb_mm_range
from pagerace.mm.vma import i_mmap_lock_write, i_mmap_unlock_write


class MoveFlush(Enum):
    """When move_ptes() flushes what it has cleared.

    DIRTY: for a dirty PTE, before it drops the old PTL; what else it moved is flushed at the
    end of move_page_tables().  PRESENT: for any PTE, before it drops either PTL.
    """

    DIRTY = 0
    PRESENT = 1


class Moved(Enum):
    """What move_ptes() has done.  FLUSH: the caller has to flush.  AGAIN: one of the tables
    is not there any more (-EAGAIN), and nothing was moved."""

    DONE = 0
    FLUSH = 1
    AGAIN = 2


class Mremap(Config):
    """``flush``: PRESENT since Linux kernel commit eb66ae030829 ("mremap: properly flush TLB
    before releasing the page").

    ``move_pmd``: a table is moved as a whole where all that it covers is (HAVE_MOVE_PMD).
    ``pmd_recheck``: it is looked at under the locks whether it still is one.  Since commit
    1d65b771bc08 it need not be, and until v6.12 nobody looked.
    """

    flush: MoveFlush = MoveFlush.PRESENT
    move_pmd: bool = False
    pmd_recheck: bool = True


BEFORE_EB66AE030829 = Mremap(flush=MoveFlush.DIRTY)
V6_6 = Mremap(move_pmd=True, pmd_recheck=False)
V6_12 = Mremap(move_pmd=True)


def mremap(mm: mm_struct, addr: ulong, new_addr: ulong) -> None:
    """mremap(MREMAP_MAYMOVE | MREMAP_FIXED) of the one whole VMA that begins at ``addr``."""
    mmap_write_lock(mm)
    vma = find_vma(mm, addr)
    if vma is not None:
        move_vma(vma, new_addr)
    mmap_write_unlock(mm)


def move_vma(vma: vm_area_struct, new_addr: ulong) -> None:
    """move_vma(): a new VMA, the entries to it, and the old one goes."""
    mm = vma.vm_mm
    new_vma = copy_vma(vma, new_addr)
    file = vma.vm_file
    if new_vma is None or file is None:
        return
    # copy_vma() tells: a walk that has been at the new VMA comes to the old one afterwards.
    need_rmap_locks = file.i_mmap[0] is new_vma
    length = vma.vm_end - vma.vm_start
    if MmuNotifier.on:  # of move_page_tables()
        mmu_notifier_invalidate_range_start(mm, vma.vm_start, vma.vm_end)
    move_page_tables(vma, vma.vm_start, new_addr, length, need_rmap_locks)
    if MmuNotifier.on:
        mmu_notifier_invalidate_range_end(mm, vma.vm_start, vma.vm_end)
    detach_vma_to_be_unmapped(mm, vma)  # do_munmap()
    unmap_region(mm, vma, vma.vm_start, vma.vm_end)
    remove_vma(vma)


def move_page_tables(
    vma: vm_area_struct,
    old_addr: ulong,
    new_addr: ulong,
    length: ulong,
    need_rmap_locks: bool,
) -> None:
    """move_page_tables(), of what one PMD entry covers at either end."""
    mm = vma.vm_mm
    if Vma.flags:
        move_all_page_tables(vma, old_addr, new_addr, length, need_rmap_locks)
        return
    old_pmd = mm_find_pmd(mm, old_addr)
    new_pmd = mm_find_pmd(mm, new_addr)
    if old_pmd is None or new_pmd is None:
        return
    if Mremap.move_pmd:
        if pmd_none(pmdp_get(old_pmd)):
            return
        if move_whole_table(vma, old_addr, new_addr, length, old_pmd, new_pmd):
            return
        if pmd_none(pmdp_get(old_pmd)) or pte_alloc(mm, new_pmd):
            return
    if need_rmap_locks:
        take_rmap_locks(vma)
    moved = move_ptes(mm, old_pmd, old_addr, old_addr + length, new_pmd, new_addr)
    if need_rmap_locks:
        drop_rmap_locks(vma)
    if moved is Moved.FLUSH:
        flush_tlb_mm_range(mm, old_addr, old_addr + length)


def move_all_page_tables(
    vma: vm_area_struct,
    old_addr: ulong,
    new_addr: ulong,
    length: ulong,
    need_rmap_locks: bool,
) -> None:
    """The loop of move_page_tables(); get_extent(): what one PMD entry covers at both ends."""
    mm = vma.vm_mm
    old_end = old_addr + length
    new_end = new_addr + length
    old = old_addr
    new = new_addr
    mmu_notifier_invalidate_range_start(mm, old_addr, old_end)
    while old < old_end:
        extent = min(pmd_addr_end(old, old_end) - old, pmd_addr_end(new, new_end) - new)
        old_pmd = find_pte_table(mm, old)
        if old_pmd is not None:
            new_pmd = pmd_alloc_at(mm, new)
            if new_pmd is None:
                break
            if not move_pgt_entry(vma, old, new, extent, old_pmd, new_pmd, need_rmap_locks):
                if pte_alloc(mm, new_pmd):
                    break
                if need_rmap_locks:
                    take_rmap_locks(vma)
                moved = move_ptes(mm, old_pmd, old, old + extent, new_pmd, new)
                if table_entries_are_counted():
                    put_new_table(mm, new)
                if moved is Moved.FLUSH:
                    flush_tlb_mm_range(mm, old, old + extent)
                if need_rmap_locks:
                    drop_rmap_locks(vma)
                if moved is Moved.AGAIN:
                    continue
        old += extent
        new += extent
    mmu_notifier_invalidate_range_end(mm, old_addr, old_end)


def move_pgt_entry(
    vma: vm_area_struct,
    old_addr: ulong,
    new_addr: ulong,
    extent: ulong,
    old_pmd: pmd_t,
    new_pmd: pmd_t,
    need_rmap_locks: bool,
) -> bool:
    """move_pgt_entry(): all that a PMD entry maps at once; False: its PTEs are to be moved."""
    if move_whole_table(vma, old_addr, new_addr, extent, old_pmd, new_pmd):
        return True
    if not Thp.anonymous:
        return False
    if need_rmap_locks:
        take_rmap_locks(vma)
    moved = move_whole_huge_pmd(vma, old_addr, new_addr, extent, old_pmd, new_pmd)
    if need_rmap_locks:
        drop_rmap_locks(vma)
    return moved


def move_whole_table(
    vma: vm_area_struct,
    old_addr: ulong,
    new_addr: ulong,
    extent: ulong,
    old_pmd: pmd_t,
    new_pmd: pmd_t,
) -> bool:
    """move_pgt_entry(NORMAL_PMD), which takes the rmap locks whatever the order of VMAs is."""
    if not Mremap.move_pmd or extent != HPAGE_PMD_NR() or pmd_trans_huge(pmdp_get(old_pmd)):
        return False
    take_rmap_locks(vma)
    moved = move_normal_pmd(vma, old_addr, new_addr, old_pmd, new_pmd)
    drop_rmap_locks(vma)
    return moved


def move_normal_pmd(
    vma: vm_area_struct, old_addr: ulong, new_addr: ulong, old_pmd: pmd_t, new_pmd: pmd_t
) -> bool:
    """move_normal_pmd(): the table is linked elsewhere; False: its entries are to be moved.

    All PMD entries of an mm have one lock.
    """
    mm = vma.vm_mm
    if not pmd_none(pmdp_get(new_pmd)):
        return False
    pml = pmd_lock(mm, old_pmd)
    pmd = pmdp_get(old_pmd)
    if Mremap.pmd_recheck and (not pmd_present(pmd) or pmd_leaf(pmd)):
        spin_unlock(pml)
        return False
    pmd_clear_table(old_pmd)
    pmd_populate(mm, new_pmd, pmd_page_vaddr(pmd))
    flush_freed_tables(True)
    flush_tlb_mm_range(mm, old_addr, old_addr + HPAGE_PMD_NR())
    flush_freed_tables(False)
    spin_unlock(pml)
    return True


def take_rmap_locks(vma: vm_area_struct) -> None:
    """take_rmap_locks(): no rmap walk comes between the old and the new entry.

    move_ptes() itself takes and drops them, with the PTLs inside.
    """
    i_mmap_lock_write(vma.vm_file)


def drop_rmap_locks(vma: vm_area_struct) -> None:
    """drop_rmap_locks()."""
    i_mmap_unlock_write(vma.vm_file)


def move_ptes(
    mm: mm_struct,
    old_pmd: pmd_t,
    old_addr: ulong,
    old_end: ulong,
    new_pmd: pmd_t,
    new_addr: ulong,
) -> Moved:
    """move_ptes(): has the caller to flush (*need_flush, until that commit)?

    Both PTLs matter: the old one for who looks for the entry there, as folio_mkclean() does,
    the new one for who finds it there, and frees the page while a TLB has it at the old
    address.  Linux kernel commit eb66ae030829 ("mremap: properly flush TLB before releasing
    the page").
    """
    force_flush = False
    need_flush = False
    start = old_addr
    old = pte_maps.current
    new = second_pte_maps.current
    if pte_offset_map_lock(mm, old_pmd, old_addr, old) is None:
        return Moved.AGAIN
    if not lock_second(mm, new_pmd, new_addr, old, new):
        return Moved.AGAIN
    while old_addr != old_end:
        ptep = mapped_pte(old, old_addr)
        if not pte_none(ptep_get(ptep)):
            pte = ptep_get_and_clear(mm, old_addr, ptep)
            if pte_present(pte) and (Mremap.flush is MoveFlush.PRESENT or pte_dirty(pte)):
                force_flush = True
            need_flush = True
            pte_added(new)
            set_pte(mapped_pte(new, new_addr), pte)
            pte_removed(old)
        old_addr += PAGE_SIZE
        new_addr += PAGE_SIZE
    if Mremap.flush is MoveFlush.PRESENT and force_flush:
        flush_tlb_mm_range(mm, start, old_end)
    unlock_second(old, new)
    if Mremap.flush is MoveFlush.DIRTY and force_flush:
        flush_tlb_mm_range(mm, start, old_end)
    pte_unmap_unlock(old)
    pte_unmap(new)
    return Moved.FLUSH if need_flush and not force_flush else Moved.DONE


def lock_second(
    mm: mm_struct, new_pmd: pmd_t, new_addr: ulong, old: pte_map, new: pte_map
) -> bool:
    """Map and lock the second table; False: there is none, and the first is given back."""
    new.nowait = True  # a PTL is held
    if pte_offset_map_rw_nolock(mm, new_pmd, new_addr, new) is None:
        pte_unmap_unlock(old)
        return False
    if new.ptl is not old.ptl:
        spin_lock_nested(new.ptl, LockClass.PAGE_TABLE_LOCK_NESTED)
    if tables_vanish() and not pmd_same(new.pmdval, pmdp_get_lockless(new_pmd)):
        unlock_second(old, new)
        pte_unmap_unlock(old)
        pte_unmap(new)
        return False
    return True


def unlock_second(old: pte_map, new: pte_map) -> None:
    """Give the lock of the second table back, if it is not the first."""
    if new.ptl is not old.ptl:
        spin_unlock_nested(new.ptl, LockClass.PAGE_TABLE_LOCK_NESTED)
