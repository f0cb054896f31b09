"""The batches of a gather and the end of a zap: verdicts and counts."""

from __future__ import annotations

import pytest

from tests.protocols.claims import assert_holds, assert_violated, claims_of

CLAIMS = claims_of("t4_gather")
HOLDS = {
    "batches": (63, 56),
    "one_batch": (38, 34),
    "full_batches": (57, 50),
    "resched": (136, 42),
}
VIOLATED = {
    "batches[batches_without_limit]": 23,
    "batches[local_batch_only]": 28,
    "batches[active_batch_only]": 28,
    "batches[flag_not_looked_at]": 26,
    "one_batch[local_batch_twice]": 24,
    "full_batches[no_room_made]": 30,
    "full_batches[nothing_done]": 14,
    "full_batches[nothing_zapped]": 19,
    "resched[request_not_answered]": 1,
    "resched_in_vain": 16,
}


def test_every_claim_and_mutant_is_here() -> None:
    assert set(CLAIMS) == set(HOLDS) | set(VIOLATED)


@pytest.mark.parametrize("name", HOLDS)
def test_holds(name: str) -> None:
    assert_holds(CLAIMS[name], *HOLDS[name])


@pytest.mark.parametrize("name", VIOLATED)
def test_is_violated(name: str) -> None:
    assert_violated(CLAIMS[name], VIOLATED[name])
