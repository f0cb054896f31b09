"""Schedules that are run: those that were found, and those that do not fit."""

from __future__ import annotations

import dataclasses

import pytest

from pagerace import search
from pagerace.report.execution import Execution, Search
from pagerace.search import ScheduleError
from tests.search import samples


@pytest.mark.parametrize("name", samples.ALL)
def test_what_was_found_is_found_again(name: str) -> None:
    program = samples.program(name)
    found = search.check(program).execution
    if found is None:
        return
    again = search.reproduce(program, found.schedule)
    assert again == dataclasses.replace(found, search=Search())
    assert Execution.from_json(found.to_json()) == found


def test_a_passing_schedule() -> None:
    execution = search.reproduce(samples.program("lost_update"), "1:2,0:2")
    assert (execution.verdict, execution.violation, execution.switches) == ("holds", None, 1)
    stores = [e for s in execution.steps for e in s.events if e.kind == "store"]
    assert [(e.object, e.old, e.new) for e in stores] == [
        ("counter.value", "0", "1"),
        ("counter.value", "1", "2"),
    ]


def test_it_ends_at_the_violation() -> None:
    execution = search.reproduce(samples.program("lost_update"), "0:1,1:2,0:1,0:1")
    assert execution.schedule == "0:1,1:2,0:1"
    assert execution.verdict == "violated"


@pytest.mark.parametrize(
    ("name", "schedule", "step", "message"),
    [
        ("lost_update", "0:3", 3, r"step 3 \(0\): the process has returned"),
        ("locked", "0:1,1:1", 2, r"step 2 \(1\): it waits at .*samples.py:\d+"),
        ("choices", "0:1?3", 1, r"step 1 \(0\): choice 3 of 3"),
        ("choices", "1:1?0", 1, r"step 1 \(1\): nothing is chosen by \?0"),
    ],
)
def test_schedules_that_do_not_fit(
    name: str, schedule: str, step: int, message: str
) -> None:
    with pytest.raises(ScheduleError, match=message) as caught:
        search.reproduce(samples.program(name), schedule)
    assert caught.value.step == step
