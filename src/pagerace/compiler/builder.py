"""Building a control-flow graph: blocks, registers, operations that fold."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

from pagerace.compiler import ir, ops
from pagerace.compiler.diagnostic import Diagnostic
from pagerace.compiler.ir import BOOL, Block, Const, Jump, Operand, Reg, Scalar, Where
from pagerace.compiler.memory import Embedded, Leaf, Memory, may_be_none
from pagerace.compiler.sparse import Owned, SparseMemory


@dataclass(frozen=True)
class Literal:
    """A Python integer whose type is still to be taken from its context."""

    value: int


@dataclass(frozen=True)
class Static:
    """Something that only the compiler knows: a function, a class, a pool, None."""

    value: Any


@dataclass(frozen=True)
class Place:
    """A cell that has not been loaded yet."""

    leaf: Leaf
    index: Operand
    owner: tuple[type, Operand] | None  # structure and reference that lead here


@dataclass(frozen=True)
class Elements:
    """An array inside memory: ``index`` so far, over the lengths that remain."""

    place: Leaf | Embedded
    index: Operand
    lengths: tuple[int, ...]
    owner: tuple[type, Operand] | None


Value: TypeAlias = Const | Reg | Literal | Static | Place | Elements


class Skip(Exception):
    """A diagnostic has been recorded; go on with the next statement."""


class Builder:
    """Appends instructions to the current block of one ``Code``."""

    def __init__(self, memory: Memory, diagnostics: list[Diagnostic]) -> None:
        self.memory = memory
        self.diagnostics = diagnostics
        self.code = ir.Code("", [], [], [])
        self.file = ""
        self.function = ""
        self.caller: Where | None = None
        self.current = self.new_block()
        self.unreached = -1  # the last block to which nothing leads
        self.places: dict[ast.AST, Where] = {}  # told so far, for the same caller

    # -- blocks and registers ---------------------------------------------------

    def new_block(self) -> int:
        """A block that returns until something else ends it."""
        self.code.blocks.append(Block([], ir.Return()))
        return len(self.code.blocks) - 1

    def emit(self, instruction: ir.Instruction) -> None:
        self.code.blocks[self.current].instructions.append(instruction)

    def end(self, terminator: ir.Terminator, then: int | None = None) -> None:
        """End the current block; go on in ``then``, or in a block nothing reaches."""
        self.code.blocks[self.current].terminator = terminator
        if then is None:
            then = self.unreached = self.new_block()
        self.current = then

    def jump(self, target: int, then: int | None = None) -> None:
        self.end(Jump(target), then)

    def register(self, scalar: Scalar, name: str = "") -> Reg:
        if name:
            scalar = may_be_none(scalar)
        self.code.registers.append(scalar)
        self.code.names.append(name)
        return Reg(len(self.code.registers) - 1, scalar)

    def where(self, node: ast.AST) -> Where:
        known = self.places.get(node)
        if known is not None:
            return known
        line = getattr(node, "lineno", 1)
        column = getattr(node, "col_offset", 0)
        end = getattr(node, "end_col_offset", column + 1)
        if getattr(node, "end_lineno", line) != line:
            end = column + 1
        place = Where(self.file, line, column, end, self.function, self.caller)
        self.places[node] = place
        return place

    def fail(
        self, node: ast.AST, slug: str, message: str, *, label: str = "", help: str = ""
    ) -> NoReturn:
        """Record a mistake of the author and give this statement up."""
        where = self.where(node)
        self.diagnostics.append(
            Diagnostic(
                slug,
                message,
                where.file,
                where.line,
                where.column,
                where.end_column,
                label,
                help,
            )
        )
        raise Skip

    # -- operations -------------------------------------------------------------

    def op(self, node: ast.AST, name: str, *args: Operand, to: Scalar | None = None) -> Operand:
        """An operation, done now where all operands are constants."""
        operation = ops.TABLE[name]
        first = args[0].type
        result = BOOL if operation.result == "bool" else to
        result = first if operation.result == "same" else result
        assert result is not None, name
        if result.bits == 0:
            return Const(0, result)
        values = [arg.value for arg in args if isinstance(arg, Const)]
        if len(values) == len(args):
            return Const(ops.wrap(result, operation.meaning(first, *values)), result)
        folded = self._simplify(name, args, result)
        if folded is not None:
            return folded
        destination = self.register(result)
        self.emit(ir.Op(destination, name, args, self.where(node)))
        return destination

    def _simplify(self, name: str, args: tuple[Operand, ...], result: Scalar) -> Operand | None:
        if name == "convert":
            return args[0] if args[0].type == result else None
        if name in ("add", "or", "xor", "shl", "shr", "sub") and _is(args[1], 0):
            return args[0]
        if name in ("add", "or") and _is(args[0], 0):
            return args[1]
        if name == "mul" and _is(args[1], 1):
            return args[0]
        return None

    def check(self, node: ast.AST, condition: Operand, slug: str, text: str) -> None:
        """A violation named ``slug`` unless ``condition``; nothing if that is known true."""
        if not (isinstance(condition, Const) and condition.value):
            self.emit(ir.Check(condition, slug, text, self.where(node)))

    def assign(self, node: ast.AST, target: Reg, value: Operand) -> None:
        """``target = value``, of the same width; reuses a temporary just made."""
        instructions = self.code.blocks[self.current].instructions
        last = instructions[-1] if instructions else None
        if (
            isinstance(last, (ir.Op, ir.Load, ir.Lookup, ir.Choose, ir.PtrLoad, ir.PtrOffset))
            and last.dst is value
            and not self.code.names[last.dst.number]
            and last.dst.type.bits == target.type.bits
        ):
            last.dst = target
        else:
            self.emit(ir.Op(target, "convert", (value,), self.where(node)))

    def branch(
        self, condition: Operand, then: int, other: int, go_on: int | None = None
    ) -> None:
        if isinstance(condition, Const):
            self.jump(then if condition.value else other, go_on)
        else:
            self.end(ir.Branch(condition, then, other), go_on)

    # -- memory -----------------------------------------------------------------

    def alive(
        self, node: ast.AST, owner: tuple[type, Operand] | None
    ) -> Callable[[], None] | None:
        """Code that checks that the object has not been freed; None if it never is."""
        if owner is None:
            return None
        reference = owner[1]
        if isinstance(self.memory, SparseMemory):
            parts = self.memory.owned.get(owner[0], [])
            return (lambda: self._check_parts(node, parts, reference)) if parts else None
        structure = self.memory.structures[owner[0]]
        if isinstance(reference, Const):
            known = structure.owners[reference.value - 1] if reference.value else None
            if known is None:
                return None
            family, cell = known
            index: Operand = Const(cell, Scalar(max(1, family.count.bit_length())))
            return lambda: self._check_alive(node, family, index)
        owners = structure.owners
        families = {o[0].number: o[0] for o in owners if o is not None}
        if not families:
            return None

        def check_each() -> None:
            # A lock may be embedded in members of more than one pool.
            for family in families.values():
                self._check_owner(node, family, owners, reference)

        return check_each

    def _check_owner(
        self, node: ast.AST, family: ir.Family, owners: Any, reference: Operand
    ) -> None:
        if all(o == (family, i) for i, o in enumerate(owners)):
            one = Const(1, reference.type)
            self._check_alive(node, family, self.op(node, "sub", reference, one))
            return
        # Objects outside any pool are looked up as cell 0 and then excused.
        where = self.where(node)
        cells = self.register(Scalar(max(1, family.count.bit_length())))
        table = (0, *(o[1] if o is not None and o[0] is family else 0 for o in owners))
        self.emit(ir.Lookup(cells, table, reference, where))
        excused = self.register(BOOL)
        free = (1, *(int(o is None or o[0] is not family) for o in owners))
        self.emit(ir.Lookup(excused, free, reference, where))
        loaded = self.register(BOOL)
        self.emit(ir.Load(loaded, family, cells, "plain", where))
        condition = self.op(node, "or", loaded, excused)
        self.check(node, condition, "use-after-free", "")

    def _check_parts(self, node: ast.AST, parts: list[Owned], reference: Operand) -> None:
        """Ask of each pool whose members, or what is in them, the object can be."""
        word = ir.U64
        number = self.op(node, "convert", reference, to=word)
        number = self.op(node, "sub", number, Const(1, word))
        done = self.new_block()
        for part in parts:
            within = self.op(node, "sub", number, Const(part.start, word))
            inside = self.op(node, "lt", within, Const(part.count, word))
            check, other = self.new_block(), self.new_block()
            self.branch(inside, check, other, check)
            cell = self.op(node, "div", within, Const(part.each, word))
            cell = self.op(node, "add", cell, Const(part.first, word))
            self._check_alive(node, part.family, cell)
            self.jump(done, other)
        self.jump(done, done)

    def _check_alive(self, node: ast.AST, family: ir.Family, index: Operand) -> None:
        loaded = self.register(BOOL)
        self.emit(ir.Load(loaded, family, index, "plain", self.where(node)))
        self.check(node, loaded, "use-after-free", "")

    def access(self, node: ast.AST, place: Place, why: str, body: Callable[[], Any]) -> Any:
        """Run ``body``, one step together with the check that the object is alive."""
        alive = self.alive(node, place.owner)
        if alive is None:
            return body()
        self.emit(ir.Begin(self.where(node), why, single=True))
        alive()
        result = body()
        self.emit(ir.End(self.where(node)))
        return result

    def load(self, node: ast.AST, place: Place, access: ir.Access = "plain") -> Operand:
        """The value of a cell."""
        family = place.leaf.family
        if family.type.bits == 0:  # it has no storage
            return nothing(family.type)

        def body() -> Operand:
            destination = self.register(family.type)
            self.emit(ir.Load(destination, family, place.index, access, self.where(node)))
            return destination

        return self.access(node, place, f"load {family.name}", body)

    def store(
        self, node: ast.AST, place: Place, value: Operand, access: ir.Access = "plain"
    ) -> None:
        """Write a cell; from now on the family is one that is written."""
        family = place.leaf.family
        if family.type.bits == 0:
            return
        family.written = True

        def body() -> None:
            self.emit(ir.Store(family, place.index, value, access, self.where(node)))

        self.access(node, place, f"store {family.name}", body)

    def index(self, node: ast.AST, base: Operand, length: int, element: Operand) -> Operand:
        """``base * length + element``, wide enough for the product."""
        if length == 1 and isinstance(element, Const):
            return base
        largest = (1 << base.type.bits) * length
        scalar = Scalar(max(element.type.bits, largest.bit_length()))
        wide = self.op(node, "convert", base, to=scalar)
        product = self.op(node, "mul", wide, Const(length, scalar))
        return self.op(node, "add", product, self.op(node, "convert", element, to=scalar))


def nothing(scalar: Scalar) -> Const:
    """The only value of a type that has no bits."""
    return Const(0, BOOL if scalar.kind == "bool" else scalar)


def _is(operand: Operand, value: int) -> bool:
    """Is it this constant?"""
    return isinstance(operand, Const) and operand.value == value
