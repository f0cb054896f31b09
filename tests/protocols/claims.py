"""Running the claims of one file and comparing them with exact counts.

The numbers change when the kernel's code here does, or where its points stand.  A new
number is no error by itself; somebody should know why it is new.
"""

from __future__ import annotations

from pagerace.cli.load import Target, targets_of
from pagerace.compiler.program import compile_protocol
from pagerace.search import Result, check


def claims_of(file: str) -> dict[str, Target]:
    """Claims and mutants by their names without the file."""
    targets = targets_of([file], mutants=True)
    return {target.address.removeprefix(f"{file}::"): target for target in targets}


def run(target: Target) -> Result:
    """Search all of it, leaving out nothing."""
    return check(compile_protocol(target.protocol, target.address), reductions="none")


def assert_holds(target: Target, states: int, depth: int) -> None:
    """It holds, and has this many states, the farthest of them ``depth`` steps away."""
    result = run(target)
    assert (result.verdict, result.violation) == ("holds", None)
    assert (result.states, result.depth) == (states, depth)
    assert result.unreached == []


def assert_violated(target: Target, steps: int) -> None:
    """It is violated as expected, and a shortest execution has this many steps."""
    result = run(target)
    assert result.violation is not None
    found = result.violation.property or result.violation.slug
    assert found == target.protocol.expect.violated
    assert result.execution is not None
    assert len(result.execution.steps) == steps
