"""The claims of the lost write at other sizes, with other threads, and without edits
that it can do without.
"""

from __future__ import annotations

import pytest

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
from pagerace.search import check

USER_HARDWARE = [sysvec_call_function, tlb_fill, tlb_evict]


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
    claim = getattr(t4_lost_write, name)
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
    claim = getattr(t4_lost_write, name)
    claim = claim.replace(threads=t4_lost_write.v6_2_dontneed.threads)
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
