"""mremap.py: a table is moved as a whole, and another task takes it away."""

from __future__ import annotations

import pytest

from pagerace.compiler.program import compile_protocol
from pagerace.lang import protocol, thread
from pagerace.lang.protocol import Protocol
from pagerace.machine.entry import Colours
from pagerace.machine.memory import Machine
from pagerace.machine.pgtable import pfn_pte, set_pte
from pagerace.machine.tables import (
    PteTables,
    page_tables,
    pmd_none,
    pmd_page_vaddr,
    pmdp_get,
    pmdval_t,
)
from pagerace.mm import mremap
from pagerace.mm.khugepaged import retract_page_tables
from pagerace.mm.lockdep import LockClass
from pagerace.mm.mm_types import Mm, address_space, mm_struct
from pagerace.mm.mmap import mmap_region
from pagerace.mm.mremap import Mremap
from pagerace.mm.pgalloc import __pte_alloc_one, pgd_alloc, pmd_populate
from pagerace.mm.pgtable import mm_find_pmd
from pagerace.mm.pgtable_levels import init_page_table_locks
from pagerace.mm.rwsem import init_rwsem
from pagerace.mm.table_walk import V6_5
from pagerace.search import check
from tests.kernel import fresh_machine, reset

mm = mm_struct()
mapping = address_space()

# A PMD entry covers one page: table 0 is another mm's, and table 1 moves.
CONFIG = [
    Machine(cpus=2, pages=2, entries=2, frames=2, tables=4, huge_pages=True),
    PteTables(come_and_go=True, nr_ptes=True),
    Mm(vmas=2),
    V6_5,
]


@pytest.fixture(autouse=True)
def interrupts() -> None:
    """In these checks agents answer interrupts: the machine is as it is, and new."""
    reset(mm)
    reset(mapping)


def begin() -> None:
    """A file is mapped at page 0, by a table with nothing in it."""
    init_rwsem(mm.mmap_lock, LockClass.MMAP_LOCK)
    init_rwsem(mapping.i_mmap_rwsem, LockClass.I_MMAP_RWSEM)
    init_page_table_locks(mm)
    mm.pgd = pgd_alloc(mm)
    mm.nr_ptes.counter = 1
    mapping.i_size = Machine.pages
    mmap_region(mm, mapping, 0, 1)
    __pte_alloc_one(mm)
    pmd = mm_find_pmd(mm, 0)
    table = __pte_alloc_one(mm)
    if pmd is not None and table is not None:
        pmd_populate(mm, pmd, table)


def move() -> None:
    """Thread: mremap() of page 0 to page 1."""
    mremap.mremap(mm, 0, 1)


def retract() -> None:
    """Thread: khugepaged, which holds no mmap_lock."""
    retract_page_tables(mapping, 0)


def entry(address: int) -> pmdval_t:
    pmd = mm_find_pmd(mm, address)
    assert pmd is not None
    return pmdp_get(pmd)


def no_table_of_another_mm() -> bool:
    """T2-S11: what an entry points to is a table, and this mm's."""
    for address in range(Machine.pages):
        pmd = mm_find_pmd(mm, address)
        if pmd is not None and pmd.entry.value.present:
            number = pmd.entry.value.pfn
            if number == 0 or not page_tables.allocated(page_tables[number]):
                return False
    return True


@pytest.mark.parametrize("whole", [False, True], ids=["by entries", "as a whole"])
def test_a_table_is_moved_as_a_whole(whole: bool) -> None:
    with fresh_machine(*CONFIG, Mremap(move_pmd=whole)):
        reset(mm)
        reset(mapping)
        begin()
        set_pte(page_tables[1].pte[0], pfn_pte(1, False))
        if not whole:
            new = mm_find_pmd(mm, 1)
            table = __pte_alloc_one(mm)
            assert new is not None
            assert table is not None
            pmd_populate(mm, new, table)
        vma = mm.mm_mt[0]
        assert vma is not None
        mremap.move_page_tables(vma, 0, 1, 1, False)
        assert pmd_page_vaddr(entry(1)).pte[0].value == pfn_pte(1, False)
        assert pmd_none(entry(0)) is whole
        assert (pmd_page_vaddr(entry(1)) is page_tables[1]) is whole


def beside(kernel: Mremap) -> Protocol:
    return protocol(
        threads=[thread(move, cpu=0), thread(retract, cpu=1)],
        setup=begin,
        always=[no_table_of_another_mm],
        config=[*CONFIG, kernel, Colours(tables=True)],
    )


def test_until_v6_12_page_0_becomes_a_table() -> None:
    found = check(compile_protocol(beside(mremap.V6_6))).violation
    assert found is not None
    assert found.slug == "no-table-of-another-mm"
    assert check(compile_protocol(beside(mremap.V6_12))).verdict == "holds"
