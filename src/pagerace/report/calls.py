"""The calls of an execution: which function each event is in, and which call of it.

An event knows the names of the functions around it.  Two calls of one function look
the same there, so calls are followed event by event, with the help of "call" and
"return" events.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from pagerace.report.execution import Event, Execution


@dataclass(eq=False)
class Call:
    """One call in progress.  ``title`` is the call as shown, ``site`` the caller's line.

    ``steps`` are the numbers of the steps in which something happened inside.
    """

    function: str
    title: str
    parent: Call | None
    site: int = 0
    moments: list[Moment] = field(default_factory=list["Moment"])
    steps: set[int] = field(default_factory=set[int])
    returned: str | None = None

    @property
    def depth(self) -> int:
        """How many calls are around this one."""
        return 0 if self.parent is None else self.parent.depth + 1

    def outward(self) -> Iterator[Call]:
        """This call, its caller, and so on."""
        call: Call | None = self
        while call is not None:
            yield call
            call = call.parent


@dataclass(eq=False)
class Moment:
    """An event with its place in the execution."""

    event: Event
    step: int
    process: int
    call: Call


def moments_of(execution: Execution) -> list[Moment]:
    """Every event of the execution in order, each with the call that it is in."""
    trackers = [_Tracker(process.index) for process in execution.processes]
    moments: list[Moment] = []
    for number, step in enumerate(execution.steps):
        for event in step.events:
            moments.append(trackers[step.process].follow(event, number))
    return moments


class _Tracker:
    """The calls that one process is in."""

    def __init__(self, process: int) -> None:
        self.process = process
        self.open: list[Call] = []

    def follow(self, event: Event, step: int) -> Moment:
        """Enter and leave calls until the event's place is reached."""
        path = _path(event)
        if event.kind == "call":
            name = event.text.split("(", 1)[0].strip()
            if path[-1][0] != name or len(path) == 1:
                self._reach(path if path[-1][0] != name else [])
                self._enter(name, event.text, event.where.line)
            else:
                self._reach(path[:-1])
                self._enter(name, event.text, path[-1][1])
        else:
            self._reach(path)
        call = self.open[-1]
        moment = Moment(event, step, self.process, call)
        for outer in call.outward():
            outer.steps.add(step)
        call.moments.append(moment)
        if event.kind == "return":
            call.returned = event.new
            self.open.pop()
        return moment

    def _reach(self, path: list[tuple[str, int]]) -> None:
        common = 0
        for call, (function, site) in zip(self.open, path, strict=False):
            if call.function != function or (call.site and site and call.site != site):
                break
            common += 1
        del self.open[common:]
        for function, site in path[common:]:
            self._enter(function, "", site)

    def _enter(self, function: str, title: str, site: int) -> None:
        if not title:
            title = f"{function}()"
        elif "(" not in title:
            title += "()"
        parent = self.open[-1] if self.open else None
        self.open.append(Call(function, title, parent, site))


def _path(event: Event) -> list[tuple[str, int]]:
    """The functions around an event, outermost first, each with its caller's line."""
    path: list[tuple[str, int]] = []
    site = 0
    for frame in event.where.stack:
        path.append((frame.function, site))
        site = frame.line
    path.append((event.where.function, site))
    return path
