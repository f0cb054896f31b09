"""What stays as it is while a process stands at a point, whatever the others do.

A *fact* of process P at point p is ``cell = 0`` or ``cell != 0``, such that it holds in
every state that can be reached in which P is at p.  P's being there makes it true, and
no step of another process can end it.  A step of another process that a fact gates (see
``waits``) is therefore not possible before P has moved.  Three kinds are found, from what
steps load and store, never from names:

lock      A cell is a lock if each step that may store to it is one of a *holder*, or one
          that stores only if the cell is 0.  A holder is a process that has stored a
          number other than 0 and nothing since; must-hold is a data flow analysis.  By
          induction over the steps of an execution there is at most one holder, and while
          there is one the cell is not 0.  A holder's fact: ``cell != 0``.
counter   A cell is a counter if each process adds and subtracts constants so that its sum
          is known at each of its points (and never below 0), or stores a constant where
          it knows the cell to be 0.  By induction the cell is the sum over the processes.
          The fact of one whose sum is not 0: ``cell != 0``.
value     P has stored a constant, or gone past a wait for it, and each step of others that
          may store to the cell cannot end that: it stores a constant that is no
          contradiction, or is gated by the fact itself or by a lock that P holds, or
          subtracts from a counter that is 0 (which it cannot, by the above).

The three are proved by one induction: what a step changes depends on facts that hold
before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pagerace.compiler import ir
from pagerace.compiler.footprint import Cells, blocks_of_step
from pagerace.compiler.ir import Process, Program
from pagerace.compiler.liveness import successors
from pagerace.compiler.waits import (
    NONZERO,
    Cell,
    Fact,
    is_gated,
    may_be,
    may_store,
    surely_is,
)

UNKNOWN = -2
END = -1  # where a process has returned

Flow = dict[int, int]  # value at the start of each block that can be reached


@dataclass
class Steps:
    """One process: where its steps start, what they touch, and what gates them."""

    process: Process
    gates: dict[Fact, int] = field(default_factory=dict[Fact, int])  # points, as bits

    def point(self, number: int) -> ir.Point:
        point = self.process.code.blocks[self.process.points[number]].point
        assert point is not None
        return point

    def writers(self, cell: Cell) -> list[int]:
        """The points from which a step may store to a cell."""
        return [
            number for number in range(len(self.process.points))
            if touches(self.point(number).writes, cell)
        ]  # fmt: skip


def touches(cells: Cells, cell: Cell) -> bool:
    """Is the cell one of these?"""
    if cell[0] not in cells:
        return False
    known = cells[cell[0]]
    return known is None or cell[1] in known


class Facts:
    """The facts of all processes at all points, and the steps that they gate."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.steps = [Steps(process) for process in program.processes]
        self.known: list[list[set[Fact]]] = [
            [set() for _ in process.points] for process in program.processes
        ]
        self._writers: dict[Cell, list[list[int]]] = {}
        cells = self._find_gates()
        candidates = {cell for cell in cells if self._counts(cell)}
        while self._find(cells, candidates):
            pass

    def _find(self, cells: list[Cell], counters: set[Cell]) -> bool:
        """Fill ``known``; True if some were no counters, which are no candidates then."""
        for points in self.known:
            for facts in points:
                facts.clear()
        counters -= {cell for cell in cells if self._is_lock(cell)}
        for cell in cells:
            self._values(cell, cell in counters)
        wrong = {cell for cell in sorted(counters) if not self._count(cell)}
        counters -= wrong
        return bool(wrong)

    def gated(self, process: int, point: int, other: int) -> int:
        """The points, as bits, from which ``other`` cannot step while P is there."""
        mask = 0
        gates = self.steps[other].gates
        for fact in self.known[process][point]:
            mask |= gates.get(fact, 0)
        return mask

    def gate_of(self, process: int, point: int, other: int, step: int) -> list[Cell]:
        """The cells of the facts that gate a step of ``other``."""
        gates = self.steps[other].gates
        facts = self.known[process][point]
        return [fact[0] for fact in facts if gates.get(fact, 0) >> step & 1]

    # -- what gates a step ----------------------------------------------------------------

    def _find_gates(self) -> list[Cell]:
        """Fill ``gates``; the cells that gate some step, in order."""
        cells: set[Cell] = set()
        for steps in self.steps:
            code = steps.process.code
            for number, start in enumerate(steps.process.points):
                blocks = blocks_of_step(code, start)
                if not any(
                    isinstance(i, ir.Wait) for b in blocks for i in code.blocks[b].instructions
                ):
                    continue
                for family, known in steps.point(number).reads.items():
                    if self.program.families[family].private:
                        continue  # what starts the processes may store to it
                    count = self.program.families[family].count
                    for index in range(count) if known is None else sorted(known):
                        for value in (0, NONZERO):
                            fact = (family, index), value
                            if is_gated(code, start, fact):
                                bits = steps.gates.get(fact, 0)
                                steps.gates[fact] = bits | 1 << number
                                cells.add(fact[0])
        return sorted(cells)

    def writers(self, cell: Cell) -> list[list[int]]:
        """For each process the points from which a step may store to a cell."""
        if cell not in self._writers:
            self._writers[cell] = [steps.writers(cell) for steps in self.steps]
        return self._writers[cell]

    # -- locks ----------------------------------------------------------------------------

    def _is_lock(self, cell: Cell) -> bool:
        """Note the facts of its holders, if it is a lock."""
        holds: list[Flow] = []
        for process, points in zip(self.program.processes, self.writers(cell), strict=True):
            flow = _holds(process, cell) if points else {}
            holds.append(flow)
            for number in points:
                start = process.points[number]
                if flow.get(start) != 1 and may_store(process.code, start, cell):
                    return False
        for process, flow in zip(self.program.processes, holds, strict=True):
            for number, start in enumerate(process.points):
                if flow.get(start) == 1:
                    self.known[process.index][number].add((cell, NONZERO))
        return True

    # -- counters -------------------------------------------------------------------------

    def _counts(self, cell: Cell) -> bool:
        """Can it be a counter: is each store to it a sum, or a constant?"""
        family = self.program.families[cell[0]]
        if family.type.signed or family.type.bits < 2 or family.initial[cell[1]]:
            return False
        for process, points in zip(self.program.processes, self.writers(cell), strict=True):
            for start in (process.points[number] for number in points):
                for number in blocks_of_step(process.code, start):
                    if any(
                        change is None for _, change in _changes(process, number, cell)
                    ):
                        return False
        return True

    def _count(self, cell: Cell) -> bool:
        """Note the facts of those who have counted it up, if it is a counter indeed."""
        sums: list[Flow] = []
        total = 0
        for process, points in zip(self.program.processes, self.writers(cell), strict=True):
            flow = self._sums(process, cell) if points else {}
            if UNKNOWN in flow.values():
                return False
            sums.append(flow)
            total += max(flow.values(), default=0)
        if total >= 1 << self.program.families[cell[0]].type.bits:
            return False
        for process, flow in zip(self.program.processes, sums, strict=True):
            for number, start in enumerate(process.points):
                if flow.get(start, 0) > 0:
                    self.known[process.index][number].add((cell, NONZERO))
        return True

    def _sums(self, process: Process, cell: Cell) -> Flow:
        """What the process has added so far, at each block, or UNKNOWN."""
        at_zero = {
            process.points[number]
            for number, facts in enumerate(self.known[process.index])
            if (cell, 0) in facts or self.steps[process.index].gates.get(
                (cell, NONZERO), 0) >> number & 1
        }  # fmt: skip

        def after(number: int, now: int) -> int:
            block = process.code.blocks[number]
            for kind, change in _changes(process, number, cell):
                if now < 0 or change is None:
                    return UNKNOWN
                if kind == "set":
                    # Known to be 0 where the step starts, and not changed since.
                    if block.point is None or number not in at_zero or now != 0:
                        return UNKNOWN
                    now = change
                else:
                    now += change
                    if now < 0:
                        return UNKNOWN
            return now

        return _flow_blocks(process, 0, after)

    # -- values ---------------------------------------------------------------------------

    def _values(self, cell: Cell, counter: bool) -> None:
        """Note the facts of those who know the value of a cell."""
        initial = self.program.families[cell[0]].initial[cell[1]]
        for process in self.program.processes:
            known = self.known[process.index]
            owner = _Knowledge(self, process, cell, counter)
            flow = _flow_blocks(process, NONZERO if initial else 0, owner.after)
            for number, start in enumerate(process.points):
                now = owner.at_point(number, flow.get(start, UNKNOWN))
                if now != UNKNOWN:
                    known[number].add((cell, now))

    def lasts(self, process: int, point: int, fact: Fact, counter: bool) -> bool:
        """Can no step of another process end the fact while P is at the point?"""
        for other, points in enumerate(self.writers(fact[0])):
            if other == process:
                continue
            gated = self.gated(process, point, other)
            gated |= self.steps[other].gates.get(fact, 0)
            for number in points:
                if not gated >> number & 1 and not self._keeps(other, number, fact, counter):
                    return False
        return True

    def _keeps(self, process: int, point: int, fact: Fact, counter: bool) -> bool:
        """Does a step store to the cell, if at all, what is no contradiction?"""
        cell, value = fact
        owner = self.program.processes[process]
        if value == NONZERO and not may_store(owner.code, owner.points[point], cell):
            return True
        for number in blocks_of_step(owner.code, owner.points[point]):
            for kind, change in _changes(owner, number, cell):
                if kind == "set" and change is not None and (change == 0) == (value == 0):
                    continue
                if kind == "add" and counter and value == 0 and (change or 0) < 0:
                    continue
                return False
        return True


def _holds(process: Process, cell: Cell) -> Flow:
    """1 where the process holds the lock, if it is one."""

    def after(block: int, now: int) -> int:
        for kind, change in _changes(process, block, cell):
            now = int(kind == "set" and bool(change))
        return now

    return _flow_blocks(process, 0, after)


class _Knowledge:
    """What one process knows of the value of a cell, from block to block."""

    def __init__(self, facts: Facts, process: Process, cell: Cell, counter: bool) -> None:
        self.facts, self.process, self.cell, self.counter = facts, process, cell, counter
        self.numbers = {start: number for number, start in enumerate(process.points)}
        self.gates = facts.steps[process.index].gates
        self._lasting: dict[tuple[int, int], bool] = {}

    def at_point(self, number: int, value: int) -> int:
        """What is left of it where others may run."""
        if value == UNKNOWN:
            return value
        if (number, value) not in self._lasting:
            self._lasting[number, value] = self.facts.lasts(
                self.process.index, number, (self.cell, value), self.counter
            )
        return value if self._lasting[number, value] else UNKNOWN

    def after(self, block: int, value: int) -> int:
        """What is known after a block; a step that is gated by a value has not met it."""
        if block in self.numbers:
            number = self.numbers[block]
            value = self.at_point(number, value)
            if self.gates.get((self.cell, 0), 0) >> number & 1:
                value = NONZERO
            elif self.gates.get((self.cell, NONZERO), 0) >> number & 1:
                value = 0
        for kind, change in _changes(self.process, block, self.cell):
            value = UNKNOWN
            if kind == "set" and change is not None:
                value = NONZERO if change else 0
        return value


# -- data flow ---------------------------------------------------------------------------


def _flow_blocks(process: Process, first: int, after: Callable[[int, int], int]) -> Flow:
    """What is known where each block starts, and at ``END``.

    ``after(block, value)`` is what is known where a block ends.
    """
    found: Flow = {0: first}
    pending = [0]
    while pending:
        number = pending.pop()
        value = after(number, found[number])
        end = process.code.blocks[number].terminator
        for successor in successors(end) or (END,):
            if successor not in found:
                found[successor] = value
            elif found[successor] not in (value, UNKNOWN):
                found[successor] = UNKNOWN
            else:
                continue
            if successor != END:
                pending.append(successor)
    return found


def _changes(process: Process, number: int, cell: Cell) -> Iterable[tuple[str, int | None]]:
    """What a block stores to a cell: ("set", constant), ("add", constant), None: unknown."""
    block = process.code.blocks[number]
    if not any(
        isinstance(i, ir.Store) and i.family.number == cell[0] for i in block.instructions
    ):
        return
    sums: dict[int, int] = {}  # registers that hold the cell's value plus a constant
    bits = 0  # of the cell's type
    for instruction in block.instructions:
        if isinstance(instruction, ir.Store):
            if may_be(instruction.family, instruction.index, cell):
                value = instruction.value
                if not surely_is(instruction.family, instruction.index, cell):
                    yield "set", None
                elif isinstance(value, ir.Const):
                    yield "set", value.value
                else:
                    yield "add", sums.get(value.number)
                sums.clear()
        elif isinstance(instruction, ir.Load):
            sums.pop(instruction.dst.number, None)
            if surely_is(instruction.family, instruction.index, cell):
                sums[instruction.dst.number] = 0
                bits = instruction.family.type.bits
        else:
            _follow(sums, instruction, bits)


def _follow(sums: dict[int, int], instruction: ir.Instruction, bits: int) -> None:
    """Follow a sum through additions of constants, in types that lose none of its bits."""
    target = getattr(instruction, "dst", None)
    if target is None:
        return
    sums.pop(target.number, None)
    if not isinstance(instruction, ir.Op) or not isinstance(instruction.args[0], ir.Reg):
        return
    base = sums.get(instruction.args[0].number)
    if base is None or target.type.bits < bits:
        return
    if instruction.name == "convert":
        sums[target.number] = base
    elif instruction.name in ("add", "sub") and isinstance(instruction.args[1], ir.Const):
        type, value = instruction.args[1].type, instruction.args[1].value
        if value >> (type.bits - 1) and type.bits > 1:
            value -= 1 << type.bits
        sums[target.number] = base + (value if instruction.name == "add" else -value)
