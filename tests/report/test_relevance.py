"""What a diagram leaves out, and what it never does."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagerace.report.calls import moments_of
from pagerace.report.execution import Claim, Event, Execution, Process, Step, Violation
from pagerace.report.relevance import relevant
from pagerace.report.story import tell
from tests.report import samples
from tests.report.samples import event


def race(steps: list[tuple[int, list[Event]]], watched: list[str]) -> Execution:
    """A violated execution of as many threads as take steps."""
    count = max(process for process, _ in steps) + 1
    return Execution(
        protocol=Claim("race", "race.py"),
        verdict="violated",
        processes=[Process(i, f"thread_{i}", str(i), i) for i in range(count)],
        steps=[Step(process, [], events) for process, events in steps],
        violation=Violation("lost", "not_lost", watched=watched),
    )


def texts(execution: Execution) -> list[str]:
    return [line.text for line in tell(execution)]


def stored(path: str, cell: str, old: str, new: str) -> list[Event]:
    return [event("store", path, cell, old, new)]


def loaded(path: str, cell: str, value: str) -> list[Event]:
    return [event("load", path, cell, value, value)]


def test_what_decided_the_last_write_is_told_across_cpus() -> None:
    execution = race(
        [
            (0, stored("zap", "mapped", "true", "false")),
            (0, stored("zap", "noise", "1", "2")),
            (1, loaded("clean", "mapped", "false")),
            (1, loaded("clean", "other", "7")),
            (1, stored("clean", "dirty", "true", "false")),
        ],
        ["dirty"],
    )
    assert texts(execution) == [
        "zap()",
        "mapped: true -> false",
        "clean()",
        "mapped == false",
        "dirty: true -> false",
    ]


def test_a_write_that_came_too_late_to_be_seen_is_told() -> None:
    execution = race(
        [
            (0, [*loaded("write_out", "data", "1"), *stored("write_out", "disk", "0", "1")]),
            (1, stored("user", "data", "1", "2")),
            (0, stored("write_out", "clean", "false", "true")),
        ],
        ["disk"],
    )
    told = texts(execution)
    assert told.index("data == 1") < told.index("disk: 0 -> 1") < told.index("data: 1 -> 2")


def test_an_effect_that_is_lost_is_told_even_if_it_changed_nothing() -> None:
    execution = race(
        [
            (0, stored("zap", "dirty", "true", "true")),
            (1, stored("clean", "dirty", "true", "false")),
        ],
        ["dirty"],
    )
    assert "dirty = true (unchanged)" in texts(execution)


def added(cell: str, old: int, change: int) -> list[Event]:
    """A step that loads and stores a counter."""
    new = str(old + change)
    return [*loaded("count", cell, str(old)), *stored("count", cell, str(old), new)]


@pytest.mark.parametrize(("before", "is_told"), [(1, True), (3, False)])
def test_references_are_told_where_the_last_is_dropped(before: int, is_told: bool) -> None:
    execution = race(
        [
            (0, added("refs", before, -1)),
            (1, [*added("refs", before - 1, 1), *stored("count", "x", "0", "1")]),
        ],
        ["x"],
    )
    assert any(f"refs: {before} ->" in text for text in texts(execution)) == is_told
    assert "x: 0 -> 1" in texts(execution)


def test_a_look_that_sees_the_same_write_again_is_not_told() -> None:
    execution = race(
        [
            (0, stored("set", "flag", "0", "1")),
            (1, loaded("wait", "flag", "1")),
            (1, loaded("wait", "flag", "1")),
            (1, stored("wait", "x", "0", "1")),
        ],
        ["x"],
    )
    assert texts(execution).count("flag == 1") == 1


def test_locks_of_one_cpu_only_are_noise() -> None:
    told = texts(samples.three_cpus())
    assert "spin_lock(ptl)" not in told
    assert texts(samples.two_lockers()).count("spin_unlock(ptl)") == 2


def test_one_cpu_alone_is_told_what_it_did_itself() -> None:
    execution = race(
        [
            (0, stored("run", "mapped", "true", "false")),
            (0, loaded("run", "mapped", "false")),
            (0, stored("run", "warned", "false", "true")),
        ],
        ["warned"],
    )
    assert "mapped: true -> false" in texts(execution)


# -- what holds for every execution -----------------------------------------------------

CELLS = st.sampled_from(["a", "b", "page.dirty", "ptl.locked"])
VALUES = st.sampled_from(["0", "1", "2", "true", "false"])
PATHS = st.sampled_from(["run", "run:2 zap", "run:3 zap:1 spin_lock", "run:4 spin_unlock"])
KINDS = st.sampled_from(["load", "store", "store", "trace", "return", "wait", "check"])
EVENTS = st.builds(
    lambda kind, path, cell, old, new, shared: dataclasses.replace(
        event(kind, path, cell, old, new, "note"), shared=shared
    ),
    KINDS, PATHS, CELLS, VALUES, VALUES, st.booleans(),
)  # fmt: skip
STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.lists(EVENTS, max_size=4)), min_size=1, max_size=12
)


@given(STEPS, st.lists(CELLS, max_size=2))
def test_for_every_execution(steps: list[tuple[int, list[Event]]], watched: list[str]) -> None:
    execution = race(steps, watched)
    moments = moments_of(execution)
    kept = relevant(execution, moments)
    assert kept <= set(range(len(moments)))
    notes = {i for i, moment in enumerate(moments) if moment.event.kind == "trace"}
    assert notes <= kept
    last = {i for i, moment in enumerate(moments) if moment.step == len(steps) - 1}
    assert kept & last or not last
    assert relevant(execution) == kept


@given(STEPS, st.lists(CELLS, max_size=2))
def test_lines_come_in_the_order_of_steps(
    steps: list[tuple[int, list[Event]]], watched: list[str]
) -> None:
    numbers = [line.step for line in tell(race(steps, watched))]
    assert numbers == sorted(numbers)


def test_a_lock_that_two_take_is_told() -> None:
    execution = race(
        [
            (0, loaded("work:3 trylock", "lock", "0")),
            (1, loaded("work:3 trylock", "lock", "0")),
            (1, stored("work:3 trylock", "lock", "0", "1")),
            (0, stored("work:3 trylock", "lock", "1", "1")),
            (0, stored("work", "n", "0", "1")),
            (1, stored("work", "n", "1", "1")),
        ],
        ["n"],
    )
    told = texts(execution)
    assert told[:3] == ["work()", "trylock()", "lock == 0"]
    assert "lock = 1 (unchanged)" in told


def test_locks_that_read_the_same_are_told_apart() -> None:
    execution = race(
        [
            (0, stored("move:3 spin_lock", "objs[0].held", "false", "true")),
            (1, stored("move:3 spin_lock", "objs[1].held", "false", "true")),
        ],
        [],
    )
    execution.steps[0].events.insert(0, event("call", "move:3", text="spin_lock(a)"))
    execution.steps[1].events.insert(0, event("call", "move:3", text="spin_lock(a)"))
    told = texts(execution)
    assert [line for line in told if "spin_lock" in line] == [
        "spin_lock(objs[0])",
        "spin_lock(objs[1])",
    ]
