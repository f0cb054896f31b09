"""mapping_dirty_helpers.py: which PTEs are changed, which bits are set, what is flushed."""

from __future__ import annotations

import pytest

from pagerace.machine.memory import ulong
from pagerace.machine.tables import pfn_pmd, pmd_leaf, pmd_mkdirty, pmd_t, pmdp_get, set_pmd
from pagerace.mm import mapping_dirty_helpers as helpers
from pagerace.mm import syscalls
from pagerace.mm.mapping_dirty_helpers import (
    DirtyHelpers,
    clean_record_shared_mapping_range,
    dirty_bitmap,
    wp_shared_mapping_range,
    wp_walks,
)
from pagerace.mm.mm_inline import dec_tlb_flush_pending, inc_tlb_flush_pending
from pagerace.mm.mm_types import mappings, mms
from pagerace.mm.mman import MAP_FIXED, MAP_PRIVATE, MAP_SHARED
from pagerace.mm.pagewalk_ops import WALKERS
from pagerace.mm.pgalloc import pmd_alloc_at
from pagerace.mm.pgtable import mm_find_pmd
from pagerace.mm.sched import tasks
from tests.mm.processes import RW, load, machine, pte, store
from tests.mm.walkers import HUGE, sizes

PAGES = 8


@pytest.fixture
def flushes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The ranges that the helpers flush, in order."""
    found: list[tuple[int, int]] = []

    def flush(mm: object, start: int, end: int) -> None:
        found.append((int(start), int(end)))

    monkeypatch.setattr(helpers, "flush_tlb_mm_range", flush)
    return found


def map_file(start: int, pages: int, flags: int = MAP_SHARED, pgoff: int = 0) -> None:
    """A part of file 0, mapped at this place."""
    if not mappings.allocated(mappings[0]):
        assert syscalls.sys_memfd_create(PAGES) == 0
    assert syscalls.sys_mmap(0, start, pages, RW, flags | MAP_FIXED, 0, pgoff) == start


def clean(first: int, nr: int, pgoff: int, bits: dirty_bitmap, start: int, end: int) -> int:
    found = clean_record_shared_mapping_range(
        mappings[0], ulong(first), ulong(nr), ulong(pgoff), bits, ulong(start), ulong(end)
    )
    return int(found)


@pytest.mark.parametrize("name", ["v5.5", "v5.6", "v6.5", "v6.19"])
def test_what_can_be_written_to_is_protected(name: str, flushes: list[tuple[int, int]]) -> None:
    with machine(sizes(3), *WALKERS[name], DirtyHelpers(actions=name != "v5.5")):
        map_file(0, 8)
        assert store(0, 2) and store(0, 5)
        assert load(0, 6) == 0
        assert wp_shared_mapping_range(mappings[0], ulong(0), ulong(8)) == 3
        assert [pte(0, page).writable for page in (2, 5, 6)] == [False] * 3
        assert pte(0, 2).dirty
        assert flushes == [(2, 7)]
        assert tasks.current.held_locks == 0
        assert mms[0].tlb_flush_pending.counter == 0
        assert store(0, 2) and pte(0, 2).writable


def test_only_these_pages_of_the_file() -> None:
    with machine(sizes(3)):
        map_file(4, 4, pgoff=2)
        for page in (4, 5, 6):
            assert store(0, page)
        assert wp_shared_mapping_range(mappings[0], ulong(3), ulong(1)) == 1
        assert [pte(0, page).writable for page in (4, 5, 6)] == [True, False, True]


def test_private_mappings_are_left_out() -> None:
    with machine(sizes(3)):
        map_file(0, 2, MAP_PRIVATE)
        map_file(4, 2)
        assert store(0, 0) and store(0, 4)
        assert wp_shared_mapping_range(mappings[0], ulong(0), ulong(2)) == 1
        assert pte(0, 0).writable and not pte(0, 4).writable


def test_what_is_dirty_is_cleaned_and_noted(flushes: list[tuple[int, int]]) -> None:
    with machine(sizes(3)):
        map_file(0, 8)
        assert store(0, 3) and store(0, 4)
        assert load(0, 6) == 0
        bits = dirty_bitmap()
        assert clean(2, 6, 2, bits, 0, 0) == 2
        assert list(bits.bit)[:6] == [False, True, True, False, False, False]
        walk = wp_walks.current
        assert (walk.bit_start, walk.bit_end) == (1, 3)
        assert not pte(0, 3).dirty and pte(0, 3).writable
        assert flushes == [(3, 5)]


def test_bits_that_are_set_already_stay_in_the_range() -> None:
    with machine(sizes(3)):
        map_file(0, 8)
        assert store(0, 3)
        bits = dirty_bitmap()
        assert clean(0, 8, 0, bits, 5, 7) == 1
        assert (wp_walks.current.bit_start, wp_walks.current.bit_end) == (3, 7)


def test_nothing_is_changed_and_nothing_flushed(flushes: list[tuple[int, int]]) -> None:
    with machine(sizes(3)):
        map_file(0, 8)
        assert load(0, 1) == 0
        assert clean(0, 8, 0, dirty_bitmap(), 0, 0) == 0
        assert flushes == []
        assert (wp_walks.current.bit_start, wp_walks.current.bit_end) == (8, 0)


def test_all_is_flushed_while_somebody_else_gathers(flushes: list[tuple[int, int]]) -> None:
    with machine(sizes(3)):
        map_file(0, 8)
        assert load(0, 1) == 0
        inc_tlb_flush_pending(mms[0])
        assert clean(0, 8, 0, dirty_bitmap(), 0, 0) == 0
        assert flushes == [(0, 8)]
        dec_tlb_flush_pending(mms[0])


@pytest.mark.parametrize("name", ["v5.6", "v6.5"])
def test_a_huge_entry_is_left_alone(name: str) -> None:
    with machine(sizes(3, **HUGE), *WALKERS[name]):
        map_file(0, 4)
        pmd = pmd_alloc_at(mms[0], ulong(0))
        assert pmd is not None
        set_pmd(pmd, pfn_pmd(8, False))
        assert wp_shared_mapping_range(mappings[0], ulong(0), ulong(4)) == 0
        assert pmd_leaf(pmdp_get(pmd))
        set_pmd(pmd, pmd_mkdirty(pfn_pmd(8, False)))
        with pytest.raises(AssertionError, match="can be written to"):
            wp_shared_mapping_range(mappings[0], ulong(0), ulong(4))


def test_an_entry_that_goes_under_the_callback_is_a_hole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The walker saw a table, the callback sees none."""
    seen: list[int] = []

    def gone(pmd: pmd_t) -> object:
        if pmd is not found:  # the PUD entry above it
            return pmdp_get(pmd)
        seen.append(1)
        set_pmd(found, pfn_pmd(0, False).replace(present=False))
        return pmdp_get(found)

    with machine(sizes(3)):
        map_file(0, 4)
        assert store(0, 1)
        table = mm_find_pmd(mms[0], ulong(0))
        assert table is not None
        found = table
        monkeypatch.setattr(helpers, "pmdp_get_lockless", gone)
        assert wp_shared_mapping_range(mappings[0], ulong(0), ulong(4)) == 0
        assert seen == [1]
