"""Generated protocols: the native search against brute force in the interpreter."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, given, settings

from pagerace import search
from pagerace.compiler.program import compile_protocol
from tests import generated, reference

STATES_MAX = 1500
# CI raises it; a developer's run stays short.
EXAMPLES = int(os.environ.get("PAGERACE_EXAMPLES", "200"))


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(generated.sources())
def test_search_agrees_with_brute_force(source: str) -> None:
    program = compile_protocol(generated.load(source).generated, "generated")
    try:
        expected = reference.search(program, STATES_MAX)
    except OverflowError:
        return
    result = search.check(program, workers=1)
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
