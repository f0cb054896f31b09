"""A table of PTEs that goes while somebody walks it: the set-up and the threads of T2.

One PMD entry covers all pages.  The file is mapped once, and has a page for each address.
Threads here are kernel functions that need no more than mm and an address; who walks notes
what came of it, for nothing of a walk is shared.
"""
# pyright: strict, reportPrivateUsage=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import Config, Struct
from pagerace.machine.entry import watched
from pagerace.machine.memory import Machine, count_t
from pagerace.machine.pgtable import pfn_pte, pte_mkyoung, set_pte
from pagerace.machine.tables import (
    page_tables,
    pmd_page_vaddr,
    pmd_present,
    pmd_trans_huge,
)
from pagerace.mm.atomic import atomic_read
from pagerace.mm.gup import lockless_pages_from_mm, page_lists
from pagerace.mm.khugepaged import retract_page_tables
from pagerace.mm.lockdep import LockClass
from pagerace.mm.mm_types import folio, mem_map, page_to_pfn, vm_area_cachep
from pagerace.mm.mmap import mmap_region, munmap
from pagerace.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from pagerace.mm.notes import notes
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
from pagerace.mm.pgtable_levels import init_page_table_locks, load_new_mm_cr3
from pagerace.mm.rcu_callbacks import rcu_barrier
from pagerace.mm.rmap import folio_mkclean, page_add_file_rmap
from pagerace.mm.rwsem import init_rwsem
from pagerace.mm.swap import put_page
from pagerace.protocols._file_fault import mapping, mm, pmd_of


class Tables(Config):
    """What is there at first.  ``table``: one of PTEs.

    ``mapped_pages``: pages that it maps, the first ones.  ``running``: the first two CPUs
    run the mm, and are interrupted by its flushes.
    """

    table: bool = True
    mapped_pages: int = 1
    running: bool = True


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
    fill_page_cache()


def fill_page_cache() -> None:
    """A page for each address, clean; the first are mapped, as a read fault leaves them."""
    for index in range(Machine.pages):
        page = alloc_page()
        if page is not None:
            page.PG_uptodate = True
            page.mapping = mapping
            page.index = index
            mapping.i_pages[index] = page
            if index < Tables.mapped_pages:
                folio_get(page)
                page_add_file_rmap(page, vm_area_cachep[0])
                set_pte(
                    pmd_page_vaddr(pmd_of()).pte[index],
                    pte_mkyoung(pfn_pte(page_to_pfn(page), False)),
                )


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


def alloc_table() -> None:
    """Thread: the beginning of a fault: there has to be a table."""
    mmap_read_lock(mm)
    pmd = mm_find_pmd(mm, 0)
    if pmd is not None:
        pte_alloc(mm, pmd)
    mmap_read_unlock(mm)


def retract() -> None:
    """Thread: khugepaged has put a huge page into the file, and takes empty tables away."""
    retract_page_tables(mapping, 0)


def write_protect() -> None:
    """Thread: writeback write-protects page 0: a walk by the rmap, with the folio locked."""
    folio_lock(mem_map[0])
    folio_mkclean(mem_map[0])
    folio_unlock(mem_map[0])


def tables_are_counted() -> bool:
    """T2-S5, at the end: ``nr_ptes`` is the number of tables that are linked, and no other is
    in use: each was freed once."""
    pmd = pmd_of()
    linked: count_t = 0
    if pmd_present(pmd) and not pmd_trans_huge(pmd):
        linked = 1
        if not page_tables.allocated(pmd_page_vaddr(pmd)):
            return False
    used: count_t = 0
    for table in page_tables:
        if page_tables.allocated(table):
            used += 1
    return used == linked and atomic_read(mm.nr_ptes) == linked


def a_table_goes_before_another_comes() -> bool:
    """T2-S8: an entry that points to a table becomes none before it becomes anything else.

    Who stores there without the lock of the entry, or does not look again under it, stores
    over what somebody else has stored.
    """
    return not watched.overwritten


def tables_are_installed_under_mmap_lock() -> bool:
    """T2-S10: nobody brings a table who has no more than an rmap lock: what keeps others
    out while tables are freed is mmap_lock."""
    return not notes.unlocked_install


def the_table_is_retracted() -> bool:
    """Sometimes: there is no table."""
    return not pmd_present(pmd_of())
