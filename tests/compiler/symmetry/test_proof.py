"""What is proved of CPUs that are alike, and that nothing else is."""

from __future__ import annotations

import pytest

from pagerace import check, search
from pagerace.compiler import symmetry
from pagerace.compiler.layout import points_of
from pagerace.compiler.symmetry import Symmetry
from pagerace.lang.protocol import Protocol
from pagerace.report.verdict import text
from tests.compiler.symmetry import samples
from tests.compiler.symmetry.samples import claim


def found(protocol: Protocol) -> Symmetry:
    return symmetry.find(samples.program(protocol))


def marks(of: Symmetry) -> int:
    return sum(len(points) for group in of.groups for points in group.marked.values())


@pytest.mark.parametrize(
    ("protocol", "order"),
    [
        (claim(samples.alike, 2), 2),
        (claim(samples.alike, 3, always=[samples.few_are_busy]), 6),
        (claim(samples.alike, 3, samples.ask_all, always=[samples.no_two_values]), 6),
        (samples.asking(4), 6),
        (samples.everybody_asks(3), 6),
        (samples.two_names, 2),
        (samples.same_cpu, 6),
    ],
    ids=["two", "three", "one more", "asking", "everybody asks", "names", "same CPU"],
)
def test_alike(protocol: Protocol, order: int) -> None:
    of = found(protocol)
    assert (of.order, marks(of), of.reasons) == (order, 0, [])


REFUSED = {
    "different at first": (
        claim(samples.alike, 2, setup=samples.start_apart),
        "cpus[0].value and cpus[1].value differ at first",
    ),
    "property": (
        claim(samples.alike, 2, always=[samples.nobody_is_first]),
        "nobody_is_first can tell them apart",
    ),
    "leak or property at the end": (
        claim(samples.alike, 2, at_end=[samples.nobody_is_first]),
        "nobody_is_first can tell them apart",
    ),
}

MARKED = {
    "prefers the first": claim(samples.first_goes_first, 2),
    "number in memory": claim(samples.remembers_itself, 2),
    "number in a local": claim(samples.holds_a_number, 2),
    "number compared": claim(samples.holds_and_compares, 2, samples.in_order),
    "in order": claim(samples.alike, 2, samples.in_order),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    protocol, reason = REFUSED[name]
    of = found(protocol)
    assert of.order == 1
    assert reason in of.reasons[0]


@pytest.mark.parametrize("name", MARKED)
def test_marked(name: str) -> None:
    """Nothing is merged before the last step that tells CPUs apart."""
    of = found(MARKED[name])
    assert of.order == 1 or marks(of) > 0
    assert of.reasons


def test_the_reason_is_told_on_request() -> None:
    summary = check(REFUSED["property"][0], claim="sample")
    reason = "0 and 1: nobody_is_first can tell them apart"
    assert summary.told_apart == (reason,)
    assert reason in text(summary, verbose=True)
    assert reason not in text(summary)


def test_after_the_loop() -> None:
    """A loop over CPUs in order: only behind it are two states the same."""
    protocol = claim(samples.alike, 2, samples.in_order)
    program = samples.program(protocol)
    of = symmetry.find(program)
    (group,) = of.groups
    (process,) = [p for p in program.processes if p.name == "in_order"]
    points = points_of(process)
    assert len(points) == 4
    assert group.marked == {process.index: {0, 1}}
    assert "in_order() at" in of.reasons[0]
    plain = search.check(program, reductions="none", workers=1)
    reduced = search.check(program, reductions="symmetry", workers=1)
    assert plain.verdict == reduced.verdict == "holds"
    assert reduced.states < plain.states
