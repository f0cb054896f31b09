"""T1-S13: the PTL is taken and released in one call of one function.

No execution is needed: it is a property of the functions that a thread may call.
"""

from __future__ import annotations

import pytest

from pagerace.compiler.ir import Process
from pagerace.compiler.pairing import crossings
from pagerace.compiler.program import compile_protocol
from pagerace.lang.protocol import Protocol
from pagerace.protocols import t1_progress, t4_lost_write, t4_torn_read

_COMPILED: dict[str, list[Process]] = {}
TAKING = {"spin_lock", "spin_lock_nested"}
RELEASING = {"spin_unlock", "spin_unlock_nested"}
HELPERS = {
    "lock_table_of_fault",
    "pte_offset_map_lock",
    "pte_offset_map_lock_of",
    "pte_unmap_unlock",
    "pte_unmap_unlock_of",
    "pmd_lock",
}


def compiled(claim: Protocol) -> list[Process]:
    """The processes of a claim, compiled once."""
    if claim.title not in _COMPILED:
        _COMPILED[claim.title] = compile_protocol(claim).processes
    return _COMPILED[claim.title]


def crossed(claim: Protocol, thread: str) -> set[tuple[str, str]]:
    """Who takes a spinlock, and who else releases it, in the calls of one thread."""
    code = next(process.code for process in compiled(claim) if process.name == thread)
    pairs = crossings(code, TAKING, RELEASING, HELPERS)
    return {(pair.taken.function, pair.released.function) for pair in pairs}


@pytest.mark.parametrize("thread", ["zap", "touch"])
def test_zap_and_read_fault_keep_the_ptl_in_one_function(thread: str) -> None:
    assert crossed(t4_torn_read.gup_one_zap, thread) == set()


def test_a_write_fault_of_v6_2_does_not() -> None:
    """Their callees are called with the PTL held, and drop it."""
    assert crossed(t4_lost_write.v6_2, "user") == {
        ("handle_pte_fault", "wp_page_shared"),
        ("finish_mkwrite_fault", "wp_page_reuse"),
    }


def test_an_rmap_walk_keeps_it_from_step_to_step() -> None:
    walk = {("map_pte", "page_vma_mapped_walk_done")}
    assert crossed(t4_lost_write.v6_2, "writeback") == walk


def test_alloc_set_pte_leaves_the_ptl_to_its_callers() -> None:
    """v5.10: taken two frames further down than released, and by two callers."""
    assert crossed(t1_progress.v5_10_no_memory, "fault_noted") == {
        ("pte_alloc_one_map", "fault_around_v5_10"),
        ("pte_alloc_one_map", "finish_fault"),
    }


@pytest.mark.parametrize("thread", ["fault_noted", "map_around"])
def test_since_v5_12_faults_of_loads_keep_it_in_one_function(thread: str) -> None:
    assert crossed(t1_progress.no_memory, thread) == set()
