"""pgalloc.py and pgtable_free.py: tables that come when they are needed, and go."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pagerace.compiler.program import compile_protocol
from pagerace.lang import agent, force, protocol, thread
from pagerace.lang.protocol import Edit, Protocol
from pagerace.machine.memory import Machine
from pagerace.machine.pgtable import pfn_pte, set_pte
from pagerace.machine.tables import PteTables, page_tables, pmd_present, pmdp_get, upper_tables
from pagerace.mm.mm_types import mm_struct
from pagerace.mm.mmu_gather import gathers, tlb_finish_mmu, tlb_gather_mmu
from pagerace.mm.pgalloc import (
    alloc_below,
    pgd_alloc,
    pmd_alloc_at,
    pmd_install,
    pte_alloc,
)
from pagerace.mm.pgtable import mm_find_pmd, pte_entry
from pagerace.mm.pgtable_free import free_pgd_range
from pagerace.mm.pgtable_levels import init_page_table_locks
from pagerace.mm.tlb import sysvec_call_function
from pagerace.search import check
from tests.kernel import fresh_machine

mm = mm_struct()


def machine(levels: int, cpus: int = 1) -> list[Machine | PteTables]:
    """Two entries in each table, the lowest included, and memory for a whole mm and more."""
    return [
        Machine(
            levels=levels, entries=2, pages=1 << levels, address_bits=levels + 1,
            frame_bits=6, tables=1 << levels, uppers=1 << levels, cpus=cpus,
        ),
        PteTables(come_and_go=True),
    ]  # fmt: skip


def begin() -> None:
    """An mm with an empty top table."""
    init_page_table_locks(mm)
    mm.pgd = pgd_alloc(mm)


def map_page(page: int) -> None:
    pmd = pmd_alloc_at(mm, page)
    assert pmd is not None
    assert not pte_alloc(mm, pmd)
    set_pte(pte_entry(pmd, page), pfn_pte(1, True))


def tables_over(pages: set[int], levels: int) -> set[tuple[int, int]]:
    """(level, number among those of its level) of all tables that lead to these pages."""
    return {(level, page >> level) for page in pages for level in range(1, levels)}


@st.composite
def maps(draw: st.DrawFn) -> tuple[int, int, int, int, int, set[int]]:
    """levels, floor, start, end, ceiling, and what is mapped inside and outside."""
    levels = draw(st.integers(2, 5))
    size = 1 << levels
    cuts = st.lists(st.integers(0, size), min_size=4, max_size=4)
    floor, start, end, ceiling = draw(cuts.map(sorted).filter(lambda c: c[1] < c[2]))
    usable = [*range(floor), *range(start, end), *range(ceiling, size)]
    return levels, floor, start, end, ceiling, draw(st.sets(st.sampled_from(usable)))


@settings(max_examples=60, deadline=None)
@given(maps())
def test_tables_go_that_nothing_outside_can_use(
    given: tuple[int, int, int, int, int, set[int]],
) -> None:
    levels, floor, start, end, ceiling, pages = given
    with fresh_machine(*machine(levels)):
        begin()
        for page in pages:
            map_page(page)
        before = tables_over(pages, levels)
        assert allocated() == counts(before, levels)
        tlb = gathers.current
        tlb_gather_mmu(tlb, mm)
        free_pgd_range(tlb, start, end, floor, 0 if ceiling == 1 << levels else ceiling)
        tlb_finish_mmu(tlb)
        gone = {
            (level, number)
            for level, number in before
            if floor <= number << level < end
            and start < (number + 1) << level <= ceiling
        }
        assert allocated() == counts(before - gone, levels)
        assert before - gone >= tables_over(pages - set(range(start, end)), levels)
        for page in pages:
            left = [level for level in range(1, levels) if (level, page >> level) not in gone]
            pmd = mm_find_pmd(mm, page)
            assert (pmd is not None) == ({*range(2, levels)} <= {*left})
            assert pmd is None or pmd_present(pmdp_get(pmd)) == (1 in left)


def counts(tables: set[tuple[int, int]], levels: int) -> tuple[int, int]:
    """Tables of PTEs, and those above with the top."""
    lowest = sum(level == 1 for level, _ in tables)
    return lowest, len(tables) - lowest + 1


def allocated() -> tuple[int, int]:
    lowest = sum(page_tables.allocated(table) for table in page_tables)
    return lowest, sum(upper_tables.allocated(table) for table in upper_tables)


def test_without_memory_there_is_no_table() -> None:
    for config in (
        Machine(levels=3, entries=2, pages=8, tables=1, uppers=1),
        Machine(levels=3, entries=2, pages=8, tables=0, uppers=2),
    ):
        with fresh_machine(config, PteTables(come_and_go=True)):
            begin()
            pmd = pmd_alloc_at(mm, 0)
            assert (pmd is None) == (config.uppers == 1)
            assert pmd is None or pte_alloc(mm, pmd)


# -- two CPUs at once -------------------------------------------------------------


def touch() -> None:
    """Thread: a fault, as far as its tables."""
    pmd = pmd_alloc_at(mm, 0)
    if pmd is not None:
        pte_alloc(mm, pmd)


def one_table_of_each_level() -> bool:
    """At the end: whoever was second has given his back."""
    lowest = 0
    for table in page_tables:
        if page_tables.allocated(table):
            lowest += 1
    upper = 0
    for above in upper_tables:
        if upper_tables.allocated(above):
            upper += 1
    return lowest == 1 and upper == Machine.levels - 1


def two_faults(levels: int, *edits: Edit) -> Protocol:
    return protocol(
        threads=[
            thread(touch, cpu=0), thread(touch, cpu=1), agent(sysvec_call_function, cpu=0),
        ],
        setup=begin,
        at_end=[one_table_of_each_level],
        config=[*machine(levels, 2)],
    ).replace(edits=edits)  # fmt: skip


@pytest.mark.parametrize("levels", [2, 3, 4])
def test_two_faults_leave_one_table_of_each_level(levels: int) -> None:
    assert check(compile_protocol(two_faults(levels))).verdict == "holds"


@pytest.mark.parametrize(
    ("edit", "levels"),
    [
        (force(pmd_install, "pmd_none(pmdp_get(pmd))", True), 2),
        (force(alloc_below, "not pmd_present(pmdp_get(entry))", True), 3),
    ],
    ids=["table of PTEs", "table above"],
)
def test_who_does_not_look_again_under_the_lock_loses_a_table(edit: Edit, levels: int) -> None:
    assert check(compile_protocol(two_faults(levels, edit))).verdict == "violated"
