"""Generated protocols: native steps and the native search against the interpreter's."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, seed, settings

from pagerace import search
from pagerace.compiler.layout import Layout
from pagerace.compiler.program import compile_protocol
from pagerace.compiler.reductions import NAMES, Reductions
from tests import generated, reference
from tests.agree.walks import compare_walks

STATES_MAX = 1500
STEPS = 12
PARTS = 8
# All parts together.  A developer sets less, a soak more.
EXAMPLES = int(os.environ.get("PAGERACE_EXAMPLES", "2000"))


@pytest.mark.parametrize("part", range(PARTS))
def test_search_agrees_with_brute_force(part: int) -> None:
    """Each part has programs of its own, the same ones in each run."""
    config = settings(
        max_examples=max(1, EXAMPLES // PARTS),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    config(seed(part)(given(generated.sources())(agree)))()


def agree(source: str) -> None:
    program = compile_protocol(generated.load(source).generated, "generated")
    compare_walks(program, source, 1, STEPS)
    try:
        expected = reference.search(program, STATES_MAX)
    except OverflowError:
        return
    result = search.check(program, workers=1, reductions="none")
    if Reductions.of(program, Layout.of(program), NAMES).figures:
        reduced = search.check(program, workers=1)
        assert (reduced.verdict, reduced.violation) == (result.verdict, result.violation)
        assert reduced.reached == result.reached or result.verdict == "violated"
    if not expected.violations:
        assert result.verdict == "holds"
        assert (result.states, result.seen, result.depth) == (
            expected.states, expected.transitions, expected.depth,
        )  # fmt: skip
        assert set(result.reached) == expected.reached
        return
    assert result.verdict == "violated"
    assert result.execution is not None and result.violation is not None
    assert len(result.execution.steps) == expected.shortest
    slug = result.violation.property or result.violation.slug
    assert expected.violations[slug] == expected.shortest
