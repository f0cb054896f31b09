"""A file of one page that is mapped at page 0 and moved to page 1: T4-B8.

With Machine(levels=2, entries=2) each of the two has a table, and a PTL, of its own.
"""

from __future__ import annotations

from pagerace.lang import Config, atomic, smp_processor_id, u3, u8
from pagerace.machine.cpu import cpus
from pagerace.machine.memory import Machine, disk, frames, ulong, version_t
from pagerace.machine.pgtable import pte_dirty, pte_present
from pagerace.mm.fault import user_store
from pagerace.mm.lockdep import LockClass
from pagerace.mm.mm_types import mem_map, page_to_pfn
from pagerace.mm.mmap import mmap_region
from pagerace.mm.mremap import mremap
from pagerace.mm.page_alloc import alloc_page
from pagerace.mm.page_flags import (
    folio_mapcount,
    folio_mapped,
    folio_test_dirty,
    folio_test_locked,
    folio_test_writeback,
)
from pagerace.mm.pgtable import mm_find_pmd, pte_lockptr
from pagerace.mm.pgtable_levels import load_new_mm_cr3, make_page_tables
from pagerace.mm.rwsem import init_rwsem
from pagerace.mm.spinlock import spin_is_locked
from pagerace.protocols._dirty_tracking import ptes_of
from pagerace.protocols._shared_file import (
    Work,
    add_to_file,
    logs,
    mapping,
    mm,
    newest,
    pte_at,
    ptl_is_held,
)

OLD, NEW = 0, 1


class Moved(Config):
    """``new_vma_first``: rmap walks meet the new VMA before the old one."""

    new_vma_first: bool = False


def setup() -> None:
    """The page is cached and mapped at page 0 as ``Work.start`` says."""
    init_rwsem(mm.mmap_lock, LockClass.MMAP_LOCK)
    init_rwsem(mapping.i_mmap_rwsem, LockClass.I_MMAP_RWSEM)
    make_page_tables(mm)
    mapping.i_size = OLD + 1
    mmap_region(mm, mapping, OLD, OLD + 1)
    if Moved.new_vma_first:
        mapping.i_mmap[1] = mapping.i_mmap[0]
        mapping.i_mmap[0] = None
    for cpu in range(Machine.cpus):
        if cpu != 1:
            load_new_mm_cr3(cpu, mm)
            mm.cpu_bitmap |= u8(1) << cpu
    page = alloc_page()
    if page is not None:
        add_to_file(page, OLD)


def move() -> None:
    """Thread: mremap()."""
    mremap(mm, OLD, NEW)


def user() -> None:
    """Thread: stores where the page was, and where it is if that ends in a signal."""
    address: ulong = OLD
    count: version_t = 0
    while count != Work.stores:
        if user_store(mm, address):
            count += 1
            with atomic():
                logs[smp_processor_id()].stored[OLD] += 1
        elif address == OLD:
            address = NEW
        else:
            return


def translation_outlives_no_page() -> bool:
    """T4-S5, of a page that moves: no TLB translates to a free frame."""
    for cpu in cpus:
        for address in range(Machine.pages):
            entry = cpu.tlb[address]
            if entry.present and not frames.allocated(frames[entry.pfn]):
                return False
    return True


def mapcount_counts_ptes() -> bool:
    """T4-S4, of a page that moves: while nobody holds a PTL, the mapcount is exact."""
    return ptl_is_held() or folio_mapcount(mem_map[0]) == ptes_of(0)


def no_lost_write() -> bool:
    """T4-S1, of a page that moves: what is not on disk has a dirty bit, or is at work."""
    folio = mapping.i_pages[OLD]
    if folio is None or frames[page_to_pfn(folio)].content == disk.block[OLD]:
        return True
    in_pte = (pte_dirty(pte_at(OLD)) or pte_dirty(pte_at(NEW))) and folio_mapped(folio)
    dirty = folio_test_dirty(folio) or in_pte
    writeback = folio_test_locked(folio) or folio_test_writeback(folio)
    return dirty or writeback or (ptl_is_held() and folio_mapped(folio))


def every_store_survives() -> bool:
    """T4-S1, at the end: each store is on disk, or in the cache with a dirty bit."""
    stored: u3 = 0
    for log in logs:
        stored += log.stored[OLD]
    return newest(OLD) == stored and no_lost_write()


def ptl_of_is_held(address: ulong) -> bool:
    """Does somebody hold the lock of the table for this address?"""
    pmd = mm_find_pmd(mm, address)
    return pmd is not None and spin_is_locked(pte_lockptr(mm, pmd))


def between_the_ptls() -> bool:
    """Sometimes: the entry is where it belongs, whose PTL is free, and a TLB has the page
    where it was, whose PTL is held."""
    stale = False
    for cpu in cpus:
        if cpu.tlb[OLD].present and not pte_present(pte_at(OLD)):
            stale = True
    held = ptl_of_is_held(OLD) and not ptl_of_is_held(NEW)
    return stale and held and pte_present(pte_at(NEW))
