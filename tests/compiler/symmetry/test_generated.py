"""Symmetry on random programs, against brute force: verdicts, and orbits counted exactly."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, given, settings

from pagerace import search
from pagerace.compiler import interpreter
from pagerace.compiler.ir import Program
from pagerace.compiler.layout import Layout
from pagerace.compiler.program import compile_protocol
from pagerace.compiler.reductions import Reductions
from pagerace.compiler.symmetry.canonical import Words, representative
from tests import generated, reference
from tests.compiler.symmetry import programs

STATES_MAX = 3000
EXAMPLES = int(os.environ.get("PAGERACE_EXAMPLES", "200"))


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(programs.sources())
def test_verdicts_and_orbits(source: str) -> None:
    program = compile_protocol(generated.load(source).generated, "generated")
    try:
        expected = reference.search(program, STATES_MAX)
    except OverflowError:
        return
    found = search.check(program, reductions="symmetry", workers=1)
    both = search.check(program, reductions="all", workers=1)
    assert (both.verdict, both.violation) == (found.verdict, found.violation)
    if expected.violations:
        assert found.verdict == "violated" and found.violation is not None
        slug = found.violation.property or found.violation.slug
        assert expected.violations[slug] == expected.shortest
        return
    plain = search.check(program, reductions="none", workers=1)
    assert found.verdict == plain.verdict == "holds"
    assert plain.states == expected.states
    assert found.depth == expected.depth
    for reduced in (found, both):
        assert set(reduced.reached) == expected.reached
        assert reduced.never_executed == plain.never_executed
        assert reduced.lock_order == plain.lock_order
    assert found.states == len(representatives(program))


def representatives(program: Program) -> set[Words]:
    """What stands for the states that can be reached, all of which are looked at."""
    layout = Layout.of(program)
    groups = Reductions.of(program, layout, ["symmetry"]).groups
    state = interpreter.initial(program)
    seen = {layout.pack(state)}
    states = [state]
    for state in states:  # grows while it is read
        for process in program.processes:
            for outcome in interpreter.enumerate_steps(
                program, state, process.index, record=False
            ):
                words = layout.pack(outcome.state)
                if outcome.kind == "ok" and words not in seen:
                    seen.add(words)
                    states.append(outcome.state)
    return {representative(groups, words) for words in seen}
