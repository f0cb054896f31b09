"""With and without reductions: the same verdicts, and the same executions shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pagerace import search
from pagerace.compiler import independence, interpreter, reductions, stable, sums
from pagerace.compiler.independence import Independence
from pagerace.compiler.ir import BOOL, Code, Process, Program
from pagerace.compiler.liveness import members
from pagerace.compiler.reductions import names_of
from pagerace.compiler.waits import NONZERO
from pagerace.search import checker, levels
from tests import reference
from tests.assembly import Assembly, family
from tests.assembly import program as made
from tests.compiler.native.random_programs import programs
from tests.search import samples
from tests.search.lockers import random_program

STATES_MAX = 1200
SEEDS = range(120)
Wrong = Callable[..., Any]


def full_search(program: Program) -> reference.Reference | None:
    """The plain search, or None for a program that is too large or cannot start."""
    try:
        interpreter.initial(program)
        return reference.search(program, STATES_MAX)
    except (OverflowError, interpreter.CheckFailed, interpreter.EndlessLoop):
        return None


def reduced_search(program: Program, found: Independence) -> reference.Reference:
    """The plain search of the graph that partial order reduction leaves."""

    def chosen(pc: Sequence[int]) -> int:
        alone = found.chosen(pc)
        return -1 if alone is None else alone

    return reference.search(program, STATES_MAX, chosen)


def kept(found: reference.Reference) -> list[Any]:
    """All that a reduction must not change, past violations too."""
    return [set(found.violations), found.reached, found.orders, found.passed, found.ends,
            found.lost]  # fmt: skip


def differences(seeds: Sequence[int]) -> list[int]:
    """The programs of which the reduced graph tells something else."""
    wrong: list[int] = []
    for seed in seeds:
        program = random_program(seed)
        plain = full_search(program)
        if plain is not None:
            if kept(reduced_search(program, independence.find(program))) != kept(plain):
                wrong.append(seed)
    return wrong


def test_names() -> None:
    assert names_of("none") == ()
    assert names_of("all") == ("partial-order", "symmetry")
    assert names_of("symmetry") == ("symmetry",)
    assert names_of(["symmetry", "partial-order"]) == ("partial-order", "symmetry")
    with pytest.raises(ValueError, match="no reduction 'order'"):
        names_of("order")


# -- what is kept -------------------------------------------------------------------------


def test_random_programs_keep_all_that_is_said_of_them() -> None:
    assert differences(SEEDS) == []


@settings(deadline=None, max_examples=60)
@given(programs())
def test_programs_of_any_kind_do(program: Program) -> None:
    plain = full_search(program)
    if plain is not None:
        assert kept(reduced_search(program, independence.find(program))) == kept(plain)


def test_much_is_left_out() -> None:
    """So that the tests above are about something."""
    full, reduced = 0, 0
    for seed in SEEDS:
        program = random_program(seed)
        plain = full_search(program)
        if plain is not None:
            full += plain.states
            reduced += reduced_search(program, independence.find(program)).states
    assert reduced < 0.6 * full


def false_facts(seed: int) -> bool:
    """By brute force: is a fact not so, or a gated step possible, in some state?"""
    program = random_program(seed)
    if full_search(program) is None:
        return False
    facts = stable.Facts(program)
    start = interpreter.initial(program)
    states, seen = [start], {start.key()}
    for state in states:  # grows while it is read
        for process in program.processes:
            outcomes = list(interpreter.enumerate_steps(program, state, process.index))
            if not are_so(facts, state, process.index, {o.kind for o in outcomes}):
                return True
            for outcome in outcomes:
                if outcome.kind == "ok" and outcome.state.key() not in seen:
                    seen.add(outcome.state.key())
                    states.append(outcome.state)
    return False


def are_so(
    facts: stable.Facts, state: interpreter.State, process: int, kinds: set[str]
) -> bool:
    """What is said of one process in one state."""

    def holds(fact: stable.Fact) -> bool:
        (family, index), value = fact
        return (state.memory[family][index] != 0) == (value == NONZERO)

    number = state.pc[process]
    known = facts.known[process]
    if number < len(known) and not all(map(holds, known[number])):
        return False
    gates = facts.steps[process].gates
    gated = any(points >> number & 1 and holds(fact) for fact, points in gates.items())
    return not gated or kinds <= {"blocked", "failed"}


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1 << 32))
def test_facts_hold_and_gate(seed: int) -> None:
    assert not false_facts(seed)


# -- wrong reductions, which the tests above must find ----------------------------------


def nothing(*_: object) -> int:
    return 0


def forgets_reads(self: Any, mine: Any, number: int, theirs: Any) -> int:
    found = 0
    for cell in members(mine.writes[number]):
        found |= theirs.writers.get(cell, 0)
    return found


def looks_one_step_ahead(self: Any, process: int, goals: int, gated: int) -> int:
    return goals


def used_once(code: Code) -> list[int]:
    return [1] * len(code.registers)


def counted_up(self: Any, process: Process, cell: object) -> dict[int, int]:
    return dict.fromkeys(range(len(process.code.blocks)), 1)


def disturbed() -> Program:
    """The second thread's attempt fails if it is made while the first is in its section."""
    x, lock = family("Page.x"), family("Lock.held", BOOL)
    one, other = Assembly("one"), Assembly("other")
    for a in (one, other):
        a.begin()
        if a is other:
            a.check(a.op("ne", a.load(x), 1))
        a.wait(a.op("eq", a.load(lock), 0))
        a.store(lock, 1)
        a.end()
    one.store(x, 1)
    one.store(x, 0)
    one.store(lock, 0)
    return made([x, lock], [one, other])


def tickets() -> Program:
    """Each thread keeps the number that it found, and adds 1 to it."""
    counter, mine = family("Counter.next"), family("Ticket.number", count=2)
    threads = [Assembly("one"), Assembly("other")]
    for index, a in enumerate(threads):
        a.begin()
        number = a.load(counter)
        a.store(counter, a.op("add", number, 1))
        a.store(mine, number, index)
        a.end()
    p = Assembly("the_other_came_first")
    second = p.result(p.op("eq", p.load(mine), 1))
    return made([counter, mine], threads, sometimes=[second])


def ticket_is_lost() -> bool:
    return not reduced_search(tickets(), independence.find(tickets())).reached


def attempt_is_lost() -> bool:
    found = reduced_search(disturbed(), independence.find(disturbed()))
    return "assert" not in found.violations


def among(seed: int, find: Callable[[int], bool]) -> Callable[[], bool]:
    """Is it found in this program?  One that was searched for, to be quick."""
    return lambda: find(seed)


def differs(seed: int) -> bool:
    return bool(differences([seed]))


WRONG: dict[str, tuple[Any, str, Wrong, Callable[[], bool]]] = {
    "without C1": (independence._Analysis, "_dependent", nothing, among(0, differs)),
    "C1 of stores only": (
        independence._Analysis, "_dependent", forgets_reads, among(8, differs)),
    "C1 of the next step only": (
        independence._Analysis, "_closure", looks_one_step_ahead, among(0, differs)),
    "without C2": (independence._Analysis, "_seen_together", nothing, among(145, differs)),
    "without C3": (independence._Analysis, "_heads", nothing, among(4, differs)),
    "every wait is gated": (stable, "is_gated", lambda *_: True, among(0, differs)),
    "facts last for ever": (stable.Facts, "lasts", lambda *_: True, among(59, differs)),
    "every cell is a lock": (stable, "may_store", nothing, among(28, false_facts)),
    "all have counted up": (stable.Facts, "_sums", counted_up, among(4, false_facts)),
    "sums that somebody looks at": (sums, "uses_of", used_once, ticket_is_lost),
    "attempts are not disturbed": (
        independence._Analysis, "_disturbed", nothing, attempt_is_lost),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_reductions_are_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, function, wrong, is_found = WRONG[name]
    assert not is_found()
    monkeypatch.setattr(where, function, wrong)
    assert is_found()


# -- the search itself ----------------------------------------------------------------------


@pytest.mark.parametrize("name", samples.ALL)
@pytest.mark.parametrize("wanted", ["partial-order", "symmetry", "all"])
@pytest.mark.parametrize("native", [True, False])
def test_the_execution_shown_is_that_without(name: str, wanted: str, native: bool) -> None:
    program = samples.program(name)
    plain = search.check(program, reductions="none", workers=1)
    found = search.check(program, reductions=wanted, workers=1, native=native)
    assert found.verdict == plain.verdict
    assert found.violation == plain.violation
    if plain.execution is not None and found.execution is not None:
        assert found.execution.schedule == plain.execution.schedule
        assert found.execution.steps == plain.execution.steps


@pytest.mark.parametrize("seed", range(24))
def test_native_and_interpreted_graphs_are_the_reduced_one(seed: int) -> None:
    program = random_program(seed)
    plain = full_search(program)
    if plain is None:
        return
    reduced = reduced_search(program, independence.find(program))
    for native in (True, False):
        result = search.check(
            program, reductions="partial-order", workers=1, native=native
        )
        order = result.violation is not None and result.violation.slug == "lock-order-inversion"
        if result.verdict == "holds":
            assert plain.violations == {}
            assert (result.states, result.seen) == (reduced.states, reduced.transitions)
            assert set(result.reached) == plain.reached
        elif not order:
            assert result.execution is not None
            assert len(result.execution.steps) == plain.shortest


@pytest.mark.parametrize("seed", range(30))
def test_both_reductions_at_once(seed: int) -> None:
    """On threads that can change places."""
    program = random_program(seed, alike=True)
    plain = full_search(program)
    if plain is None:
        return
    for native in (True, False):
        result = search.check(program, workers=1, native=native)
        order = result.violation is not None and result.violation.slug == "lock-order-inversion"
        if result.verdict == "holds":
            assert plain.violations == {}
            assert set(result.reached) == plain.reached
        elif not order:
            assert result.execution is not None
            assert len(result.execution.steps) == plain.shortest


@pytest.mark.parametrize("seed", range(40))
def test_the_execution_of_the_reduced_graph(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a search without reductions would take too long."""
    program = random_program(seed)
    plain = full_search(program)
    if plain is None or not plain.violations:
        return
    monkeypatch.setattr(checker, "AGAIN_TIMES", 0)
    monkeypatch.setattr(checker, "AGAIN_STATES", 1)
    result = search.check(program, reductions="partial-order", workers=1)
    assert result.verdict == "violated"
    assert result.execution is not None and plain.shortest is not None
    if result.violation is not None and result.violation.slug != "lock-order-inversion":
        assert len(result.execution.steps) >= plain.shortest
        if result.execution.search.shortest:
            assert len(result.execution.steps) == plain.shortest


def test_any_number_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(levels, "LARGE_LEVEL", 1)
    for seed in range(5):
        program = random_program(seed)
        results = [search.check(program, workers=n) for n in (1, 2, 5)]
        told = [(r.verdict, r.states, r.seen, r.depth, r.violation) for r in results]
        assert told[0] == told[1] == told[2]


def test_a_bound_on_depth_needs_all_steps() -> None:
    program = random_program(3)
    assert reductions.Reductions.of(program, None, ["partial-order"]).figures  # pyright: ignore
    assert "partial-order" not in search.check(program, depth_max=100).reductions
