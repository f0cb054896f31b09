"""What the IR means.  TRUSTED: this file and ``ops.py`` define the language.

Native code is an optimisation of what stands here.  The two are compared on every
protocol and on generated programs, and each execution is replayed here before anybody
sees it.  Standard library only.

A step runs one process from its point to the next one.  A register that was never
written is 0.  After a step only registers live at the new point are kept, so that
equal states are equal.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pagerace.compiler import ir, ops, show
from pagerace.compiler.ir import NONE, Check, Code, Program, Where
from pagerace.compiler.state import Event, EventKind, Outcome, State

BLOCKS_MAX = 1_000_000  # executed in one step; a step of more is an endless loop


class CheckFailed(Exception):
    """A Check failed where no step could report it: in set-up or in plain code."""

    def __init__(self, check: Check) -> None:
        super().__init__(check.slug)
        self.check = check


class NotPossible(Exception):
    """A Wait does not hold, or there is nothing to choose.  ``where`` it stands."""

    def __init__(self, where: Where) -> None:
        super().__init__(f"{where.file}:{where.line}")
        self.where = where


class EndlessLoop(Exception):
    """More than BLOCKS_MAX blocks were executed without a point.

    ``where`` about, if the loop has an instruction at all; ``process`` whose it is, if any.
    """

    def __init__(self, where: Where | None, process: int | None = None) -> None:
        super().__init__(f"more than {BLOCKS_MAX:,} blocks")
        self.where, self.process = where, process


def initial(program: Program) -> State:
    """The state before the first step.

    Each process has done its local work up to its first point.  Raises CheckFailed or
    EndlessLoop if it cannot.
    """
    outcomes = starts(program)
    memory = [list(family.initial) for family in program.families]
    return outcomes[-1].state if outcomes else State(memory, [], [], [])


def starts(program: Program) -> list[Outcome]:
    """What each process does up to its first point, in the order of their numbers."""
    processes = program.processes
    state = State(
        [list(family.initial) for family in program.families],
        [len(process.points) for process in processes],
        [{} for _ in processes],
        [{} for _ in processes],
    )
    outcomes: list[Outcome] = []
    for process in processes:
        outcome = _run_process(program, state, process, None, (), record=True)
        if outcome.check is not None:
            raise CheckFailed(outcome.check)
        if outcome.kind == "endless":
            raise EndlessLoop(_first_where(process.code), process.index)
        state = outcome.state
        outcomes.append(outcome)
    return outcomes


def step(
    program: Program,
    state: State,
    process_index: int,
    choices: Sequence[int] = (),
    *,
    record: bool = True,
) -> Outcome:
    """Run a process from its point to the next one; ``state`` is not changed.

    Data choices beyond those given are 0.  Raises ValueError for one that is not
    possible.  ``record=False`` leaves ``events`` empty, for speed.
    """
    process = program.processes[process_index]
    pc = state.pc[process_index]
    if pc == len(process.points):
        return Outcome("finished", state)
    return _run_process(program, state, process, process.points[pc], choices, record=record)


def enumerate_steps(
    program: Program, state: State, process_index: int, *, record: bool = True
) -> Iterator[Outcome]:
    """A step with all its data choices in increasing order, the last one fastest.

    Choices with which the step is blocked are among them.
    """
    choices: list[int] | None = []
    while choices is not None:
        outcome = step(program, state, process_index, choices, record=record)
        yield outcome
        choices = _next_choices(outcome)


def _next_choices(outcome: Outcome) -> list[int] | None:
    """The choices after those of ``outcome``, or None after the last."""
    for i in reversed(range(len(outcome.choices))):
        if outcome.choices[i] + 1 < outcome.radices[i]:
            return [*outcome.choices[:i], outcome.choices[i] + 1]
    return None


def threads_done(program: Program, state: State) -> bool:
    """Have all threads returned?  Agents need not."""
    return all(
        process.agent or state.pc[process.index] == len(process.points)
        for process in program.processes
    )


def evaluate(program: Program, property: ir.Property, state: State) -> bool | Check:
    """Does the property hold in this state?  A Check that failed in it is returned.

    The parameter of a property, where it has one, is whether all threads are done.
    Raises NotPossible and EndlessLoop.
    """
    done = int(threads_done(program, state))
    memory = [cells.copy() for cells in state.memory]
    try:
        args = [done for _ in property.code.parameters]
        return bool(run_code(program, property.code, memory, args))
    except CheckFailed as failure:
        return failure.check


def cells_read(program: Program, property: ir.Property, state: State) -> list[str]:
    """The cells that a property reads in this state, in order, each once."""
    parameters = [register.number for register in property.code.parameters]
    values: dict[int, Any] = dict.fromkeys(parameters, int(threads_done(program, state)))
    run = _Run(program, property.code, list(state.memory), values, record=True)
    # Where it fails, what it has read until then is what counts.
    with contextlib.suppress(CheckFailed, NotPossible, EndlessLoop):
        run.go(0)
    return list(dict.fromkeys(e.object for e in run.events if e.kind == "load"))


def run_code(
    program: Program | None,
    code: Code,
    memory: list[list[int]],
    args: Sequence[Any] = (),
    *,
    functions: Mapping[str, Code | Callable[..., Any]] | None = None,
) -> Any:
    """Run code without points on ``memory``, which it changes; its result or None.

    ``args`` are for ``code.parameters``: bit patterns, or ``Pointer``.  ``functions``
    are those that it calls, a Python function for an external one.  Choices are 0.
    Raises CheckFailed, NotPossible and EndlessLoop.
    """
    parameters = [register.number for register in code.parameters]
    values = dict(zip(parameters, args, strict=True))
    run = _Run(program, code, memory, values, record=False)
    run.owned.update(range(len(memory)))
    run.functions = functions or {}
    run.go(0)
    return run.result


@dataclass(frozen=True)
class Pointer:
    """The value of a ``ptr``: the elements of a list from ``base`` on."""

    memory: list[int]
    base: int = 0


# -- one run ---------------------------------------------------------------------


def _run_process(
    program: Program,
    state: State,
    process: ir.Process,
    start: int | None,
    choices: Sequence[int],
    *,
    record: bool,
) -> Outcome:
    """Run from the point at block ``start``, or for None from the process's beginning."""
    index = process.index
    values = state.locals[index]
    if record and state.shown:
        values = state.shown[index] | values  # only a Note can tell the difference
    run = _Run(program, process.code, list(state.memory), dict(values), record=record)
    run.given, run.closed = choices, True
    kind: Literal["ok", "blocked", "failed", "endless"] = "ok"
    check = None
    try:
        if start is not None:
            run.go(start)
        elif not run.at_point(0):
            run.go(0)
    except NotPossible:
        kind = "blocked"
    except CheckFailed as failure:
        kind, check = "failed", failure.check
    except EndlessLoop:
        kind = "endless"
    after = state if kind == "blocked" else _state_after(state, process, run, kind == "ok")
    return Outcome(
        kind, after, run.events, check, run.choices, run.radices, run.blocks, run.locks
    )


def _state_after(state: State, process: ir.Process, run: _Run, arrived: bool) -> State:
    """The state with the memory of ``run``, and with its process where it arrived."""
    after = State(run.memory, list(state.pc), list(state.locals), list(state.shown))
    if not arrived:
        return after
    point, values = run.point, run.values
    after.pc[process.index] = len(process.points) if point is None else point.number
    live = () if point is None else point.live
    after.locals[process.index] = {r.number: values.get(r.number, 0) for r in live}
    if run.record and after.shown:
        after.shown[process.index] = values
    return after


class _Run:
    """One code being run, from a block up to a point or to its end."""

    def __init__(
        self,
        program: Program | None,
        code: Code,
        memory: list[list[int]],
        values: dict[int, Any],
        *,
        record: bool,
    ) -> None:
        self.program, self.code, self.memory, self.values = program, code, memory, values
        self.record = record
        self.functions: Mapping[str, Code | Callable[..., Any]] = {}
        self.closed = False  # no pointers, no calls: all that can change is known here
        self.owned: set[int] = set()  # families copied, so that others keep the old cells
        self.given: Sequence[int] = ()
        self.point: ir.Point | None = None  # where it stopped; None for its end
        self.result: Any = None
        self.events: list[Event] = []
        self.choices: list[int] = []
        self.radices: list[int] = []
        self.blocks: set[int] = set()
        self.locks: list[tuple[int, int]] = []
        # (block, choices made, values, memory) at some earlier moment of this run
        self.snapshot: tuple[int, int, dict[int, Any], list[list[int]]] = (-1, 0, {}, [])

    def go(self, number: int) -> None:
        """Run from the start of block ``number``."""
        for count in range(BLOCKS_MAX):
            if self.closed and self.repeats(number, count):
                break
            block = self.code.blocks[number]
            self.blocks.add(number)
            for instruction in block.instructions:
                _EXECUTE[type(instruction)](self, instruction)
            end = block.terminator
            if isinstance(end, ir.Return):
                self.result = None if end.value is None else self.value(end.value)
                return
            if isinstance(end, ir.Jump):
                number = end.target
            else:
                number = end.then if self.value(end.condition) else end.other
            if self.at_point(number):
                return
        raise EndlessLoop(_first_where(self.code))

    def repeats(self, number: int, count: int) -> bool:
        """Has all been as it is now, so that it goes round for ever?

        Only to know sooner: what is not noticed here, BLOCKS_MAX ends.
        """
        if number == self.snapshot[0]:
            _, choices, values, memory = self.snapshot
            if len(self.choices) == choices and self.values == values:
                return self.memory == memory
        if count >= 64 and count & (count - 1) == 0:  # 64, 128, 256 ...: longer rings too
            memory = [cells.copy() for cells in self.memory]
            self.snapshot = (number, len(self.choices), self.values.copy(), memory)
        return False

    def at_point(self, number: int) -> bool:
        """Does block ``number`` begin with a point, where the run then stops?"""
        self.point = self.code.blocks[number].point
        return self.point is not None

    def value(self, operand: ir.Operand) -> Any:
        """The bit pattern of an operand."""
        if isinstance(operand, ir.Reg):
            return self.values.get(operand.number, 0)
        return operand.value

    def event(self, kind: EventKind, where: Where, **parts: Any) -> None:
        if self.record:
            self.events.append(Event(kind, where, **parts))


# -- instructions ----------------------------------------------------------------


def _op(run: _Run, i: ir.Op) -> None:
    values = [run.value(arg) for arg in i.args]
    result = ops.TABLE[i.name].meaning(i.args[0].type, *values)
    run.values[i.dst.number] = ops.wrap(i.dst.type, result)


def _lookup(run: _Run, i: ir.Lookup) -> None:
    run.values[i.dst.number] = i.table[run.value(i.index)]


def _load(run: _Run, i: ir.Load) -> None:
    index = run.value(i.index)
    value = run.memory[i.family.number][index]
    run.values[i.dst.number] = value
    if run.record:
        _access(run, "load", i, index, value, value)


def _store(run: _Run, i: ir.Store) -> None:
    number = i.family.number
    index, value = run.value(i.index), run.value(i.value)
    assert 0 <= value < 1 << i.family.type.bits, f"{i.family.name}: {value} does not fit"
    if number not in run.owned:
        run.memory[number] = run.memory[number].copy()
        run.owned.add(number)
    old = run.memory[number][index]
    run.memory[number][index] = value
    if run.record:
        _access(run, "store", i, index, old, value)


def _access(
    run: _Run, kind: EventKind, i: ir.Load | ir.Store, index: int, old: int, new: int
) -> None:
    family = i.family
    shared = family.written and not family.private
    cell, type = family.names[index], family.type
    run.events.append(
        Event(kind, i.where, cell, old, new, type, i.access, shared, i.plain)
    )


def _check(run: _Run, i: Check) -> None:
    if not run.value(i.condition):
        run.event("check", i.where, object=i.slug, text=i.text)
        raise CheckFailed(i)


def _wait(run: _Run, i: ir.Wait) -> None:
    value = run.value(i.condition)
    run.event("wait", i.where, new=value, type=ir.BOOL)
    if not value:
        raise NotPossible(i.where)


def _choose(run: _Run, i: ir.Choose) -> None:
    n = ops.signed_value(i.n.type, run.value(i.n))
    if n <= 0:
        raise NotPossible(i.where)
    made = len(run.choices)
    choice = run.given[made] if made < len(run.given) else 0
    if not 0 <= choice < n:
        raise ValueError(f"choice {choice} of {n}, at {i.where.file}:{i.where.line}")
    run.choices.append(choice)
    run.radices.append(n)
    run.values[i.dst.number] = choice
    run.event("choose", i.where, old=n, new=choice, type=i.n.type)


def _nothing(run: _Run, i: ir.Begin | ir.End | ir.Prefetch) -> None:
    """In code without points a section is a bracket around nothing."""


def _fence(run: _Run, i: ir.Fence) -> None:
    run.event("fence", i.where, text=i.kind)


def _note(run: _Run, i: ir.Note) -> None:
    if not run.record:
        return
    values = [run.value(arg) for arg in i.args]
    types = [arg.type for arg in i.args]
    if i.kind == "return":
        new, type = (values[0], types[0]) if values else (None, NONE)
        run.event("return", i.where, new=new, type=type, text=i.text)
        return
    objects: dict[str, list[str]] = {}
    if run.program is not None and any(type.kind == "ref" for type in types):
        objects = show.object_names(run.program)
    shown = [show.value(t, v, objects) for t, v in zip(types, values, strict=True)]
    run.event(i.kind, i.where, text=show.fill(i.text, shown))


def _lock_order(run: _Run, i: ir.LockOrder) -> None:
    lock, held = run.value(i.lock), run.value(i.held)
    run.locks.append((lock, held))
    names = run.program.lock_names if run.program is not None else []
    name = names[lock] if lock < len(names) else f"lock {lock}"
    run.event("lock", i.where, object=name, old=held, new=lock, type=ir.U64)


def _call(run: _Run, i: ir.Call) -> None:
    args = [run.value(arg) for arg in i.args]
    callee = run.functions[i.callee]
    if isinstance(callee, Code):
        result = run_code(run.program, callee, run.memory, args, functions=run.functions)
    else:
        result = callee(*args)
    if i.dst is not None:
        run.values[i.dst.number] = result


def _ptr_load(run: _Run, i: ir.PtrLoad) -> None:
    pointer = run.value(i.pointer)
    run.values[i.dst.number] = pointer.memory[pointer.base + _signed(run, i.index)]


def _ptr_store(run: _Run, i: ir.PtrStore) -> None:
    pointer = run.value(i.pointer)
    pointer.memory[pointer.base + _signed(run, i.index)] = run.value(i.value)


def _ptr_offset(run: _Run, i: ir.PtrOffset) -> None:
    pointer = run.value(i.pointer)
    run.values[i.dst.number] = Pointer(pointer.memory, pointer.base + _signed(run, i.index))


def _signed(run: _Run, index: ir.Operand) -> int:
    return ops.signed_value(index.type, run.value(index))


_EXECUTE: dict[type, Callable[[_Run, Any], None]] = {
    ir.Op: _op,
    ir.Lookup: _lookup,
    ir.Load: _load,
    ir.Store: _store,
    ir.Check: _check,
    ir.Wait: _wait,
    ir.Choose: _choose,
    ir.Begin: _nothing,
    ir.End: _nothing,
    ir.Prefetch: _nothing,
    ir.Fence: _fence,
    ir.Note: _note,
    ir.LockOrder: _lock_order,
    ir.Call: _call,
    ir.PtrLoad: _ptr_load,
    ir.PtrStore: _ptr_store,
    ir.PtrOffset: _ptr_offset,
}


def _first_where(code: Code) -> Where | None:
    for block in code.blocks:
        for instruction in block.instructions:
            return instruction.where
    return None
