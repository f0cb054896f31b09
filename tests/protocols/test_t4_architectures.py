"""The claims of T4 on each architecture, on page tables of each depth, with CPUs skipped.

States and steps as in test_t4_lost_write.py: a new number is no error by itself.
"""

from __future__ import annotations

import pytest

from pagerace.cli.load import Target, targets_of
from pagerace.compiler.program import compile_protocol
from pagerace.machine.arch import Arch
from pagerace.machine.memory import Machine
from pagerace.protocols import t4_architectures, t4_lost_write, t4_paravirtual
from pagerace.protocols._shared_file import Start, Work
from pagerace.search import Result, check

TARGETS: dict[str, Target] = {
    target.address: target
    for target in targets_of(["t4_architectures", "t4_paravirtual"], mutants=True)
}

# Claims that hold: different states without reductions, and steps to the farthest of them.
HOLDS = {
    "t4_architectures::arm64_v6_2": (133_100, 127),
    "t4_architectures::arm64_faults": (5_938, 79),
    "t4_architectures::arm64_afdbm_v6_2": (49_089, 80),
    "t4_architectures::x86_walker": (66_137, 83),
    "t4_architectures::x86_wrprotect": (1_487, 47),
    "t4_architectures::arm64_afdbm_wrprotect": (1_011, 42),
    "t4_architectures::s390_v6_2": (100_460, 123),
    "t4_architectures::s390_v6_0": (108_086, 123),
    "t4_paravirtual::v6_2": (216_416, 128),
    "t4_paravirtual::lazy": (180_352, 136),
    "t4_paravirtual::irqs_off": (80, 12),
}

# Claims and mutants that are violated: steps of a shortest execution.
VIOLATED = {
    "t4_architectures::arm64_v6_2[no_broadcast]": 17,
    "t4_architectures::arm64_v6_2[broadcast_not_waited_for]": 17,
    "t4_architectures::arm64_v6_2[mkclean_not_flushed]": 28,
    "t4_architectures::arm64_v6_0": 35,
    "t4_architectures::arm64_faults[access_flags_without_flush]": 26,
    "t4_architectures::arm64_faults[access_flags_without_permission]": 22,
    "t4_architectures::arm64_afdbm_v6_2[walker_without_second_look]": 16,
    "t4_architectures::arm64_afdbm_v6_2[get_and_clear_in_two_steps]": 17,
    "t4_architectures::arm64_afdbm_v6_0": 35,
    "t4_architectures::x86_walker[walker_without_second_look]": 15,
    "t4_architectures::x86_wrprotect[wrprotect_in_two_steps]": 10,
    "t4_architectures::arm64_afdbm_wrprotect[wrprotect_in_two_steps]": 10,
    "t4_architectures::arm64_afdbm_wrprotect[dirty_bit_not_moved]": 10,
    "t4_architectures::s390_v6_2[entry_not_invalidated]": 14,
    "t4_architectures::s390_v6_2[mkclean_not_invalidated]": 27,
    "t4_architectures::s390_v6_2[flush_left_for_later]": 16,
    "t4_paravirtual::v6_2[host_does_not_flush]": 24,
    "t4_paravirtual::v6_2[vcpu_that_runs_again_is_skipped]": 23,
    "t4_paravirtual::v6_0": 35,
    "t4_paravirtual::lazy[lazy_cpu_does_not_look]": 28,
    "t4_paravirtual::lazy[lazy_cpu_looks_too_early]": 30,
    "t4_paravirtual::lazy[flush_not_counted]": 23,
    "t4_paravirtual::irqs_off[interrupts_stay_on]": 9,
    "t4_paravirtual::irqs_off_paravirtual": 11,
    "t4_paravirtual::irqs_off_broadcast": 7,
}


def run(target: Target) -> Result:
    return check(compile_protocol(target.protocol, target.address), reductions="none")


def test_every_claim_and_mutant_is_here() -> None:
    assert set(TARGETS) == set(HOLDS) | set(VIOLATED)


@pytest.mark.parametrize("name", HOLDS)
def test_holds(name: str) -> None:
    result = run(TARGETS[name])
    assert (result.verdict, result.violation) == ("holds", None)
    assert (result.states, result.depth) == HOLDS[name]
    assert result.unreached == []


@pytest.mark.parametrize("name", VIOLATED)
def test_is_violated(name: str) -> None:
    target = TARGETS[name]
    result = run(target)
    assert result.violation is not None
    found = result.violation.property or result.violation.slug
    assert found == target.protocol.expect.violated
    assert result.execution is not None
    assert len(result.execution.steps) == VIOLATED[name]


@pytest.mark.parametrize("levels", [2, 3, 4, 5])
def test_tables_of_every_depth(levels: int) -> None:
    """Tables that stay add nothing: the states are those of one level."""
    machine = Machine(levels=levels)
    result = check(
        compile_protocol(t4_lost_write.v6_2.replace(config=[machine])), reductions="none"
    )
    assert (result.verdict, result.states, result.depth) == ("holds", 184_566, 126)
    result = check(compile_protocol(t4_lost_write.v6_0.replace(config=[machine])))
    assert result.violation is not None
    assert result.violation.property == "no_lost_write"


@pytest.mark.parametrize("levels", [2, 3])
def test_tables_with_several_entries(levels: int) -> None:
    """Two entries in each table: as many tables of PTEs as pages, each with its lock."""
    pages = 2 ** (levels - 1)
    claim = t4_architectures.x86_wrprotect.replace(
        config=[Machine(levels=levels, entries=2, pages=pages, frames=pages), Work(stores=1)]
    )
    result = check(compile_protocol(claim), states_max=200_000)
    assert result.violation is None


@pytest.mark.parametrize("start", [Start.READ, Start.UNNOTIFIED])
@pytest.mark.parametrize("arch", [Arch.ARM64, Arch.ARM64_AFDBM, Arch.S390])
def test_v6_2_holds_from_other_starts(arch: Arch, start: Start) -> None:
    like = t4_architectures.s390_v6_2 if arch is Arch.S390 else t4_architectures.arm64_v6_2
    notified = start is Start.READ
    claim = t4_lost_write.v6_2 if notified else t4_lost_write.v6_2_unnotified
    claim = claim.replace(
        threads=like.threads, config=[Machine(arch=arch), Work(start=start, stores=1)]
    )
    assert check(compile_protocol(claim)).verdict == "holds"


def test_madv_dontneed_on_each_machine() -> None:
    """Faults bring pages back while the flush is still to come."""
    dontneed = t4_lost_write.v6_2_dontneed.threads[0]
    for claim in (
        t4_architectures.arm64_v6_2,
        t4_architectures.s390_v6_2,
        t4_paravirtual.v6_2,
    ):
        claim = claim.replace(threads=[dontneed, *claim.threads[1:]])
        assert check(compile_protocol(claim)).verdict == "holds"
