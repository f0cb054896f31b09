"""The claims of T4 on page tables of each depth, and from other starts on each machine."""

from __future__ import annotations

import pytest

from pagerace.compiler.program import compile_protocol
from pagerace.machine.arch import Arch
from pagerace.machine.memory import Machine
from pagerace.protocols import t4_architectures, t4_lost_write, t4_paravirtual
from pagerace.protocols._shared_file import Start, Work
from pagerace.search import check


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
