"""An execution as the lines of a race diagram, before they are laid out in columns.

Only what touches shared state is told: stores, loads, barriers, notes and returned
values, under the functions in which they happen.  A call that comes down to one thing
is one line: ``spin_lock(ptl)``, ``pte_none(*pte) -> false``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pagerace.report.calls import Call, Moment, moments_of
from pagerace.report.execution import Execution, Process

# Taking or releasing a lock is one line, whatever the lock is made of.
LOCK_FUNCTION = re.compile(r"(^|_)(try|un)?lock(_|$)|^(down|up)_(read|write)")


@dataclass
class Line:
    """One line of a CPU's column; ``depth`` counts calls around it."""

    column: int
    depth: int
    text: str
    step: int
    process: int


def columns_of(execution: Execution) -> list[int]:
    """The CPUs that take a step, in order: one column each."""
    cpus = {execution.processes[step.process].cpu for step in execution.steps}
    return sorted(cpus) or sorted({process.cpu for process in execution.processes})


def tell(execution: Execution, *, verbose: bool = False) -> list[Line]:
    """The lines of the execution in order; ``verbose`` leaves nothing out."""
    return _Teller(execution, verbose).tell()


class _Teller:
    def __init__(self, execution: Execution, verbose: bool) -> None:
        self.execution = execution
        self.verbose = verbose
        self.columns = {cpu: i for i, cpu in enumerate(columns_of(execution))}
        self.moments = moments_of(execution)
        self.shown = [m for m in self.moments if verbose or self._is_news(m)]
        self.lines: list[Line] = []
        self.headed: set[Call] = set()
        self.folded: dict[Call, str] = {} if verbose else self._fold()
        self.last_process: dict[int, int] = {}
        self.thread_depth: dict[int, int] = {}

    def tell(self) -> list[Line]:
        for moment in self.shown:
            self._tell_moment(moment)
        return self.lines

    def _is_news(self, moment: Moment) -> bool:
        """Is this a line that a reader of the race needs?"""
        event = moment.event
        if not event.shared and event.kind in ("load", "store"):
            return False
        if event.kind in ("store", "trace", "fence"):
            return True
        if event.kind == "return":
            return event.new not in ("", "None") and not self._is_known(moment)
        if event.kind == "load":
            return not self._is_part_of_store(moment)
        return False

    def _is_known(self, moment: Moment) -> bool:
        """Does a call return what its last line shows already, as an exchange does?"""
        values = [
            (other.event.old, other.event.new)
            for other in moment.call.moments
            if other.event.kind in ("store", "load")
        ]
        return (
            bool(values) and values[-1][0] != values[-1][1] and moment.event.new in values[-1]
        )

    def _is_part_of_store(self, moment: Moment) -> bool:
        """Is this the load of a read-modify-write, or of something just loaded?"""
        events = self.execution.steps[moment.step].events
        mine = [event for event in events if event.object == moment.event.object]
        loads = [event for event in mine if event.kind == "load"]
        return loads[0] is not moment.event or any(event.kind == "store" for event in mine)

    def _fold(self) -> dict[Call, str]:
        """The calls that are told in one line, and that line."""
        inside: dict[Call, list[Moment]] = {}
        for moment in self.shown:
            for call in moment.call.outward():
                inside.setdefault(call, []).append(moment)
        folded: dict[Call, str] = {}
        for call, moments in inside.items():
            if call.parent is None or len({m.step for m in moments}) != 1:
                continue
            kinds = [m.event.kind for m in moments if m.event.kind != "return"]
            answer = "" if call.returned in (None, "", "None") else f" -> {call.returned}"
            is_lock = LOCK_FUNCTION.search(call.function) and "trace" not in kinds
            if is_lock or (answer and kinds in ([], ["load"])):
                folded[call] = _call_of_lock(call, moments) + answer
        return folded

    def _tell_moment(self, moment: Moment) -> None:
        process = self.execution.processes[moment.process]
        column = self.columns[process.cpu]
        base = self._enter_process(process, column, moment.step)
        for call in reversed(list(moment.call.outward())):
            if call in self.folded:
                if call not in self.headed:
                    self.headed.add(call)
                    self._add(column, base + call.depth, self.folded[call], moment)
                return
            if call in self.headed or (process.agent and call.parent is None):
                continue
            self.headed.add(call)
            self._add(column, base + call.depth, call.title, moment)
        text = describe(moment, self.verbose)
        if text:
            self._add(column, base + moment.call.depth + 1, text, moment)

    def _enter_process(self, process: Process, column: int, step: int) -> int:
        """Head the lines of an agent with its name; returns the depth to add."""
        if not process.agent:
            self.last_process[column] = process.index
            return 0
        depth = self.thread_depth.get(column, 0)
        if self.last_process.get(column) != process.index:
            self.last_process[column] = process.index
            self.lines.append(Line(column, depth, f"<{process.name}>", step, process.index))
        return depth

    def _add(self, column: int, depth: int, text: str, moment: Moment) -> None:
        self.lines.append(Line(column, depth, text, moment.step, moment.process))
        if not self.execution.processes[moment.process].agent:
            heading = moment.call in self.headed and text == moment.call.title
            self.thread_depth[column] = depth + 1 if heading else depth


def _call_of_lock(call: Call, moments: list[Moment]) -> str:
    """The call as shown; one without arguments is told what it locks."""
    objects = [m.event.object for m in moments if "." in m.event.object]
    if call.title != f"{call.function}()" or not objects:
        return call.title
    return f"{call.function}({objects[0].rpartition('.')[0]})"


def describe(moment: Moment, verbose: bool = False) -> str:
    """What one event says.  Empty for an event that only a heading tells."""
    event = moment.event
    match event.kind:
        case "store":
            if event.old == event.new:
                return f"{event.object} = {event.new} (unchanged)"
            return f"{event.object}: {event.old} -> {event.new}"
        case "load":
            return f"{event.object} == {event.new or event.old}"
        case "trace":
            return f"// {event.text}"
        case "fence":
            return f"smp_{event.text.removeprefix('smp_').removesuffix('()')}()"
        case "return":
            return f"return {event.new}".rstrip()
        case "choose":
            return f"choose({event.old}) -> {event.new}"
        case "wait":
            return f"wait_until({event.text or '...'})"
        case "check":
            return f"assert {event.text}" if verbose and event.text else ""
        case "lock":
            return f"// lock order: {event.text}"
        case _:
            return ""
