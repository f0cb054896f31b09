"""Executions run in the interpreter, and turned into the document that is shown.

The interpreter is the definition of the language, so what it says happened is what
happened.  An execution that native code found is compared with it state by state.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pagerace.compiler import interpreter, ir, show
from pagerace.compiler.interpreter import Outcome, State
from pagerace.compiler.ir import Program
from pagerace.compiler.layout import Layout
from pagerace.compiler.state import Event
from pagerace.report import execution as document
from pagerace.search.schedule import Group, ScheduleError
from pagerace.search.trace import Move

EXPECTED = {1: "blocked", 2: "finished", 3: "failed", 4: "endless"}


class Mismatch(AssertionError):
    """Native code and the interpreter disagree: a bug in pagerace."""


@dataclass
class Run:
    """Steps run one after another: who took each, and what the interpreter says of it.

    ``starts`` are the outcomes of the local work before each process's first point.
    """

    program: Program
    starts: list[Outcome]
    moves: list[tuple[int, list[int]]] = field(default_factory=list[tuple[int, list[int]]])
    outcomes: list[Outcome] = field(default_factory=list[Outcome])

    @staticmethod
    def of(program: Program) -> Run:
        return Run(program, interpreter.starts(program))

    @property
    def state(self) -> State:
        """The state after the last step."""
        if self.outcomes:
            return self.outcomes[-1].state
        return self.starts[-1].state

    def take(self, process: int, choices: Sequence[int]) -> Outcome:
        """Run one more step; it is kept unless it is not possible."""
        outcome = interpreter.step(self.program, self.state, process, choices)
        if outcome.kind not in ("blocked", "finished"):
            self.moves.append((process, list(outcome.choices)))
            self.outcomes.append(outcome)
        return outcome

    def end_where_taken(self, pairs: dict[int, int]) -> None:
        """Forget what comes after the first step that takes a lock of ``pairs``.

        That is, while it holds one of the lock's mask.  If there is no such step, somebody
        waits for the lock in the end.
        """
        for number, outcome in enumerate(self.outcomes, 1):
            if any(held & pairs.get(lock, 0) for lock, held in outcome.locks):
                del self.moves[number:], self.outcomes[number:]
                return


def replay_moves(program: Program, layout: Layout, moves: Sequence[Move]) -> Run:
    """Run what a search found.  Raises Mismatch at the first difference."""
    run = Run.of(program)
    for number, move in enumerate(moves, 1):
        outcome = run.take(move.process, move.choices)
        name = program.processes[move.process].name
        expected = EXPECTED.get(move.outcome, "ok")
        if outcome.kind != expected:
            raise Mismatch(
                f"step {number} of {len(moves)} ({name}): native code says {expected}, "
                f"the interpreter {outcome.kind}"
            )
        if expected == "ok" and outcome.choices != list(move.choices):
            raise Mismatch(
                f"step {number} of {len(moves)} ({name}): native code chose "
                f"{list(move.choices)}, the interpreter {outcome.choices}"
            )
        if move.words and layout.pack(outcome.state) != move.words:
            raise Mismatch(
                f"step {number} of {len(moves)} ({name}): the states differ: "
                + _difference(program, layout.unpack(move.words), outcome.state)
            )
    return run


def _difference(program: Program, native: State, interpreted: State) -> str:
    """The first few parts of two states that are not the same."""
    found: list[str] = []
    for family, mine, theirs in zip(
        program.families, interpreted.memory, native.memory, strict=True
    ):
        for name, a, b in zip(family.names, mine, theirs, strict=True):
            if a != b:
                found.append(f"{name} is {a}, native {b}")
    for process in program.processes:
        i = process.index
        if interpreted.pc[i] != native.pc[i]:
            found.append(f"{process.name} is at point {interpreted.pc[i]}, "
                         f"native {native.pc[i]}")  # fmt: skip
        elif interpreted.locals[i] != native.locals[i]:
            found.append(f"locals of {process.name} are {interpreted.locals[i]}, "
                         f"native {native.locals[i]}")  # fmt: skip
    return "; ".join(found[:4]) or "in bits that are not used"


def take_groups(run: Run, groups: Sequence[Group]) -> Iterator[Outcome]:
    """Run a schedule; gives the outcome of each step, the last one if it fails.

    Raises ScheduleError, with the number of the step, where the schedule does not fit.
    """
    program = run.program
    for group in groups:
        choices = list(group.choices)
        label = program.processes[group.process].label
        for _ in range(group.steps):
            number = len(run.moves) + 1
            try:
                outcome = run.take(group.process, choices)
            except ValueError as error:
                raise ScheduleError(f"step {number} ({label}): {error}", number) from None
            if outcome.kind in ("blocked", "finished"):
                raise ScheduleError(_why_not(outcome, number, label), number)
            del choices[: len(outcome.choices)]
            yield outcome
            if outcome.kind != "ok":
                return
        if choices:
            number = len(run.moves)
            left = "".join(f"?{choice}" for choice in choices)
            raise ScheduleError(f"step {number} ({label}): nothing is chosen by {left}", number)


def _why_not(outcome: Outcome, number: int, name: str) -> str:
    if outcome.kind == "finished":
        return f"step {number} ({name}): the process has returned, it has no step left"
    waits = [event for event in outcome.events if event.kind == "wait"]
    if waits:
        where = waits[-1].where
        place = f"{os.path.basename(where.file)}:{where.line}"
        return f"step {number} ({name}): it waits at {place}"
    return f"step {number} ({name}): it has nothing to choose from"


# -- the document ----------------------------------------------------------------


def processes_of(program: Program) -> list[document.Process]:
    """Threads and agents as the document names them."""
    return [
        document.Process(p.index, p.name, p.label, p.cpu, p.agent) for p in program.processes
    ]


def steps_of(run: Run) -> list[document.Step]:
    """The steps of a run with all their events.

    What a process did before its first point is told with its first step.
    """
    objects = show.object_names(run.program)
    pending = {process: list(outcome.events) for process, outcome in enumerate(run.starts)}
    steps: list[document.Step] = []
    for (process, choices), outcome in zip(run.moves, run.outcomes, strict=True):
        events = pending.pop(process, []) + outcome.events
        steps.append(document.Step(process, choices, [shown(e, objects) for e in events]))
    return steps


def shown(event: Event, objects: dict[str, list[str]]) -> document.Event:
    """An event with its values as a reader wants them."""

    def value(bits: int | None) -> str:
        return "" if bits is None else show.value(event.type, bits, objects)

    old, new, text = value(event.old), value(event.new), event.text
    if event.kind == "wait":
        old, new = "", ""
    elif event.kind == "lock":
        old, new, text = "", "", event.object
    elif event.kind in ("load", "store"):
        text = "" if text == "plain" else text
    return document.Event(
        event.kind, where_of(event.where), event.object, old, new, text, event.shared
    )


def where_of(where: ir.Where) -> document.Where:
    """A place with the calls that led there, outermost first."""
    frames: list[document.Frame] = []
    caller = where.caller
    while caller is not None:
        frames.append(document.Frame(caller.function, caller.file, caller.line))
        caller = caller.caller
    return document.Where(
        where.file, where.line, where.column, where.end_column, where.function, frames[::-1]
    )
