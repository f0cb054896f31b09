"""Faults of a file that another task splits, truncates or zaps: the set-up and the threads.

One PMD entry covers all pages.  The page cache has one huge folio, or small ones.  Nobody
uses what a fault has mapped, so that no TLB is filled; the claims about ageing load.
"""

from __future__ import annotations

from pagerace.lang import Config, thread
from pagerace.machine.memory import Machine, ulong
from pagerace.machine.pgtable import pte_t
from pagerace.machine.tables import (
    pmd_none,
    pmd_page_vaddr,
    pmd_trans_huge,
    pmdval_t,
)
from pagerace.mm.fault import do_user_addr_fault, user_load
from pagerace.mm.huge_memory import split_huge_pages_in_file
from pagerace.mm.khugepaged import retract_page_tables
from pagerace.mm.lockdep import LockClass, lock_acquired
from pagerace.mm.madvise import madvise_dontneed
from pagerace.mm.mm_types import (
    address_space,
    mem_map,
    mm_struct,
)
from pagerace.mm.mmap import mmap_region
from pagerace.mm.page_alloc import alloc_page, prep_compound_page
from pagerace.mm.page_flags import folio_ref_add
from pagerace.mm.pagemap import folio_unlock
from pagerace.mm.pgalloc import __pte_alloc_one, pgd_alloc, pmd_populate
from pagerace.mm.pgtable import mm_find_pmd
from pagerace.mm.pgtable_levels import init_page_table_locks, load_new_mm_cr3
from pagerace.mm.rwsem import down_write, init_rwsem, up_write
from pagerace.mm.truncate import truncate_setsize

# fault_around_bytes of a window of two pages.
WINDOW = 8192


class File(Config):
    """What is there at first.  ``huge``: one folio of all pages; else each is of its own.

    ``cached``: how many of the small pages are in the page cache.  ``table``: a table of
    PTEs, with nothing in it.  ``collapsing``: khugepaged has just put the huge folio there,
    and holds its lock.
    """

    huge: bool = False
    cached: int = 2
    table: bool = False
    collapsing: bool = False


mm = mm_struct()
mapping = address_space()


def setup() -> None:
    """All of the file is mapped, and nothing has been touched."""
    init_rwsem(mm.mmap_lock, LockClass.MMAP_LOCK)
    init_rwsem(mapping.i_mmap_rwsem, LockClass.I_MMAP_RWSEM)
    init_rwsem(mapping.i_mmaplock, LockClass.XFS_MMAPLOCK)
    init_page_table_locks(mm)
    mm.pgd = pgd_alloc(mm)
    for cpu in range(Machine.cpus):
        load_new_mm_cr3(cpu, mm)
    mapping.i_size = Machine.pages
    mmap_region(mm, mapping, 0, Machine.pages)
    fill_page_cache()
    pmd = mm_find_pmd(mm, 0)
    if File.table and pmd is not None:
        table = __pte_alloc_one(mm)
        if table is not None:
            pmd_populate(mm, pmd, table)


def fill_page_cache() -> None:
    """The folios of the file, clean, read, and each with the references of the cache."""
    for index in range(Machine.pages if File.huge else File.cached):
        page = alloc_page()
        if page is not None:
            page.PG_uptodate = True
            mapping.i_pages[index] = page
            if File.huge:
                mapping.i_pages[index] = mem_map[0]
            if not File.huge or index == 0:
                page.mapping = mapping
                page.index = index
    if File.huge:
        prep_compound_page(mem_map[0], 1)
        folio_ref_add(mem_map[0], Machine.pages - 1)
        mem_map[0].PG_locked = File.collapsing


def fault_at(address: ulong) -> None:
    """Thread: one page fault of a load.  What it brought is not looked at."""
    do_user_addr_fault(mm, address, 0)


FAULTS = [thread(fault_at, 0, cpu=0), thread(fault_at, 1, cpu=1)]


def load_at(address: ulong) -> None:
    """Thread: a load, and as many faults as it needs."""
    user_load(mm, address)


def dontneed() -> None:
    """Thread: MADV_DONTNEED of all of it."""
    madvise_dontneed(mm, 0)


def truncate() -> None:
    """Thread: another process truncates the file to nothing."""
    truncate_setsize(mapping, 0)


def xfs_truncate() -> None:
    """Thread: the same, of a file of XFS: xfs_setattr_size() holds the XFS_MMAPLOCK."""
    down_write(mapping.i_mmaplock)
    truncate_setsize(mapping, 0)
    up_write(mapping.i_mmaplock)


def split() -> None:
    """Thread: somebody splits the huge page."""
    split_huge_pages_in_file(mapping)


def collapse() -> None:
    """Thread: the end of khugepaged's collapse_file()."""
    folio = mem_map[0]
    lock_acquired(LockClass.FOLIO_LOCK)
    retract_page_tables(mapping, 0)
    folio_unlock(folio)


def pmd_of() -> pmdval_t:
    """The PMD entry."""
    pmd = mm_find_pmd(mm, 0)
    if pmd is None:
        return pmdval_t()
    return pmd.entry.value


def pte_at(address: ulong) -> pte_t:
    """The PTE of a page; none where there is no table for it."""
    pmd = pmd_of()
    if pmd_none(pmd) or pmd_trans_huge(pmd):
        return pte_t()
    return pmd_page_vaddr(pmd).pte[address].value
