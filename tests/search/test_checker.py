"""``check`` against the plain search of the interpreter's states."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings

from pagerace import search
from pagerace.compiler import interpreter
from pagerace.compiler.ir import Program
from pagerace.search import Result, levels, trace
from tests import reference
from tests.compiler.native.random_programs import programs
from tests.search import samples

ROOT = Path(__file__).parents[2]

ENDINGS = {
    "lost_update": ("violated", "no-lost-update", "0:1,1:2,0:1"),
    "deadlock": ("violated", "deadlock", "0:1,1:1"),
    "locked": ("holds", None, None),
    "livelock": ("violated", "livelock", "1:3?1"),
    "choices": ("violated", "assert", "0:4?2?1"),
    "with_agent": ("holds", None, None),
    "endless": ("violated", "endless-loop", "0:1"),
    "inversion": ("violated", "lock-order-inversion", "0:2"),
    "late_flush": ("violated", "assert", "0:1,1:1"),
}


def without_times(result: Result) -> Result:
    execution = result.execution
    if execution is not None:
        seconds = dataclasses.replace(execution.search, seconds=0.0)
        execution = dataclasses.replace(execution, search=seconds)
    return dataclasses.replace(result, seconds=0.0, workers=0, execution=execution)


@pytest.mark.parametrize("name", samples.ALL)
@pytest.mark.parametrize("native", [True, False])
def test_endings(name: str, native: bool) -> None:
    result = search.check(samples.program(name), native=native)
    slug = result.violation.slug if result.violation else None
    schedule = result.execution.schedule if result.execution else None
    assert (result.verdict, slug, schedule) == ENDINGS[name]


@pytest.mark.parametrize("name", samples.ALL)
def test_any_number_of_workers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(levels, "LARGE_LEVEL", 1)
    monkeypatch.setattr(trace, "LARGE_LEVEL", 1)
    program = samples.program(name)
    results = [without_times(search.check(program, workers=n)) for n in (1, 2, 7)]
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("name", samples.ALL)
def test_agrees_with_the_plain_search(name: str) -> None:
    program = samples.program(name)
    agree(program, search.check(program, workers=1, reductions="none"))


@settings(deadline=None, max_examples=40)
@given(programs())
def test_random_programs(program: Program) -> None:
    try:
        interpreter.initial(program)
        reference.search(program, 3000)
    except (OverflowError, interpreter.CheckFailed, interpreter.EndlessLoop):
        return
    agree(program, search.check(program, workers=1, reductions="none"))
    agree(program, search.check(program, workers=1, native=False, reductions="none"))


def agree(program: Program, result: Result) -> None:
    """Compare with the plain search, which goes on past violations."""
    plain = reference.search(program)
    order = result.violation is not None and result.violation.slug == "lock-order-inversion"
    if result.verdict == "holds":
        assert plain.violations == {}
        assert (result.states, result.seen) == (plain.states, plain.transitions)
        assert result.depth == plain.depth
        assert set(result.reached) == plain.reached
    elif not order:
        assert result.verdict == "violated"
        assert result.execution is not None and result.violation is not None
        steps = len(result.execution.steps)
        assert steps == plain.shortest
        name = result.violation.property or result.violation.slug
        assert plain.violations[name] == steps


def test_coverage_and_sometimes() -> None:
    result = search.check(samples.program("locked"))
    assert result.never_executed == {}
    assert (result.reached, result.unreached) == (["no_lost_update"], [])
    stopped = search.check(samples.program("locked"), depth_max=3)
    assert (stopped.reached, stopped.unreached) == ([], ["no_lost_update"])
    lines = next(iter(stopped.never_executed.values()))
    source = Path(samples.__file__).read_text(encoding="utf-8").splitlines()
    assert [source[line - 1].strip() for line in lines] == [
        "one.taken = False",
        "unlock(second)",
        "unlock(first)",
    ]


def test_bounds_are_inconclusive_and_say_so() -> None:
    program = samples.program("locked")
    cases = [
        ({"states_max": 10}, r"stopped at 1\d states \(--states-max\)"),
        ({"depth_max": 2}, r"stopped at depth 2 \(--depth-max\)"),
        ({"time_max": 0}, r"stopped after 0 s \(--time-max\)"),
        ({"memory_max": 1}, r"stopped at 0 MiB \(--memory-max\) of memory"),
    ]
    for bounds, reason in cases:
        result = search.check(program, reductions="none", **bounds)  # pyright: ignore
        assert result.verdict == "inconclusive"
        assert re.fullmatch(reason, result.reason), result.reason


def test_a_violation_within_the_bound_is_reported() -> None:
    program = samples.program("lost_update")
    assert search.check(program, depth_max=4).verdict == "violated"
    assert search.check(program, depth_max=3).verdict == "inconclusive"
    assert search.check(program, states_max=12).verdict == "violated"


@pytest.mark.parametrize("name", ["states_max", "workers", "memory_max"])
def test_options_that_make_no_sense(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 0"):
        search.check(samples.program("locked"), **{name: 0})  # pyright: ignore


@pytest.mark.parametrize("workers", [1, 2])
def test_interrupt(workers: int) -> None:
    handler = signal.getsignal(signal.SIGINT)
    said: list[str] = []

    def press(line: str, seconds: float) -> None:
        if not said:
            os.kill(os.getpid(), signal.SIGINT)
        said.append(line)

    result = search.check(
        samples.program("endless_work"), workers=workers, progress=press, reductions="none"
    )
    assert (result.verdict, result.reason) == ("inconclusive", "interrupted")
    assert re.fullmatch(r"[\d,]+ states, depth \d+, [\d.]+ M/s, [\d,]+ MiB", said[0])
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.parametrize("workers", [1, 2])
def test_time(workers: int) -> None:
    before = time.monotonic()
    result = search.check(
        samples.program("endless_work"), workers=workers, time_max=0.3, reductions="none"
    )
    assert (result.verdict, result.reason) == (
        "inconclusive",
        "stopped after 0.3 s (--time-max)",
    )
    assert time.monotonic() - before < 5  # a generous share for a busy machine


MEMORY = """
from pathlib import Path
from pagerace import search
from tests.search import samples
result = search.check(samples.program("endless_work"), memory_max={bound}, workers={workers},
                      reductions="none")
assert result.verdict == "inconclusive", result
assert result.reason == "stopped at 256 MiB (--memory-max) of memory", result.reason
assert result.bytes > 50 << 20
status = Path("/proc/self/status").read_text()
print(int(status.split("VmHWM:")[1].split()[0]) * 1024)  # the peak
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_memory(workers: int) -> None:
    bound = 256 << 20
    done = subprocess.run(
        [sys.executable, "-c", MEMORY.format(bound=bound, workers=workers)],
        capture_output=True, text=True, check=False, cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}/src:{ROOT}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert bound * 0.5 < int(done.stdout) <= bound
