"""Where one process may go alone: partial order reduction by tables on program counters.

In a state s the search may expand one process P only, if P is at a point p such that

C1  no step of another process Q, from Q's point or from any point that Q can get to while
    P stays where it is, stores to a cell that P's step from p loads or stores, or loads
    one that it stores, unless both steps do no more with it than to add a constant;
C2  for each property: P's step stores to no cell that the property reads, or no such step
    of the others does;
C3  p is none of the points that were picked so that each circle in P's control flow has
    one.  So P, and with it everybody, comes after finitely many steps to a state in which
    all processes are expanded: nothing is put off for ever.

If P's step is blocked or fails, everybody is expanded.  Cells are those of written
families, the bits of what is allocated among them; a footprint is an interval of cells
for each family.  What the others can get to is the transitive closure of their points: an
agent's is all that it ever does, a thread that has returned has none.  Steps are left out
that facts of P gate (see ``stable``): they cannot happen before P has moved.

What is kept.  All steps of P, its choices among them, depend on cells that by C1 nobody
else stores to before P has moved (a sum that is only stored again decides nothing); so
they are the same all the while, and commute with what the others do.  Let w be any way
from s to a state t, in the graph of all steps.

(1) If P steps in w, its first step a can be moved to the front: a and then the rest of w
    lead from s to t, and w has become shorter by one.
(2) If it does not, a is possible at t too, and from the state sa after it w leads to ta.

By induction over the length of w, with C3 where w does not get shorter:

- deadlock: t, in which nobody can step, is reached: in case (2) P could step.
- a failed check, an endless loop, the order of locks, and which blocks are executed: all
  are functions of what an attempted step loads.  An attempt of Q at t is the same at ta
  (C1), one of P at t is the same at s.  A gated step's attempt is blocked at t and may not
  be at ta: a gate leaves no trace at which the difference shows (see ``waits``), and P's
  step stores to none of the other cells that such an attempt loads.
- ``always`` and ``sometimes``, each property by itself: a state with the same value as t
  is reached.  In case (2) ta is one if P's step is the invisible one; else w was
  invisible, and s itself is one.  A property that asks whether all threads are done reads
  one cell more, which each step that ends a thread stores to.
- ``at_end`` (a leak is one): the same, where all threads are done.  In case (2) a thread
  P is not done at t, so that t does not count: there C2 asks nothing of threads' steps.
- completion: if a complete state can be reached from s, it can in the reduced graph: case
  (2) is impossible for a thread, and an agent's step leaves ta complete.  If from t it
  cannot, then neither from ta.  So the states of the reduced graph from which completion
  is out of reach are those of the full graph, and there are some if the full one has any.

The number of states, the depth, and the first violation to be met are not kept.  A state
in which one process goes alone, and chooses nothing, is looked at and not stored: by C3 its
only way comes to one that is (``search.engine.run_on``).

``chosen`` must be cheap.  The points of a process that have the same conflicts are a
class; a state's classes are the ``and`` of a row for each process, and the lowest class
that is left, so the lowest process, goes alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pagerace.compiler import ir, sums
from pagerace.compiler.footprint import Cells, blocks_of_step, touched
from pagerace.compiler.ir import Process, Program
from pagerace.compiler.liveness import members, successors
from pagerace.compiler.stable import Facts

CLASSES_MAX = 64  # one word has a bit for each
PROCESSES_MAX = 62
CHOOSES = 1 << 62


@dataclass(frozen=True)
class Class:
    """Points of one process at which it may go alone under the same condition.

    ``conflicts[q]``: the points of process q, as bits, at which it may not.
    """

    process: int
    chooses: bool
    points: int
    conflicts: tuple[int, ...]


@dataclass(frozen=True)
class Independence:
    """Where a process may go alone: bit c of ``table[q][k]`` is set unless process q, at
    its point k, forbids it to class c.  The last k is for a process that has returned.

    ``owners[c]`` has a bit for the process of a class, and CHOOSES where its steps may
    choose; processes come in order.
    """

    table: list[list[int]]
    owners: list[int]
    points: int  # at which a process may go alone at all

    def chosen(self, pc: Sequence[int]) -> int | None:
        """The process that may go alone, as in ``owners``, or None."""
        allowed = -1
        for row, number in zip(self.table, pc, strict=True):
            allowed &= row[number]
        if not self.owners or allowed == 0:
            return None
        return self.owners[(allowed & -allowed).bit_length() - 1]


def find(program: Program) -> Independence:
    """The table of a program; an empty one where there are too many processes."""
    if len(program.processes) > PROCESSES_MAX:
        return Independence([[-1]] * len(program.processes), [], 0)
    return _Analysis(program).run()


@dataclass
class _Steps:
    """Of one process: what each step touches and where it leads, all as bits."""

    reads: list[int] = field(default_factory=list[int])
    writes: list[int] = field(default_factory=list[int])
    following: list[int] = field(default_factory=list[int])  # points, bit n: returned
    before: list[int] = field(default_factory=list[int])  # points, the other way round
    readers: dict[int, int] = field(default_factory=dict[int, int])  # of a cell: points
    writers: dict[int, int] = field(default_factory=dict[int, int])
    adds: list[int] = field(default_factory=list[int])  # cells
    adders: dict[int, int] = field(default_factory=dict[int, int])


class _Analysis:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.first: dict[int, int] = {}  # the bit of each family's first cell
        bit = 0
        for family in program.families:
            self.first[family.number] = bit
            bit += family.count
        self.ended = 1 << bit  # as if it were a cell: has every thread returned?
        self.facts = Facts(program)
        self.steps = [self._steps(process) for process in program.processes]
        self.visible = [self._seen(item) for item in program.properties]
        self._closures: dict[tuple[int, int, int], int] = {}
        self._showing = [
            [self._writers(steps, seen) for seen in self.visible] for steps in self.steps
        ]

    def run(self) -> Independence:
        found = [self._candidates(process) for process in self.program.processes]
        # The same points are kept out of all processes that have the same control flow, so
        # that C3 also holds where symmetric processes change places from state to state.
        able: dict[tuple[int, ...], int] = {}
        for steps, points in zip(self.steps, found, strict=True):
            flow = tuple(steps.following)
            able[flow] = able.get(flow, 0) | sum(points.values())
        never = {flow: self._heads(flow, points) for flow, points in able.items()}
        classes = [
            Class(process.index, chooses, left, conflicts)
            for process, points in zip(self.program.processes, found, strict=True)
            for (chooses, conflicts), mask in points.items()
            if (left := mask & ~never[tuple(self.steps[process.index].following)])
        ]
        if len(classes) > CLASSES_MAX:
            classes = sorted(classes, key=self._use)[-CLASSES_MAX:]
            classes.sort(key=lambda c: c.process)
        table = [
            [self._row(classes, process.index, number)
             for number in range(len(process.points) + 1)]
            for process in self.program.processes
        ]  # fmt: skip
        points = sum(item.points.bit_count() for item in classes)
        owners = [1 << item.process | CHOOSES * item.chooses for item in classes]
        return Independence(table, owners, points)

    def _row(self, classes: Sequence[Class], process: int, number: int) -> int:
        row = 0
        for bit, item in enumerate(classes):
            if item.process == process:
                allowed = item.points >> number & 1
            else:
                allowed = not item.conflicts[process] >> number & 1
            row |= int(allowed) << bit
        return row

    def _use(self, item: Class) -> float:
        """How often a class may be of use: a guess, to keep the best."""
        share = float(item.points.bit_count())
        for process, mask in zip(self.program.processes, item.conflicts, strict=True):
            if process.index != item.process:
                share *= 1 - mask.bit_count() / (len(process.points) + 1)
        return share

    # -- steps ----------------------------------------------------------------------------

    def _bits(self, cells: Cells) -> int:
        mask = 0
        for number, known in cells.items():
            first = self.first[number]
            if known is None:
                mask |= ((1 << self.program.families[number].count) - 1) << first
            else:
                for index in known:
                    mask |= 1 << first + index
        return mask

    def _steps(self, process: Process) -> _Steps:
        steps = _Steps(before=[0] * (len(process.points) + 1))
        uses = sums.uses_of(process.code)
        for number, start in enumerate(process.points):
            point = process.code.blocks[start].point
            assert point is not None
            steps.reads.append(self._bits(point.reads))
            steps.writes.append(self._bits(point.writes))
            following, blocks = 0, blocks_of_step(process.code, start)
            added = sum(
                1 << self.first[family] + index
                for family, index in sums.added(process.code, blocks, uses)
            )
            steps.adds.append(added & steps.writes[-1])
            for block in blocks:
                end = process.code.blocks[block].terminator
                if isinstance(end, ir.Return):
                    following |= 1 << len(process.points)
                for successor in successors(end):
                    after = process.code.blocks[successor].point
                    if after is not None:
                        following |= 1 << after.number
            if following >> len(process.points) & 1 and not process.agent:
                steps.writes[-1] |= self.ended
            steps.following.append(following)
            for after in members(following):
                steps.before[after] |= 1 << number
            for cell in members(steps.reads[-1]):
                steps.readers[cell] = steps.readers.get(cell, 0) | 1 << number
            for cell in members(steps.adds[-1]):
                steps.adders[cell] = steps.adders.get(cell, 0) | 1 << number
            for cell in members(steps.writes[-1]):
                steps.writers[cell] = steps.writers.get(cell, 0) | 1 << number
        return steps

    def _seen(self, item: ir.Property) -> int:
        """The cells on which a property depends."""
        reads, _, _ = touched(item.code, 0)
        ended = self.ended if item.code.parameters or item.kind == "at_end" else 0
        return self._bits(reads) | ended

    # -- which step may go alone ------------------------------------------------------------

    def _candidates(self, process: Process) -> dict[tuple[bool, tuple[int, ...]], int]:
        """Points of one process, as bits, by the points where the others may not be."""
        found: dict[tuple[bool, tuple[int, ...]], int] = {}
        for number in range(len(process.points)):
            conflicts = tuple(
                self._conflicts(process, number, other) for other in self.program.processes
            )
            useless = any(
                mask == (1 << len(other.points)) - 1 and other.points
                for mask, other in zip(conflicts, self.program.processes, strict=True)
                if other is not process
            )
            if not useless:
                start = process.code.blocks[process.points[number]].point
                key = start is not None and start.chooses, conflicts
                found[key] = found.get(key, 0) | 1 << number
        return found

    def _conflicts(self, process: Process, number: int, other: Process) -> int:
        """The points of ``other`` from which it may come in the way, as bits."""
        if other is process:
            return 0
        mine, theirs = self.steps[process.index], self.steps[other.index]
        direct = self._dependent(mine, number, theirs)
        direct |= self._seen_together(process, number, other)
        gated = self.facts.gated(process.index, number, other.index)
        if direct & gated:
            direct &= ~gated | self._disturbed(process.index, number, other.index, gated)
        return self._closure(other.index, direct, gated)

    def _dependent(self, mine: _Steps, number: int, theirs: _Steps) -> int:
        """C1: the points of the other process whose steps do not commute with this one."""
        found, adds = 0, mine.adds[number]
        for cell in members(mine.writes[number] & ~self.ended & ~adds):
            found |= theirs.readers.get(cell, 0) | theirs.writers.get(cell, 0)
        for cell in members(mine.reads[number] & ~adds):
            found |= theirs.writers.get(cell, 0)
        for cell in members(adds):
            others = theirs.readers.get(cell, 0) | theirs.writers.get(cell, 0)
            found |= others & ~theirs.adders.get(cell, 0)
        return found

    def _seen_together(self, process: Process, number: int, other: Process) -> int:
        """C2: the points whose steps the same property sees as this one."""
        found = 0
        writes = self.steps[process.index].writes[number]
        for index, item in enumerate(self.program.properties):
            if item.kind == "at_end" and not process.agent:
                continue
            if writes & self.visible[index]:
                found |= self._showing[other.index][index]
        return found

    def _writers(self, steps: _Steps, cells: int) -> int:
        """The points of a process whose steps may store to some of these cells."""
        found = 0
        for cell in members(cells):
            found |= steps.writers.get(cell, 0)
        return found

    def _disturbed(self, process: int, number: int, other: int, gated: int) -> int:
        """The gated steps whose attempt reads what P writes, beside what gates them."""
        found = 0
        for step in members(gated):
            reads = self.steps[other].reads[step] & ~self.steps[other].adds[step]
            for family, index in self.facts.gate_of(process, number, other, step):
                reads &= ~(1 << self.first[family] + index)
            if reads & self.steps[process].writes[number]:
                found |= 1 << step
        return found

    def _closure(self, process: int, goals: int, gated: int) -> int:
        """The points from which some goal can be reached without a gated step."""
        key = process, goals, gated
        if key not in self._closures:
            before = self.steps[process].before
            found, pending = goals, goals
            while pending:
                number = (pending & -pending).bit_length() - 1
                pending &= pending - 1
                new = before[number] & ~gated & ~found
                found |= new
                pending |= new
            self._closures[key] = found
        return self._closures[key]

    def _heads(self, following: Sequence[int], able: int) -> int:
        """C3: points such that each circle through points of ``able`` meets one of them."""
        heads, done, active = 0, 0, 0
        for root in members(able):
            if done >> root & 1:
                continue
            stack = [(root, following[root] & able)]
            active |= 1 << root
            while stack:
                number, left = stack.pop()
                heads |= left & active
                left &= ~active & ~done
                if not left:
                    active &= ~(1 << number)
                    done |= 1 << number
                    continue
                after = (left & -left).bit_length() - 1
                stack.append((number, left & (left - 1)))
                stack.append((after, following[after] & able))
                active |= 1 << after
        return heads
