"""Random programs that leave something to reduce: locks, own cells, flags, agents."""

from __future__ import annotations

import random

from pagerace.compiler.ir import BOOL, Code, Family, Operand, Program, Reg, Scalar
from tests.assembly import Assembly, family, program

LOCKS, FLAGS, DATA = 2, 2, 4
U2 = Scalar(2)


class Cells:
    """The memory that all of them share."""

    def __init__(self, make: random.Random) -> None:
        self.locks = family("Lock.held", make.choice([BOOL, U2]), LOCKS)
        self.writer = family("Sem.writer", BOOL)
        self.readers = family("Sem.readers", U2)
        self.flags = family("Flag.up", BOOL, FLAGS)
        self.data = family("Page.data", U2, DATA)
        self.all = [self.locks, self.writer, self.readers, self.flags, self.data]


class Maker:
    """Fills one Assembly with random statements."""

    def __init__(self, make: random.Random, cells: Cells, name: str, own: int) -> None:
        self.make, self.cells, self.own = make, cells, own
        self.a = Assembly(name)
        self.value: Reg = self.a.register(U2, "value")
        self.a.copy(self.value, 0)

    def body(self, depth: int, length: int) -> None:
        for _ in range(self.make.randint(1, length)):
            self.statement(depth)

    def statement(self, depth: int) -> None:
        simple = [self.load, self.store, self.store, self.add, self.flag, self.look]
        rare = [self.wait, self.choose, self.check, self.order, self.steal]
        nested = [self.locked, self.locked, self.tried, self.shared, self.exclusive,
                  self.branch, self.loop, self.section]  # fmt: skip
        kind = self.make.random()
        if depth and kind < 0.4:
            self.make.choice(nested)(depth - 1)
        else:
            self.make.choice(rare if kind > 0.85 else simple)()

    # -- plain accesses -------------------------------------------------------------------

    def cell(self) -> Operand | int:
        """An index of data: mostly one's own, sometimes not known when compiled."""
        kind = self.make.random()
        if kind < 0.5:
            return self.own % DATA
        if kind < 0.9:
            return self.make.randrange(DATA)
        return self.a.op("convert", self.value, to=Scalar(8))

    def load(self) -> None:
        self.a.load(self.cells.data, self.cell(), into=self.value)

    def store(self) -> None:
        value: Operand | int = self.make.choice([0, 1, 2, 3, self.value])
        self.a.store(self.cells.data, value, self.cell())

    def add(self) -> None:
        index = self.cell()
        atomic = self.make.random() < 0.5
        if atomic:
            self.a.begin()
        old = self.a.load(self.cells.data, index)
        self.a.store(self.cells.data, self.a.op("add", old, 1), index)
        if atomic:
            self.a.end()

    def flag(self) -> None:
        self.a.store(self.cells.flags, self.make.randrange(2), self.make.randrange(FLAGS))

    def look(self) -> None:
        seen = self.a.load(self.cells.flags, self.make.randrange(FLAGS))
        self.a.op("convert", seen, to=U2, into=self.value)

    def choose(self) -> None:
        self.a.op("convert", self.a.choose(2), to=U2, into=self.value)

    def check(self) -> None:
        self.a.check(self.a.op("ne", self.value, self.make.randrange(4)))

    def order(self) -> None:
        self.a.lock_order(self.make.randrange(LOCKS), 1 << self.make.randrange(LOCKS))

    def steal(self) -> None:
        """Set or release a lock that somebody else may hold: then it is none."""
        if self.make.random() < 0.3:
            self.a.store(self.cells.locks, self.make.randrange(2), self.make.randrange(LOCKS))

    def wait(self) -> None:
        flag = self.make.randrange(FLAGS)
        self.a.begin()
        up = self.a.load(self.cells.flags, flag)
        self.a.wait(up if self.make.random() < 0.5 else self.a.op("eq", up, 0))
        if self.make.random() < 0.5:
            self.a.store(self.cells.flags, self.make.randrange(2), flag)
        self.a.end()

    # -- sections -------------------------------------------------------------------------

    def locked(self, depth: int) -> None:
        lock = self.make.randrange(LOCKS)
        self.a.begin()
        if self.make.random() < 0.2:  # an attempt that may fail although it has to wait
            seen = self.a.load(self.cells.data, self.make.randrange(DATA))
            self.a.check(self.a.op("ne", seen, self.make.randrange(1, 4)))
        held = self.a.load(self.cells.locks, lock)
        self.a.wait(self.a.op("eq", held, 0))
        self.a.store(self.cells.locks, 1, lock)
        self.a.end()
        self.body(depth, 3)
        self.a.store(self.cells.locks, 0, lock)

    def tried(self, depth: int) -> None:
        lock = self.make.randrange(LOCKS)
        taken, inside, after = self.a.block(), self.a.block(), self.a.block()
        self.a.begin()
        held = self.a.load(self.cells.locks, lock)
        leave = self.a.block()
        self.a.branch(self.a.op("ne", held, 0), leave, taken)
        self.a.at(leave).end()
        self.a.jump(after)
        self.a.at(taken).store(self.cells.locks, 1, lock)
        self.a.end()
        self.a.jump(inside)
        self.a.at(inside)
        self.body(depth, 2)
        self.a.store(self.cells.locks, 0, lock)
        self.a.jump(after)
        self.a.at(after)

    def shared(self, depth: int) -> None:
        self.a.begin()
        self.a.wait(self.a.op("eq", self.a.load(self.cells.writer), 0))
        readers = self.a.load(self.cells.readers)
        self.a.store(self.cells.readers, self.a.op("add", readers, 1))
        self.a.end()
        self.body(depth, 2)
        self._up_read()

    def _up_read(self) -> None:
        self.a.begin()
        readers = self.a.load(self.cells.readers)
        self.a.store(self.cells.readers, self.a.op("sub", readers, 1))
        self.a.end()

    def exclusive(self, depth: int) -> None:
        """Down for writing; sometimes downgraded before it is up again."""
        self.a.begin()
        writer, readers = self.a.load(self.cells.writer), self.a.load(self.cells.readers)
        free = self.a.op("and", self.a.op("eq", writer, 0), self.a.op("eq", readers, 0))
        self.a.wait(free)
        self.a.store(self.cells.writer, 1)
        self.a.end()
        self.body(depth, 2)
        if self.make.random() < 0.3:
            self.a.begin()
            self.a.store(self.cells.writer, 0)
            self.a.store(self.cells.readers, 1)
            self.a.end()
            self.body(depth, 2)
            self._up_read()
        else:
            self.a.store(self.cells.writer, 0)

    def section(self, depth: int) -> None:
        self.a.begin()
        self.body(0, 3)
        self.a.end()

    # -- control flow ---------------------------------------------------------------------

    def branch(self, depth: int) -> None:
        then, other, after = self.a.block(), self.a.block(), self.a.block()
        self.a.branch(self.a.op("eq", self.value, self.make.randrange(3)), then, other)
        for start in (then, other):
            self.a.at(start)
            if start == then or self.make.random() < 0.5:
                self.body(depth, 2)
            self.a.jump(after)
        self.a.at(after)

    def loop(self, depth: int) -> None:
        """Twice, or until some value is found: that may be for ever."""
        head, body, after = self.a.block(), self.a.block(), self.a.block()
        counter = self.a.register(U2, "i")
        self.a.copy(counter, 0)
        self.a.jump(head)
        self.a.at(head)
        if self.make.random() < 0.6:
            self.a.branch(self.a.op("lt", counter, 2), body, after)
        else:
            self.load()
            self.a.branch(self.a.op("eq", self.value, self.make.randrange(2)), body, after)
        self.a.at(body)
        self.body(depth, 2)
        self.a.op("add", counter, 1, into=counter)
        self.a.jump(head)
        self.a.at(after)


def _agent(make: random.Random, cells: Cells, number: int) -> Assembly:
    """Does the same for ever."""
    maker = Maker(make, cells, f"agent{number}", number)
    start = maker.a.block()
    maker.a.jump(start)
    maker.a.at(start)
    maker.body(1, 2)
    maker.a.jump(start)
    return maker.a


def _property(make: random.Random, cells: Cells, name: str) -> Code:
    p = Assembly(name)
    if make.random() < 0.3:
        done = p.parameter(BOOL)
        index = make.randrange(DATA)
        return p.result(p.op("xor", done, p.op("eq", p.load(cells.data, index), 1)))
    where: Family = make.choice([cells.data, cells.data, cells.flags])
    first = p.op("ne", p.load(where, make.randrange(2)), 1)
    second = p.op("ne", p.load(cells.data, make.randrange(DATA)), make.randrange(4))
    return p.result(p.op(make.choice(["or", "and"]), first, second))


def random_program(seed: int, *, alike: bool = False) -> Program:
    """Two or three threads, at times an agent, at times properties of each kind.

    ``alike``: the threads all do the same.
    """
    make = random.Random(seed)
    cells = Cells(make)
    threads: list[Assembly] = []
    for number in range(make.choice([2, 2, 3])):
        draw = random.Random(seed) if alike else make
        name = "thread" if alike else f"thread{number}"
        maker = Maker(draw, cells, name, 0 if alike else number)
        maker.body(2, 4 if number < 2 and not alike else 2)
        threads.append(maker.a)
    agents = [_agent(make, cells, 3)] if make.random() < 0.3 else []
    kinds: dict[str, list[Code]] = {}
    for kind in ("always", "at_end", "sometimes"):
        number = make.choice([0, 0, 1, 2])
        kinds[kind] = [_property(make, cells, f"{kind}{i}") for i in range(number)]
    return program(
        cells.all, threads, agents=agents, always=kinds["always"], at_end=kinds["at_end"],
        sometimes=kinds["sometimes"], lock_names=("A", "B"),
    )  # fmt: skip
