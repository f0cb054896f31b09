"""MADV_DONTNEED beside faults and beside itself: verdicts and counts."""

from __future__ import annotations

import pytest

from tests.protocols.claims import assert_holds, assert_violated, claims_of

CLAIMS = claims_of("t4_dontneed")
HOLDS = {
    "force_flush": (2633, 50),
    "nested": (1043, 29),
    "nested_dirty": (590, 32),
}
VIOLATED = {
    "force_flush[flag_not_looked_at]": 8,
    "force_flush[no_flush]": 8,
    "v6_2_clean": 8,
    "nested[nested_not_looked_at]": 16,
    "nested[not_pending_before_it_is_flushed]": 19,
    "nested[gathers_not_counted]": 14,
}


def test_every_claim_and_mutant_is_here() -> None:
    assert set(CLAIMS) == set(HOLDS) | set(VIOLATED)


@pytest.mark.parametrize("name", HOLDS)
def test_holds(name: str) -> None:
    assert_holds(CLAIMS[name], *HOLDS[name])


@pytest.mark.parametrize("name", VIOLATED)
def test_is_violated(name: str) -> None:
    assert_violated(CLAIMS[name], VIOLATED[name])
