"""What code that changes nothing comes to, as one expression over the state.

Promela's guards are expressions: whether a step is possible must be known before any of it
is done.  So the step is run here with terms for values, along all its ways, up to its last
``wait_until`` or ``choose``; and a property to its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pagerace.compiler import ir
from pagerace.compiler.footprint import blocks_of_step
from pagerace.compiler.ir import Code, Family, Operand
from pagerace.compiler.liveness import live_at_entry, successors
from pagerace.compiler.promela import terms
from pagerace.compiler.promela.graph import END, joins
from pagerace.compiler.promela.terms import FALSE, TRUE, Inexpressible, Term
from pagerace.compiler.ranges import interval, intervals

BLOCKS_MAX = 20_000  # run for one expression
CELLS_MAX = 64  # of a family, where one is picked by an index that is not known


class Names:
    """How registers and cells are called."""

    def __init__(self, families: dict[int, str], registers: dict[int, str]) -> None:
        self.families, self.registers = families, registers

    def cell(self, family: Family, index: Term) -> Term:
        """A cell as it is in the state."""
        if family.type.bits == 0:
            return FALSE
        if not family.written:
            table = [terms.constant(family.type, value) for value in family.initial]
            return pick(index, table)
        array = self.families[family.number]
        if family.count == 1:
            return terms.name(array, family.type)
        if index.kind == "number":
            return terms.name(f"{array}[{index.value}]", family.type)
        return terms.cell(array, index, family.type)

    def register(self, register: ir.Reg) -> Term:
        """A register as it is in the state."""
        if register.type.bits == 0:
            return FALSE
        return terms.name(self.registers[register.number], register.type)


def pick(index: Term, values: Sequence[Term]) -> Term:
    """``values[index]``, the index being in range."""
    if index.kind == "number":
        # What lies behind a Check that fails may be out of range, and is never reached.
        return values[index.value] if index.value < len(values) else FALSE
    if len(values) > CELLS_MAX:
        raise Inexpressible(f"a table of {len(values)} values")
    result = values[-1]
    for number in reversed(range(len(values) - 1)):
        result = terms.choice(terms.equals(index, number), values[number], result)
    return result


@dataclass(frozen=True, slots=True)
class _Known:
    """Values at some moment of a run: of registers, and of cells that were stored to."""

    registers: dict[int, Term] = field(default_factory=dict[int, Term])
    cells: dict[tuple[int, int], Term] = field(default_factory=dict[tuple[int, int], Term])
    chosen: int = 0

    def copy(self) -> _Known:
        return _Known(dict(self.registers), dict(self.cells), self.chosen)

    def key(self, live: int) -> tuple[object, ...]:
        registers = tuple(
            sorted((n, id(term)) for n, term in self.registers.items() if live >> n & 1)
        )
        cells = tuple(sorted((place, id(t)) for place, t in self.cells.items()))
        return registers, cells, self.chosen


class _Run:
    """Code that is run with terms for values."""

    def __init__(self, code: Code, names: Names, live: Sequence[int]) -> None:
        self.code, self.names, self.live = code, names, live
        self.blocks = 0

    def begin(self) -> None:
        """Count the blocks that are run: what does not end would not end here either."""
        self.blocks += 1
        if self.blocks > BLOCKS_MAX:
            raise Inexpressible("there are too many ways through it")

    def value(self, known: _Known, operand: Operand) -> Term:
        if isinstance(operand, ir.Const):
            return terms.constant(operand.type, operand.value)
        value = known.registers.get(operand.number)
        return self.initial(operand) if value is None else value

    def initial(self, register: ir.Reg) -> Term:
        return self.names.register(register)

    def execute(self, known: _Known, item: ir.Instruction) -> None:
        """Do what an instruction does that decides nothing."""
        if isinstance(item, ir.Op):
            args = [self.value(known, arg) for arg in item.args]
            known.registers[item.dst.number] = terms.operation(item, args)
        elif isinstance(item, ir.Lookup):
            table = [terms.constant(item.dst.type, value) for value in item.table]
            known.registers[item.dst.number] = pick(self.value(known, item.index), table)
        elif isinstance(item, ir.Load):
            known.registers[item.dst.number] = self.load(known, item)
        elif isinstance(item, ir.Store):
            self.store(known, item)

    def load(self, known: _Known, item: ir.Load) -> Term:
        family, index = item.family, self.value(known, item.index)
        stored = any(number == family.number for number, _ in known.cells)
        if not stored:
            return self.names.cell(family, index)
        return pick(index, [self.cell(known, family, i) for i in range(family.count)])

    def cell(self, known: _Known, family: Family, index: int) -> Term:
        value = known.cells.get((family.number, index))
        return self.names.cell(family, terms.number(index)) if value is None else value

    def store(self, known: _Known, item: ir.Store) -> None:
        family, index = item.family, self.value(known, item.index)
        value = self.value(known, item.value)
        if index.kind == "number":
            known.cells[family.number, index.value] = value
            return
        if family.count > CELLS_MAX:
            raise Inexpressible(f"a store to one of {family.count} cells", item.where)
        for number in range(family.count):
            before = self.cell(known, family, number)
            known.cells[family.number, number] = terms.choice(
                terms.equals(index, number), value, before
            )


# -- properties --------------------------------------------------------------------

_RESULT = -1  # where a property's result is kept, beside the registers


class _Property(_Run):
    """The values of a property's registers, merged where two ways meet.

    ``done``: have all threads returned?
    """

    def __init__(self, code: Code, names: Names, done: Term) -> None:
        super().__init__(code, names, live_at_entry(code))
        self.done = done
        after = {n: successors(b.terminator) or (END,) for n, b in enumerate(code.blocks)}
        self.join = joins(after)
        self.found: dict[tuple[object, ...], tuple[_Known, Term]] = {}

    def initial(self, register: ir.Reg) -> Term:
        if any(register.number == known.number for known in self.code.parameters):
            return self.done
        return FALSE

    def result(self, *, lenient: bool) -> Term:
        """Does it hold?  ``lenient``: only a Check that fails counts."""
        known, sound = self.run(0, END, _Known())
        return sound if lenient else terms.conjunction(sound, known.registers[_RESULT])

    def run(self, number: int, stop: int, known: _Known) -> tuple[_Known, Term]:
        """(what is known at ``stop``, the condition that no Check has failed)."""
        sound = TRUE
        while number != stop:
            self.begin()
            block = self.code.blocks[number]
            for item in block.instructions:
                self.execute(known, item)
                if isinstance(item, ir.Check):
                    holds = self.value(known, item.condition)
                    sound = terms.conjunction(sound, holds)
            end = block.terminator
            if sound is FALSE:
                known.registers[_RESULT] = FALSE
                return known, FALSE
            if isinstance(end, ir.Return):
                assert end.value is not None, "a property returns a bool"
                known.registers[_RESULT] = self.value(known, end.value)
                number = END
            elif isinstance(end, ir.Jump):
                number = end.target
            else:
                condition = self.value(known, end.condition)
                if condition.kind == "number":
                    number = end.then if condition.value else end.other
                    continue
                if number not in self.join:
                    raise Inexpressible("a loop without end")
                join = self.join[number]
                known, both = self.parted(condition, end, join, known)
                sound = terms.conjunction(sound, both)
                number = join
        return known, sound

    def parted(
        self, condition: Term, end: ir.Branch, join: int, known: _Known
    ) -> tuple[_Known, Term]:
        """Both ways from a branch, up to where they meet."""
        then, then_sound = self.way(end.then, join, known)
        other, other_sound = self.way(end.other, join, known)
        sound = terms.choice(condition, then_sound, other_sound)
        live = 0 if join == END else self.live[join]
        merged = _Known()
        for key in then.registers.keys() | other.registers.keys():
            if key == _RESULT or live >> key & 1:
                a = then.registers.get(key, FALSE)
                b = other.registers.get(key, FALSE)
                merged.registers[key] = terms.choice(condition, a, b)
        return merged, sound

    def way(self, number: int, join: int, known: _Known) -> tuple[_Known, Term]:
        """``run`` from a copy, once for each set of values."""
        if number == join:
            return known, TRUE
        key = (number, join, *known.key(self.live[number]))
        if key not in self.found:
            self.found[key] = self.run(number, join, known.copy())
        return self.found[key]


def property_holds(property: ir.Property, names: Names, done: Term) -> Term:
    """The condition that a property is not violated.  Raises Inexpressible."""
    try:
        return _Property(property.code, names, done).result(
            lenient=property.kind == "sometimes"
        )
    except Inexpressible as error:
        raise Inexpressible(str(error), error.where or property.where) from None


# -- guards ------------------------------------------------------------------------


class _Guard(_Run):
    """Is the step from a block possible with these choices, all of them and no more?"""

    def __init__(
        self, code: Code, names: Names, live: Sequence[int], start: int, choices: Sequence[int]
    ) -> None:
        super().__init__(code, names, live)
        self.choices = choices
        self.more = 0  # how many alternatives the choice after these has, where there is one
        self.open = _waits_later(code, start)
        self.found: dict[tuple[object, ...], Term] = {}

    def block(self, number: int, known: _Known) -> Term:
        """What the step comes to from a block on."""
        if number not in self.open or self.code.blocks[number].point is not None:
            return self.ends(known)
        key = (number, *known.key(self.live[number]))
        result = self.found.get(key)
        if result is None:
            self.begin()
            result = self.found[key] = self.instructions(number, 0, known.copy())
        return result

    def instructions(self, number: int, start: int, known: _Known) -> Term:
        """The same from an instruction of the block on; ``known`` is changed."""
        block = self.code.blocks[number]
        for position in range(start, len(block.instructions)):
            item = block.instructions[position]
            self.execute(known, item)
            if isinstance(item, ir.Check | ir.Wait | ir.Choose):
                return self.decide(number, position, item, known)
        end = block.terminator
        if isinstance(end, ir.Jump):
            return self.block(end.target, known)
        if isinstance(end, ir.Return):
            return self.ends(known)
        condition = self.value(known, end.condition)
        if condition.kind == "number":
            return self.block(end.then if condition.value else end.other, known)
        then, other = self.block(end.then, known), self.block(end.other, known)
        return terms.choice(condition, then, other)

    def ends(self, known: _Known) -> Term:
        return TRUE if known.chosen == len(self.choices) else FALSE

    def decide(
        self, number: int, position: int, item: ir.Check | ir.Wait | ir.Choose, known: _Known
    ) -> Term:
        """What comes of an instruction that may end the step."""
        if isinstance(item, ir.Choose):
            return self.choose(number, position, item, known)
        condition = self.value(known, item.condition)
        if condition is FALSE:
            return FALSE if isinstance(item, ir.Wait) else self.ends(known)
        rest = self.instructions(number, position + 1, known)
        if isinstance(item, ir.Wait):
            return terms.conjunction(condition, rest)
        return terms.choice(condition, rest, self.ends(known))

    def choose(self, number: int, position: int, item: ir.Choose, known: _Known) -> Term:
        n = self.value(known, item.n)
        if known.chosen == len(self.choices):
            if n.kind != "number":
                _, greatest = interval(intervals(self.code), item.n)
                n = terms.number(greatest)
            self.more = max(self.more, n.value)
            return FALSE
        taken = self.choices[known.chosen]
        known = _Known(known.registers, known.cells, known.chosen + 1)
        known.registers[item.dst.number] = terms.number(taken)
        allowed = terms.operation(
            ir.Op(ir.Reg(0, ir.BOOL), "lt", (ir.Const(taken, item.n.type), item.n), item.where),
            [terms.number(taken), n],
        )
        if allowed is FALSE:
            return FALSE
        return terms.conjunction(allowed, self.instructions(number, position + 1, known))


def _waits_later(code: Code, start: int) -> set[int]:
    """The blocks of the step from which it may still wait or choose."""
    blocks = blocks_of_step(code, start)
    found = {
        number
        for number in blocks
        if any(isinstance(i, ir.Wait | ir.Choose) for i in code.blocks[number].instructions)
    }
    growing = True
    while growing:
        growing = False
        for number in blocks:
            after = successors(code.blocks[number].terminator)
            inside = [b for b in after if code.blocks[b].point is None]
            if number not in found and any(b in found for b in inside):
                found.add(number)
                growing = True
    return found


def guard(
    code: Code, names: Names, live: Sequence[int], start: int, choices: Sequence[int]
) -> tuple[Term, int]:
    """(when is the step possible with these choices, alternatives of one choice more).

    ``live``: the registers that are live at each block.  Raises Inexpressible.
    """
    run = _Guard(code, names, live, start, choices)
    if start not in run.open:
        return run.ends(_Known()), 0
    where = code.blocks[start].point
    try:
        return run.instructions(start, 0, _Known()), run.more
    except Inexpressible as error:
        raise Inexpressible(str(error), error.where or (where and where.where)) from None
