"""A search with reductions against one without."""

from __future__ import annotations

from pagerace.compiler.ir import Program
from pagerace.compiler.layout import Layout
from pagerace.compiler.reductions import Reductions, names_of
from pagerace.search import Result, check


def compare_reductions(program: Program, plain: Result, *, every: bool) -> None:
    """Each reduction shows what ``plain`` shows, the whole search; ``every``: each alone, too.

    One that a program has no use for is the whole search again, and is left out.
    """
    layout = Layout.of(program)
    seen: set[frozenset[str]] = {frozenset()}
    for wanted in ("partial-order", "symmetry", "all") if every else ("all",):
        used = frozenset(Reductions.of(program, layout, names_of(wanted)).figures)
        if used in seen:
            continue
        seen.add(used)
        found = check(program, reductions=wanted)
        assert (found.verdict, found.violation) == (plain.verdict, plain.violation)
        if plain.verdict == "holds":
            assert found.states <= plain.states
            assert found.reached == plain.reached
            assert found.never_executed == plain.never_executed
            assert found.lock_order == plain.lock_order
        else:
            assert found.execution is not None and plain.execution is not None
            assert found.execution.schedule == plain.execution.schedule
