"""Plain data races: which are found, how they are told, and by all executors alike."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings

from pagerace import search
from pagerace.api import check
from pagerace.compiler import interpreter
from pagerace.compiler.interpreter import State
from pagerace.compiler.ir import Process, Program
from pagerace.compiler.program import compile_protocol
from pagerace.lang import (
    READ_ONCE,
    WRITE_ONCE,
    Struct,
    agent,
    atomic,
    choose,
    cmpxchg,
    pool,
    protocol,
    thread,
    u8,
    wait_until,
)
from pagerace.lang.protocol import Protocol
from tests import generated
from tests.search import samples
from tests.search.marked import in_one_line


class Counter(Struct):
    value: u8
    locked: bool
    waiting: bool = True


counter = Counter()
counters = pool(Counter, 2)


def plain() -> None:
    counter.value += 1


def marked() -> None:
    WRITE_ONCE(counter.value, READ_ONCE(counter.value) + 1)


def peek() -> None:
    READ_ONCE(counter.value)


def look() -> None:
    assert counter.value < 9


def locked() -> None:
    with atomic():
        wait_until(not counter.locked)
        counter.locked = True
    counter.value += 1
    counter.locked = False


def swapped() -> None:
    cmpxchg(counter.value, 0, 1)


def hardware() -> None:
    with atomic():
        wait_until(READ_ONCE(counter.waiting) is False)
        counters[choose(2)].value = 1


def one() -> None:
    counters[1].value = 2


def alone() -> None:
    counters[0].value = 2
    WRITE_ONCE(counter.waiting, False)


def racing(*functions: object) -> Protocol:
    return protocol(threads=[thread(f, cpu=cpu) for cpu, f in enumerate(functions)])  # type: ignore


def found_in(protocol: Protocol) -> list[str]:
    """The races as a reader sees them, without files."""
    summary = check(protocol, data_races=True, states_max=300_000)
    if summary.execution is None:
        return []
    violation = summary.execution.violation
    assert violation is not None
    if violation.slug != "data-race":
        return [violation.slug]
    return [in_one_line(race) for race in violation.races]


READ_AND_WRITE = plain.__code__.co_firstlineno + 1
LOOK = look.__code__.co_firstlineno + 1
PEEK = peek.__code__.co_firstlineno + 1
MARKED = marked.__code__.co_firstlineno + 1


def test_two_plain_accesses() -> None:
    assert found_in(racing(plain, look)) == [
        f"counter.value: write plain:{READ_AND_WRITE} / read look:{LOOK}"
    ]


def test_two_places_that_write_and_read() -> None:
    """One line, and two races: load against store, and store against store."""
    here = f"plain:{READ_AND_WRITE}"
    assert found_in(racing(plain, plain)) == [
        f"counter.value: write {here} / read {here}",
        f"counter.value: write {here} / write {here}",
    ]


def test_one_marked_access_is_not_enough() -> None:
    assert found_in(racing(plain, peek)) == [
        f"counter.value: read (marked) peek:{PEEK} / write plain:{READ_AND_WRITE}"
    ]
    assert found_in(racing(look, marked)) == [
        f"counter.value: write (marked) marked:{MARKED} / read look:{LOOK}"
    ]


@pytest.mark.parametrize(
    "functions",
    [(marked, marked), (locked, locked), (look, look), (look, peek), (swapped, marked),
     (plain,)],
)  # fmt: skip
def test_no_race(functions: tuple[object, ...]) -> None:
    assert found_in(racing(*functions)) == []


def test_a_lock_that_one_of_them_forgets() -> None:
    assert len(found_in(racing(locked, plain))) == 3


def test_an_atomic_operation_races_with_a_plain_access() -> None:
    (found,) = found_in(racing(swapped, look))
    assert found.startswith("counter.value: write (marked) swapped:")


def test_a_section_races_only_where_it_can_run_and_with_what_it_would_choose() -> None:
    """The agent may write either counter, but not before the first has been written."""
    claim = protocol(threads=[thread(one, cpu=0), thread(alone, cpu=1), agent(hardware, cpu=2)])
    line = hardware.__code__.co_firstlineno + 3
    assert found_in(claim) == [
        f"counters[1].value: write (marked) hardware:{line} / "
        f"write one:{one.__code__.co_firstlineno + 1}"
    ]


def test_report() -> None:
    text = str(check(racing(plain, look), claim="file.py::claim", data_races=True))
    lines = text.splitlines()
    assert lines[0] == "BUG: KCSAN-like: data-race in look() / plain()"
    at = lines.index("write to counter.value by CPU0:")
    assert lines[at + 1].startswith(" plain() ")
    assert lines[at + 3] == "read of counter.value by CPU1:"
    assert lines[at + 6] == "value changed: 0 -> 1"
    assert "--schedule 0:2,1:1" in text


def test_that_there_is_none_is_said() -> None:
    summary = check(racing(locked, locked), claim="file.py::claim", data_races=True)
    assert "  races    no plain access races with another" in str(summary).splitlines()
    assert summary.to_document()["data_races"] is True
    assert "races" not in str(check(racing(locked, locked), claim="file.py::claim"))


def test_execution_is_replayed_up_to_both_accesses() -> None:
    summary = check(racing(plain, plain), data_races=True)
    assert summary.verdict == "violated" and summary.violated == "data-race"
    assert summary.execution is not None
    assert [step.process for step in summary.execution.steps] == [1, 1, 0]
    assert check(racing(plain, plain)).verdict == "holds"


def test_a_race_is_shown_before_another_violation() -> None:
    assert found_in(samples.lost_update)[0].startswith("counter.value: write increment:")
    assert found_in(samples.deadlock) == ["deadlock"]


# -- executors ------------------------------------------------------------------------


def brute_force(program: Program, states_max: int = 1500) -> set[tuple[int, int, int, int]]:
    """(process, point, process, point) of all races, the lower process first."""
    start = interpreter.initial(program)
    states, seen = [start], {start.key()}
    found: set[tuple[int, int, int, int]] = set()
    for state in states:  # grows while it is read
        found |= _races_in(program, state)
        for process in program.processes:
            for outcome in interpreter.enumerate_steps(program, state, process.index):
                if outcome.kind == "ok" and outcome.state.key() not in seen:
                    if len(states) == states_max:
                        raise OverflowError
                    seen.add(outcome.state.key())
                    states.append(outcome.state)
    return found


def _races_in(program: Program, state: State) -> set[tuple[int, int, int, int]]:
    touched: dict[int, set[tuple[str, str, bool]]] = {}
    for process in program.processes:
        touched[process.index] = {
            (event.object, event.kind, event.plain)
            for outcome in interpreter.enumerate_steps(program, state, process.index)
            if outcome.kind not in ("blocked", "finished")
            for event in outcome.events
            if event.kind in ("load", "store") and event.shared
        }
    return {
        (p, state.pc[p], q, state.pc[q])
        for p, q in itertools.combinations(touched, 2)
        if not _on_one_cpu(program.processes[p], program.processes[q])
        for a in touched[p]
        for b in touched[q]
        if a[0] == b[0] and "store" in (a[1], b[1]) and (a[2] or b[2])
    }


def _on_one_cpu(one: Process, other: Process) -> bool:
    """Is it a thread and the interrupts, or the hardware, of its CPU?"""
    return one.cpu == other.cpu and (one.agent or other.agent)


def by_search(program: Program, *, native: bool) -> set[tuple[int, int, int, int]]:
    """The same as the search finds it."""
    from pagerace.compiler.layout import Layout

    layout = Layout.of(program)
    found: set[tuple[int, int, int, int]] = set()
    for item in search.races_of(program, native=native):
        state = layout.unpack(item.words)
        found.add((item.first, state.pc[item.first], item.second, state.pc[item.second]))
    return found


CLAIMS = {
    "racy": racing(plain, plain, peek),
    "locked": racing(locked, locked),
    "forgotten": racing(locked, plain),
    "hardware": protocol(
        threads=[thread(one, cpu=0), thread(alone, cpu=1), agent(hardware, cpu=2)]
    ),
    "agent": samples.with_agent,
}


@pytest.mark.parametrize("name", CLAIMS)
@pytest.mark.parametrize("native", [True, False])
def test_search_agrees_with_brute_force(name: str, native: bool) -> None:
    program = compile_protocol(CLAIMS[name], name)
    assert by_search(program, native=native) == brute_force(program)


@settings(
    max_examples=40, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(generated.sources())
def test_generated_programs_agree(source: str) -> None:
    program = compile_protocol(generated.load(source).generated, "generated")
    if search.check(program, states_max=1500, reductions="none").verdict != "holds":
        return  # the search stops there
    assert by_search(program, native=True) == brute_force(program)


@pytest.mark.parametrize(("cpus", "races"), [((0, 2), 1), ((2, 1), 0)])
def test_an_interrupt_does_not_race_with_its_own_cpu(cpus: tuple[int, int], races: int) -> None:
    threads = [thread(one, cpu=cpus[0]), thread(alone, cpu=cpus[1])]
    assert len(found_in(protocol(threads=[*threads, agent(hardware, cpu=2)]))) == races
