"""The yardstick is the same in both languages: Spin's counts, and its shortest violations."""

from __future__ import annotations

import pytest

from bench.delayed_rmap import NAMES, SIZES, VARIANTS, Size, claim, claims
from pagerace import check
from pagerace.lang.protocol import HOLDS

# bench/README.md tells how Spin was asked.  Transitions as pan prints them, less one: it
# counts the arrival in the initial state.
COUNTS_S = {
    "early": (289_005, 896_217),
    "late": (244_077, 751_876),
    "unlocked_flush": (302_308, 959_331),
    "unlocked_fault": (726_552, 2_350_326),
}


@pytest.mark.parametrize("name", NAMES)
def test_states_and_transitions_are_those_of_spin(name: str) -> None:
    protocol = claims("S")[NAMES.index(name)].replace(always=(), expect=HOLDS)
    result = check(protocol, reductions="none")
    assert (result.verdict, result.states, result.seen) == ("holds", *COUNTS_S[name])


REDUCED_S = {
    "early": (190_540, 549_494),
    "late": (171_338, 484_652),
    "unlocked_flush": (201_098, 589_533),
    "unlocked_fault": (551_187, 1_685_617),
}


@pytest.mark.parametrize("name", NAMES)
def test_states_and_transitions_with_partial_order_reduction(name: str) -> None:
    protocol = claims("S")[NAMES.index(name)].replace(always=(), expect=HOLDS)
    result = check(protocol, reductions="partial-order")
    assert (result.verdict, result.states, result.seen) == ("holds", *REDUCED_S[name])


def test_one_more_store_each() -> None:
    result = check(claim(SIZES["M"], VARIANTS[NAMES.index("late")]), reductions="none")
    assert (result.verdict, result.states) == ("holds", 1_043_573)


@pytest.mark.parametrize(
    ("name", "steps"), [("early", 18), ("unlocked_flush", 21), ("unlocked_fault", 28)]
)
def test_the_shortest_lost_write_is_as_long_as_spins(name: str, steps: int) -> None:
    result = check(claims("S")[NAMES.index(name)], reductions="none")
    assert result.violated == "no_lost_write"
    assert result.execution is not None
    assert len(result.execution.steps) == steps


def test_two_rounds_of_write_back() -> None:
    size = Size(users=1, pages=2, stores=2, rounds=2)
    result = check(claim(size, VARIANTS[NAMES.index("late")]), reductions="none")
    assert (result.verdict, result.states, result.seen) == ("holds", 19_063, 45_329)
