"""What a step does to any state, as decision diagrams: one form for one meaning.

The interpreter runs a step on numbers; this runs it on functions of the state.  Where
paths meet again they are joined, so that a loop over CPUs that ends early, or the order in
which it looks at them, leaves no trace: what two pieces of code mean is the same if and
only if their summaries are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from pagerace.compiler import ir
from pagerace.compiler.ir import Block, Code, Operand, Reg
from pagerace.compiler.liveness import operands, successors
from pagerace.compiler.symmetry.diagram import (
    FALSE,
    TRUE,
    Bits,
    Diagrams,
    Unsupported,
    constant,
    value_of,
)

BLOCKS_MAX = 4_000  # run in one summary: a loop that is not known to end is given up
CHOICES_MAX = 64  # combinations of choices in one step

Cell: TypeAlias = "tuple[int, int]"  # (family, index)
Key: TypeAlias = "tuple[object, ...]"

# What a step does for one combination of choices, by what it is about:
#   ("blocked",), ("failed",), ("next", point or -1), ("line", file, line),
#   ("lock", lock, held): the condition for it;
#   ("cell", family, index, bit), ("register", point, number, bit): the value after it.
Summary: TypeAlias = "frozenset[tuple[Key, int]]"


@dataclass
class Source:
    """The state that a step starts from: what its cells and registers hold.

    ``interval``: what is known of a register in every state that can be reached.
    """

    cell: Callable[[ir.Family, int], Bits]
    register: Callable[[Reg], Bits]
    interval: Callable[[Reg], tuple[int, int]]


@dataclass
class _Paths:
    """All paths that are at one place now: the condition for it, and what they know."""

    guard: int
    registers: dict[int, Bits]
    cells: dict[Cell, Bits]


@dataclass
class _Ends:
    """What the paths of one run have come to."""

    blocked: int = FALSE
    failed: int = FALSE
    results: list[tuple[int, Bits]] = field(default_factory=list[tuple[int, Bits]])
    arrived: list[tuple[int, _Paths]] = field(default_factory=list[tuple[int, _Paths]])
    locks: list[tuple[int, Bits, Bits]] = field(default_factory=list[tuple[int, Bits, Bits]])
    blocks: dict[int, int] = field(default_factory=dict[int, int])


class Summariser:
    """Summaries of one code.  Cells and registers are what ``Source`` says."""

    def __init__(self, code: Code, diagrams: Diagrams) -> None:
        self.code, self.diagrams = code, diagrams
        self.families: dict[int, ir.Family] = {}  # those that were met

    def step(self, block: int, source: Source) -> set[Summary]:
        """What the step from the point at ``block`` does, for each combination of choices.

        Raises TooLarge and Unsupported.
        """
        found: set[Summary] = set()
        for ends in self._runs(block, source):
            found.add(frozenset(self._summary(ends, source)))
        return found

    def value(self, source: Source, parameters: dict[int, Bits]) -> tuple[int, int]:
        """When a property holds, and when a check fails in it.

        Raises TooLarge and Unsupported.
        """
        (ends,) = self._runs(0, source, parameters)
        d = self.diagrams
        holds = FALSE
        for guard, result in ends.results:
            holds = d.either(holds, d.both(guard, result[0]))
        return holds, ends.failed

    # -- one combination of choices after the other -----------------------------------

    def _runs(
        self, block: int, source: Source, parameters: dict[int, Bits] | None = None
    ) -> Iterator[_Ends]:
        given: list[int] = []
        for _ in range(CHOICES_MAX):
            run = _Run(self, source, given)
            ends = run.go(block, parameters or {})
            yield ends
            given = [*given, *[0] * (len(run.radices) - len(given))]
            while given and given[-1] + 1 >= run.radices[len(given) - 1]:
                given.pop()
            if not given:
                return
            given[-1] += 1
        raise Unsupported("too many choices")

    def _summary(self, ends: _Ends, source: Source) -> Iterator[tuple[Key, int]]:
        d = self.diagrams
        cells: dict[Cell, Bits] = {}
        registers: dict[tuple[int, int], Bits] = {}
        following: dict[int, int] = {}
        families = self.families
        for point, paths in ends.arrived:
            following[point] = d.either(following.get(point, FALSE), paths.guard)
            for cell, value in paths.cells.items():
                before = cells.get(cell) or source.cell(families[cell[0]], cell[1])
                cells[cell] = d.select(paths.guard, value, before)
            for number, value in paths.registers.items():
                before = registers.get((point, number)) or (FALSE,) * len(value)
                registers[point, number] = d.select(paths.guard, value, before)
        yield ("blocked",), ends.blocked
        yield ("failed",), ends.failed
        for point, guard in following.items():
            yield ("next", point), guard
        for (family, index), value in cells.items():
            if value != source.cell(families[family], index):
                yield from ((("cell", family, index, i), b) for i, b in enumerate(value))
        for (point, number), value in registers.items():
            yield from ((("register", point, number, i), b) for i, b in enumerate(value) if b)
        yield from self._locks(ends)
        yield from self._lines(ends)

    def _locks(self, ends: _Ends) -> Iterator[tuple[Key, int]]:
        """Which locks are noted while others are held, though the step may have to wait."""
        d = self.diagrams
        pairs: dict[Key, int] = {}
        for guard, lock, held in ends.locks:
            for number in range(1 << len(lock)) if guard else ():
                here = d.both(guard, d.equal(lock, constant(number, len(lock))))
                for bit, is_held in enumerate(held) if here else ():
                    key = ("lock", number, bit)
                    pairs[key] = d.either(pairs.get(key, FALSE), d.both(here, is_held))
        yield from ((key, guard) for key, guard in pairs.items() if guard)

    def _lines(self, ends: _Ends) -> Iterator[tuple[Key, int]]:
        """Lines of the source that run: coverage is to be told as without symmetry."""
        d = self.diagrams
        lines: dict[Key, int] = {}
        for number, guard in ends.blocks.items():
            for line in lines_of(self.code.blocks[number]):
                lines[line] = d.either(lines.get(line, FALSE), guard)
        yield from lines.items()


class _Run:
    """All paths of a step at once, for one combination of choices."""

    def __init__(self, summariser: Summariser, source: Source, given: Sequence[int]) -> None:
        self.summariser, self.source, self.given = summariser, source, given
        self.code, self.d = summariser.code, summariser.diagrams
        self.radices: list[int] = []
        self.ends = _Ends()
        self.families = summariser.families
        self.order: dict[int, tuple[int, frozenset[int]]] = {}
        self.needed: dict[int, set[int]] = {}
        self.waiting: dict[int, _Paths] = {}

    def go(self, start: int, parameters: dict[int, Bits]) -> _Ends:
        point = self.code.blocks[start].point
        registers = dict(parameters)
        guard = TRUE
        for register in () if point is None else point.live:
            value = registers[register.number] = self.source.register(register)
            guard = self.d.both(guard, self.within(value, self.source.interval(register)))
        self.waiting[start] = _Paths(guard, registers, {})
        self.order = _loop_order(self.code, start)
        self.needed = _needed(self.code, self.order)
        for _ in range(BLOCKS_MAX):
            if not self.waiting:
                return self.ends
            number = _next(self.waiting, self.order)
            self.block(number, self.waiting.pop(number))
        raise Unsupported("a loop that may go on and on")

    def within(self, value: Bits, interval: tuple[int, int]) -> int:
        low, high = (constant(bound, len(value)) for bound in interval)
        type = ir.Scalar(len(value))
        (not_below,) = self.d.operation("ge", type, ir.BOOL, [value, low])
        (not_above,) = self.d.operation("le", type, ir.BOOL, [value, high])
        return self.d.both(not_below, not_above)

    def block(self, number: int, paths: _Paths) -> None:
        block = self.code.blocks[number]
        for instruction in block.instructions:
            self.execute(instruction, paths)
            if paths.guard == FALSE:
                return
        known = self.ends.blocks.get(number, FALSE)
        self.ends.blocks[number] = self.d.either(known, paths.guard)
        end = block.terminator
        if isinstance(end, ir.Return):
            if end.value is not None:
                self.ends.results.append((paths.guard, self.value(end.value, paths)))
            self.ends.arrived.append((-1, _Paths(paths.guard, {}, paths.cells)))
        elif isinstance(end, ir.Jump):
            self.enter(end.target, paths)
        else:
            condition = self.value(end.condition, paths)[0]
            then = self.d.both(paths.guard, condition)
            other = self.d.both(paths.guard, self.d.negate(condition))
            for guard, target in ((then, end.then), (other, end.other)):
                if guard != FALSE:
                    self.enter(target, _Paths(guard, paths.registers, paths.cells))

    def enter(self, number: int, paths: _Paths) -> None:
        """Let paths wait at a block, with what is needed there; or end at its point."""
        point = self.code.blocks[number].point
        if point is not None:
            kept = {r.number: self.value(r, paths) for r in point.live}
            self.ends.arrived.append((point.number, _Paths(paths.guard, kept, paths.cells)))
            return
        needed = self.needed[number]
        registers = {r: v for r, v in paths.registers.items() if r in needed}
        here = _Paths(paths.guard, registers, dict(paths.cells))
        there = self.waiting.get(number)
        self.waiting[number] = here if there is None else self.join(here, there)

    def join(self, one: _Paths, other: _Paths) -> _Paths:
        d = self.d
        registers: dict[int, Bits] = {}
        for number in one.registers.keys() | other.registers.keys():
            zero = (FALSE,) * self.code.registers[number].bits
            a, b = one.registers.get(number, zero), other.registers.get(number, zero)
            registers[number] = a if a == b else d.select(one.guard, a, b)
        cells: dict[Cell, Bits] = {}
        for cell in one.cells.keys() | other.cells.keys():
            before = self.source.cell(self.families[cell[0]], cell[1])
            a, b = one.cells.get(cell, before), other.cells.get(cell, before)
            cells[cell] = a if a == b else d.select(one.guard, a, b)
        return _Paths(d.either(one.guard, other.guard), registers, cells)

    # -- instructions -----------------------------------------------------------------

    def execute(self, i: ir.Instruction, paths: _Paths) -> None:
        d = self.d
        match i:
            case ir.Op():
                args = [self.value(arg, paths) for arg in i.args]
                result = d.operation(i.name, i.args[0].type, i.dst.type, args)
                paths.registers[i.dst.number] = result
            case ir.Lookup():
                index = self.value(i.index, paths)
                values = [constant(number, i.dst.type.bits) for number in i.table]
                paths.registers[i.dst.number] = self.pick(paths, index, values)
            case ir.Load():
                paths.registers[i.dst.number] = self.load(i, paths)
            case ir.Store():
                self.store(i, paths)
            case ir.Check():
                condition = self.value(i.condition, paths)[0]
                failed = d.both(paths.guard, d.negate(condition))
                self.ends.failed = d.either(self.ends.failed, failed)
                paths.guard = d.both(paths.guard, condition)
            case ir.Wait():
                self.wait(self.value(i.condition, paths)[0], paths)
            case ir.Choose():
                self.choose(i, paths)
            case ir.LockOrder():
                lock, held = self.value(i.lock, paths), self.value(i.held, paths)
                self.ends.locks.append((paths.guard, lock, held))
            case ir.Note() | ir.Fence() | ir.Begin() | ir.End():
                pass
            case _:
                raise Unsupported(type(i).__name__)

    def value(self, operand: Operand, paths: _Paths) -> Bits:
        if isinstance(operand, Reg):
            known = paths.registers.get(operand.number)
            return (FALSE,) * operand.type.bits if known is None else known
        return constant(operand.value, operand.type.bits)

    def wait(self, condition: int, paths: _Paths) -> None:
        stopped = self.d.both(paths.guard, self.d.negate(condition))
        self.ends.blocked = self.d.either(self.ends.blocked, stopped)
        paths.guard = self.d.both(paths.guard, condition)

    def choose(self, i: ir.Choose, paths: _Paths) -> None:
        """Choice c of n: where n is not known, choices that there are not are blocked."""
        n = self.value(i.n, paths)
        known = value_of(n)
        radix = known if known is not None else (1 << len(n)) - 1
        if radix > CHOICES_MAX or (i.n.type.signed and (known is None or n[-1:] == (TRUE,))):
            raise Unsupported("a choice among many")
        made = len(self.radices)
        choice = self.given[made] if made < len(self.given) else 0
        self.radices.append(max(radix, 1))
        bits = constant(choice, len(n))
        self.wait(self.d.operation("lt", ir.Scalar(len(n)), ir.BOOL, [bits, n])[0], paths)
        paths.registers[i.dst.number] = constant(choice, i.dst.type.bits)

    def load(self, i: ir.Load, paths: _Paths) -> Bits:
        index = self.value(i.index, paths)
        known = value_of(index)
        if known is not None:
            return self.cell(i.family, min(known, i.family.count - 1), paths)
        wanted = [self.cell(i.family, cell, paths) for cell in range(i.family.count)]
        return self.pick(paths, index, wanted)

    def pick(self, paths: _Paths, index: Bits, values: Sequence[Bits]) -> Bits:
        known = value_of(index)
        if known is not None:
            return values[min(known, len(values) - 1)]
        result = (FALSE,) * len(values[0])
        for number, here in self.cases(paths, index, len(values)):
            result = self.d.select(here, values[number], result)
        return result

    def cases(self, paths: _Paths, index: Bits, count: int) -> Iterator[tuple[int, int]]:
        """(number, the condition that the index is it), for those that it can be."""
        for number in range(min(count, 1 << len(index))):
            here = self.d.equal(index, constant(number, len(index)))
            if self.d.both(here, paths.guard) != FALSE:
                yield number, here

    def cell(self, family: ir.Family, index: int, paths: _Paths) -> Bits:
        known = paths.cells.get((family.number, index))
        if known is not None:
            return known
        if not family.written:
            return constant(family.initial[index], family.type.bits)
        return self.source.cell(family, index)

    def store(self, i: ir.Store, paths: _Paths) -> None:
        value = self.value(i.value, paths)
        index = self.value(i.index, paths)
        self.families[i.family.number] = i.family
        if len(value) != i.family.type.bits:
            raise Unsupported("a store of another width")
        known = value_of(index)
        if known is not None:
            paths.cells[i.family.number, min(known, i.family.count - 1)] = value
            return
        for number, here in list(self.cases(paths, index, i.family.count)):
            before = self.cell(i.family, number, paths)
            paths.cells[i.family.number, number] = self.d.select(here, value, before)


def lines_of(block: Block) -> set[Key]:
    """("line", file, line) of a block's instructions and of the calls that led to them."""
    lines: set[Key] = set()
    for instruction in block.instructions:
        where: ir.Where | None = instruction.where
        while where is not None:
            lines.add(("line", where.file, where.line))
            where = where.caller
    return lines


# -- in which order blocks run, so that paths meet -------------------------------------


def _next(
    waiting: dict[int, _Paths], order: dict[int, tuple[int, frozenset[int]]]
) -> int:
    """The first block that waits; but a loop goes round only when all of it is ready."""
    candidates = sorted(waiting, key=lambda number: order[number][0])
    while True:
        first = candidates[0]
        inside = [number for number in candidates[1:] if number in order[first][1]]
        if not inside:
            return first
        candidates = inside


def _loop_order(code: Code, start: int) -> dict[int, tuple[int, frozenset[int]]]:
    """A weak topological order of the blocks of a step.

    Each block comes after those that lead to it, but for the way back to the block that
    begins a loop; all blocks of a loop come before what follows the loop.
    """
    blocks = [start]
    for number in blocks:  # grows while it is read
        for successor in _inside(code, number):
            if successor not in blocks:
                blocks.append(successor)
    order: dict[int, tuple[int, frozenset[int]]] = {}

    def arrange(heads: list[int], within: frozenset[int]) -> None:
        for component in _components(code, heads, within):
            head = component[-1]
            inner = frozenset(component) - {head}
            order[head] = (len(order), inner)
            if inner:
                arrange([s for s in _inside(code, head) if s in inner], inner)

    arrange([start], frozenset(blocks))
    return order


def _inside(code: Code, number: int) -> list[int]:
    """The blocks that may come next in the same step."""
    following = successors(code.blocks[number].terminator)
    return [s for s in following if code.blocks[s].point is None]


def _components(code: Code, heads: list[int], within: frozenset[int]) -> list[list[int]]:
    """Strongly connected components, each before those that it leads to (Tarjan).

    The last of a component is where a path entered it.
    """
    found: list[list[int]] = []
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []

    def visit(number: int) -> None:
        index[number] = low[number] = len(index)
        stack.append(number)
        for successor in _inside(code, number):
            if successor not in within:
                continue
            if successor not in index:
                visit(successor)
                low[number] = min(low[number], low[successor])
            elif successor in stack:
                low[number] = min(low[number], index[successor])
        if low[number] == index[number]:
            at = stack.index(number)
            found.append(stack[at:][::-1])
            del stack[at:]

    for head in heads:
        if head not in index:
            visit(head)
    return found[::-1]


def _needed(code: Code, blocks: Iterable[int]) -> dict[int, set[int]]:
    """For each block of a step the registers that the rest of the step may read."""
    needed: dict[int, set[int]] = {}
    for number in blocks:
        block = code.blocks[number]
        items = [*block.instructions, block.terminator]
        needed[number] = {o.number for i in items for o in operands(i) if isinstance(o, Reg)}
        for successor in successors(block.terminator):
            point = code.blocks[successor].point
            needed[number] |= {r.number for r in point.live} if point is not None else set()
    grows = True
    while grows:
        grows = False
        for number in reversed(list(needed)):
            size = len(needed[number])
            needed[number] = needed[number].union(
                *(needed[successor] for successor in _inside(code, number))
            )
            grows |= len(needed[number]) > size
    return needed
