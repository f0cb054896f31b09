"""Expressions of kernel Python: names, fields, arithmetic, comparisons, conditions."""

from __future__ import annotations

import ast
import builtins
import enum
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeGuard

from pagerace.compiler import ir, templates
from pagerace.compiler.builder import (
    Elements,
    Literal,
    Place,
    Skip,
    Static,
    Value,
    nothing,
)
from pagerace.compiler.ir import BOOL, NONE, Const, Operand, Reg, Scalar
from pagerace.compiler.kinds import (
    describe,
    did_you_mean,
    is_typeless,
    kind_of,
    result_type,
    smallest,
    syntax_name,
)
from pagerace.compiler.memory import Embedded, Leaf, may_be_none
from pagerace.compiler.operators import Operators
from pagerace.lang.constants import Constants
from pagerace.lang.structures import (
    Array,
    BitStruct,
    Config,
    PerThread,
    Pool,
    Struct,
    resolve_length,
)

FIND_HELP = "import it by its name: from kernel.mm import init_mm"
CONDITION_HELP = "compare it: `x is not None`, `x == 0`, `x is State.IDLE`"


@dataclass(frozen=True)
class Poison:
    """What a name stands for after the statement that set it was refused."""


class Expressions(Operators):
    """Lowers ``ast`` expressions; a subclass adds calls and statements."""

    globals: dict[str, Any]
    variables: dict[str, Any]
    process: int | None = None

    def call(self, node: ast.Call) -> Value:
        raise NotImplementedError

    def value(self, node: ast.expr) -> Value:
        """Lower an expression; a place stays unloaded."""
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            self.fail(
                node,
                "unsupported-expression",
                f"{syntax_name(type(node).__name__)} cannot be used in kernel Python",
                label="not a value that fits in a machine word",
            )
        return method(node)

    # -- names and constants ----------------------------------------------------

    def static(self, node: ast.AST, value: Any) -> Value:
        """A Python object known when compiled, as a value of kernel Python."""
        if isinstance(value, bool):
            return Const(int(value), BOOL)
        if isinstance(value, enum.Enum):
            scalar = self.memory.scalar(type(value))
            assert scalar is not None
            return Const(self.memory.encode(scalar, value), scalar)
        if isinstance(value, int):
            return Literal(int(value))
        if isinstance(value, BitStruct):
            scalar = self.memory.scalar(type(value))
            assert scalar is not None
            return Const(self.memory.encode(scalar, value), scalar)
        if isinstance(value, Array):
            place = self.memory.arrays.get(id(value))
            if place is None:
                self.fail(node, "unknown-name", "this array is not found", help=FIND_HELP)
            return Elements(place, Const(0, smallest(0)), place.lengths, None)
        if isinstance(value, Struct):
            number = self.memory.number_of(value)
            if number is None:
                self.fail(node, "unknown-name", "this object is not found", help=FIND_HELP)
            return Const(number + 1, self.memory.reference(type(value), False))
        return Static(value)

    def _constant(self, node: ast.Constant) -> Value:
        if isinstance(node.value, float):
            self.fail(node, "unsupported-expression", "there are no floating-point numbers")
        if node.value is None or isinstance(node.value, str):
            return Static(node.value)
        return self.static(node, node.value)

    def _name(self, node: ast.Name) -> Value:
        if node.id in self.variables:
            known = self.variables[node.id]
            if isinstance(known, Poison):
                raise Skip
            return known if not has_no_bits(known) else nothing(known.type)
        if node.id in self.globals:
            return self.static(node, self.globals[node.id])
        if hasattr(builtins, node.id):
            return Static(getattr(builtins, node.id))
        names = [*self.variables, *self.globals]
        self.fail(
            node,
            "unknown-name",
            f"the name {node.id!r} is not known here",
            help=did_you_mean(node.id, names),
        )

    # -- fields and elements ----------------------------------------------------

    def _attribute(self, node: ast.Attribute) -> Value:
        base = self.value(node.value)
        if isinstance(base, Static):
            return self._static_attribute(node, base.value)
        if isinstance(base, Elements):
            self.fail(node, "unknown-name", f"an array has no field {node.attr!r}")
        return self.member(node, base)

    def member(self, node: ast.Attribute, base: Value) -> Value:
        """A field of what ``node.value`` has given."""
        operand = self.as_operand(node.value, base)
        if operand.type.kind == "bits":
            return self.bit_field(node, operand, node.attr)
        if operand.type.kind == "ref" and operand.type.cls is not None:
            return self.field(node, operand, node.attr)
        self.fail(node, "unknown-name", f"{describe(operand.type)} has no field {node.attr!r}")

    def _static_attribute(self, node: ast.Attribute, base: Any) -> Value:
        if isinstance(base, PerThread) and node.attr == "current":
            if self.process is None:
                self.fail(
                    node,
                    "private-type",
                    "only a thread has a current object",
                    help="a property and the set-up run in no thread",
                )
            number = self.memory.first[id(base)] + self.process
            return Const(number + 1, self.memory.reference(base.cls, False))
        if (isinstance(base, type) and issubclass(base, (Config, enum.Enum))) or isinstance(
            base, types.ModuleType
        ):
            try:
                return self.static(node, getattr(base, node.attr))
            except AttributeError:
                self.fail(
                    node,
                    "unknown-name",
                    f"{base.__name__} has no {node.attr!r}",
                    help=did_you_mean(node.attr, dir(base)),
                )
        if isinstance(base, Pool):
            return Static((base, node.attr))
        if isinstance(base, Constants):
            return templates.entry(self, node, base)
        if isinstance(base, (list, dict, set)):
            self.fail(
                node,
                "unsupported-expression",
                f"a Python {type(base).__name__} is no shared memory: it has no bound",
                help="shared state lives in structures, arrays and pools",
            )
        self.fail(
            node,
            "unsupported-expression",
            f"no field {node.attr!r} can be read here",
            label=kind_of(Static(base)),
        )

    def field(self, node: ast.AST, reference: Operand, name: str) -> Value:
        """A field of the object that ``reference`` leads to."""
        cls = reference.type.cls
        assert cls is not None
        structure = self.memory.structures.get(cls)
        place = structure.fields.get(name) if structure else None
        if structure is None or place is None:
            names = list(structure.fields) if structure else []
            self.fail(
                node,
                "unknown-name",
                f"{cls.__name__} has no field {name!r}",
                help=did_you_mean(name, names),
            )
        if reference.type.nullable:
            null = Const(0, reference.type)
            self.check(node, self.op(node, "ne", reference, null), "null-dereference", name)
        number = self.op(node, "sub", reference, Const(1, reference.type))
        owner = (cls, reference)
        if place.lengths:
            return Elements(place, number, place.lengths, owner)
        return self._reach(node, place, number, owner)

    def _reach(
        self, node: ast.AST, place: Leaf | Embedded, index: Operand, owner: Any
    ) -> Value:
        if isinstance(place, Leaf):
            return Place(place, index, owner)
        scalar = self.memory.reference(place.cls, False)
        wide = self.op(node, "convert", index, to=scalar)
        return self.op(node, "add", wide, Const(place.base + 1, scalar))

    def bit_field(self, node: ast.AST, value: Operand, name: str) -> Operand:
        """A field of a bit struct that has been loaded."""
        cls: Any = value.type.cls
        fields = self.memory.bit_fields(cls)
        if name not in fields:
            self.fail(
                node,
                "unknown-name",
                f"{cls.__name__} has no field {name!r}",
                help=did_you_mean(name, list(fields)),
            )
        start, scalar = fields[name]
        if scalar.bits == 0:
            return nothing(scalar)
        raw = Scalar(value.type.bits)
        shifted = self.op(
            node, "shr", self.op(node, "convert", value, to=raw), Const(start, raw)
        )
        return self.op(node, "convert", shifted, to=scalar)

    def _subscript(self, node: ast.Subscript) -> Value:
        return self.element(node, self.value(node.value))

    def element(self, node: ast.Subscript, base: Value) -> Value:
        """An element of what ``node.value`` has given."""
        if isinstance(base, Static) and isinstance(base.value, Pool):
            structure = self.memory.structures[base.value.cls]
            first = self.memory.first[id(base.value)]
            index = self.in_range(node, node.slice, resolve_length(base.value.length))
            scalar = self.memory.reference(structure.cls, False)
            wide = self.op(node, "convert", index, to=scalar)
            return self.op(node, "add", wide, Const(first + 1, scalar))
        if isinstance(base, Elements):
            index = self.in_range(node, node.slice, base.lengths[0])
            flat = self.index(node, base.index, base.lengths[0], index)
            if len(base.lengths) > 1:
                return Elements(base.place, flat, base.lengths[1:], base.owner)
            return self._reach(node, base.place, flat, base.owner)
        if is_pointer(base):
            return self.pointed_at(node, base, self.operand(node.slice))
        self.fail(
            node, "unsupported-expression", "only arrays, pools and pointers have elements"
        )

    def pointed_at(self, node: ast.AST, pointer: Operand, index: Operand) -> Reg:
        """An element that a pointer leads to, loaded."""
        assert pointer.type.element is not None
        destination = self.register(pointer.type.element)
        self.emit(ir.PtrLoad(destination, pointer, index, self.where(node)))
        return destination

    def in_range(self, node: ast.AST, index: ast.expr, length: int) -> Operand:
        """An index that has been checked against ``length``."""
        value = self.value(index)
        if isinstance(value, Literal):
            fits = 0 <= value.value < length
            self.check(node, Const(int(fits), BOOL), "index-out-of-range", str(length))
            return Const(value.value if fits else 0, smallest(max(length - 1, 0)))
        operand = self.as_operand(index, value)
        if operand.type.kind not in ("int", "bool"):
            self.fail(index, "type-mismatch", f"{describe(operand.type)} is not an index")
        raw = self.op(node, "convert", operand, to=Scalar(operand.type.bits))
        if operand.type.signed or (1 << operand.type.bits) > length:
            limit = Const(min(length, (1 << raw.type.bits) - 1), raw.type)
            below = self.op(node, "lt" if limit.value == length else "le", raw, limit)
            self.check(node, below, "index-out-of-range", str(length))
        return raw

    # -- conditions -------------------------------------------------------------

    def truth(self, node: ast.expr) -> Operand:
        """The truth of an expression, as a bool."""
        if isinstance(node, ast.BoolOp):
            return self._junction(node, self.truth)
        value = self.value(node)
        if isinstance(value, Literal):
            return Const(int(value.value != 0), BOOL)
        if isinstance(value, Static) and value.value is None:
            return Const(0, BOOL)
        return self.true(node, value)

    def true(self, node: ast.expr, value: Value) -> Operand:
        """The truth of what ``node`` has given."""
        operand = self.as_operand(node, value)
        if operand.type.kind == "bool":
            return operand
        if operand.type.kind in ("int", "ref"):
            return self.op(node, "truth", operand)
        self.fail(
            node,
            "type-mismatch",
            f"{describe(operand.type)} is neither true nor false",
            help=CONDITION_HELP,
        )

    def _boolop(self, node: ast.BoolOp) -> Operand:
        """As a value ``a or b`` is one of both, so only a bool is what C makes of it."""
        return self._junction(node, self._boolean)

    def _boolean(self, node: ast.expr) -> Operand:
        value = self.value(node)
        operand = self.as_operand(node, value)
        if operand.type.kind != "bool":
            self.fail(
                node,
                "type-mismatch",
                f"{describe(operand.type)} beside `and` or `or` gives no bool",
                help=CONDITION_HELP,
            )
        return operand

    def _junction(self, node: ast.BoolOp, truth: Callable[[ast.expr], Operand]) -> Operand:
        """Short-circuit: what is not evaluated is not accessed."""
        decides = isinstance(node.op, ast.Or)
        result: Reg | None = None
        done = -1
        operand: Operand = Const(int(not decides), BOOL)
        for position, part in enumerate(node.values):
            operand = truth(part)
            if isinstance(operand, Const):
                if bool(operand.value) == decides:
                    break
                continue
            if position == len(node.values) - 1:
                break
            if result is None:
                result, done = self.register(BOOL), self.new_block()
            self.assign(node, result, operand)
            go_on = self.new_block()
            if decides:
                self.branch(result, done, go_on, go_on)
            else:
                self.branch(result, go_on, done, go_on)
        if result is None:
            return operand
        self.assign(node, result, operand)
        self.jump(done, done)
        return result

    def operand(self, node: ast.expr, want: Scalar | None = None) -> Operand:
        if isinstance(node, ast.IfExp) and want is not None:
            value = self.as_operand(node, self._ifexp(node, want), want)
            return self.convert(node, value, want)
        return super().operand(node, want)

    def _ifexp(self, node: ast.IfExp, hint: Scalar | None = None) -> Value:
        condition = self.truth(node.test)
        if isinstance(condition, Const):
            return self.value(node.body if condition.value else node.orelse)
        then, other, done = self.new_block(), self.new_block(), self.new_block()
        self.branch(condition, then, other, then)
        left_value = self.value(node.body)
        left = None if is_typeless(left_value) else self.as_operand(node.body, left_value)
        if left is None and hint is not None:
            left = self.as_operand(node.body, left_value, hint)
        then_end, self.current = self.current, other
        right = self.as_operand(
            node.orelse, self.value(node.orelse), left.type if left else None
        )
        other_end, self.current = self.current, then_end
        if left is None:
            left = self.as_operand(node.body, left_value, right.type)
        want = (
            left.type if left.type.kind != "int" else result_type("or", left.type, right.type)
        )
        if want.kind == "ref" and want.cls is None:
            want = right.type
        result = self.register(may_be_none(want))
        self.assign(node, result, self.convert(node, left, want))
        self.jump(done, other_end)
        self.assign(node, result, self.convert(node, right, want))
        self.jump(done, done)
        return result

    def _chain(self, node: ast.Compare) -> Operand:
        left = self.value(node.left)
        if isinstance(left, Place):
            left = self.load(node.left, left)  # the left side is read first
        names = f"<left {len(self.variables)}>", f"<middle {len(self.variables)}>"
        self.variables[names[0]] = left
        self.variables[names[1]] = Poison()  # keeps the number for itself
        middle = self.value(node.comparators[0])
        if not isinstance(middle, Literal):
            middle = self.as_operand(node.comparators[0], middle)
        self.variables[names[1]] = middle
        before = ast.copy_location(ast.Name(names[0], ast.Load()), node.left)
        stand_in = ast.copy_location(ast.Name(names[1], ast.Load()), node.comparators[0])
        first = ast.Compare(before, [node.ops[0]], [stand_in])
        rest = ast.Compare(stand_in, node.ops[1:], node.comparators[1:])
        parts: list[ast.expr] = [ast.copy_location(p, node) for p in (first, rest)]
        return self._boolop(ast.copy_location(ast.BoolOp(ast.And(), parts), node))


def has_no_bits(value: Value) -> TypeGuard[Const | Reg]:
    """Is its type one that holds nothing but 0 (see lang/widths.py)?"""
    return isinstance(value, (Const, Reg)) and value.type.bits == 0 and value.type != NONE


def is_pointer(value: Value) -> TypeGuard[Const | Reg]:
    """Is it a pointer of direct code?"""
    return isinstance(value, (Const, Reg)) and value.type.kind == "ptr"
