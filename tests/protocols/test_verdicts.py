"""Every built-in claim and mutant: its verdict, the counts of its search, and the engines.

What each engine makes of a claim is compared here, too, since what takes long is to compile
it: native steps with the interpreter's, searches with reductions with one without, and the
data races of mm/.

The figures are tables, a file for each group: counts_t1.py and so on.
"""

from __future__ import annotations

import pytest

from tests.protocols import counts_t1, counts_t2, counts_t3, counts_t4, counts_t5
from tests.protocols.claims import assert_verdict, claims_of, properties_of

GROUPS = {"T1": counts_t1, "T2": counts_t2, "T3": counts_t3, "T4": counts_t4, "T5": counts_t5}
HOLDS = {name: found for counts in GROUPS.values() for name, found in counts.HOLDS.items()}
VIOLATED = {
    name: found for counts in GROUPS.values() for name, found in counts.VIOLATED.items()
}
CLAIMS = {name: target for group in GROUPS for name, target in claims_of(group).items()}

# Files whose properties each kill a mutant, and the detectors that kill further ones.
COMPLETE: dict[tuple[str, ...], set[str]] = {
    ("t1_map_loop", "t1_progress", "t1_tables"): {
        "bad-page-cache", "sleeping-while-atomic", "use-after-free",
    },
    (
        "t2_collapse", "t2_install", "t2_khugepaged", "t2_map_lock", "t2_mremap", "t2_munmap",
        "t2_paging_cache", "t2_percpu_ref", "t2_reclaim", "t2_variants", "t2_walkers",
    ): {
        "use-after-free", "detached-table", "unlock-by-non-owner", "double-free",
        "counter-below-zero",
    },
    ("t4_lost_write",): {"use-after-free"},
    ("t3_private",): set[str](),
    ("t4_mremap",): set[str](),
    (
        "t5_again", "t5_answers", "t5_collapse", "t5_dirty", "t5_kernel", "t5_ptes",
        "t5_split", "t5_walk",
    ): set[str](),
    ("t4_torn_read", "t4_torn_pmd", "t4_torn_twice"): {"use-after-free", "livelock"},
}


@pytest.mark.parametrize("group", GROUPS)
def test_every_claim_and_mutant_is_here(group: str) -> None:
    counts = GROUPS[group]
    assert set(claims_of(group)) == set(counts.HOLDS) | set(counts.VIOLATED)


@pytest.mark.parametrize("files", COMPLETE, ids=" ".join)
def test_every_property_kills_a_mutant(files: tuple[str, ...]) -> None:
    targets = [t for name, t in CLAIMS.items() if name.partition("::")[0] in files]
    killed_by = {target.protocol.expect.violated for target in targets if target.mutant}
    assert properties_of(targets) == killed_by - COMPLETE[files]


@pytest.mark.parametrize("name", HOLDS)
def test_holds(name: str) -> None:
    assert_verdict(CLAIMS[name], holds=True, figures=HOLDS[name])


@pytest.mark.parametrize("name", VIOLATED)
def test_is_violated(name: str) -> None:
    assert_verdict(CLAIMS[name], holds=False, figures=(VIOLATED[name],))
