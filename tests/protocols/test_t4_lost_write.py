"""The claims of T4: verdicts, counts, and that each property kills a mutant.

The numbers change when the kernel's code here does, or where its points stand.  A new
number is no error by itself; somebody should know why it is new.
"""

from __future__ import annotations

import pytest

from pagerace.cli.load import Target, targets_of
from pagerace.compiler.program import compile_protocol
from pagerace.lang.protocol import agent, force, thread
from pagerace.lang.structures import Config
from pagerace.machine.memory import Machine
from pagerace.machine.tlb import tlb_evict, tlb_fill
from pagerace.mm.mmu_gather import MmuGather
from pagerace.mm.tlb import sysvec_call_function
from pagerace.mm.vmscan import shrink_folio_list
from pagerace.protocols import t4_lost_write
from pagerace.protocols._shared_file import Start, Work, user
from pagerace.search import Result, check

TARGETS = {
    target.address.removeprefix("t4_lost_write::"): target
    for target in targets_of(["t4_lost_write"], mutants=True)
}

USER_HARDWARE = [sysvec_call_function, tlb_fill, tlb_evict]

# Claims that hold: different states, and steps to the farthest of them.
HOLDS = {
    "v6_2": (184_566, 126),
    "v6_2_dontneed": (392_073, 121),
    "v6_2_unnotified": (66_137, 83),
    "v6_2_batches": (13_849, 61),
}

# Claims and mutants that are violated: steps of a shortest execution.
VIOLATED = {
    "v6_0": 35,
    "v6_0_to_the_end": 73,
    "late_rmap_unlocked": 48,
    "rfc_dirty_in_gather": 29,
    "rfc_ext4_warning": 44,
    "rfc_rmap_kept": 59,
    "v6_2[no_flush]": 16,
    "v6_2[rmap_before_flush]": 16,
    "v6_2[flush_of_this_cpu_only]": 20,
    "v6_2[flush_of_other_cpus_only]": 22,
    "v6_2[ipi_not_waited_for]": 20,
    "v6_2[rmap_never]": 22,
    "v6_2[ptl_before_flush]": 16,
    "v6_2[fault_without_folio_lock]": 56,
    "v6_2[mkclean_without_ptl]": 25,
    "v6_2[mkclean_without_i_mmap_rwsem]": 49,
    "v6_2[fault_without_mmap_lock]": 67,
    "v6_2[mkclean_without_pvmw_sync]": 36,
    "v6_2[mkclean_without_flush]": 28,
    "v6_2[mkclean_without_wrprotect]": 37,
    "v6_2[writeback_without_mkclean]": 11,
    "v6_2[fsync_without_dirty_pages]": 10,
    "v6_2[reclaim_of_dirty_pages]": 133,
    "v6_2[reclaim_without_freeze]": 80,
    "v6_2_dontneed[dirty_after_folio_unlock]": 65,
    "v6_2_dontneed[fault_without_second_look]": 53,
    "v6_2_unnotified[no_set_page_dirty]": 23,
    "v6_2_unnotified[get_and_clear_in_two_steps]": 17,
    "v6_2_unnotified[free_before_flush]": 52,
    "v6_2_unnotified[walker_without_second_look]": 16,
    "v6_2_batches[batches_without_limit]": 32,
}


def run(target: Target) -> Result:
    return check(compile_protocol(target.protocol, target.address), reductions="none")


def test_every_claim_and_mutant_is_here() -> None:
    assert set(TARGETS) == set(HOLDS) | set(VIOLATED)


def test_every_property_kills_a_mutant() -> None:
    properties = {
        function.__name__
        for target in TARGETS.values()
        for function in (*target.protocol.always, *target.protocol.at_end)
    }
    killed_by = {t.protocol.expect.violated for t in TARGETS.values() if t.mutant}
    assert properties == killed_by - {"use-after-free"}


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
    found = result.violation.property or result.violation.slug
    assert found == target.protocol.expect.violated
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


@pytest.mark.parametrize("name", ["v6_2", "v6_0", "late_rmap_unlocked"])
def test_two_users(name: str) -> None:
    """The initiator waits for two CPUs, which answer in either order."""
    claim = TARGETS[name].protocol
    second = [thread(user, cpu=3), *(agent(f, cpu=3) for f in USER_HARDWARE)]
    two = claim.replace(
        threads=[*claim.threads, *second], config=[Machine(cpus=4), Work(stores=1)]
    )
    result = check(compile_protocol(two))
    if name == "v6_2":
        assert result.verdict == "holds"
    else:
        assert result.violation is not None
        assert result.violation.property == "no_lost_write"


@pytest.mark.parametrize(
    "name", ["v6_0", "late_rmap_unlocked", "rfc_dirty_in_gather", "rfc_ext4_warning"]
)
def test_dontneed_loses_what_munmap_loses(name: str) -> None:
    claim = TARGETS[name].protocol.replace(threads=t4_lost_write.v6_2_dontneed.threads)
    result = check(compile_protocol(claim))
    assert result.violation is not None
    assert result.violation.property == claim.expect.violated


def test_the_freeze_alone_keeps_mapped_pages_from_reclaim() -> None:
    """Each rmap entry has a reference, so that a mapped page cannot be frozen."""
    test = "folio_mapped(folio) or folio_test_writeback(folio) or folio_test_dirty(folio)"
    edit = force(shrink_folio_list, test, False)
    assert check(compile_protocol(t4_lost_write.v6_2.replace(edits=[edit]))).verdict == "holds"


def test_write_notification_makes_the_zappers_set_page_dirty_redundant() -> None:
    """Each writable PTE belongs to a folio that its write fault has marked dirty."""
    (edit,) = t4_lost_write.v6_2_unnotified.mutants["no_set_page_dirty"].edits
    for claim in (t4_lost_write.v6_2, t4_lost_write.v6_2_dontneed):
        assert check(compile_protocol(claim.replace(edits=[edit]))).verdict == "holds"
