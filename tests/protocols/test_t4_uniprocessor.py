"""One CPU and preemption: verdicts and counts."""

from __future__ import annotations

import pytest

from tests.protocols.claims import assert_holds, assert_violated, claims_of

CLAIMS = claims_of("t4_uniprocessor")
HOLDS = {
    "v6_0": (71_169, 135),
    "v6_2_forced": (71_169, 135),
}
VIOLATED = {
    "v6_0[no_flush]": 19,
    "v6_0[preemptible_under_spinlocks]": 34,
    "v6_2": 41,
    "v6_2_dontneed": 33,
    "v6_2_to_the_end": 77,
}


def test_every_claim_and_mutant_is_here() -> None:
    assert set(CLAIMS) == set(HOLDS) | set(VIOLATED)


@pytest.mark.parametrize("name", HOLDS)
def test_holds(name: str) -> None:
    assert_holds(CLAIMS[name], *HOLDS[name])


@pytest.mark.parametrize("name", VIOLATED)
def test_is_violated(name: str) -> None:
    assert_violated(CLAIMS[name], VIOLATED[name])
