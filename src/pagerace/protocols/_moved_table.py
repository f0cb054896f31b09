"""mremap() of a file of one page, from the PMD entry of page 0 to that of page 1.

Each of the two entries has a table of its own, or none at first where it is to get one.
"""

from __future__ import annotations

from pagerace.lang import Config, Struct
from pagerace.machine.memory import Machine
from pagerace.machine.pgtable import (
    pfn_pte,
    pte_mkyoung,
    pte_present,
    pte_t,
    pte_write,
    set_pte,
)
from pagerace.machine.tables import (
    page_tables,
    pmd_page_vaddr,
    pmd_present,
    pmd_t,
    pmdp_get,
    upper_tables,
)
from pagerace.mm.khugepaged import retract_page_tables
from pagerace.mm.lockdep import LockClass
from pagerace.mm.mm_types import mem_map, page_to_pfn, vm_area_cachep
from pagerace.mm.mmap import mmap_region
from pagerace.mm.mremap import mremap
from pagerace.mm.page_alloc import alloc_page
from pagerace.mm.page_flags import folio_get
from pagerace.mm.pagemap import folio_lock, folio_unlock
from pagerace.mm.pgalloc import __pte_alloc_one, mm_inc_nr_ptes, pgd_alloc, pmd_populate
from pagerace.mm.pgtable_levels import init_page_table_locks, load_new_mm_cr3
from pagerace.mm.rmap import folio_mkclean, page_add_file_rmap
from pagerace.mm.rwsem import init_rwsem
from pagerace.protocols._file_fault import mapping, mm

OLD, NEW = 0, 1


class Moved(Config):
    """``new_vma_first``: rmap walks meet the new VMA before the old one.  ``mapped``: there
    is a page in the table, that may be written to.  ``new_table``: and one where it goes."""

    new_vma_first: bool = False
    mapped: bool = True
    new_table: bool = True


class moved_notes(Struct):
    """``protected``: writeback is sure that nobody can write to the page."""

    protected: bool


noted = moved_notes()


def pmd_of(address: int) -> pmd_t:
    """The PMD entry of an address."""
    return upper_tables[0].entry[address]


def setup() -> None:
    """Nobody's frame is table 0: a PMD entry that is made of nothing points there."""
    init_rwsem(mm.mmap_lock, LockClass.MMAP_LOCK)
    init_rwsem(mapping.i_mmap_rwsem, LockClass.I_MMAP_RWSEM)
    init_page_table_locks(mm)
    mm.pgd = pgd_alloc(mm)
    load_new_mm_cr3(0, mm)
    mapping.i_size = OLD + 1
    mmap_region(mm, mapping, OLD, OLD + 1)
    if Moved.new_vma_first:
        mapping.i_mmap[1] = mapping.i_mmap[0]
        mapping.i_mmap[0] = None
    spare = page_tables.alloc()
    add_table(pmd_of(OLD))
    if Moved.new_table:
        add_table(pmd_of(NEW))
    if spare is not None:
        page_tables.free(spare)
    page = alloc_page()
    if page is not None:
        page.PG_uptodate = True
        page.mapping = mapping
        mapping.i_pages[OLD] = page
        if Moved.mapped:
            folio_get(page)
            page_add_file_rmap(page, vm_area_cachep[0])
            pte = pte_mkyoung(pfn_pte(page_to_pfn(page), True))
            set_pte(pmd_page_vaddr(pmdp_get(pmd_of(OLD))).pte[0], pte)


def add_table(pmd: pmd_t) -> None:
    """A table with nothing in it."""
    table = __pte_alloc_one(mm)
    if table is not None:
        mm_inc_nr_ptes(mm)
        pmd_populate(mm, pmd, table)


def move() -> None:
    """Thread: mremap()."""
    mremap(mm, OLD, NEW)


def retract() -> None:
    """Thread: khugepaged of another process that has mapped the file, too."""
    retract_page_tables(mapping, OLD)


def write_protect() -> None:
    """Thread: writeback write-protects the page: a walk by the rmap, with the folio locked."""
    folio_lock(mem_map[0])
    folio_mkclean(mem_map[0])
    noted.protected = True
    folio_unlock(mem_map[0])


def pte_at(address: int) -> pte_t:
    """The PTE of a page; none where there is no table for it."""
    pmd = pmd_of(address).entry.value
    if not pmd_present(pmd):
        return pte_t()
    return pmd_page_vaddr(pmd).pte[0].value


def a_walk_misses_no_mapping() -> bool:
    """T2-S12: when a walk by the rmap has returned, it has been at each mapping of the page
    that there was all the time, wherever that went meanwhile."""
    return not noted.protected or not (pte_write(pte_at(OLD)) or pte_write(pte_at(NEW)))


def only_tables_are_moved() -> bool:
    """T2-S11: a PMD entry that is present points to a table that is in use."""
    for address in range(Machine.pages):
        pmd = pmd_of(address).entry.value
        if pmd_present(pmd) and not page_tables.allocated(pmd_page_vaddr(pmd)):
            return False
    return True


def the_page_is_moved() -> bool:
    """Sometimes: it is mapped at its new address only."""
    return pte_present(pte_at(NEW)) and not pte_present(pte_at(OLD))


def the_table_is_moved() -> bool:
    """Sometimes: there is one where there was none."""
    return pmd_present(pmd_of(NEW).entry.value)
