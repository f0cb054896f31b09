"""Is a permutation of CPUs or threads a symmetry?  Proved here, or not used.

Let g exchange two units: their processes and the cells that are theirs.  A step of process
p from its point k is *equivariant* if for every state s at all, reachable or not,

    the steps of g(p) at k from g(s)  =  g applied to the steps of p at k from s,

choice by choice in any order: what is stored, where it goes, when a check fails, when it
has to wait, in which order locks are taken, and which lines run.  (All that is assumed of s
are the intervals of ``ranges``, which hold in every state that can be reached, and which p
and g(p) are given alike.)  Two ways to show it:

* the code of both is the same instruction for instruction, but for the cells that it names;
* the summaries of both are equal (``symbolic``): those of g(p) are made from the state
  g(s), written in the variables of s, so that to compare them is to compare numbers.

A point is *marked* if a step that was not shown to be equivariant can still come, now or
later, on any path of its process.

Why this is enough.  Let s ~ g(s) for all states s in which no process is at a marked point.
This relation is a strong bisimulation: a step of p from s has its image from g(s), for its
point is not marked; both lead to states that are related again, for what an unmarked point
leads to is unmarked, and marks are the same for p and g(p).  All properties, ``always``,
``at_end`` (leaks too) and ``sometimes``, are functions of a state and are shown to be
invariant, for all states, but for which of several checks in one of them fails; so is
whether all threads have returned, since g takes threads to threads.  So related states
agree on everything that a search reports: violated properties, failing checks, deadlock,
the reachability of completion (livelock), which lines run, in which orders locks are taken.
A search may then go on from g(s) in place of s.  Relations of several groups may be used
one after the other, for bisimilarity is transitive.

The initial state has to be its own image: then every execution from it has its image, which
starts from it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pagerace.compiler import footprint, interpreter, ir
from pagerace.compiler.ir import Code, Process, Program, Reg
from pagerace.compiler.layout import points_of
from pagerace.compiler.liveness import successors
from pagerace.compiler.ranges import Interval, interval, intervals
from pagerace.compiler.symmetry.candidates import Permutation
from pagerace.compiler.symmetry.diagram import Bits, Diagrams, TooLarge, Unsupported
from pagerace.compiler.symmetry.same import same_code
from pagerace.compiler.symmetry.symbolic import Key, Source, Summariser, Summary

# A permutation is used if at least this part of all combinations of points has no mark:
# what it saves is less than that, and to ask costs something in every state.
USEFUL = 1 / 16

NODES_MAX = 150_000  # of a property, a few seconds at most; the rest is given up sooner


@dataclass
class Proof:
    """What was shown.  ``refused``: why the permutation is no symmetry, or "".

    ``marked[p]``: the points of process p from which a step that is not equivariant may
    still come.  ``reasons``: what to say of such steps; ``families``: what they touch.
    """

    refused: str = ""
    marked: dict[int, set[int]] = field(default_factory=dict[int, "set[int]"])
    reasons: list[str] = field(default_factory=list[str])
    families: set[int] = field(default_factory=set[int])


def prove(program: Program, permutation: Permutation) -> Proof:
    """Show what can be shown of a permutation."""
    return _Prover(program, permutation).prove()


class _Prover:
    def __init__(self, program: Program, permutation: Permutation) -> None:
        self.program, self.permutation = program, permutation
        self.proof = Proof()
        self._known_ranges: dict[int, list[Interval | None]] = {}

    def prove(self) -> Proof:
        """What fails soonest comes first."""
        moved = self.permutation.processes
        processes = self.program.processes
        agents = [p for p in processes if p.agent]
        others = [p for p in processes if not p.agent and moved[p.index] == p.index]
        threads = [p for p in processes if not p.agent and moved[p.index] != p.index]
        refused = self._initial() or self._all_steps(agents) or self._all_steps(others)
        if not refused:
            for property in self.program.properties:
                if not self._invariant(property):
                    what = "the leak detector" if property.name == "leak" else property.name
                    return Proof(f"{what} can tell them apart")
            refused = self._all_steps(threads)
        return Proof(refused, families=self.proof.families) if refused else self.proof

    def _all_steps(self, processes: list[Process]) -> str:
        """Try the steps of some processes.  Why to give up, or ""."""
        for process in processes:
            image = self.program.processes[self.permutation.processes[process.index]]
            if image.index >= process.index:
                self._steps(process, image)
                if not is_useful(self.program, self.proof.marked):
                    return self.proof.reasons[-1]
        return ""

    # -- the initial state --------------------------------------------------------------

    def _initial(self) -> str:
        state = interpreter.initial(self.program)
        for number, moved in self.permutation.cells.items():
            cells = state.memory[number]
            for i, j in enumerate(moved):
                if cells[i] != cells[j]:
                    names = self.program.families[number].names
                    return f"{names[i]} and {names[j]} differ at first"
        for process, image in enumerate(self.permutation.processes):
            same = state.locals[process] == state.locals[image]
            if state.pc[process] != state.pc[image] or not same:
                a, b = (self.program.processes[p].label for p in (process, image))
                return f"{a} and {b} differ at first"
        return ""

    # -- states: two of them, one the image of the other --------------------------------

    def _sources(self, diagrams: Diagrams, *codes: Code) -> tuple[Source, Source]:
        """Any state at all, and its image; registers hold what all of ``codes`` allow."""
        cells: dict[tuple[int, int], Bits] = {}
        registers: dict[int, Bits] = {}

        def cell(family: ir.Family, index: int) -> Bits:
            key = (family.number, index)
            if key not in cells:
                cells[key] = diagrams.unknown(family.type.bits)
            return cells[key]

        def image(family: ir.Family, index: int) -> Bits:
            return cell(family, self.permutation.cell(family.number, index))

        def register(of: Reg) -> Bits:
            if of.number not in registers:
                registers[of.number] = diagrams.unknown(of.type.bits)
            return registers[of.number]

        def within(of: Reg) -> tuple[int, int]:
            each = [interval(self._ranges(code), of) for code in codes]
            return min(low for low, _ in each), max(high for _, high in each)

        return Source(cell, register, within), Source(image, register, within)

    def _ranges(self, code: Code) -> list[Interval | None]:
        if id(code) not in self._known_ranges:
            self._known_ranges[id(code)] = intervals(code)
        return self._known_ranges[id(code)]

    # -- properties ---------------------------------------------------------------------

    def _invariant(self, property: ir.Property) -> bool:
        """Is the property the same of a state and of its image?"""
        if not self._touches_moved(property.code):
            return True
        return any(self._same_value(property, open_sums) for open_sums in (True, False))

    def _same_value(self, property: ir.Property, open_sums: bool) -> bool:
        diagrams = Diagrams(NODES_MAX if open_sums else NODES_MAX // 3, open_sums=open_sums)
        summariser = Summariser(property.code, diagrams)
        done = diagrams.unknown(1)
        parameters = {register.number: done for register in property.code.parameters}
        try:
            one, other = (
                summariser.value(source, parameters) for source in self._sources(diagrams)
            )
        except (TooLarge, Unsupported, RecursionError):
            return False
        if property.kind != "sometimes":
            return one[0] == other[0]  # where it does not hold it is violated, check or not
        return one == other

    def _touches_moved(self, code: Code) -> bool:
        return any(
            i.family.number in self.permutation.cells
            for block in code.blocks
            for i in block.instructions
            if isinstance(i, ir.Load | ir.Store)
        )

    # -- steps --------------------------------------------------------------------------

    def _steps(self, process: Process, image: Process) -> None:
        """Try all steps of a process and of its image, and mark where they fail."""
        wrong: set[int] = set()
        points = points_of(process)
        for point, block in zip(points, process.points, strict=True):
            number = image.points[point.number]
            if process is image and self._untouched(point):
                continue
            if not self._equivariant(process.code, image.code, block, number):
                wrong.add(point.number)
                self.proof.families.update(point.reads, point.writes)
                self._explain(process, point)
                for member in {process.index, image.index}:
                    of = self.program.processes[member]
                    self.proof.marked[member] = before(of, wrong)
                if not is_useful(self.program, self.proof.marked):
                    return

    def _explain(self, process: Process, point: ir.Point) -> None:
        where = point.where
        caller = where
        while caller.caller is not None:
            caller = caller.caller
        through = f" in {where.function}()" if where.function != caller.function else ""
        reason = (
            f"{caller.function}(){through} at {Path(where.file).name}:{where.line} "
            f"({point.why}) can tell them apart"
        )
        if reason not in self.proof.reasons:
            self.proof.reasons.append(reason)

    def _untouched(self, point: ir.Point) -> bool:
        """Does the step keep to cells that stay where they are?"""
        for number, moved in self.permutation.cells.items():
            for cells in (point.reads.get(number, frozenset()), point.writes.get(number, ())):
                if cells is None or any(moved[i] != i for i in cells):
                    return False
        return True

    def _equivariant(self, one: Code, other: Code, first: int, second: int) -> bool:
        """Is what the second step does to g(s) the image of what the first does to s?"""
        if same_code(one, other, first, second, self.permutation):
            return True
        diagrams = Diagrams(NODES_MAX // 3)
        here, there = self._sources(diagrams, one, other)
        try:
            wanted = Summariser(one, diagrams).step(first, here)
            found = Summariser(other, diagrams).step(second, there)
        except (TooLarge, Unsupported, RecursionError):
            return False
        return {self._image(summary) for summary in wanted} == found

    def _image(self, summary: Summary) -> Summary:
        """What a step does, with cells named as they are after the permutation."""
        return frozenset((self._renamed(key), value) for key, value in summary)

    def _renamed(self, key: Key) -> Key:
        match key:
            case ("cell", int(family), int(index), bit):
                return ("cell", family, self.permutation.cell(family, index), bit)
            case _:
                return key


def is_useful(program: Program, marks: Mapping[int, set[int]]) -> bool:
    """Does the order of the units stop to matter early enough?"""
    part = 1.0
    for number, marked in marks.items():
        process = program.processes[number]
        places = len(process.points) + (not process.agent)
        part *= (places - len(marked)) / places if marked else 1.0
    return part >= USEFUL


def before(process: Process, wrong: set[int]) -> set[int]:
    """The points from which a point of ``wrong`` may still be reached, with those."""
    if not wrong:
        return set()
    code = process.code
    leads: dict[int, set[int]] = {}
    for number, block in enumerate(process.points):
        for inner in footprint.blocks_of_step(code, block):
            for successor in successors(code.blocks[inner].terminator):
                point = code.blocks[successor].point
                if point is not None:
                    leads.setdefault(point.number, set()).add(number)
    found, pending = set(wrong), list(wrong)
    while pending:
        for number in leads.get(pending.pop(), set()) - found:
            found.add(number)
            pending.append(number)
    return found
