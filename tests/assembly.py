"""IR by hand: a small assembler, so that the engine is tested without the front end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pagerace.compiler import footprint, ir, liveness, ops, points
from pagerace.compiler.ir import BOOL, Code, Const, Family, Operand, Program, Reg, Scalar

U8 = Scalar(8)


def const(value: int, scalar: Scalar = U8) -> Const:
    return Const(value, scalar)


def family(
    name: str,
    scalar: Scalar = U8,
    count: int = 1,
    *,
    written: bool = True,
    private: bool = False,
    initial: Sequence[int] = (),
) -> Family:
    """A family named like ``Page.dirty``; ``program`` numbers it."""
    structure, _, field = name.partition(".")
    names = [f"{structure.lower()}s[{i}].{field}" for i in range(count)]
    start = list(initial) or [0] * count
    return Family(-1, name, scalar, count, names, private, written, start)


class Assembly:
    """Builds one Code; each call appends to the current block.

    Each instruction gets a line of its own, counted from 1.
    """

    def __init__(self, name: str = "thread") -> None:
        self.code = Code(name, [], [], [])
        self.line = 0
        self.current = self.block()

    def block(self) -> int:
        """A new block, which ends the thread until something else ends it."""
        self.code.blocks.append(ir.Block([], ir.Return()))
        return len(self.code.blocks) - 1

    def at(self, number: int) -> Assembly:
        self.current = number
        return self

    def where(self) -> ir.Where:
        self.line += 1
        return ir.Where("test.py", self.line, 0, 1, self.code.name)

    def register(self, scalar: Scalar = U8, name: str = "") -> Reg:
        self.code.registers.append(scalar)
        self.code.names.append(name)
        return Reg(len(self.code.registers) - 1, scalar)

    def parameter(self, scalar: Scalar = U8, name: str = "") -> Reg:
        register = self.register(scalar, name)
        self.code.parameters += (register,)
        return register

    def emit(self, instruction: ir.Instruction) -> None:
        self.code.blocks[self.current].instructions.append(instruction)

    def op(
        self,
        name: str,
        *args: Operand | int,
        to: Scalar | None = None,
        into: Reg | None = None,
    ) -> Reg:
        """``into = name(args)``; a plain number takes the type of the other operands."""
        known = next((a.type for a in args if isinstance(a, (Const, Reg))), U8)
        operands = tuple(const(a, known) if isinstance(a, int) else a for a in args)
        result = {"same": operands[0].type, "bool": BOOL}.get(ops.TABLE[name].result) or to
        assert result is not None or into is not None
        target = into or self.register(result or U8)
        self.emit(ir.Op(target, name, operands, self.where()))
        return target

    def copy(self, target: Reg, value: Operand | int) -> None:
        operand = const(value, target.type) if isinstance(value, int) else value
        self.emit(ir.Op(target, "convert", (operand,), self.where()))

    def lookup(self, table: Sequence[int], index: Operand, scalar: Scalar = U8) -> Reg:
        target = self.register(scalar)
        self.emit(ir.Lookup(target, tuple(table), index, self.where()))
        return target

    def load(
        self,
        cells: Family,
        index: Operand | int = 0,
        access: ir.Access = "plain",
        *,
        name: str = "",
        into: Reg | None = None,
    ) -> Reg:
        target = into or self.register(cells.type, name)
        operand = const(index) if isinstance(index, int) else index
        self.emit(ir.Load(target, cells, operand, access, self.where()))
        return target

    def store(
        self,
        cells: Family,
        value: Operand | int,
        index: Operand | int = 0,
        access: ir.Access = "plain",
    ) -> None:
        stored = const(value, cells.type) if isinstance(value, int) else value
        operand = const(index) if isinstance(index, int) else index
        self.emit(ir.Store(cells, operand, stored, access, self.where()))

    def check(self, condition: Operand, slug: str = "assert", text: str = "") -> None:
        self.emit(ir.Check(condition, slug, text, self.where()))

    def wait(self, condition: Operand) -> None:
        self.emit(ir.Wait(condition, self.where()))

    def choose(self, n: Operand | int, scalar: Scalar = U8) -> Reg:
        target = self.register(scalar)
        operand = const(n) if isinstance(n, int) else n
        self.emit(ir.Choose(target, operand, self.where()))
        return target

    def note(self, kind: Literal["trace", "call", "return"], text: str, *args: Operand) -> None:
        self.emit(ir.Note(kind, text, args, self.where()))

    def lock_order(self, lock: int, held: Operand | int) -> None:
        mask = const(held, ir.U64) if isinstance(held, int) else held
        self.emit(ir.LockOrder(const(lock), mask, self.where()))

    def begin(self, why: str = "atomic section") -> None:
        self.emit(ir.Begin(self.where(), why))

    def end(self) -> None:
        self.emit(ir.End(self.where()))

    def jump(self, target: int) -> None:
        self.code.blocks[self.current].terminator = ir.Jump(target)

    def branch(self, condition: Operand, then: int, other: int) -> None:
        self.code.blocks[self.current].terminator = ir.Branch(condition, then, other)

    def result(self, value: Operand | int, scalar: Scalar = BOOL) -> Code:
        """Return a value here; the Code, which is complete."""
        operand = const(value, scalar) if isinstance(value, int) else value
        self.code.blocks[self.current].terminator = ir.Return(operand)
        self.code.result = operand.type
        return self.code


def program(
    families: Sequence[Family],
    threads: Sequence[Assembly],
    *,
    agents: Sequence[Assembly] = (),
    always: Sequence[Code] = (),
    at_end: Sequence[Code] = (),
    sometimes: Sequence[Code] = (),
    lock_names: Sequence[str] = (),
) -> Program:
    """The threads, then the agents, with points, live registers and footprints."""
    for number, cells in enumerate(families):
        cells.number = number
    processes: list[ir.Process] = []
    checks: list[ir.Check] = []
    for index, assembly in enumerate([*threads, *agents]):
        code = assembly.code
        places = points.place_points(code)
        liveness.compute(code)
        footprint.compute(code)
        agent = index >= len(threads)
        processes.append(ir.Process(index, code.name, str(index), index, agent, code, places))
    kinds: list[tuple[Any, Sequence[Code]]] = [
        ("always", always), ("at_end", at_end), ("sometimes", sometimes)
    ]  # fmt: skip
    where = ir.Where("test.py", 1, 0, 1, "")
    properties = [
        ir.Property(kind, code.name, code, where) for kind, codes in kinds for code in codes
    ]
    codes = [p.code for p in processes] + [p.code for p in properties]
    for code in codes:
        for block in code.blocks:
            checks += [i for i in block.instructions if isinstance(i, ir.Check)]
    for number, check in enumerate(checks):
        check.number = number
    return Program(
        "test", "test.py", list(families), processes, properties, checks, {},
        len(lock_names), list(lock_names),
    )  # fmt: skip
