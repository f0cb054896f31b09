"""The loops of the search: when they are compiled."""

from __future__ import annotations

import pytest

from pagerace.compiler.layout import Layout
from pagerace.search import loops
from tests.search import samples


def test_the_way_back_is_compiled_when_it_is_needed() -> None:
    program = samples.program("locked")
    made = loops.native_loops(program, Layout.of(program))
    assert "run" in vars(made)
    assert "mark_level" not in vars(made)
    assert made.mark_level is vars(made)["mark_level"]
    assert {entry.__name__ for entry in loops.ENTRIES} <= vars(made).keys()
    with pytest.raises(AttributeError, match="no_loop"):
        made.no_loop  # pyright: ignore  # noqa: B018
