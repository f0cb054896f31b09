"""With and without reductions: the same verdicts, and the same executions shown."""

from __future__ import annotations

import pytest

from pagerace import search
from pagerace.compiler.reductions import names_of
from tests.search import samples


def test_names() -> None:
    assert names_of("none") == ()
    assert names_of("all") == ("partial-order", "symmetry")
    assert names_of("symmetry") == ("symmetry",)
    assert names_of(["symmetry", "partial-order"]) == ("partial-order", "symmetry")
    with pytest.raises(ValueError, match="no reduction 'order'"):
        names_of("order")


@pytest.mark.parametrize("name", samples.ALL)
@pytest.mark.parametrize("reductions", ["partial-order", "symmetry", "all"])
def test_the_execution_shown_is_that_without(name: str, reductions: str) -> None:
    plain = search.check(samples.program(name), reductions="none", workers=1)
    found = search.check(samples.program(name), reductions=reductions, workers=1)
    assert found.verdict == plain.verdict
    assert found.violation == plain.violation
    if plain.execution is not None and found.execution is not None:
        assert found.execution.schedule == plain.execution.schedule
        assert found.execution.steps == plain.execution.steps
