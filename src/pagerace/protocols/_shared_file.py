"""A file that is mapped shared: the set-up and the threads of claims about dirty pages.

CPU 0 takes the mapping away, CPU 1 writes the file out and reclaims, and each further CPU
is a user thread that stores to the mapping.
"""

from __future__ import annotations

from enum import Enum

from pagerace.lang import (
    Array,
    Config,
    Pool,
    Struct,
    array,
    atomic,
    per_thread,
    pool,
    smp_processor_id,
    u8,
)
from pagerace.machine.cpu import cpus, tlb_entry
from pagerace.machine.memory import Machine, disk, frames, ulong, version_t
from pagerace.machine.pgtable import pfn_pte, pte_mkdirty, pte_mkyoung, pte_t, set_pte
from pagerace.machine.tables import page_tables
from pagerace.mm.fault import user_store
from pagerace.mm.lockdep import LockClass
from pagerace.mm.madvise import madvise_dontneed
from pagerace.mm.mm_types import (
    address_space,
    folio,
    mm_struct,
    page_to_pfn,
    ptdescs,
    pte_slot,
    vm_area_cachep,
)
from pagerace.mm.mmap import mmap_region, munmap
from pagerace.mm.page_alloc import alloc_page
from pagerace.mm.page_flags import folio_get
from pagerace.mm.pgtable import mm_find_pmd, pte_entry
from pagerace.mm.pgtable_levels import load_new_mm_cr3, make_page_tables
from pagerace.mm.rmap import page_add_file_rmap
from pagerace.mm.rwsem import init_rwsem
from pagerace.mm.spinlock import spin_is_locked
from pagerace.mm.sync import vfs_fsync
from pagerace.mm.truncate import truncate_setsize
from pagerace.mm.vmscan import shrink_inactive_list


class Start(Enum):
    """How the pages are mapped at first.

    STORED: a store has left the page dirty and the PTE writable and dirty.
    READ: a read fault nearby has mapped a clean page, read-only for
    vma_wants_writenotify(), and old.
    UNNOTIFIED: a clean old page is mapped writable and clean, as in a VMA that does not want
    to be notified; the dirty bit of the hardware is all there is.
    """

    STORED = 0
    READ = 1
    UNNOTIFIED = 2


class Work(Config):
    """How much happens.  ``stores``: of each user to each page; ``rounds``: of fsync()."""

    start: Start = Start.STORED
    stores: int = 2
    rounds: int = 1


class user_log(Struct):
    """``stored[i]``: stores to page i that a user thread has seen done."""

    stored: Array[version_t] = array(lambda: Machine.pages)


class fsync_log(Struct):
    """``before[i]``: what page i held when fsync() was called."""

    before: Array[version_t] = array(lambda: Machine.pages)


class fsync_record(Struct):
    """``broken``: an fsync() has returned, and a store from before it is not on disk."""

    broken: bool


class madvise_record(Struct):
    """``dontneed``: some madvise(MADV_DONTNEED) has returned."""

    dontneed: bool


mm = mm_struct()
mapping = address_space()
logs: Pool[user_log] = pool(user_log, lambda: Machine.cpus)
calls = per_thread(fsync_log)
fsynced = fsync_record()
returned = madvise_record()


def setup() -> None:
    """All pages of the file are cached, clean, and mapped as a read fault leaves them."""
    init_rwsem(mm.mmap_lock, LockClass.MMAP_LOCK)
    init_rwsem(mapping.i_mmap_rwsem, LockClass.I_MMAP_RWSEM)
    make_page_tables(mm)
    mapping.i_size = Machine.pages
    mmap_region(mm, mapping, 0, Machine.pages)
    for cpu in range(Machine.cpus):
        if cpu != 1:
            load_new_mm_cr3(cpu, mm)
            mm.cpu_bitmap |= u8(1) << cpu
    for index in range(Machine.pages):
        page = alloc_page()
        if page is not None:
            add_to_file(page, index)


def add_to_file(page: folio, index: ulong) -> None:
    """Page ``index`` of the file, with the references of the cache and of the mapping."""
    page.mapping = mapping
    page.index = index
    mapping.i_pages[index] = page
    folio_get(page)
    page_add_file_rmap(page, vm_area_cachep[0])
    pte = pfn_pte(page_to_pfn(page), Work.start is not Start.READ)
    if Work.start is Start.STORED:
        pte = pte_mkyoung(pte_mkdirty(pte))
        page.PG_dirty = True
        frames[page_to_pfn(page)].content = 1
        logs[0].stored[index] = 1
        for cpu in range(2, Machine.cpus):
            cpus[cpu].tlb[index] = tlb_entry(
                present=True, writable=True, dirty=True, pfn=page_to_pfn(page)
            )
    pmd = mm_find_pmd(mm, index)
    if pmd is not None:
        set_pte(pte_entry(pmd, index), pte)


def pte_at(index: ulong) -> pte_t:
    """The PTE of page ``index``; none where there is no table for it."""
    pmd = mm_find_pmd(mm, index)
    if pmd is None:
        return pte_t()
    return pte_entry(pmd, index).value


def the_entry() -> pte_slot:
    """The entry of page 0, in the first table."""
    return page_tables[0].pte[0]


def ptl_is_held() -> bool:
    """Does somebody hold the lock of a table of PTEs?"""
    for table in ptdescs:
        if spin_is_locked(table.ptl):
            return True
    return False


def unmap() -> None:
    """Thread: the mapping goes away for good."""
    munmap(mm, 0)


def dontneed() -> None:
    """Thread: the mapping goes away, and comes back where it is touched."""
    madvise_dontneed(mm, 0)


def dontneed_and_return() -> None:
    """Thread: the same, and the caller goes on in the belief that it is gone."""
    madvise_dontneed(mm, 0)
    returned.dontneed = True


def writeback() -> None:
    """Thread: another process calls fsync(), and reclaim follows."""
    for _ in range(Work.rounds):
        begin_fsync()
        vfs_fsync(mapping)
        end_fsync()
        shrink_inactive_list(mapping)


def truncate() -> None:
    """Thread: another process truncates the file to nothing."""
    truncate_setsize(mapping, 0)


def user() -> None:
    """Thread: stores, until it has done them all or is killed by a signal."""
    for _ in range(Work.stores):
        for page in range(Machine.pages):
            if not user_store(mm, page):
                return
            with atomic():
                logs[smp_processor_id()].stored[page] += 1


def newest(index: ulong) -> version_t:
    """What a reader of the file finds in page ``index``."""
    folio = mapping.i_pages[index]
    if folio is None:
        return disk.block[index]
    return frames[page_to_pfn(folio)].content


def begin_fsync() -> None:
    """Note what fsync() has to bring to the disk."""
    with atomic():
        for index in range(Machine.pages):
            calls.current.before[index] = newest(index)


def end_fsync() -> None:
    """Note whether it has."""
    with atomic():
        for index in range(Machine.pages):
            if disk.block[index] < calls.current.before[index]:
                fsynced.broken = True
            calls.current.before[index] = 0
