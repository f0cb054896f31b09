"""How long a thread takes, alone and beside others: two locks, one of them contended."""

from __future__ import annotations

from typing import Any

import pytest

from pagerace.compiler.ir import Program
from pagerace.compiler.program import compile_protocol
from pagerace.lang import protocol, thread
from pagerace.search.latency import Latency, latencies
from tests.search import samples


def latency(program: Program, thread: int, **settings: Any) -> Latency:
    name = program.processes[thread].name
    return latencies(program, [name], **settings)[0]


def test_alone_it_takes_as_many_ticks_as_it_has_steps() -> None:
    found = latency(samples.program("lost_update"), 0, schedules=20)
    assert found.thread == "increment"
    assert set(found.alone.found) == {2}  # a load and a store
    assert set(found.contended.found) == {2}  # there is nothing to wait for
    assert (found.alone.failed, found.contended.failed) == (0, 0)


def test_who_waits_takes_longer() -> None:
    found = latency(samples.program("locked"), 0, schedules=200)
    assert found.alone.worst < found.contended.worst
    assert found.alone.median <= found.contended.median


@pytest.mark.parametrize("name", ["locked", "choices", "with_agent", "deadlock"])
def test_the_interpreter_measures_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pagerace.search.latency.TICKS", 40)
    program = samples.program(name)
    assert latency(program, 0, schedules=12) == latency(
        program, 0, schedules=12, native=False
    )


def test_what_does_not_return_is_counted_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pagerace.search.latency.TICKS", 200)
    found = latency(samples.program("deadlock"), 0, schedules=100).contended
    assert found.failed > 0
    assert len(found.found) + found.failed == 100


def test_figures_are_those_of_the_seed() -> None:
    program = compile_protocol(
        protocol(threads=[thread(samples.increment, cpu=0), thread(samples.increment, cpu=1)]),
        "twice",
    )
    assert latency(program, 1, schedules=9) == latency(program, 1, schedules=9)
