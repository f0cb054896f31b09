"""Moving entries: verdicts and counts."""

from __future__ import annotations

import pytest

from tests.protocols.claims import assert_holds, assert_violated, claims_of

CLAIMS = claims_of("t4_mremap")
HOLDS = {
    "truncated": (68_191, 134),
    "truncated_dirty": (39_889, 134),
    "dirty_before_eb66ae030829": (40_249, 134),
    "written": (183_790, 177),
    "written_old_vma_first": (200_133, 173),
    "missed": (198_631, 173),
    "missed_to_the_end": (198_631, 173),
}
VIOLATED = {
    "truncated[no_flush]": 86,
    "truncated[entry_not_set]": 40,
    "before_eb66ae030829": 86,
    "truncated_dirty[ptl_before_flush]": 37,
    "dirty_before_eb66ae030829[no_flush]": 89,
    "written[no_rmap_locks]": 76,
    "missed[no_flush]": 87,
    "missed_to_the_end[no_flush]": 116,
}


def test_every_claim_and_mutant_is_here() -> None:
    assert set(CLAIMS) == set(HOLDS) | set(VIOLATED)


@pytest.mark.parametrize("name", HOLDS)
def test_holds(name: str) -> None:
    assert_holds(CLAIMS[name], *HOLDS[name])


@pytest.mark.parametrize("name", VIOLATED)
def test_is_violated(name: str) -> None:
    assert_violated(CLAIMS[name], VIOLATED[name])
