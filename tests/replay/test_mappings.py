"""What is mapped, and what is done about an access that hits nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pagerace.replay.events import FETCH, LOAD, Call, Mapping
from pagerace.replay.mappings import INFERRED, Mappings, Ranges

BOUNDS = st.tuples(st.integers(0, 30), st.integers(1, 8))


@given(st.lists(st.tuples(st.booleans(), BOUNDS)), st.integers(0, 40))
def test_ranges_are_a_set(changes: list[tuple[bool, tuple[int, int]]], asked: int) -> None:
    ranges, pages = Ranges(), set[int]()
    for there, (start, length) in changes:
        part = set(range(start, start + length))
        if there:
            ranges.add(start, start + length)
            pages |= part
        else:
            ranges.remove(start, start + length)
            pages -= part
    assert [ranges.has(page) for page in range(40)] == [page in pages for page in range(40)]
    if asked not in pages:
        low, high = ranges.gap(asked, 0, 41)
        free = range(low, high)
        assert asked in free and pages.isdisjoint(free)
        assert (low == 0 or low - 1 in pages) and (high == 41 or high in pages)


def mmap(start: int, pages: int, process: int = 1) -> Call:
    return Call(process, process, "mmap", (0, pages * 4096, 3, 0x22, -1, 0), start, 1)


def test_calls_of_another_run_are_made_when_they_are_needed() -> None:
    unmap = Call(1, 1, "munmap", (0x10000, 4096), 0, 2)
    calls = [mmap(0x10000, 2), mmap(0x50000, 1), unmap, mmap(0x90000, 1), mmap(0x90000, 1, 2)]
    mappings = Mappings(calls)
    assert mappings(1, 0x11008, LOAD) == calls[:1]
    assert mappings(1, 0x90008, LOAD) == calls[1:4]
    assert mappings.rest() == calls[4:]
    assert mappings.inferred == 0


def test_the_break_grows_and_shrinks() -> None:
    grown = [Call(1, 1, "brk", (at,), at, 1) for at in (0x10000, 0x13000, 0x11000)]
    mappings = Mappings(grown)
    assert mappings(1, 0x12000, LOAD) == grown[:2]
    mappings.observe(grown[2])
    (inferred,) = mappings(1, 0x12008, LOAD)
    assert isinstance(inferred, Mapping)


def test_a_mapping_that_moves() -> None:
    mappings = Mappings([mmap(0x10000, 1)])
    mappings(1, 0x10000, LOAD)
    mappings.observe(Call(1, 1, "mremap", (0x10000, 4096, 8192, 1, 0), 0x40000, 2))
    (old,) = mappings(1, 0x10000, LOAD)
    assert isinstance(old, Mapping) and (old.start, old.end) == (0, 0x40000)
    (after,) = mappings(1, 0x42000, LOAD)
    assert isinstance(after, Mapping) and after.start == 0x42000


def test_a_process_that_was_forked_has_the_mappings_of_its_parent() -> None:
    mappings = Mappings()
    mappings.observe(mmap(0x10000, 1))
    mappings.observe(Call(1, 1, "fork", (), 2, 2))
    (inferred,) = mappings(2, 0x11000, LOAD)
    assert isinstance(inferred, Mapping) and inferred.start == 0x11000
    mappings.observe(Call(2, 2, "exit", (), 0, 3))
    (all_of_it,) = mappings(2, 0x11000, LOAD)
    assert isinstance(all_of_it, Mapping) and all_of_it.start == 0


def test_what_is_inferred() -> None:
    mappings = Mappings()
    mappings.observe(Mapping(1, 0x10000, 0x20000, 1, 2, 0, "/lib/a"))
    (code,) = mappings(1, 0x30123, FETCH)
    assert code == Mapping(1, 0x20000, INFERRED, 7, 2, 0x20000, "inferred/1")
    (data,) = mappings(1, INFERRED + 1, LOAD)
    assert data == Mapping(1, INFERRED, 2 * INFERRED, 7, 0x22, 0, "")
    assert (mappings.inferred, mappings.inferred_bytes) == (2, 2 * INFERRED - 0x20000)


def test_nothing_is_tried_twice() -> None:
    mappings = Mappings()
    assert mappings(1, 5000, LOAD)
    assert mappings(1, 5008, LOAD) == []
