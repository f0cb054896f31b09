"""Two judges: what is counted, what differs, and how short a program shows it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator

import pytest
from syrupy.assertion import SnapshotAssertion

from pagerace.oracle import constants as c
from pagerace.oracle.compare import Context, Difference, Known, differences
from pagerace.oracle.generate import Features, from_seed
from pagerace.oracle.program import (
    KINDS,
    Exit,
    Fork,
    Load,
    Mmap,
    Munmap,
    Observation,
    Program,
    Store,
)
from pagerace.oracle.report import document, text
from pagerace.oracle.session import Outcome, Session
from tests.oracle.fakes import Fake

ALL = frozenset(KINDS)
FEATURES = Features(
    operations={"load": 6, "store": 8, "mmap": 4, "munmap": 3, "fork": 2, "exit": 1},
    files=("memfd",),
)


def _programs(count: int) -> Iterator[tuple[str, Program]]:
    return ((f"program {i} of seed 7", from_seed(7, i, 30, FEATURES)) for i in range(count))


def _outcome(session: Session, count: int = 200) -> Outcome:
    outcome = session.run(_programs(count))
    outcome.seconds = 1.5
    return outcome


def test_judges_that_agree() -> None:
    outcome = _outcome(Session(Fake(), Fake(), ()))
    assert outcome.verdict == "agrees"
    assert outcome.compared.programs == 200
    assert outcome.compared.calls == 6000
    assert outcome.compared.pages > 6000
    assert outcome.compared.signals > 100
    assert "HOLDS" in text(outcome)


@pytest.mark.parametrize("mistake", ["errno", "content", "fork"])
def test_a_mistake_is_found_and_its_program_is_short(
    mistake: str, snapshot: SnapshotAssertion
) -> None:
    outcome = _outcome(Session(Fake(), Fake(mistake), ()))
    assert outcome.verdict == "differs"
    assert outcome.found is not None
    assert len(outcome.found.program.calls) <= 6
    outcome.compared = dataclasses.replace(outcome.compared)
    assert text(outcome) == snapshot


def test_the_shortest_program_of_a_wrong_errno_is_one_call() -> None:
    outcome = _outcome(Session(Fake(), Fake("errno"), ()))
    assert outcome.found is not None
    assert outcome.found.program.calls == (Munmap(0, 0, 0),)


def test_a_known_difference_is_counted_and_passes() -> None:
    def explains(difference: Difference, context: Context) -> bool:
        before = context.before(difference)
        return difference.what == "exclusive" and any(isinstance(x, Fork) for x in before)

    known = Known("exclusive", "A test.", explains)
    outcome = _outcome(Session(Fake(), Fake("fork"), (known,)))
    assert outcome.verdict == "agrees"
    assert outcome.compared.known["exclusive"] > 100
    assert " exclusive\n" in text(outcome) + "\n"


def test_what_one_judge_does_not_see_is_not_compared() -> None:
    blind = Fake(missing={"pagemap": "not permitted"})
    outcome = _outcome(Session(blind, Fake("fork"), ()))
    assert outcome.verdict == "agrees"
    assert "not seen   pagemap: not permitted" in text(outcome)


def test_what_the_kernel_does_not_repeat_is_counted_apart() -> None:
    outcome = _outcome(Session(Fake("moody"), Fake(), ()), 20)
    assert outcome.verdict == "agrees"
    assert outcome.compared.unrepeatable > 0
    assert "does not repeat what it said" in text(outcome)


def test_interrupted_it_says_what_was_compared() -> None:
    kernel = Fake()
    kernel.interrupt_at = 5
    outcome = _outcome(Session(kernel, Fake(), ()))
    assert outcome.verdict == "inconclusive"
    assert outcome.compared.programs == 4
    assert "INCONCLUSIVE: interrupted" in text(outcome)


def test_interrupted_while_shrinking_it_shows_the_difference() -> None:
    kernel = Fake()
    session = Session(kernel, Fake("fork"), ())
    programs = list(_programs(50))
    first = next(i for i, (_, program) in enumerate(programs) if session.try_one(program)[0])
    kernel.runs = 0
    kernel.interrupt_at = first + 9
    outcome = session.run(iter(programs))
    assert outcome.verdict == "differs"


def test_the_document_has_everything() -> None:
    outcome = _outcome(Session(Fake(), Fake("content"), ()))
    found = json.loads(json.dumps(document(outcome)))
    assert found["verdict"] == "differs"
    assert found["found"]["differences"][0]["what"] in ("content", "result")
    assert "int main(void)" in found["found"]["c"]


def test_a_judge_that_stops_differs() -> None:
    stopped = Observation(0, stopped="bad-page-state")
    found = list(differences(3, Observation(0), stopped, ALL, Exit(0)))
    assert [(item.what, item.model) for item in found] == [("end of the run", "bad-page-state")]


def test_differences_of_neighbouring_pages_are_one() -> None:
    rw = c.PROT_READ | c.PROT_WRITE
    calls = (
        Mmap(0, 10, 4, rw, c.MAP_PRIVATE | c.MAP_ANONYMOUS | c.MAP_FIXED),
        *(Store(0, page, 1) for page in (10, 11, 13)),
        Fork(0, 1),
        Load(1, 10),
    )
    found, _, _ = Session(Fake(), Fake("fork"), ()).try_one(Program(calls))
    assert [(item.page, item.count) for item in found] == [(10, 2), (13, 1)]
