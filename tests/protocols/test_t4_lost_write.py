"""The claims of T4: verdicts, counts, and that each property kills a mutant.

The numbers change when the kernel's code here does, or where its points stand.  A new
number is no error by itself; somebody should know why it is new.
"""

from __future__ import annotations

import pytest

from pagerace.cli.load import Target, targets_of
from pagerace.compiler.program import compile_protocol
from pagerace.lang.structures import Config
from pagerace.machine.memory import Machine
from pagerace.mm.mmu_gather import MmuGather
from pagerace.protocols import t4_lost_write
from pagerace.protocols._shared_file import Start, Work
from pagerace.search import Result, check

TARGETS = {
    target.address.removeprefix("t4_lost_write::"): target
    for target in targets_of(["t4_lost_write"], mutants=True)
}

# Claims that hold: different states, and steps to the farthest of them.
HOLDS = {
    "v6_2": (51_894, 102),
    "v6_2_dontneed": (112_050, 115),
    "v6_2_unnotified": (29_235, 74),
}

# Claims and mutants that are violated: steps of a shortest execution.
VIOLATED = {
    "v6_0": 29,
    "v6_0_to_the_end": 63,
    "late_rmap_unlocked": 38,
    "rfc_dirty_in_gather": 23,
    "rfc_ext4_warning": 37,
    "rfc_rmap_kept": 54,
    "v6_2[no_flush]": 11,
    "v6_2[rmap_before_flush]": 11,
    "v6_2[rmap_never]": 17,
    "v6_2[ptl_before_flush]": 11,
    "v6_2[fault_without_folio_lock]": 44,
    "v6_2[mkclean_without_ptl]": 19,
    "v6_2[mkclean_without_pvmw_sync]": 27,
    "v6_2[mkclean_without_flush]": 22,
    "v6_2[mkclean_without_wrprotect]": 31,
    "v6_2[writeback_without_mkclean]": 10,
    "v6_2[fsync_without_dirty_pages]": 8,
    "v6_2[reclaim_of_dirty_pages]": 110,
    "v6_2_dontneed[dirty_after_folio_unlock]": 65,
    "v6_2_dontneed[fault_without_second_look]": 53,
    "v6_2_unnotified[no_set_page_dirty]": 18,
    "v6_2_unnotified[get_and_clear_in_two_steps]": 12,
    "v6_2_unnotified[free_before_flush]": 44,
    "v6_2_unnotified[walker_without_second_look]": 11,
}


def run(target: Target) -> Result:
    return check(compile_protocol(target.protocol, target.address))


def test_every_claim_and_mutant_is_here() -> None:
    assert set(TARGETS) == set(HOLDS) | set(VIOLATED)


def test_every_property_kills_a_mutant() -> None:
    properties = {
        function.__name__
        for target in TARGETS.values()
        for function in (*target.protocol.always, *target.protocol.at_end)
    }
    killed_by = {t.protocol.expect.violated for t in TARGETS.values() if t.mutant}
    assert properties == killed_by


@pytest.mark.parametrize("name", HOLDS)
def test_holds(name: str) -> None:
    result = run(TARGETS[name])
    assert (result.verdict, result.violation) == ("holds", None)
    assert (result.states, result.depth) == HOLDS[name]
    assert result.unreached == []
    assert result.lock_order


@pytest.mark.parametrize("name", VIOLATED)
def test_is_violated(name: str) -> None:
    target = TARGETS[name]
    result = run(target)
    assert result.violation is not None
    assert result.violation.property == target.protocol.expect.violated
    assert result.execution is not None
    assert len(result.execution.steps) == VIOLATED[name]


@pytest.mark.parametrize(
    "sizes",
    [
        [Work(start=Start.READ, stores=1)],
        [Work(rounds=2)],
        [Machine(pages=2, frames=2), Work(stores=1)],
        [Machine(pages=2, frames=2), Work(stores=1), MmuGather(bundle=1)],
        [Machine(pages=2, frames=2), Work(stores=1), MmuGather(bundle=1, batches=1)],
    ],
    ids=["read first", "fsync twice", "two pages", "two batches", "full batch"],
)
def test_v6_2_holds_at_other_sizes(sizes: list[Config]) -> None:
    claim = t4_lost_write.v6_2.replace(config=sizes)
    assert check(compile_protocol(claim)).verdict == "holds"


def test_write_notification_makes_the_zappers_set_page_dirty_redundant() -> None:
    """Each writable PTE belongs to a folio that its write fault has marked dirty."""
    (edit,) = t4_lost_write.v6_2_unnotified.mutants["no_set_page_dirty"].edits
    for claim in (t4_lost_write.v6_2, t4_lost_write.v6_2_dontneed):
        assert check(compile_protocol(claim.replace(edits=[edit]))).verdict == "holds"
