"""The sentences of "Why", and that what they say is true."""

from __future__ import annotations

import re

import pytest

from pagerace import search
from pagerace.compiler import interpreter
from pagerace.compiler.layout import Layout
from pagerace.search.loops import interpreted_loops
from pagerace.search.nearest import Trials, nearest_passing
from pagerace.search.replay import Run, take_groups
from pagerace.search.schedule import parse
from pagerace.search.violations import violation_of
from tests.search import samples

WHY = {
    "lost_update": [
        "CPU1 wrote counter.value: 0 -> 1 (samples.py:N) between CPU0's load of "
        "counter.value (samples.py:N) and store to counter.value (samples.py:N).",
        "If CPU0 runs both without CPU1 in between, the property holds "
        "(nearest passing execution).",
    ],
    "one_cpu": [
        "increment#2 on CPU0 wrote counter.value: 0 -> 1 (samples.py:N) between increment "
        "on CPU0's load of counter.value (samples.py:N) and store to counter.value "
        "(samples.py:N).",
        "If increment on CPU0 runs both without increment#2 on CPU0 in between, the property "
        "holds (nearest passing execution).",
    ],
    "deadlock": [
        "CPU1 wrote second.taken: false -> true (samples.py:N) between CPU0's store to "
        "first.taken (samples.py:N) and store to second.taken (samples.py:N); in the end "
        "CPU0 stays in locked_increment() (samples.py:N), CPU1 stays in other_way() "
        "(samples.py:N).",
        "If CPU0 runs both without CPU1 in between, all threads return "
        "(nearest passing execution).",
    ],
    "livelock": [
        "CPU1 does it alone, without any context switch.",
        "From then on CPU0 stays in spin() (samples.py:N).",
    ],
    "late_flush": [
        "CPU1 read entry.freed == true (samples.py:N) between CPU0's store to entry.freed "
        "(samples.py:N) and answer on CPU1's store to entry.cached (samples.py:N).",
        "If CPU0 gets that far before CPU1 goes on, nothing is violated "
        "(nearest passing execution).",
    ],
    "choices": ["CPU0 does it alone, without any context switch."],
    "endless": ["CPU0 does it alone, without any context switch."],
    "inversion": [
        "CPU0 takes OUTER (samples.py:N) in an order that closes the cycle "
        "INNER -> OUTER -> INNER.",
        "CPUs that take these locks at the same time can wait for each other for ever.",
    ],
}


@pytest.mark.parametrize("name", WHY)
def test_sentences(name: str) -> None:
    execution = search.check(samples.program(name)).execution
    assert execution is not None
    said = [re.sub(r"samples\.py:\d+", "samples.py:N", line) for line in execution.why]
    assert said == WHY[name]


def test_functions_are_those_that_race() -> None:
    execution = search.check(samples.program("deadlock")).execution
    assert execution is not None and execution.violation is not None
    assert execution.violation.functions == ["other_way", "locked_increment"]


def test_the_nearest_passing_execution_passes() -> None:
    for name in ("lost_update", "deadlock"):
        program = samples.program(name)
        found = search.check(program).execution
        assert found is not None
        run = Run.of(program)
        list(take_groups(run, parse(found.schedule, program.processes)))
        layout = Layout.of(program)
        trials = Trials(program, layout, interpreted_loops(program, layout))
        passing = nearest_passing(run, trials)
        assert passing is not None
        replayed = Run.of(program)
        for process, choices in passing.moves:
            assert replayed.take(process, choices).kind == "ok"
            assert violation_of(replayed) is None
        assert interpreter.threads_done(program, replayed.state)
        longer = passing.moves[: passing.switch + passing.longer]
        assert longer[: passing.switch] == run.moves[: passing.switch]
        assert {p for p, _ in longer[passing.switch :]} == {run.moves[passing.switch - 1][0]}
