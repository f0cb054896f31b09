"""Running claims and comparing them with exact counts."""

from __future__ import annotations

from collections.abc import Iterable

from pagerace.cli.load import Target, targets_of
from pagerace.compiler.program import compile_protocol
from pagerace.search import Result, check
from tests.agree.reduced import compare_reductions
from tests.agree.walks import compare_walks
from tests.built_ins import built_ins
from tests.search.marked import races_of_the_kernel

# Of T1 a sample: what the engine makes of each claim, its mutants too, and of its accesses.
WITH_MUTANTS = {target.address for target in built_ins(mutants=True)}
CLAIMS = {target.address for target in built_ins()}
WALKS, STEPS = 3, 60

# Claims in which nobody takes a lock while it has another.
UNORDERED = (
    "t1_map_loop::kirill",
    "t1_progress::no_memory",
    "t1_progress::v5_10_no_memory",
    "t4_torn_pmd::",
    "t4_paravirtual::irqs_off",
    "t5_dirty::huge_v5_6",
    "t5_kernel::",
    "t5_walk::whole_table",
)


def claims_of(group: str) -> dict[str, Target]:
    """The claims and mutants of a file or a group of files, by address."""
    return {target.address: target for target in targets_of([group], mutants=True)}


def properties_of(targets: Iterable[Target]) -> set[str]:
    """The names of all that the claims state."""
    return {
        function.__name__
        for target in targets
        for function in (*target.protocol.always, *target.protocol.at_end)
    }


def assert_verdict(target: Target, *, holds: bool, figures: tuple[int, ...]) -> None:
    """The verdict and the counts of a claim, and all else that tests ask of each claim.

    It is compiled once and searched whole once, for all that is compared with that.
    """
    program = compile_protocol(target.protocol, target.address)
    result = check(program, reductions="none")
    if holds:
        states, depth = figures
        _assert_holds(target, result, states, depth)
    else:
        (steps,) = figures
        _assert_violated(target, result, steps)
    if target.address in WITH_MUTANTS:
        compare_reductions(program, result, every=not target.mutant)
        compared = compare_walks(program, target.address, WALKS, STEPS)
        assert compared >= min(result.states, WALKS * 10)
    if target.address in CLAIMS:
        assert races_of_the_kernel(program) == []


def _assert_holds(target: Target, result: Result, states: int, depth: int) -> None:
    """It holds, and has this many states, the farthest of them ``depth`` steps away."""
    assert (result.verdict, result.violation) == ("holds", None)
    assert (result.states, result.depth) == (states, depth)
    assert result.unreached == []
    assert bool(result.lock_order) is not target.address.startswith(UNORDERED)


def _assert_violated(target: Target, result: Result, steps: int) -> None:
    """It is violated as expected, and a shortest execution has this many steps."""
    assert result.violation is not None
    found = result.violation.property or result.violation.slug
    assert found == target.protocol.expect.violated
    assert result.execution is not None
    assert len(result.execution.steps) == steps
