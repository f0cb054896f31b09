"""The events of a run that its diagram tells, and the question that a load answers."""

from __future__ import annotations

from pagerace.compiler.state import Event
from pagerace.report.calls import Moment, moments_of
from pagerace.report.execution import Claim, Execution, Violation
from pagerace.report.relevance import relevant
from pagerace.search.replay import Run, processes_of, steps_of


class Telling:
    """``moments`` are those that the diagram tells, with the events that they came from."""

    def __init__(self, run: Run, violation: Violation) -> None:
        execution = Execution(
            Claim(run.program.name, run.program.file), "violated",
            processes_of(run.program), steps_of(run), violation,
        )  # fmt: skip
        moments = moments_of(execution)
        events = _events(run)
        assert len(events) == len(moments)
        kept = relevant(execution, moments)
        self._moments = {id(events[i]): moments[i] for i in kept}
        self._loads: dict[int, int] = {}  # accesses inside, by call
        for moment in moments:
            if moment.event.kind in ("load", "store"):
                for call in moment.call.outward():
                    self._loads[id(call)] = self._loads.get(id(call), 0) + 1

    def tells(self, event: Event) -> bool:
        """Is the event in the diagram?"""
        return id(event) in self._moments

    def question(self, event: Event) -> tuple[str, str]:
        """``folio_mapped()`` and ``false``: the call that does nothing but ask for a load.

        Empty if there is none.
        """
        moment: Moment | None = self._moments.get(id(event))
        if moment is not None:
            for call in moment.call.outward():
                if self._loads[id(call)] > 1:
                    break
                if call.returned in ("true", "false"):
                    return f"{call.function}()", call.returned
        return "", ""


def _events(run: Run) -> list[Event]:
    """All events in the order of the document."""
    pending = {process: list(outcome.events) for process, outcome in enumerate(run.starts)}
    events: list[Event] = []
    for (process, _), outcome in zip(run.moves, run.outcomes, strict=True):
        events += [*pending.pop(process, []), *outcome.events]
    return events
