"""What an operation costs: nothing is charged twice, and nothing to nobody."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pagerace.replay.costs import Walks
from pagerace.replay.counts import Costs
from pagerace.replay.engine import Replay
from pagerace.replay.events import STORE, Call, Event
from tests.replay.test_engine import anonymous, batch, call, file, small

PAGE = 4096
MADV_DONTNEED = 4


def replayed(
    events: Sequence[Event], every: int = 0, *, interpret: bool = False
) -> tuple[Replay, Costs]:
    config = [*small(), Walks(costs=True, every=every, ranges=2)]
    replay = Replay(config=config, interpret=interpret, hurry=True)
    for event in events:
        replay.feed(event)
    return replay, replay.costs()


PROGRAM: list[Event] = [
    anonymous(1, 16, 40),
    file(1, 96, 8, "lib", "MAP_PRIVATE"),
    batch(*((page * PAGE, 8, STORE) for page in (16, 17, 33, 96, 97))),
    call(1, "madvise", 16 * PAGE, 4 * PAGE, MADV_DONTNEED),
    batch((17 * PAGE, 8, STORE)),
    call(1, "mprotect", 16 * PAGE, 4 * PAGE, 1),
    call(1, "munmap", 32 * PAGE, 8 * PAGE),
    Call(1, 1, "exit", (), 0, 1),
]  # fmt: skip


@pytest.mark.parametrize("every", [0, 1, 2])
def test_all_that_was_counted_is_charged_once(every: int) -> None:
    replay, costs = replayed(PROGRAM, every)
    counts = replay.counts()
    assert sum(cost.atomics for cost in costs.of.values()) == counts["atomics"]
    by_class = counts["locks"]
    assert isinstance(by_class, dict)
    for name, taken in by_class.items():
        assert sum(cost.locks.get(name, 0) for cost in costs.of.values()) == taken


def test_operations_are_told_apart() -> None:
    _, costs = replayed(PROGRAM)
    numbers = {name: cost.number for name, cost in costs.of.items() if cost.number}
    assert numbers == {"fault": 6, "unmap": 2, "exit": 1, "map": 2, "other": 1}
    assert costs.of["fault"].locks["mmap_lock"] == 6
    assert costs.of["unmap"].locks["mmap_lock"] == 2
    assert costs.of["other"].locks["mmap_lock"] == costs.of["exit"].locks["mmap_lock"] == 1


def test_walks_cost_what_they_cost() -> None:
    without, with_walks = replayed(PROGRAM)[1], replayed(PROGRAM, 1)[1]
    for name in ("fault", "unmap", "exit", "map"):
        assert with_walks.of[name] == without.of[name]
    gup, rmap = with_walks.of["gup_fast"], with_walks.of["rmap"]
    assert gup.number == rmap.number == 6
    assert gup.atomics == 6  # a reference for each page that was got
    slow = with_walks.of["gup"]
    assert (slow.number, slow.atomics) == (6, 6)
    assert slow.locks == {"mmap_lock": 6, "page_table_lock": 6}
    assert rmap.locks == {"page_table_lock": 6}
    smaps = with_walks.of["smaps"]
    assert smaps.number == 3
    assert smaps.locks["mmap_lock"] >= 3 * 3  # two mappings or more, and the end
    assert replayed(PROGRAM, 4)[1].of["rmap"].number == 1


def test_tables_at_their_peak_and_at_the_end() -> None:
    begins: list[Event] = [
        anonymous(1, 0, 40),
        batch(*((page * PAGE, 8, STORE) for page in (0, 4, 16, 32))),
    ]
    replay, peak = replayed(begins)
    tables = replay.counts()["table_bytes"]
    assert peak.table_bytes_peak == peak.table_bytes_end == tables
    assert isinstance(tables, int)
    assert tables / 2 < peak.table_bytes_mean < tables
    ends = [*begins, call(1, "munmap", 0, 40 * PAGE), Call(1, 1, "exit", (), 0, 1)]
    less = replayed(ends)[1]
    assert less.table_bytes_peak == tables
    # Only the PGD is left, when the process exits; an exit itself is no saving.
    assert less.table_bytes_end == PAGE


def test_the_interpreter_charges_the_same() -> None:
    assert replayed(PROGRAM, 1)[1] == replayed(PROGRAM, 1, interpret=True)[1]
