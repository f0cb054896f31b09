"""``reproduce``: one interleaving, given as a schedule, run in the interpreter."""

from __future__ import annotations

from pagerace.compiler import interpreter
from pagerace.compiler.ir import Program
from pagerace.compiler.layout import Layout
from pagerace.report.execution import Execution, Violation
from pagerace.search import violations
from pagerace.search.checker import check, execution_of
from pagerace.search.explain import Explainer
from pagerace.search.loops import interpreted_loops
from pagerace.search.replay import Run, take_groups
from pagerace.search.schedule import format as format_schedule
from pagerace.search.schedule import parse

# For what a single execution cannot tell: livelock, locks taken elsewhere.
SEARCH_STATES, SEARCH_SECONDS = 500_000, 2.0


def reproduce(program: Program, schedule: str, *, searches: bool = True) -> Execution:
    """Run a schedule; it ends early where a step fails or a property is violated.

    Without ``searches`` nothing is looked for that a single execution does not show.
    Raises ScheduleError, whose ``step`` is the first that does not fit.
    """
    groups = parse(schedule, program.processes)
    run = Run.of(program)
    violation = violations.violated_property(program, run.state)
    if violation is None:
        for outcome in take_groups(run, groups):
            if outcome.kind != "ok" or violations.violated_property(program, outcome.state):
                break
        violation = violations.violation_of(run)
        if violation is None and searches:
            violation = _found_by_search(run)
    layout = Layout.of(program)
    explainer = Explainer(program, layout, interpreted_loops(program, layout))
    return execution_of(run, violation, explainer)


def _found_by_search(run: Run) -> Violation | None:
    """What a search, if it shows this very execution, says of it."""
    program = run.program
    if not program.locks and interpreter.threads_done(program, run.state):
        return None
    result = check(
        program, states_max=SEARCH_STATES, time_max=SEARCH_SECONDS, reductions="none"
    )
    execution = result.execution
    if execution is None or execution.schedule != format_schedule(run.moves, program.processes):
        return None
    return result.violation
