"""An execution as the lines of a race diagram, before they are laid out in columns.

Accesses, barriers, notes and what a thread returns stand under the functions in which
they happen.
A call that comes down to one thing is one line: ``spin_lock(ptl)``,
``folio_mapped(folio) -> false``.  A function that only calls another is left out.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field

from pagerace.report.calls import Call, Moment, moments_of
from pagerace.report.execution import Event, Execution, Process
from pagerace.report.names import Names
from pagerace.report.relevance import ALLOCATED, LOCK_FUNCTION, relevant

TRUTH = {"true", "false"}
MUCH = 4  # steps: what a function does that is not said by one of them


@dataclass
class Line:
    """One line of the column of ``cpu``; ``depth`` counts the functions around it.

    ``texts`` say the same, each shorter than the one before.
    """

    cpu: int
    depth: int
    texts: list[str]
    step: int
    process: int

    @property
    def text(self) -> str:
        """The line where there is room for all of it."""
        return self.texts[0]


@dataclass
class Shape:
    """How the calls are told.

    ``folded``: calls of one line.  ``silent``: calls without a heading of their own.
    """

    folded: dict[Call, str] = field(default_factory=dict[Call, str])
    silent: set[Call] = field(default_factory=set[Call])

    def depth(self, call: Call) -> int:
        """How many headings are around the lines of ``call``."""
        return sum(outer not in self.silent for outer in call.outward())


def cpus_of(execution: Execution, lines: Sequence[Line]) -> list[int]:
    """The CPUs of which something is told, in order: one column each."""
    cpus = {execution.processes[line.process].cpu for line in lines}
    return sorted(cpus) or sorted({process.cpu for process in execution.processes})


def tell(execution: Execution, *, verbose: bool = False) -> list[Line]:
    """The lines of the execution in order; ``verbose`` leaves nothing out."""
    moments = moments_of(execution)
    shown = moments
    if not verbose:
        kept = relevant(execution, moments)
        shown = [moment for number, moment in enumerate(moments) if number in kept]
    watched = execution.violation.watched if execution.violation else []
    shape = Shape() if verbose else _Shaper(shown, moments, watched).shape()
    return _Teller(execution, shown, shape, verbose).tell()


class _Shaper:
    """Finds out how calls are told: ``of_all`` are the moments of ``execution``."""

    def __init__(
        self, shown: Sequence[Moment], of_all: Sequence[Moment], watched: Container[str]
    ) -> None:
        self.watched = watched
        self.inside: dict[Call, list[Moment]] = {}
        self.parts: dict[Call, list[Call | Moment]] = {}
        for moment in shown:
            for call in moment.call.outward():
                self.inside.setdefault(call, []).append(moment)
        for call in self.inside:
            self.parts.setdefault(call, []).extend(
                m for m in self.inside[call] if m.call is call
            )
            if call.parent is not None:
                self.parts.setdefault(call.parent, []).append(call)
        self.accesses: dict[Call, list[Moment]] = {}  # shown or not
        for moment in of_all:
            if moment.event.kind in ("load", "store") and moment.event.shared:
                for call in moment.call.outward():
                    self.accesses.setdefault(call, []).append(moment)

    def shape(self) -> Shape:
        """Fold the calls that are one thing, and silence those that only call another."""
        shape = Shape()
        for call in self.inside:
            if call.parent is not None and (line := self.one_line(call)):
                shape.folded[call] = line
        for call in self.inside:
            if call.parent is not None and self._is_silent(call, shape):
                shape.silent.add(call)
        for call in self.inside:
            # The function of a thread that only calls the one that matters.
            if call.parent is None and isinstance(inner := self._only_part(call), Call):
                if len(self.parts[inner]) > 1 and self._branches(inner):
                    shape.silent.add(call)
        self._tell_apart(shape)
        return shape

    def _tell_apart(self, shape: Shape) -> None:
        """Name the lock where calls that read the same take different ones."""
        locks = {call: name for call in shape.folded if (name := self._lock_of(call))}
        taken: dict[str, set[str]] = {}
        for call, name in locks.items():
            taken.setdefault(call.title, set()).add(name)
        for call, name in locks.items():
            if len(taken[call.title]) > 1:
                answer = shape.folded[call].partition(" -> ")[2]
                told = f"{call.function}({name})"
                shape.folded[call] = f"{told} -> {answer}" if answer else told

    def _lock_of(self, call: Call) -> str:
        """The structure of which a lock function changes a field; "" for another call."""
        if not LOCK_FUNCTION.search(call.function):
            return ""
        objects = [m.event.object for m in self.inside[call] if "." in m.event.object]
        return objects[0].rpartition(".")[0] if objects else ""

    def one_line(self, call: Call) -> str:
        """The call as one line, or "" where it takes more."""
        moments = self.inside[call]
        if len({moment.step for moment in moments}) != 1:
            return ""
        kinds = [moment.event.kind for moment in moments]
        if LOCK_FUNCTION.search(call.function) and "trace" not in kinds:
            tried = f" -> {call.returned}" if "try" in call.function and call.returned else ""
            return _named_lock(call, moments) + tried
        within = [part for part in self.parts[call] if isinstance(part, Call)]
        if kinds == ["load"]:
            # A question: of functions that ask on, the innermost says best what it is.
            asks = call.returned in TRUTH and all(c.returned not in TRUTH for c in within)
            if not asks or len(self.accesses.get(call, [])) > 1:
                return ""
            return f"{call.title} -> {call.returned}"
        event = moments[0].event
        is_flag = kinds == ["store"] and not within and {event.old, event.new} == TRUTH
        return call.title if is_flag and event.object not in self.watched else ""

    def _is_silent(self, call: Call, shape: Shape) -> bool:
        """Is this a link of a chain of calls that needs no heading?

        A chain ends where more than one call is told inside, or in what happens.  In the
        first case its last function is told.  In the second it is the outermost, whose
        name people know; and another if that one does much more than what is told.
        """
        first = self._first_of_chain(call)
        end = self._end_of_chain(call)
        if call in shape.folded:
            return False
        if self._branches(end):
            return call is not end
        if call is first or first.parent is None or end in shape.folded:
            return call is not first
        much = len({m.step for m in self.accesses.get(first, ())}) > MUCH
        return not much or call is not self._only_about_it(first)

    def _only_about_it(self, first: Call) -> Call:
        """The outermost call of a chain that does nothing but what is told of it."""
        told = {moment.step for moment in self.inside[first]}
        call = first
        while isinstance(inner := self._only_part(call), Call):
            call = inner
            if {m.step for m in self.accesses.get(call, ())} <= told:
                break
        return call

    def _only_part(self, call: Call) -> Call | Moment | None:
        return self.parts[call][0] if len(self.parts[call]) == 1 else None

    def _branches(self, call: Call) -> bool:
        """Is more than one thing told inside, and one of them a call?"""
        parts = self.parts[call]
        return len(parts) > 1 and any(isinstance(part, Call) for part in parts)

    def _first_of_chain(self, call: Call) -> Call:
        while (parent := call.parent) is not None and self._only_part(parent) is call:
            if parent.parent is None:
                break
            call = parent
        return call

    def _end_of_chain(self, call: Call) -> Call:
        while isinstance(inner := self._only_part(call), Call):
            call = inner
        return call


def _named_lock(call: Call, moments: list[Moment]) -> str:
    """The call as shown; one without arguments is told what it locks."""
    objects = [m.event.object for m in moments if "." in m.event.object]
    if call.title != f"{call.function}()" or not objects:
        return call.title
    return f"{call.function}({objects[0].rpartition('.')[0]})"


class _Teller:
    """Puts the lines in order, with headings where functions are entered."""

    def __init__(
        self, execution: Execution, shown: list[Moment], shape: Shape, verbose: bool
    ) -> None:
        self.execution, self.shown, self.shape = execution, shown, shape
        self.verbose = verbose
        objects = (e.object for step in execution.steps for e in step.events)
        self.names = Names(objects, short=not verbose)
        self.lines: list[Line] = []
        self.headed: set[Call] = set()
        self.last_process: dict[int, int] = {}
        self.thread_depth: dict[int, int] = {}
        self.entered: set[int] = set()

    def tell(self) -> list[Line]:
        for moment in self.shown:
            self._tell_moment(moment)
        return self.lines

    def _tell_moment(self, moment: Moment) -> None:
        process = self.execution.processes[moment.process]
        base = self._enter_process(process, moment.step)
        for call in reversed(list(moment.call.outward())):
            depth = base + self.shape.depth(call) - 1
            if call in self.shape.folded:
                if call not in self.headed:
                    self.headed.add(call)
                    self._add(depth, _call_texts(self.shape.folded[call]), moment)
                return
            is_agent_itself = process.agent and call.parent is None
            if call in self.headed or call in self.shape.silent or is_agent_itself:
                continue
            self.headed.add(call)
            self._add(depth, _call_texts(call.title), moment, inside=1)
        texts = describe(moment.event, self.names)
        if texts:
            self._add(base + self.shape.depth(moment.call), texts, moment)

    def _enter_process(self, process: Process, step: int) -> int:
        """Head the lines of an agent with its name; returns the depth to add.

        So are those of a thread that goes on where others run on the same CPU.
        """
        cpu = process.cpu
        depth = self.thread_depth.get(cpu, 0) if process.agent else 0
        changed = self.last_process.get(cpu) != process.index
        self.last_process[cpu] = process.index
        name = process.name if process.agent else self._goes_on(process)
        if changed and name:
            self.lines.append(Line(cpu, depth, [f"<{name}>"], step, process.index))
        self.entered.add(process.index)
        return depth

    def _goes_on(self, process: Process) -> str:
        """The thread's name where its CPU has several, unless its function says it."""
        others = (p for p in self.execution.processes if p.cpu == process.cpu and not p.agent)
        if sum(1 for _ in others) == 1:
            return ""
        name = process.label.partition(".")[2] or process.name
        return name if process.index in self.entered or name != process.name else ""

    def _add(self, depth: int, texts: list[str], moment: Moment, inside: int = 0) -> None:
        process = self.execution.processes[moment.process]
        self.lines.append(Line(process.cpu, depth, texts, moment.step, moment.process))
        if not process.agent:
            self.thread_depth[process.cpu] = depth + inside


def _call_texts(text: str) -> list[str]:
    """A call, and without its arguments: the function's name says enough."""
    head, bracket, tail = text.partition("(")
    if not bracket or not head.isidentifier() or tail.startswith(")"):
        return [text]
    return [text, f"{head}(){tail.rpartition(')')[2]}"]


def describe(event: Event, names: Names) -> list[str]:
    """What one event says, each form shorter; empty for what only a heading tells."""
    match event.kind:
        case "store" | "load":
            return _access(event, names)
        case "trace":
            return [f"// {event.text}"]
        case "fence":
            return [f"smp_{event.text.removeprefix('smp_').removesuffix('()')}()"]
        case "return":
            return [f"return {event.new}".rstrip()]
        case "choose":
            return [f"choose({event.text.removeprefix('of ')}) -> {event.new}"]
        case "wait":
            return [f"wait_until({event.text or '...'})"]
        case "check":
            if event.object in ("", "assert"):
                return [f"fails: {event.text}".rstrip(": ")]
            slug = event.object.replace("-", " ")
            return [f"{slug}: {event.text}" if event.text else slug]
        case "lock":
            return [f"// lock order: {event.text}"]
        case _:
            return []


def _access(event: Event, names: Names) -> list[str]:
    if event.object.endswith(ALLOCATED):
        if event.kind == "store":
            verb = "is allocated" if event.new == "true" else "is freed"
        else:  # a look whether it may be used
            verb = "is allocated" if event.new == "true" else "is not allocated"
        return [f"{event.object.removesuffix(ALLOCATED)} {verb}"]
    if event.kind == "load":
        return [f"{name} == {event.new or event.old}" for name in names.of(event.object)]
    if event.old == event.new:
        return [f"{name} = {event.new} (unchanged)" for name in names.of(event.object)]
    return [f"{name}: {event.old} -> {event.new}" for name in names.of(event.object)]
