"""Moving entries: verdicts and counts."""

from __future__ import annotations

import pytest

from tests.protocols.claims import assert_holds, assert_violated, claims_of

CLAIMS = claims_of("t4_mremap")
HOLDS = {
    "truncated": (67_222, 133),
    "truncated_dirty": (39_359, 133),
    "dirty_before_eb66ae030829": (39_719, 133),
    "written": (181_594, 176),
    "written_old_vma_first": (197_933, 172),
    "missed": (196_435, 172),
    "missed_to_the_end": (196_435, 172),
}
VIOLATED = {
    "truncated[no_flush]": 85,
    "truncated[entry_not_set]": 39,
    "before_eb66ae030829": 85,
    "truncated_dirty[ptl_before_flush]": 36,
    "dirty_before_eb66ae030829[no_flush]": 88,
    "written[no_rmap_locks]": 75,
    "missed[no_flush]": 86,
    "missed_to_the_end[no_flush]": 115,
}


def test_every_claim_and_mutant_is_here() -> None:
    assert set(CLAIMS) == set(HOLDS) | set(VIOLATED)


@pytest.mark.parametrize("name", HOLDS)
def test_holds(name: str) -> None:
    assert_holds(CLAIMS[name], *HOLDS[name])


@pytest.mark.parametrize("name", VIOLATED)
def test_is_violated(name: str) -> None:
    assert_violated(CLAIMS[name], VIOLATED[name])
