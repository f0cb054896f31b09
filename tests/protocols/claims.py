"""Running claims and comparing them with exact counts."""

from __future__ import annotations

from collections.abc import Iterable

from pagerace.cli.load import Target, targets_of
from pagerace.compiler.program import compile_protocol
from pagerace.search import Result, check

# Claims in which nobody takes a lock while it has another.
UNORDERED = (
    "t1_map_loop::kirill",
    "t1_progress::no_memory",
    "t1_progress::v5_10_no_memory",
    "t4_torn_pmd::",
    "t4_paravirtual::irqs_off",
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


def run(target: Target) -> Result:
    """Search all of it, leaving out nothing."""
    return check(compile_protocol(target.protocol, target.address), reductions="none")


def assert_holds(target: Target, states: int, depth: int) -> None:
    """It holds, and has this many states, the farthest of them ``depth`` steps away."""
    result = run(target)
    assert (result.verdict, result.violation) == ("holds", None)
    assert (result.states, result.depth) == (states, depth)
    assert result.unreached == []
    assert bool(result.lock_order) is not target.address.startswith(UNORDERED)


def assert_violated(target: Target, steps: int) -> None:
    """It is violated as expected, and a shortest execution has this many steps."""
    result = run(target)
    assert result.violation is not None
    found = result.violation.property or result.violation.slug
    assert found == target.protocol.expect.violated
    assert result.execution is not None
    assert len(result.execution.steps) == steps
