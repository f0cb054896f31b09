"""Who looks whether a flush is pending: verdicts and counts."""

from __future__ import annotations

import pytest

from tests.protocols.claims import assert_holds, assert_violated, claims_of

CLAIMS = claims_of("t4_flush_pending")
HOLDS = {
    "never_trust_v6_0": (75_527, 122),
    "tests_mm_dontneed": (202_273, 121),
    "tests_mm_flush_first": (71_734, 124),
    "tables_dontneed": (251_473, 123),
    "tables_flush_first": (78_521, 127),
    "fault_flushes": (194_167, 129),
}
VIOLATED = {
    "never_trust_v6_0[trusts_the_mapcount]": 35,
    "never_trust_unforced": 35,
    "never_trust_dirty_in_gather": 33,
    "tests_mm_dontneed[trusts_the_mapcount]": 27,
    "tests_mm_dontneed[no_flush]": 36,
    "tests_mm_munmap": 45,
    "tests_mm_munmap_to_the_end": 75,
    "tables_dontneed[table_not_told]": 36,
    "tables_dontneed[told_before_it_is_flushed]": 40,
    "tables_rmap_removed": 28,
    "tables_munmap": 46,
    "fault_flushes[no_flush]": 25,
    "fault_does_not_flush": 25,
    "fault_flushes_v6_0": 27,
}


def test_every_claim_and_mutant_is_here() -> None:
    assert set(CLAIMS) == set(HOLDS) | set(VIOLATED)


@pytest.mark.parametrize("name", HOLDS)
def test_holds(name: str) -> None:
    assert_holds(CLAIMS[name], *HOLDS[name])


@pytest.mark.parametrize("name", VIOLATED)
def test_is_violated(name: str) -> None:
    assert_violated(CLAIMS[name], VIOLATED[name])
