"""The claims about reads without a lock on PAE: other cuts, other readers."""

from __future__ import annotations

import pytest

from pagerace.compiler.program import compile_protocol
from pagerace.lang import agent, swap, thread
from pagerace.machine.arch import Arch
from pagerace.machine.memory import Machine
from pagerace.machine.pae import Pae, load_halves, load_high, load_low
from pagerace.machine.tlb import tlb_fill
from pagerace.mm.gup import Gup
from pagerace.mm.pgtable_lockless import Lockless
from pagerace.mm.tlb import sysvec_call_function
from pagerace.protocols import t4_torn_pmd, t4_torn_read
from pagerace.protocols._lockless_read import touch
from pagerace.search import check
from tests.protocols.counts_t4 import HOLDS


@pytest.mark.parametrize("low_pfn_bits", [0, 1])
def test_it_does_not_matter_where_the_halves_are_cut(low_pfn_bits: int) -> None:
    """As long as the frame of the file has a bit in its high half."""
    frames = 2 if low_pfn_bits == 0 else 3
    sizes = [Machine(arch=Arch.X86_PAE, frames=frames), Pae(low_pfn_bits=low_pfn_bits)]
    for name in ("v6_2", "force_flush", "gup_two_zaps"):
        claim = getattr(t4_torn_read, name)
        result = check(compile_protocol(claim.replace(config=sizes)))
        violated = result.violation.property if result.violation is not None else None
        assert violated == claim.expect.violated


def test_a_frame_with_a_high_half_of_zero_is_not_torn() -> None:
    claim = t4_torn_read.v6_2.replace(config=[Pae(low_pfn_bits=1)])
    assert check(compile_protocol(claim)).verdict == "holds"


def test_the_second_look_is_torn_whichever_half_comes_first() -> None:
    """C gives the two loads of ``*ptep`` no order.  High first, it takes one more fault, of
    a CPU that is not held up by the flush of its own zap."""
    edit = swap(load_halves, load_low, load_high)
    claim = t4_torn_read.gup_two_zaps.replace(edits=[edit])
    assert check(compile_protocol(claim)).verdict == "holds"
    others = [t for t in claim.threads if t.function is not tlb_fill]
    third = [thread(touch, cpu=3), agent(sysvec_call_function, cpu=3)]
    machine = Machine(arch=Arch.X86_PAE, cpus=4, frames=2)
    larger = claim.replace(threads=[*others, *third], config=[machine])
    result = check(compile_protocol(larger), reductions="none")
    assert result.violation is not None
    assert result.violation.property == "no_wrong_page"


def test_gup_fast_with_a_read_by_cmpxchg8b_gives_no_wrong_page() -> None:
    claim = t4_torn_read.gup_two_zaps.replace(config=[Lockless(cmpxchg8b=True)])
    assert check(compile_protocol(claim)).verdict == "holds"


def test_a_second_look_at_the_pmd_changes_nothing_where_tables_stay() -> None:
    claim = t4_torn_read.gup_one_zap.replace(config=[Gup(pmd_recheck=False)])
    states, _ = HOLDS["t4_torn_read::gup_one_zap"]
    assert check(compile_protocol(claim), reductions="none").states == states


@pytest.mark.parametrize("name", ["v6_2", "v6_2_collapse_halves", "paravirtual_rcu"])
def test_pmds_where_more_tables_are_free(name: str) -> None:
    claim = getattr(t4_torn_pmd, name)
    (machine,) = (config for config in claim.config if isinstance(config, Machine))
    larger = claim.replace(config=[machine.replace(frames=4, tables=4)])
    assert check(compile_protocol(larger)).verdict == "holds"
