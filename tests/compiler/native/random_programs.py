"""Random programs in IR, for Hypothesis: whatever two executors could disagree about.

Odd widths and signs, families of one word, of several, constant and private ones,
dynamic indices, loops inside a step, choices of anything, checks and waits that fail.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from pagerace.compiler import ir
from pagerace.compiler.ir import BOOL, Const, Family, Operand, Program, Reg, Scalar
from tests.assembly import Assembly, family, program

TYPES = [
    Scalar(1), Scalar(2), Scalar(3), Scalar(7), Scalar(8), Scalar(13), Scalar(32), Scalar(33),
    Scalar(64), Scalar(8, signed=True), Scalar(5, signed=True), Scalar(32, signed=True),
    Scalar(64, signed=True), Scalar(1, signed=True), BOOL,
]  # fmt: skip
INDEX = Scalar(8)
SAME = ["add", "sub", "mul", "and", "or", "xor", "shl", "shr", "div", "mod", "select"]
COMPARE = ["eq", "ne", "lt", "le", "gt", "ge"]


class Maker:
    """Fills one Assembly with what ``draw`` says."""

    def __init__(self, draw: st.DrawFn, families: Sequence[Family], name: str) -> None:
        self.draw = draw
        self.families = families
        self.a = Assembly(name)
        self.variables = [self.a.register(self.pick(TYPES), f"v{i}") for i in range(4)]
        self.budget = 60  # instructions, more or less
        self.in_loop = False
        self.choices = 0

    def pick(self, values: Sequence[ir.Scalar]) -> Scalar:
        return self.draw(st.sampled_from(values))

    def number(self, high: int) -> int:
        return self.draw(st.integers(0, high))

    def constant(self, scalar: Scalar) -> Const:
        top = (1 << scalar.bits) - 1
        value = self.draw(st.one_of(st.integers(0, min(top, 3)), st.integers(0, top)))
        return Const(value, scalar)

    def value(self, scalar: Scalar, depth: int = 2) -> Operand:
        """Something of this type: a constant, a variable, a cell, an operation."""
        self.budget -= 1
        kind = self.number(7) if depth and self.budget > 0 else self.number(1)
        if kind == 0:
            return self.constant(scalar)
        if kind == 1:
            return self.convert(self.variables[self.number(3)], scalar)
        if kind == 2:
            return self.convert(self.load(depth - 1), scalar)
        if kind == 3:
            name = "not" if scalar.kind == "bool" else ["invert", "neg"][self.number(1)]
            return self.a.op(name, self.value(scalar, depth - 1), to=scalar)
        if kind == 4:
            return self.convert(self.condition(depth - 1), scalar)
        if kind == 5:
            length = self.number(5) + 1
            table = [self.constant(scalar).value for _ in range(length)]
            return self.a.lookup(table, self.index(length, depth - 1), scalar)
        return self.operation(self.draw(st.sampled_from(SAME)), scalar, depth - 1)

    def operation(self, name: str, scalar: Scalar, depth: int) -> Operand:
        if scalar.kind == "bool" and name not in ("and", "or", "xor", "select"):
            name = "xor"
        left, right = self.value(scalar, depth), self.value(scalar, depth)
        if name == "select":
            return self.a.op(name, self.condition(depth), left, right, to=scalar)
        if name in ("div", "mod"):
            self.a.check(self.a.op("ne", right, 0), "division-by-zero")
        return self.a.op(name, left, right)

    def convert(self, value: Operand, scalar: Scalar) -> Operand:
        if value.type == scalar:
            return value
        if scalar.kind == "bool":
            return self.a.op("truth", value)
        return self.a.op("convert", value, to=scalar)

    def condition(self, depth: int = 1) -> Operand:
        scalar = self.pick(TYPES)
        name = self.draw(st.sampled_from(COMPARE))
        return self.a.op(name, self.value(scalar, depth), self.value(scalar, depth))

    def index(self, count: int, depth: int) -> Operand:
        """An index in range, known when compiled or not."""
        if self.number(1) or count == 1:
            return Const(self.number(count - 1), INDEX)
        raw = self.value(INDEX, depth)
        if self.number(3) or isinstance(raw, Const):
            return self.a.op("mod", raw, count)
        self.a.check(self.a.op("lt", raw, Const(count, INDEX)), "index-out-of-range")
        return raw

    def load(self, depth: int = 1) -> Reg:
        cells = self.families[self.number(len(self.families) - 1)]
        return self.a.load(cells, self.index(cells.count, depth))

    def store(self) -> None:
        written = [cells for cells in self.families if cells.written]
        cells = written[self.number(len(written) - 1)]
        index = self.index(cells.count, 1)
        self.a.store(cells, self.value(cells.type), index)

    def assign(self) -> None:
        target = self.variables[self.number(3)]
        value = self.value(target.type)
        self.a.emit(ir.Op(target, "convert", (value,), self.a.where()))

    def statement(self, depth: int) -> None:
        kind = self.number(11)
        if kind <= 3:
            self.assign()
        elif kind <= 6:
            self.store()
        elif kind == 7 and depth:
            self.branch(depth)
        elif kind == 8 and depth:
            self.loop(depth)
        elif kind == 9 and depth:
            self.section(depth)
        elif kind == 10 and self.choices < 3 and not self.in_loop:
            self.choices += 1
            n = self.a.op("and", self.value(Scalar(8)), 3) if self.number(1) else 2
            chosen = self.a.choose(n)
            self.a.copy(self.variables[self.number(3)], self.convert(chosen, INDEX))
        elif self.number(1):
            self.a.lock_order(self.number(3), self.value(ir.U64, 0))
        else:
            self.a.check(self.condition(), "assert")

    def body(self, depth: int, length: int, *, least: int = 1) -> None:
        for number in range(least + self.number(length - least)):
            if self.budget > 0 or number < least:
                self.statement(depth)

    def branch(self, depth: int) -> None:
        condition = self.condition()
        then, other, after = self.a.block(), self.a.block(), self.a.block()
        self.a.branch(condition, then, other)
        for start in (then, other):
            self.a.at(start)
            if start == then or self.number(1):
                self.body(depth - 1, 3)
            self.a.jump(after)
        self.a.at(after)

    def loop(self, depth: int) -> None:
        """Counts, inside a step or over several."""
        counter = self.a.register(INDEX, "i")
        self.a.copy(counter, 0)
        head, body, after = self.a.block(), self.a.block(), self.a.block()
        self.a.jump(head)
        self.a.at(head)
        self.a.branch(self.a.op("lt", counter, self.number(3)), body, after)
        self.a.at(body)
        saved, self.in_loop = self.in_loop, True
        self.body(depth - 1, 3)
        self.in_loop = saved
        self.a.op("add", counter, 1, into=counter)
        self.a.jump(head)
        self.a.at(after)

    def section(self, depth: int) -> None:
        self.a.begin()
        if self.number(2) == 0:
            self.a.wait(self.condition())
        self.body(depth - 1, 3)
        self.a.end()


@st.composite
def family_lists(draw: st.DrawFn) -> list[Family]:
    """A few families, one of them surely written."""
    families: list[Family] = []
    for number in range(draw(st.integers(1, 4))):
        scalar = draw(st.sampled_from(TYPES))
        count = draw(st.sampled_from([1, 1, 2, 3, 5, 9, 33]))
        written = number == 0 or draw(st.integers(0, 3)) > 0
        top = (1 << scalar.bits) - 1
        initial = draw(st.lists(st.integers(0, top), min_size=count, max_size=count))
        private = draw(st.integers(0, 4)) == 0
        families.append(
            family(f"F{number}.f", scalar, count, written=written, private=private,
                   initial=initial)
        )  # fmt: skip
    return families


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """One to three processes, and a property of each kind."""
    families = draw(family_lists())
    makers: list[Maker] = []
    for index in range(draw(st.integers(1, 3))):
        maker = Maker(draw, families, f"t{index}")
        for variable in maker.variables:
            maker.a.copy(variable, maker.constant(variable.type))
        maker.body(3, 8, least=3)
        makers.append(maker)
    agents = makers[1:] if draw(st.booleans()) else []
    threads = [maker for maker in makers if maker not in agents]
    codes: dict[str, list[ir.Code]] = {}
    for kind in ("always", "at_end", "sometimes"):
        codes[kind] = []
        for number in range(draw(st.integers(0, 2))):
            maker = Maker(draw, families, f"{kind}{number}")
            maker.budget = 12
            if draw(st.integers(0, 2)) == 0:
                done = maker.a.parameter(BOOL)
                maker.a.copy(maker.variables[0], maker.convert(done, maker.variables[0].type))
            codes[kind].append(maker.a.result(maker.condition()))
    return program(
        families, [m.a for m in threads], agents=[m.a for m in agents],
        always=codes["always"], at_end=codes["at_end"], sometimes=codes["sometimes"],
    )  # fmt: skip
