"""T4 with several user threads, which nobody can tell apart: with reductions and without.

The users run on CPUs 2, 3 and 4, each with a TLB that is filled and drained by itself.
"""

from __future__ import annotations

import pytest

from pagerace.compiler import symmetry
from pagerace.compiler.ir import Program
from pagerace.compiler.program import compile_protocol
from pagerace.lang.protocol import Protocol, Thread, agent, drop, thread
from pagerace.lang.structures import Config
from pagerace.machine.memory import Machine
from pagerace.machine.tlb import tlb_evict, tlb_fill
from pagerace.mm.memory import zap_pte_range
from pagerace.mm.mmu_gather import tlb_flush_mmu_tlbonly
from pagerace.mm.tlb import sysvec_call_function
from pagerace.protocols import t4_lost_write
from pagerace.protocols._shared_file import Work, user
from pagerace.search import check, checker


def with_users(claim: Protocol, users: int, *config: Config) -> Program:
    """The claim, which has one user, with more of them, and with one page."""
    more: list[Thread] = []
    for cpu in range(3, 2 + users):
        more.append(thread(user, cpu=cpu))
        more += [agent(f, cpu=cpu) for f in (sysvec_call_function, tlb_fill, tlb_evict)]
    machine = Machine(cpus=2 + users, pages=1, frames=1)
    claim = claim.replace(threads=[*claim.threads, *more], config=[machine, *config])
    return compile_protocol(claim)


@pytest.mark.parametrize(
    ("users", "plain", "reduced"), [(2, 3_907, 2_158), (3, 45_553, 9_682)]
)
def test_zap_and_users(users: int, plain: int, reduced: int) -> None:
    """munmap() against users alone: small enough to count all states of three."""
    program = with_users(t4_lost_write.v6_2_batches, users, Work(stores=1))
    found = {r: check(program, reductions=r) for r in ("none", "symmetry", "all")}
    assert {result.verdict for result in found.values()} == {"holds"}
    assert (found["none"].states, found["symmetry"].states) == (plain, reduced)
    assert found["all"].states < reduced
    assert found["all"].never_executed == found["none"].never_executed
    assert found["all"].reached == found["none"].reached


@pytest.mark.parametrize("name", ["v6_2", "v6_2_dontneed", "v6_0", "rfc_rmap_kept"])
def test_users_are_proved_alike(name: str) -> None:
    """All of it, at all points: threads, hardware, every property, the initial state."""
    found = symmetry.find(with_users(getattr(t4_lost_write, name), 3))
    assert (found.order, found.reasons) == (6, [])
    assert not any(group.marked for group in found.groups)


def test_two_users_and_writeback() -> None:
    program = with_users(t4_lost_write.v6_2, 2, Work(stores=1))
    result = check(program, reductions="symmetry")
    assert (result.verdict, result.states) == ("holds", 1_705_262)  # of 3,321,858
    assert result.reductions == {"symmetry": 2}


@pytest.mark.parametrize("name", ["v6_0", "late_rmap_unlocked", "rfc_dirty_in_gather"])
def test_two_users_lose_a_write(name: str) -> None:
    program = with_users(getattr(t4_lost_write, name), 2, Work(stores=1))
    plain, reduced = (check(program, reductions=r) for r in ("none", "all"))
    assert plain.verdict == reduced.verdict == "violated"
    assert plain.violation == reduced.violation
    assert plain.execution is not None and reduced.execution is not None
    assert plain.execution.schedule == reduced.execution.schedule


def test_a_mutant_with_three_users() -> None:
    edit = drop(zap_pte_range, tlb_flush_mmu_tlbonly)
    claim = t4_lost_write.v6_2_batches.replace(edits=[edit])
    program = with_users(claim, 3, Work(stores=1))
    plain, reduced = (check(program, reductions=r) for r in ("none", "all"))
    assert plain.violation == reduced.violation
    assert plain.violation is not None


def test_an_execution_from_merged_states(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where searching again would take too long, the way leads through merged states."""
    monkeypatch.setattr(checker, "AGAIN_TIMES", 0)
    monkeypatch.setattr(checker, "AGAIN_STATES", 1)
    program = with_users(t4_lost_write.rfc_dirty_in_gather, 2, Work(stores=1))
    plain, merged = (check(program, reductions=r) for r in ("none", "symmetry"))
    assert plain.violation == merged.violation
    assert plain.execution is not None and merged.execution is not None
    assert len(plain.execution.steps) == len(merged.execution.steps)
    assert merged.execution.search.shortest
    assert plain.execution.schedule != merged.execution.schedule  # the mirror image
