"""Moving entries: verdicts and counts."""

from __future__ import annotations

import pytest

from tests.protocols.claims import assert_holds, assert_violated, claims_of

CLAIMS = claims_of("t4_mremap")
HOLDS = {
    "truncated": (72_138, 136),
    "truncated_dirty": (42_025, 136),
    "dirty_before_eb66ae030829": (42_385, 136),
    "written": (188_658, 180),
    "written_old_vma_first": (206_476, 176),
    "missed": (204_506, 176),
    "missed_to_the_end": (204_506, 176),
}
VIOLATED = {
    "truncated[no_flush]": 87,
    "truncated[entry_not_set]": 40,
    "before_eb66ae030829": 87,
    "truncated_dirty[ptl_before_flush]": 37,
    "written[no_rmap_locks]": 78,
    "missed[no_flush]": 90,
    "missed_to_the_end[no_flush]": 119,
}


def test_every_claim_and_mutant_is_here() -> None:
    assert set(CLAIMS) == set(HOLDS) | set(VIOLATED)


@pytest.mark.parametrize("name", HOLDS)
def test_holds(name: str) -> None:
    assert_holds(CLAIMS[name], *HOLDS[name])


@pytest.mark.parametrize("name", VIOLATED)
def test_is_violated(name: str) -> None:
    assert_violated(CLAIMS[name], VIOLATED[name])
