"""A table of PTEs that goes while somebody walks it: the set-up and the threads of T2.

One PMD entry covers all pages.  The file is mapped once, and has a page for each address.
Threads here are kernel functions that need no more than mm and an address; who walks notes
what came of it, for nothing of a walk is shared.
"""
# pyright: strict, reportPrivateUsage=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import Config, Struct
from pagerace.machine.cpu import cpus
from pagerace.machine.entry import watched
from pagerace.machine.memory import Machine, ulong
from pagerace.machine.pgtable import pfn_pte, pte_mkyoung, pte_t, ptep_get, set_pte
from pagerace.machine.tables import (
    pmd_none,
    pmd_page_vaddr,
    pmdp_get,
)
from pagerace.mm.anon import mk_anon_pte, page_add_new_anon_rmap
from pagerace.mm.fault import do_user_addr_fault
from pagerace.mm.gup import lockless_pages_from_mm, page_lists
from pagerace.mm.khugepaged import khugepaged_collapse_pte_mapped_thp, retract_page_tables
from pagerace.mm.khugepaged_anon import collapse_huge_page
from pagerace.mm.lockdep import LockClass
from pagerace.mm.madvise import madvise_dontneed
from pagerace.mm.mm_types import FAULT_FLAG_WRITE, folio, mem_map, page_to_pfn, vm_area_cachep
from pagerace.mm.mmap import mmap_region, munmap
from pagerace.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from pagerace.mm.mmu_notifier import mmu_notifier_register
from pagerace.mm.page_alloc import alloc_page
from pagerace.mm.page_flags import folio_get
from pagerace.mm.pagemap import folio_lock, folio_unlock
from pagerace.mm.pgalloc import (
    __pte_alloc_one,
    mm_inc_nr_ptes,
    pgd_alloc,
    pmd_populate,
    pte_alloc,
)
from pagerace.mm.pgtable import mm_find_pmd
from pagerace.mm.pgtable_generic import (
    pte_maps,
    pte_offset_map,
    pte_offset_map_lock,
    pte_unmap,
    pte_unmap_unlock,
)
from pagerace.mm.pgtable_levels import init_page_table_locks, load_new_mm_cr3
from pagerace.mm.pte_refcount import count_entries_of
from pagerace.mm.rcu_callbacks import rcu_barrier
from pagerace.mm.rmap import folio_mkclean, page_add_file_rmap
from pagerace.mm.rwsem import init_rwsem
from pagerace.mm.swap import put_page
from pagerace.mm.tlb_lazy import cpu_tlbstate
from pagerace.mm.truncate import unmap_mapping_range
from pagerace.protocols._file_fault import mapping, mm, pmd_of


class Tables(Config):
    """What is there at first.  ``table``: one of PTEs.

    ``mapped_pages``: pages that it maps, the first ones.  ``anonymous``: they are of nobody's
    file, and frame 0 is the zero page.  ``running``: the first two CPUs run the mm, and are
    interrupted by its flushes.  ``lazy``: the second has gone on to a kernel thread, and
    keeps the tables (lazy TLB mode).
    """

    table: bool = True
    mapped_pages: int = 1
    anonymous: bool = False
    running: bool = True
    lazy: bool = False


class walk_notes(Struct):
    """What walkers have got.  ``pinned``: a page whose reference somebody keeps."""

    pinned: folio | None = None


noted = walk_notes()


def setup() -> None:
    """The file is cached and mapped; all CPUs run the mm."""
    init_rwsem(mm.mmap_lock, LockClass.MMAP_LOCK)
    init_rwsem(mapping.i_mmap_rwsem, LockClass.I_MMAP_RWSEM)
    init_page_table_locks(mm)
    mm.pgd = pgd_alloc(mm)
    for cpu in range(Machine.cpus):
        load_new_mm_cr3(cpu, mm)
    mm.cpu_bitmap = 3 if Tables.running else 0
    if Tables.lazy:
        cpu_tlbstate[1].is_lazy = True
        cpus[1].away = True
    mapping.i_size = Machine.pages
    mmap_region(mm, mapping, 0, Machine.pages)
    pmd = mm_find_pmd(mm, 0)
    if pmd is not None:
        watched.ptep = pmd.entry
        if Tables.table:
            table = __pte_alloc_one(mm)
            if table is not None:
                mm_inc_nr_ptes(mm)
                pmd_populate(mm, pmd, table)
    if Tables.anonymous:
        vm_area_cachep[0].vm_file = None
        mapping.i_mmap[0] = None
        alloc_page()  # the zero page
    mmu_notifier_register(mm)
    for index in range(Machine.pages):
        page = alloc_page()
        if page is not None:
            if not Tables.anonymous:
                add_to_page_cache(page, index)
            if index < Tables.mapped_pages:
                set_pte(pmd_page_vaddr(pmd_of()).pte[index], map_page(page, index))
    if pmd is not None and Tables.table:
        count_entries_of(pmd)


def add_to_page_cache(page: folio, index: ulong) -> None:
    """A clean page that has been read."""
    page.PG_uptodate = True
    page.mapping = mapping
    page.index = index
    mapping.i_pages[index] = page


def map_page(page: folio, index: ulong) -> pte_t:
    """What a read fault of the file leaves, or a store to memory that is of no file."""
    if Tables.anonymous:
        page_add_new_anon_rmap(page, vm_area_cachep[0], index)
        return mk_anon_pte(page)
    folio_get(page)
    page_add_file_rmap(page, vm_area_cachep[0])
    return pte_mkyoung(pfn_pte(page_to_pfn(page), False))


def unmap() -> None:
    """Thread: munmap() of all of it, which frees the table."""
    munmap(mm, 0)


def unmap_and_wait() -> None:
    """Thread: the same, and wait until what RCU was asked to free is free."""
    munmap(mm, 0)
    rcu_barrier()


def gup_fast() -> None:
    """Thread: get_user_pages_fast(), and put what it got."""
    pages = page_lists.current
    if lockless_pages_from_mm(mm, 0, 1, 0, pages) != 0:
        page = pages.page[0]
        if page is not None:
            put_page(page)
            pages.page[0] = None
    pages.nr = 0


def gup_fast_and_keep() -> None:
    """Thread: the same, and keep it: what the driver that asked for it reads stays there."""
    pages = page_lists.current
    if lockless_pages_from_mm(mm, 0, 1, 0, pages) != 0:
        noted.pinned = pages.page[0]
        pages.page[0] = None
    pages.nr = 0


def dontneed() -> None:
    """Thread: MADV_DONTNEED of all of it."""
    madvise_dontneed(mm, 0)


def dontneed_and_wait() -> None:
    """Thread: the same, and wait until what RCU was asked to free is free."""
    madvise_dontneed(mm, 0)
    rcu_barrier()


def dontneed_and_unmap() -> None:
    """Thread: MADV_DONTNEED of all of it, and then munmap()."""
    madvise_dontneed(mm, 0)
    munmap(mm, 0)
    rcu_barrier()


def write_fault() -> None:
    """Thread: one page fault of a store to page 0."""
    do_user_addr_fault(mm, 0, FAULT_FLAG_WRITE)
    rcu_barrier()


def alloc_table() -> None:
    """Thread: the beginning of a fault: there has to be a table."""
    mmap_read_lock(mm)
    pmd = mm_find_pmd(mm, 0)
    if pmd is not None:
        pte_alloc(mm, pmd)
    mmap_read_unlock(mm)


def lock_table() -> None:
    """Thread: somebody who has mmap_lock for reading looks into the table under its PTL."""
    mmap_read_lock(mm)
    pmd = mm_find_pmd(mm, 0)
    if pmd is not None and not pmd_none(pmdp_get(pmd)):
        map = pte_maps.current
        pte = pte_offset_map_lock(mm, pmd, 0, map)
        if pte is not None:
            ptep_get(pte)
            pte_unmap_unlock(map)
    mmap_read_unlock(mm)


def read_table() -> None:
    """Thread: the same without the PTL, as who only wants to know."""
    mmap_read_lock(mm)
    pmd = mm_find_pmd(mm, 0)
    if pmd is not None and not pmd_none(pmdp_get(pmd)):
        map = pte_maps.current
        pte = pte_offset_map(mm, pmd, 0, map)
        if pte is not None:
            ptep_get(pte)
            pte_unmap(map)
    mmap_read_unlock(mm)


def retract_and_alloc() -> None:
    """Thread: khugepaged, and then a fault that brings a table."""
    retract_page_tables(mapping, 0)
    alloc_table()
    rcu_barrier()


def retract() -> None:
    """Thread: khugepaged has put a huge page into the file, and takes empty tables away."""
    retract_page_tables(mapping, 0)


def retract_and_wait() -> None:
    """Thread: the same, and wait until the tables are free."""
    retract_page_tables(mapping, 0)
    rcu_barrier()


def collapse() -> None:
    """Thread: khugepaged makes a huge page of what is mapped of no file."""
    collapse_huge_page(mm, 0)


def collapse_mapped() -> None:
    """Thread: khugepaged finds a huge page of a file that is mapped by PTEs."""
    khugepaged_collapse_pte_mapped_thp(mm, 0)


def unmap_file() -> None:
    """Thread: who truncates the file unmaps it: a walk by the rmap, with no other lock."""
    unmap_mapping_range(mapping, 0)


def write_protect() -> None:
    """Thread: writeback write-protects page 0: a walk by the rmap, with the folio locked."""
    folio_lock(mem_map[0])
    folio_mkclean(mem_map[0])
    folio_unlock(mem_map[0])
