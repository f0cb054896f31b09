"""What each part of the proof is for: without it, symmetry gives a wrong verdict.

Each claim reaches something that a search misses if it merges states that are not the
same.  The proof refuses to; with a part of it switched off the search does miss it.  Which
of two states stands for both is not said, so that each claim comes with its mirror image.
"""

from __future__ import annotations

from typing import Any

import pytest

from pagerace import search
from pagerace.compiler.symmetry import proof
from pagerace.lang import atomic, protocol, smp_processor_id, thread
from pagerace.lang.protocol import Function, Protocol
from tests.compiler.symmetry import samples
from tests.compiler.symmetry.samples import Size, common, cpus


def once() -> None:
    cpus[smp_processor_id()].value = 1


def only_the_first() -> bool:
    return cpus[0].value == 1 and cpus[1].value == 0


def only_the_second() -> bool:
    return cpus[1].value == 1 and cpus[0].value == 0


def told() -> bool:
    return common.turns == 2


def tells_the_first() -> None:
    """One step that treats the two in different ways."""
    with atomic():
        if cpus[0].value == 1 and cpus[1].value == 0:
            common.turns = 2


def tells_the_second() -> None:
    with atomic():
        if cpus[1].value == 1 and cpus[0].value == 0:
            common.turns = 2


def later_the_first() -> None:
    """A step that treats both alike comes first, and remembers how it was."""
    with atomic():
        common.last = cpus[0].value + cpus[1].value
    if common.last == 1:
        tells_the_first()


def later_the_second() -> None:
    with atomic():
        common.last = cpus[0].value + cpus[1].value
    if common.last == 1:
        tells_the_second()


def two(function: Function, *more: Function, reaches: Function, **parts: Any) -> Protocol:
    return protocol(
        threads=[
            *(thread(function, cpu=cpu) for cpu in range(2)),
            *(thread(other, cpu=2) for other in more),
        ],
        sometimes=[reaches],
        config=[Size(cpus=2)],
        **parts,
    )


PROPERTY = [two(once, reaches=only_the_first), two(once, reaches=only_the_second)]
STEP = [
    two(once, tells_the_first, reaches=told),
    two(once, tells_the_second, reaches=told),
]
LATER = [
    two(once, later_the_first, reaches=told),
    two(once, later_the_second, reaches=told),
]


def reached(claims: list[Protocol]) -> list[bool]:
    return [
        not search.check(samples.program(claim), reductions="symmetry").unreached
        for claim in claims
    ]


@pytest.mark.parametrize("claims", [PROPERTY, STEP, LATER], ids=["property", "step", "later"])
def test_proved(claims: list[Protocol]) -> None:
    assert reached(claims) == [True, True]


def test_a_property_must_not_tell_them_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof._Prover, "_invariant", lambda *_: True)  # pyright: ignore
    assert reached(PROPERTY) != [True, True]


def test_a_step_must_not_tell_them_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof._Prover, "_equivariant", lambda *_: True)  # pyright: ignore
    assert reached(STEP) != [True, True]


def test_nor_a_later_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Marks go back along the control flow."""
    monkeypatch.setattr(proof, "before", lambda process, wrong: wrong)  # pyright: ignore
    assert reached(LATER) != [True, True]
