"""The claims about reads without a lock on PAE: verdicts, counts, mutants.

As in test_t4_lost_write.py: somebody should know why a number is new.
"""

from __future__ import annotations

import pytest

from pagerace.cli.load import targets_of
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
from tests.protocols.claims import assert_holds, assert_violated

TARGETS = {
    target.address: target
    for target in targets_of(["t4_torn_read", "t4_torn_pmd", "t4_torn_twice"], mutants=True)
}

# Claims that hold: different states, and steps to the farthest of them.
HOLDS: dict[str, tuple[int, int]] = {
    "t4_torn_read::force_flush": (6_276, 47),
    "t4_torn_read::force_flush_halves": (7_740, 49),
    "t4_torn_read::cmpxchg8b": (8_022, 45),
    "t4_torn_read::x86_64": (6_762, 41),
    "t4_torn_read::gup_one_zap": (20_994, 50),
    "t4_torn_read::gup_whole_second_look": (111_738, 81),
    "t4_torn_read::gup_force_flush": (81_038, 87),
    "t4_torn_pmd::v6_2": (273, 25),
    "t4_torn_pmd::v6_2_collapse_halves": (230, 19),
    "t4_torn_pmd::v6_2_collapse": (176, 17),
    "t4_torn_pmd::paravirtual_rcu": (1_180, 30),
    "t4_torn_pmd::gup_v6_1": (194, 22),
    "t4_torn_pmd::gup_v6_2": (174, 21),
    "t4_torn_twice::force_flush": (2_629_945, 90),
    "t4_torn_twice::cmpxchg8b": (841_504, 78),
}

# Claims and mutants that are violated: steps of a shortest execution.
VIOLATED = {
    "t4_torn_read::v6_2": 30,
    "t4_torn_read::force_flush[no_second_look]": 12,
    "t4_torn_read::force_flush[high_half_first]": 37,
    "t4_torn_read::force_flush[loop_without_end]": 0,
    "t4_torn_read::force_flush[interrupts_on]": 36,
    "t4_torn_read::force_flush[flag_not_looked_at]": 30,
    "t4_torn_read::force_flush[no_flush]": 30,
    "t4_torn_read::force_flush[set_low_half_first]": 29,
    "t4_torn_read::force_flush_halves[clear_high_half_first]": 6,
    "t4_torn_read::paravirtual": 40,
    "t4_torn_read::cmpxchg8b[two_loads]": 30,
    "t4_torn_read::cmpxchg8b[set_low_half_first]": 22,
    "t4_torn_read::x86_64[two_loads]": 26,
    "t4_torn_read::gup_one_zap[no_second_look]": 34,
    "t4_torn_read::gup_two_zaps": 45,
    "t4_torn_pmd::v6_1": 10,
    "t4_torn_pmd::v6_2[no_second_look]": 10,
    "t4_torn_pmd::v6_2[not_at_this_level]": 10,
    "t4_torn_pmd::v6_2[interrupts_on]": 17,
    "t4_torn_pmd::v6_2[free_before_flush]": 12,
    "t4_torn_pmd::v6_2[clear_high_half_first]": 3,
    "t4_torn_pmd::v6_1_collapse": 9,
    "t4_torn_pmd::v6_2_collapse_halves[no_flush]": 12,
    "t4_torn_pmd::v6_2_collapse_halves[clear_high_half_first]": 1,
    "t4_torn_pmd::v6_1_collapse_whole": 7,
    "t4_torn_pmd::paravirtual": 19,
    "t4_torn_pmd::paravirtual_rcu[no_grace_period]": 19,
    "t4_torn_pmd::paravirtual_collapse": 17,
    "t4_torn_pmd::gup_v6_0": 12,
    "t4_torn_pmd::gup_v6_1[no_second_look]": 12,
    "t4_torn_pmd::gup_v6_2[not_at_this_level]": 12,
    "t4_torn_twice::v6_2": 46,
    "t4_torn_twice::force_flush[no_second_look]": 12,
    "t4_torn_twice::force_flush[flag_not_looked_at]": 28,
    "t4_torn_twice::force_flush[no_flush]": 28,
    "t4_torn_twice::cmpxchg8b[two_loads]": 46,
    "t4_torn_read::gup_whole_second_look[two_loads]": 45,
    "t4_torn_read::gup_force_flush[flag_not_looked_at]": 45,
}


def test_every_claim_and_mutant_is_here() -> None:
    assert set(TARGETS) == set(HOLDS) | set(VIOLATED)


def test_every_property_kills_a_mutant() -> None:
    properties = {
        function.__name__
        for target in TARGETS.values()
        for function in (*target.protocol.always, *target.protocol.at_end)
    }
    killed_by = {t.protocol.expect.violated for t in TARGETS.values() if t.mutant}
    assert properties == killed_by - {"use-after-free", "livelock"}


@pytest.mark.parametrize("name", HOLDS)
def test_holds(name: str) -> None:
    assert_holds(TARGETS[name], *HOLDS[name])


@pytest.mark.parametrize("name", VIOLATED)
def test_is_violated(name: str) -> None:
    assert_violated(TARGETS[name], VIOLATED[name])


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
    larger = claim.replace(config=[machine.replace(frames=4)])
    assert check(compile_protocol(larger)).verdict == "holds"
