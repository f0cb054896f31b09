"""The RFC that removed rmaps as it freed pages: verdicts and counts."""

from __future__ import annotations

import pytest

from tests.protocols.claims import assert_holds, assert_violated, claims_of

CLAIMS = claims_of("t4_rmap_at_free")
HOLDS = {
    "rfc": (190_366, 128),
    "v6_2_truncate": (41_883, 95),
    "rfc_truncate_unchecked": (49_123, 94),
}
VIOLATED = {
    "rfc[rmap_never]": 75,
    "rfc[no_flush]": 17,
    "rfc_rmap_outlives_the_ptl": 23,
    "v6_2_truncate[unmap_once]": 61,
    "rfc_truncate": 49,
    "rfc_truncate_unchecked[put_before_rmap]": 57,
}


def test_every_claim_and_mutant_is_here() -> None:
    assert set(CLAIMS) == set(HOLDS) | set(VIOLATED)


@pytest.mark.parametrize("name", HOLDS)
def test_holds(name: str) -> None:
    assert_holds(CLAIMS[name], *HOLDS[name])


@pytest.mark.parametrize("name", VIOLATED)
def test_is_violated(name: str) -> None:
    assert_violated(CLAIMS[name], VIOLATED[name])
