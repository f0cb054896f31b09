"""pt_reclaim.py: a zap takes a table away that it has emptied, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pagerace.compiler.program import compile_protocol
from pagerace.lang import agent, force, protocol, thread
from pagerace.lang.protocol import Edit, Protocol
from pagerace.lang.structures import Config
from pagerace.machine.entry import Colours
from pagerace.machine.memory import Machine
from pagerace.machine.pgtable import pfn_pte, set_pte
from pagerace.machine.tables import PteTables, page_tables, pmd_page_vaddr, pmd_present
from pagerace.mm.khugepaged import retract_page_tables
from pagerace.mm.lockdep import LockClass
from pagerace.mm.madvise import madvise_dontneed
from pagerace.mm.mm_types import (
    address_space,
    mem_map,
    mm_struct,
    page_to_pfn,
    vm_area_cachep,
)
from pagerace.mm.mmap import mmap_region
from pagerace.mm.mmu_gather import MmuGather
from pagerace.mm.page_alloc import alloc_page
from pagerace.mm.page_flags import folio_get, folio_mapcount, folio_ref_count
from pagerace.mm.pgalloc import __pte_alloc_one, pgd_alloc, pmd_populate
from pagerace.mm.pgtable import mm_find_pmd
from pagerace.mm.pgtable_generic import (
    mapped_pte,
    pte_maps,
    pte_offset_map_lock,
    pte_unmap_unlock,
)
from pagerace.mm.pgtable_levels import init_page_table_locks
from pagerace.mm.pt_reclaim import try_to_free_pte
from pagerace.mm.rcu_callbacks import rcu_barrier, rcu_core
from pagerace.mm.rcupdate import Rcu
from pagerace.mm.rmap import page_add_file_rmap
from pagerace.mm.rwsem import init_rwsem
from pagerace.mm.table_walk import V6_14, V6_14_FIRST
from pagerace.search import check
from tests.kernel import fresh_machine, reset

mm = mm_struct()
mapping = address_space()

CONFIG = [
    Machine(cpus=2, pages=2, frames=2, tables=2),
    PteTables(come_and_go=True, rcu_free=True, nr_ptes=True),
]
# The gather is full with each page: a zap of two lets go of the PTL between them.
FULL = MmuGather(bundle=1, batches=1)


@pytest.fixture(autouse=True)
def interrupts() -> None:
    """In these checks agents answer interrupts: the machine is as it is, and new."""
    reset(mm)
    reset(mapping)


def begin_empty() -> None:
    """A file of two pages is mapped, and there is a table with nothing in it."""
    init_rwsem(mm.mmap_lock, LockClass.MMAP_LOCK)
    init_rwsem(mapping.i_mmap_rwsem, LockClass.I_MMAP_RWSEM)
    init_page_table_locks(mm)
    mm.pgd = pgd_alloc(mm)
    mm.nr_ptes.counter = 1
    mapping.i_size = Machine.pages
    mmap_region(mm, mapping, 0, Machine.pages)
    pmd = mm_find_pmd(mm, 0)
    table = __pte_alloc_one(mm)
    if pmd is not None and table is not None:
        pmd_populate(mm, pmd, table)


def begin() -> None:
    """The same, and a PTE maps each page."""
    begin_empty()
    for index in range(Machine.pages):
        page = alloc_page()
        if page is not None:
            page.mapping = mapping
            page.index = index
            mapping.i_pages[index] = page
            folio_get(page)
            page_add_file_rmap(page, vm_area_cachep[0])
            set_pte(page_tables[0].pte[index], pfn_pte(page_to_pfn(page), False))


def start() -> None:
    """In plain Python, where this module's own memory has to be as large as the machine."""
    reset(mm)
    reset(mapping)
    begin()


def dontneed() -> None:
    """Thread: madvise(MADV_DONTNEED) of all of it."""
    madvise_dontneed(mm, 0)


def dontneed_and_wait() -> None:
    """Thread: the same, until the table is freed."""
    madvise_dontneed(mm, 0)
    rcu_barrier()


def fault() -> None:
    """Thread: the end of a fault of page 0, if there is a table and no entry."""
    map = pte_maps.current
    pmd = mm_find_pmd(mm, 0)
    page = mem_map[0]
    if pmd is not None and pte_offset_map_lock(mm, pmd, 0, map) is not None:
        if not mapped_pte(map, 0).value.present:
            folio_get(page)
            page_add_file_rmap(page, vm_area_cachep[0])
            set_pte(mapped_pte(map, 0), pfn_pte(0, False))
        pte_unmap_unlock(map)


def retract() -> None:
    """Thread: khugepaged, which takes the lock of the PMD entry and then the PTL."""
    retract_page_tables(mapping, 0)


def present() -> bool:
    pmd = mm_find_pmd(mm, 0)
    return pmd is not None and pmd_present(pmd.entry.value)


def what_is_counted_is_mapped() -> bool:
    """T2-S3, at the end: no page has an rmap that is not in the linked table."""
    for pfn in range(Machine.frames):
        entries = 0
        pmd = mm_find_pmd(mm, 0)
        if pmd is not None and pmd.entry.value.present:
            pte = pmd_page_vaddr(pmd.entry.value).pte[pfn].value
            if pte.present and pte.pfn == pfn:
                entries = 1
        if folio_mapcount(mem_map[pfn]) != entries:
            return False
    return True


@pytest.mark.parametrize("gather", [MmuGather(), FULL], ids=["at once", "in two parts"])
def test_the_table_goes_with_what_it_maps(gather: MmuGather) -> None:
    with fresh_machine(*CONFIG, V6_14, gather):
        start()
        dontneed()
        assert not present()
        assert not page_tables.allocated(page_tables[0])
        assert mm.nr_ptes.counter == 0
        assert [folio_ref_count(page) for page in mem_map] == [1, 1]
        dontneed()  # there is none any more


def test_a_table_stays_where_only_a_part_is_zapped() -> None:
    with fresh_machine(*CONFIG, V6_14):
        start()
        vm_area_cachep[0].vm_end = 1
        dontneed()
        assert present()
        assert [folio_ref_count(page) for page in mem_map] == [1, 2]


def beside(
    zap: Callable[[], None],
    other: Callable[[], None],
    *config: Config,
    setup: Callable[[], None] = begin,
    edits: tuple[Edit, ...] = (),
) -> Protocol:
    return protocol(
        threads=[
            thread(zap, cpu=0), thread(other, cpu=1),
            *([agent(rcu_core, cpu=1)] if Rcu(callbacks=True) in config else []),
        ],
        setup=setup,
        at_end=[what_is_counted_is_mapped],
        config=[*CONFIG, *config],
    ).replace(edits=edits)  # fmt: skip


# What is found where: a table that is not empty, one that is found no more, a lock order.
CASES: dict[str, tuple[str | None, Protocol]] = {
    "v6.14 first": ("what-is-counted-is-mapped", beside(dontneed, fault, V6_14_FIRST, FULL)),
    "v6.14": (None, beside(dontneed, fault, V6_14, FULL, Colours(tables=True))),
    "not looked at again": (
        "what-is-counted-is-mapped",
        beside(
            dontneed, fault, V6_14, FULL,
            edits=(force(try_to_free_pte, "not is_empty(map, addr)", False),),
        ),
    ),
    "waits for the lock": (
        "lock-order-inversion",
        beside(dontneed, retract, V6_14.replace(pml_trylock=False), setup=begin_empty),
    ),
    "tries the lock": (
        None, beside(dontneed, retract, V6_14, Colours(tables=True), setup=begin_empty),
    ),
    "by RCU": (None, beside(dontneed_and_wait, fault, V6_14, Rcu(callbacks=True))),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_beside_others(name: str) -> None:
    slug, claim = CASES[name]
    found = check(compile_protocol(claim)).violation
    assert (found and found.slug) == slug
