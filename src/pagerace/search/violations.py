"""What an execution ends in, found out from its end alone and with the interpreter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pagerace.compiler import interpreter
from pagerace.compiler.interpreter import EndlessLoop, NotPossible, State
from pagerace.compiler.ir import Check, Program, Property, Where
from pagerace.compiler.state import Event
from pagerace.report.execution import Violation
from pagerace.search.replay import Run


@dataclass(frozen=True)
class Waiting:
    """A process that cannot go on: ``process``, where its wait stands, what it looks at."""

    process: int
    where: Where
    objects: tuple[str, ...] = ()


def violation_of(run: Run) -> Violation | None:
    """What the last step, or the state after it, violates.

    A failed check, a property, or a deadlock, whichever comes first in this order;
    None if it is nothing of these.
    """
    last = run.outcomes[-1] if run.outcomes else None
    if last is not None and last.check is not None:
        return _of_check(last.check)
    if last is not None and last.kind == "endless":
        where = _last_where(last.events)
        return _at(where, "endless-loop", "")
    found = violated_property(run.program, run.state)
    if found is not None:
        return found
    if is_deadlock(run.program, run.state):
        return deadlock_of(run.program, run.state)
    return None


def violated_property(program: Program, state: State) -> Violation | None:
    """The first property that does not hold in a state."""
    done = interpreter.threads_done(program, state)
    for item in program.properties:
        if item.kind == "at_end" and not done:
            continue
        try:
            holds = interpreter.evaluate(program, item, state)
        except (NotPossible, EndlessLoop):
            holds = item.kind == "sometimes"
        if isinstance(holds, Check):
            return _of_property(program, state, item, holds)
        if not holds and item.kind != "sometimes":
            return _of_property(program, state, item, None)
    return None


def is_deadlock(program: Program, state: State) -> bool:
    """Can nobody go on although threads have not returned?"""
    if interpreter.threads_done(program, state):
        return False
    for process in program.processes:
        for outcome in interpreter.enumerate_steps(
            program, state, process.index, record=False
        ):
            if outcome.kind not in ("blocked", "finished"):
                return False
    return True


def deadlock_of(program: Program, state: State) -> Violation:
    """The violation, at the place where the first thread waits."""
    waiting = waiting_in(program, state)
    found = _at(waiting[0].where if waiting else None, "deadlock", "")
    return replace(found, watched=[name for w in waiting for name in w.objects])


def livelock_of(run: Run) -> Violation:
    """The violation, at the last thing that happened."""
    events = run.outcomes[-1].events if run.outcomes else []
    return _at(_last_where(events), "livelock", "")


def waiting_in(program: Program, state: State) -> list[Waiting]:
    """The threads that have not returned, and where each would go on."""
    found: list[Waiting] = []
    for process in program.processes:
        pc = state.pc[process.index]
        if process.agent or pc == len(process.points):
            continue
        outcome = interpreter.step(program, state, process.index)
        waits = [event.where for event in outcome.events if event.kind == "wait"]
        point = process.code.blocks[process.points[pc]].point
        if waits:
            loads = tuple(e.object for e in outcome.events if e.kind == "load")
            found.append(Waiting(process.index, waits[-1], loads))
        elif point is not None:
            found.append(Waiting(process.index, point.where))
    return found


def lock_order_of(run: Run, cycle: Sequence[int]) -> Violation:
    """The violation of a step that took a lock in the wrong order."""
    names = [lock_name(run.program, lock) for lock in cycle]
    order = " -> ".join([*names, names[0]])
    events = run.outcomes[-1].events
    where = next((e.where for e in reversed(events) if e.kind == "lock"), None)
    return _at(where or _last_where(events), "lock-order-inversion", order)


def lock_name(program: Program, lock: int) -> str:
    """The name of a lock class."""
    return program.lock_names[lock] if lock < len(program.lock_names) else f"lock {lock}"


def _of_check(check: Check) -> Violation:
    return _at(check.where, check.slug, check.text)


def _of_property(
    program: Program, state: State, item: Property, check: Check | None
) -> Violation:
    """A detector that is written as a property goes by its slug."""
    watched = interpreter.cells_read(program, item, state)
    if check is not None and check.slug == item.name:
        return replace(_at(check.where, item.name, check.text), watched=watched)
    where, text = item.where, check.text if check is not None else ""
    slug = item.name.replace("_", "-")
    return Violation(
        slug, item.name, text, where.file, where.line, where.column, watched=watched
    )


def _at(where: Where | None, slug: str, text: str) -> Violation:
    if where is None:
        return Violation(slug, "", text)
    return Violation(slug, "", text, where.file, where.line, where.column)


def _last_where(events: Sequence[Event]) -> Where | None:
    return events[-1].where if events else None
