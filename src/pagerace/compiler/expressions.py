"""Expressions of kernel Python: names, fields, arithmetic, comparisons, conditions."""

from __future__ import annotations

import ast
import builtins
import enum
import types
from dataclasses import dataclass
from typing import Any

from pagerace.compiler import ir
from pagerace.compiler.builder import Builder, Elements, Literal, Place, Skip, Static, Value
from pagerace.compiler.ir import BOOL, INT, Const, Operand, Reg, Scalar
from pagerace.compiler.memory import Embedded, Leaf
from pagerace.lang.structures import Array, BitStruct, Config, PerThread, Pool, Struct

ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.FloorDiv: "div", ast.Mod: "mod",
    ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor",
    ast.LShift: "shl", ast.RShift: "shr",
}  # fmt: skip

COMPARISON: dict[type[ast.cmpop], str] = {
    ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge",
    ast.Is: "eq", ast.IsNot: "ne",
}  # fmt: skip

CONDITION_HELP = "compare it: `x is not None`, `x == 0`, `x is State.IDLE`"


@dataclass(frozen=True)
class Poison:
    """What a name stands for after the statement that set it was refused."""


def smallest(value: int) -> Scalar:
    """The narrowest unsigned type that holds ``value``."""
    return Scalar(max(1, value.bit_length()))


class Expressions(Builder):
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
                node, "unsupported-expression",
                f"{_article(type(node).__name__)} cannot be used in kernel Python",
                label="not a value that fits in a machine word",
            )  # fmt: skip
        return method(node)

    def operand(self, node: ast.expr, want: Scalar | None = None) -> Operand:
        """Lower an expression and load it; converted to ``want`` if that is given."""
        value = self.as_operand(node, self.value(node), want)
        return value if want is None else self.convert(node, value, want)

    def as_operand(self, node: ast.expr, value: Value, want: Scalar | None = None) -> Operand:
        if isinstance(value, (Const, Reg)):
            return value
        if isinstance(value, Literal):
            return self.literal(node, value.value, want or INT)
        if isinstance(value, Place):
            return self.load(node, value)
        if isinstance(value, Static) and value.value is None:
            if want is not None and want.kind == "ref":
                return Const(0, want)
            return Const(0, Scalar(1, kind="ref", cls=None, nullable=True))
        if isinstance(value, Elements):
            self.fail(node, "unsupported-expression", "a whole array is not a value",
                      label="an array", help="take one element: a[i]")  # fmt: skip
        self.fail(node, "unsupported-expression", "this is not a value at run time",
                  label=_kind_of(value))  # fmt: skip

    def literal(self, node: ast.AST, value: int, want: Scalar) -> Const:
        """A literal in the type that its context wants; it must fit."""
        if want.kind not in ("int", "bool"):
            self.fail(node, "type-mismatch", f"{value} is not {describe(want)}")
        lowest = -(1 << (want.bits - 1)) if want.signed else 0
        highest = (1 << (want.bits - int(want.signed))) - 1
        if not lowest <= value <= highest:
            self.fail(
                node, "type-mismatch", f"{value} does not fit in {describe(want)}",
                label=f"{describe(want)} holds {lowest} to {highest}",
                help=f"if the wrap-around is meant, write {describe(want)}({value})",
            )  # fmt: skip
        return Const(value & ((1 << want.bits) - 1), want)

    def convert(self, node: ast.AST, value: Operand, want: Scalar) -> Operand:
        """An implicit conversion: to a type that holds every value, or refuse."""
        have = value.type
        if have == want:
            return value
        if want.kind == have.kind == "ref":
            if have.cls is None or have.cls is want.cls:
                if isinstance(value, Const):
                    return Const(value.value, want)
                return value  # nullability is checked where the reference is followed
        elif want.kind == have.kind == "int":
            room = want.bits - int(want.signed) >= have.bits - int(have.signed)
            if room and (want.signed or not have.signed):
                return self.op(node, "convert", value, to=want)
            self.fail(
                node, "type-mismatch", f"{describe(have)} does not fit in {describe(want)}",
                label=f"this is {describe(have)}",
                help=f"convert it where that is meant: {describe(want)}(...)",
            )  # fmt: skip
        elif want.kind == "int" and have.kind == "bool":
            return self.op(node, "convert", value, to=want)
        elif want.kind == have.kind == "ptr":
            return value
        self.fail(node, "type-mismatch", f"expected {describe(want)}, got {describe(have)}",
                  label=f"this is {describe(have)}")  # fmt: skip

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
            place = self.memory.arrays[id(value)]
            return Elements(place, Const(0, smallest(0)), place.lengths, None)
        if isinstance(value, Struct):
            number = self.memory.first[id(value)]
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
            return known
        if node.id in self.globals:
            return self.static(node, self.globals[node.id])
        if hasattr(builtins, node.id):
            return Static(getattr(builtins, node.id))
        names = [*self.variables, *self.globals]
        self.fail(node, "unknown-name", f"the name {node.id!r} is not known here",
                  help=did_you_mean(node.id, names))  # fmt: skip

    # -- fields and elements ----------------------------------------------------

    def _attribute(self, node: ast.Attribute) -> Value:
        base = self.value(node.value)
        if isinstance(base, Static):
            return self._static_attribute(node, base.value)
        if isinstance(base, Elements):
            self.fail(node, "unknown-name", f"an array has no field {node.attr!r}")
        operand = self.as_operand(node.value, base)
        if operand.type.kind == "bits":
            return self.bit_field(node, operand, node.attr)
        if operand.type.kind == "ref" and operand.type.cls is not None:
            return self.field(node, operand, node.attr)
        self.fail(node, "unknown-name", f"{describe(operand.type)} has no field {node.attr!r}")

    def _static_attribute(self, node: ast.Attribute, base: Any) -> Value:
        if isinstance(base, PerThread) and node.attr == "current":
            if self.process is None:
                self.fail(node, "private-type", "only a thread has a current object",
                          help="a property and the set-up run in no thread")  # fmt: skip
            number = self.memory.first[id(base)] + self.process
            return Const(number + 1, self.memory.reference(base.cls, False))
        if isinstance(base, type) and issubclass(base, (Config, enum.Enum)) or isinstance(
            base, types.ModuleType
        ):
            try:
                return self.static(node, getattr(base, node.attr))
            except AttributeError:
                self.fail(node, "unknown-name", f"{base.__name__} has no {node.attr!r}",
                          help=did_you_mean(node.attr, dir(base)))  # fmt: skip
        if isinstance(base, Pool):
            return Static((base, node.attr))
        self.fail(node, "unsupported-expression", f"no field {node.attr!r} can be read here",
                  label=_kind_of(Static(base)))  # fmt: skip

    def field(self, node: ast.AST, reference: Operand, name: str) -> Value:
        """A field of the object that ``reference`` leads to."""
        cls = reference.type.cls
        assert cls is not None
        structure = self.memory.structures.get(cls)
        place = structure.fields.get(name) if structure else None
        if structure is None or place is None:
            names = list(structure.fields) if structure else []
            self.fail(node, "unknown-name", f"{cls.__name__} has no field {name!r}",
                      help=did_you_mean(name, names))  # fmt: skip
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
            self.fail(node, "unknown-name", f"{cls.__name__} has no field {name!r}",
                      help=did_you_mean(name, list(fields)))  # fmt: skip
        start, scalar = fields[name]
        raw = Scalar(value.type.bits)
        shifted = self.op(node, "shr", self.retype(node, value, raw), Const(start, raw))
        return self.op(node, "convert", shifted, to=scalar)

    def retype(self, node: ast.AST, value: Operand, scalar: Scalar) -> Operand:
        """The same bits as another type of the same width."""
        return self.op(node, "convert", value, to=scalar)

    def _subscript(self, node: ast.Subscript) -> Value:
        base = self.value(node.value)
        if isinstance(base, Static) and isinstance(base.value, Pool):
            structure = self.memory.structures[base.value.cls]
            first = self.memory.first[id(base.value)]
            from pagerace.lang.structures import resolve_length

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
        if isinstance(base, (Const, Reg)) and base.type.kind == "ptr":
            assert base.type.element is not None
            destination = self.register(base.type.element)
            index = self.operand(node.slice)
            self.emit(ir.PtrLoad(destination, base, index, self.where(node)))
            return destination
        self.fail(node, "unsupported-expression", "only arrays, pools and pointers have elements")

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

    # -- arithmetic -------------------------------------------------------------

    def _binop(self, node: ast.BinOp) -> Value:
        name = ARITHMETIC.get(type(node.op))
        if name is None:
            symbol = {ast.Div: "/", ast.Pow: "**", ast.MatMult: "@"}.get(type(node.op), "?")
            self.fail(node, "unsupported-expression", f"there is no operator {symbol}",
                      help="integers divide with //" if symbol == "/" else "")  # fmt: skip
        return self.arithmetic(node, name, self.value(node.left), self.value(node.right))

    def arithmetic(self, node: ast.AST, name: str, left: Value, right: Value) -> Value:
        """``left name right``; ``node`` has the place of the whole expression."""
        lhs, rhs = getattr(node, "left", node), getattr(node, "right", node)
        if isinstance(left, Literal) and isinstance(right, Literal):
            return self._literals(node, name, left.value, right.value)
        if name in ("shl", "shr"):
            if isinstance(left, Literal):
                self.fail(lhs, "type-mismatch", "a literal that is shifted has no width",
                          help=f"give it a type: u8({left.value}) << n")  # fmt: skip
            return self._shift(node, name, self.as_operand(lhs, left), right, rhs)
        a, b = self._pair(node, lhs, left, rhs, right)
        for side, operand in ((lhs, a), (rhs, b)):
            if operand.type.kind not in ("int", "bool"):
                self.fail(side, "type-mismatch", f"{describe(operand.type)} has no arithmetic")
        boolean = a.type.kind == b.type.kind == "bool" and name in ("and", "or", "xor")
        if a.type.signed != b.type.signed and name in ("div", "mod"):
            self.fail(node, "type-mismatch", "a signed and an unsigned number are divided",
                      help="convert one of them")  # fmt: skip
        want = BOOL if boolean else _wider(a.type, b.type)
        a = self.op(node, "convert", a, to=want)
        b = self.op(node, "convert", b, to=want)
        if name in ("div", "mod"):
            zero = Const(0, want)
            self.check(node, self.op(node, "ne", b, zero), "division-by-zero", "")
            if b == zero:
                return zero
        return self.op(node, name, a, b)

    def _literals(self, node: ast.AST, name: str, a: int, b: int) -> Literal:
        plain = {
            "add": int.__add__, "sub": int.__sub__, "mul": int.__mul__,
            "div": int.__floordiv__, "mod": int.__mod__, "and": int.__and__,
            "or": int.__or__, "xor": int.__xor__, "shl": int.__lshift__,
            "shr": int.__rshift__,
        }  # fmt: skip
        try:
            return Literal(plain[name](a, b))
        except (ZeroDivisionError, ValueError) as error:
            self.fail(node, "type-mismatch", str(error))

    def _shift(
        self, node: ast.AST, name: str, a: Operand, right: Value, rhs: ast.expr
    ) -> Operand:
        if isinstance(right, Literal):
            if right.value < 0:
                self.fail(rhs, "type-mismatch", "a shift by a negative number")
            count = Const(min(right.value, (1 << a.type.bits) - 1), a.type)
            if right.value >= a.type.bits and not (a.type.signed and name == "shr"):
                return Const(0, a.type)
            return self.op(node, name, a, count)
        n = self.as_operand(rhs, right)
        if n.type.bits <= a.type.bits:
            return self.op(node, name, a, self.op(node, "convert", n, to=a.type))
        # A count wider than the value: whatever does not fit shifts everything out.
        limit = Const(min(a.type.bits, (1 << a.type.bits) - 1), n.type)
        small = self.op(node, "lt", n, limit)
        kept = self.op(node, "select", small, n, limit, to=n.type)
        return self.op(node, name, a, self.op(node, "convert", kept, to=a.type))

    def _pair(
        self, node: ast.AST, lhs: ast.expr, left: Value, rhs: ast.expr, right: Value
    ) -> tuple[Operand, Operand]:
        """Both sides loaded, left first; a literal takes the other side's type."""
        a = None if isinstance(left, Literal) else self.as_operand(lhs, left)
        b = self.as_operand(rhs, right, a.type if a is not None else None)
        if a is None:
            a = self.as_operand(lhs, left, b.type)
        return a, b

    def _unaryop(self, node: ast.UnaryOp) -> Value:
        if isinstance(node.op, ast.Not):
            return self.op(node, "not", self.truth(node.operand))
        value = self.value(node.operand)
        if isinstance(value, Literal):
            return Literal({ast.USub: -value.value, ast.UAdd: value.value}.get(
                type(node.op), ~value.value))  # fmt: skip
        operand = self.as_operand(node.operand, value)
        if operand.type.kind != "int":
            self.fail(node, "type-mismatch", f"{describe(operand.type)} has no arithmetic")
        if isinstance(node.op, ast.UAdd):
            return operand
        return self.op(node, "neg" if isinstance(node.op, ast.USub) else "invert", operand)

    # -- conditions -------------------------------------------------------------

    def truth(self, node: ast.expr) -> Operand:
        """The truth of an expression, as a bool."""
        value = self.value(node)
        if isinstance(value, Literal):
            return Const(int(value.value != 0), BOOL)
        if isinstance(value, Static) and value.value is None:
            return Const(0, BOOL)
        operand = self.as_operand(node, value)
        if operand.type.kind == "bool":
            return operand
        if operand.type.kind in ("int", "ref"):
            return self.op(node, "truth", operand)
        self.fail(node, "type-mismatch", f"{describe(operand.type)} is neither true nor false",
                  help=CONDITION_HELP)  # fmt: skip

    def _boolop(self, node: ast.BoolOp) -> Operand:
        """Short-circuit: what is not evaluated is not accessed."""
        decides = isinstance(node.op, ast.Or)
        result: Reg | None = None
        done = -1
        operand: Operand = Const(int(not decides), BOOL)
        for position, part in enumerate(node.values):
            operand = self.truth(part)
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

    def _ifexp(self, node: ast.IfExp) -> Value:
        condition = self.truth(node.test)
        if isinstance(condition, Const):
            return self.value(node.body if condition.value else node.orelse)
        then, other, done = self.new_block(), self.new_block(), self.new_block()
        self.branch(condition, then, other, then)
        left_value = self.value(node.body)
        left = None if _typeless(left_value) else self.as_operand(node.body, left_value)
        then_end, self.current = self.current, other
        right = self.as_operand(node.orelse, self.value(node.orelse), left.type if left else None)
        other_end, self.current = self.current, then_end
        if left is None:
            left = self.as_operand(node.body, left_value, right.type)
        want = left.type if left.type.kind != "int" else _wider(left.type, right.type)
        if want.kind == "ref" and want.cls is None:
            want = right.type
        result = self.register(want)
        self.assign(node, result, self.convert(node, left, want))
        self.jump(done, other_end)
        self.assign(node, result, self.convert(node, right, want))
        self.jump(done, done)
        return result

    def _compare(self, node: ast.Compare) -> Operand:
        if len(node.ops) > 1:
            middle = self.operand(node.comparators[0])
            name = f"<middle {node.comparators[0].col_offset}>"
            self.variables[name] = middle
            stand_in = ast.copy_location(ast.Name(name, ast.Load()), node.comparators[0])
            first = ast.Compare(node.left, [node.ops[0]], [stand_in])
            rest = ast.Compare(stand_in, node.ops[1:], node.comparators[1:])
            parts: list[ast.expr] = [ast.copy_location(p, node) for p in (first, rest)]
            return self._boolop(ast.copy_location(ast.BoolOp(ast.And(), parts), node))
        name = COMPARISON.get(type(node.ops[0]))
        if name is None:
            self.fail(node, "unsupported-expression", "`in` has no meaning in kernel Python",
                      help="compare one by one: x == 1 or x == 2")  # fmt: skip
        return self.compare(node, name, node.left, node.comparators[0])

    def compare(self, node: ast.AST, name: str, lhs: ast.expr, rhs: ast.expr) -> Operand:
        left, right = self.value(lhs), self.value(rhs)
        if isinstance(left, Literal) and isinstance(right, Literal):
            left = self.literal(node, left.value, Scalar(64, signed=True))
            right = self.literal(node, right.value, left.type)
        if isinstance(left, Static) and isinstance(right, Static):
            same = left.value is right.value
            return Const(int(same == (name == "eq")), BOOL)
        if isinstance(left, (Literal, Static)):
            b = self.as_operand(rhs, right)
            a = self._other_side(lhs, left, b.type)
        else:
            a = self.as_operand(lhs, left)
            b = self._other_side(rhs, right, a.type)
        if a.type.kind == b.type.kind == "int":
            want = _common(a.type, b.type)
            return self.op(node, name, *(self.op(node, "convert", x, to=want) for x in (a, b)))
        kinds = {a.type.kind, b.type.kind}
        if kinds == {"int", "bool"}:
            want = a.type if a.type.kind == "int" else b.type
            return self.op(node, name, *(self.op(node, "convert", x, to=want) for x in (a, b)))
        if len(kinds) > 1 or (a.type.cls is not b.type.cls and None not in (a.type.cls, b.type.cls)):
            self.fail(node, "type-mismatch",
                      f"{describe(a.type)} is compared with {describe(b.type)}")  # fmt: skip
        if name not in ("eq", "ne") and a.type.kind != "bool":
            self.fail(node, "type-mismatch", f"{describe(a.type)} has no order")
        return self.op(node, name, a, b)

    def _other_side(self, node: ast.expr, value: Value, want: Scalar) -> Operand:
        """A literal compared with ``want`` need not fit: it is widened instead."""
        if isinstance(value, Literal):
            if want.kind == "bool":
                want = Scalar(1)
            bits = max(want.bits, value.value.bit_length()) + 1
            if value.value < 0 and not want.signed:
                want = Scalar(bits, signed=True)
            elif value.value.bit_length() > want.bits - int(want.signed):
                want = Scalar(bits, signed=want.signed)
        return self.as_operand(node, value, want)


def _typeless(value: Value) -> bool:
    return isinstance(value, Literal) or (isinstance(value, Static) and value.value is None)


def _wider(a: Scalar, b: Scalar) -> Scalar:
    """The type of ``a + b``: the wider operand's; of two equally wide ones the left's."""
    if a.kind == "bool":
        return b if b.kind == "int" else Scalar(1)
    return b if b.kind == "int" and b.bits > a.bits else a


def _common(a: Scalar, b: Scalar) -> Scalar:
    """A type that holds every value of both: comparisons are by value."""
    if a.signed == b.signed:
        return a if a.bits >= b.bits else b
    unsigned, other = (b, a) if a.signed else (a, b)
    return Scalar(max(unsigned.bits + 1, other.bits), signed=True)


def describe(scalar: Scalar) -> str:
    """A type as the author would write it."""
    if scalar.kind == "int":
        return f"{'s' if scalar.signed else 'u'}{scalar.bits}"
    if scalar.kind == "ref":
        name = scalar.cls.__name__ if scalar.cls else "None"
        return f"{name} | None" if scalar.nullable and scalar.cls else name
    if scalar.kind == "ptr":
        return f"ptr[{describe(scalar.element) if scalar.element else '?'}]"
    return scalar.cls.__name__ if scalar.cls else scalar.kind


def did_you_mean(name: str, names: list[str]) -> str:
    import difflib

    close = difflib.get_close_matches(name, [n for n in names if not n.startswith("<")], 1)
    return f"did you mean {close[0]!r}?" if close else ""


def _article(name: str) -> str:
    words = {
        "JoinedStr": "an f-string", "ListComp": "a list comprehension", "Lambda": "a lambda",
        "List": "a list", "Dict": "a dict", "Tuple": "a tuple", "Set": "a set",
        "Yield": "a yield", "Await": "an await", "NamedExpr": "an assignment expression",
        "GeneratorExp": "a generator", "DictComp": "a dict comprehension", "Slice": "a slice",
        "SetComp": "a set comprehension", "Starred": "a starred expression",
        "YieldFrom": "a yield from",
    }  # fmt: skip
    return words.get(name, name)


def _kind_of(value: Value) -> str:
    inner = value.value if isinstance(value, Static) else value
    if isinstance(inner, str):
        return "a string"
    if isinstance(inner, types.FunctionType):
        return "a function"
    if isinstance(inner, type):
        return "a class"
    return f"{type(inner).__name__} object"
