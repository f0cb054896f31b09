"""Conversions, arithmetic and comparisons."""

from __future__ import annotations

import ast
from typing import Any

from pagerace.compiler.builder import Builder, Elements, Literal, Place, Static, Value
from pagerace.compiler.ir import BOOL, INT, Const, Operand, Reg, Scalar
from pagerace.compiler.kinds import (
    WIDEST,
    common,
    describe,
    holds,
    is_plain,
    kind_of,
    limits,
    plain,
    result_type,
)
from pagerace.lang.constants import Constants

ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.FloorDiv: "div",
    ast.Mod: "mod",
    ast.BitAnd: "and",
    ast.BitOr: "or",
    ast.BitXor: "xor",
    ast.LShift: "shl",
    ast.RShift: "shr",
}

COMPARISON: dict[type[ast.cmpop], str] = {
    ast.Eq: "eq",
    ast.NotEq: "ne",
    ast.Lt: "lt",
    ast.LtE: "le",
    ast.Gt: "gt",
    ast.GtE: "ge",
    ast.Is: "eq",
    ast.IsNot: "ne",
}


class Operators(Builder):
    """Lowers what stands between two values."""

    def value(self, node: ast.expr) -> Value:
        raise NotImplementedError

    def truth(self, node: ast.expr) -> Operand:
        raise NotImplementedError

    # -- conversions ------------------------------------------------------------

    def operand(self, node: ast.expr, want: Scalar | None = None) -> Operand:
        """Lower an expression and load it; converted to ``want`` if that is given."""
        value = self.as_operand(node, self.value(node), want)
        return value if want is None else self.convert(node, value, want)

    def as_operand(self, node: ast.AST, value: Value, want: Scalar | None = None) -> Operand:
        """A value that is loaded; ``want`` gives a literal or None its type."""
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
            self.fail(
                node,
                "unsupported-expression",
                "a whole array is not a value",
                label="an array",
                help="take one element: a[i]",
            )
        if isinstance(value.value, Constants):
            self.fail(
                node,
                "constant-table",
                "which table this is would be known only in the run",
                label=kind_of(value),
                help="choose by `if`, and name a table in each branch",
            )
        self.fail(
            node,
            "unsupported-expression",
            "this is not a value at run time",
            label=kind_of(value),
        )

    def literal(self, node: ast.AST, value: int, want: Scalar) -> Const:
        """A literal in the type that its context wants; it must fit."""
        if want.kind not in ("int", "bool"):
            self.fail(node, "type-mismatch", f"{value} is not {describe(want)}")
        if want.bits == 0:
            return Const(0, want)  # a type of no bits takes everything and keeps nothing
        if is_plain(want):
            want = plain(min(value, 0), max(value, 0)) if want != INT else want
        lowest, highest = limits(want)
        if not lowest <= value <= highest:
            self.fail(
                node,
                "type-mismatch",
                f"{value} does not fit in {describe(want)}",
                label=f"{describe(want)} holds {lowest} to {highest}",
                help=f"if the wrap-around is meant, write {describe(want)}({value})",
            )
        return Const(value & ((1 << want.bits) - 1), want)

    def convert(self, node: ast.AST, value: Operand, want: Scalar) -> Operand:
        """An implicit conversion: to a type that holds every value, or refuse."""
        have = value.type
        if have == want:
            return value
        if want.bits == 0 and {want.kind, have.kind} <= {"int", "bool"}:
            return Const(0, want)
        if want.kind == have.kind == "ref":
            if have.cls is None or have.cls is want.cls:
                # Whether it is None is checked where the reference is followed.
                return Const(value.value, want) if isinstance(value, Const) else value
        elif want.kind == have.kind == "int":
            if holds(want, have) or (is_plain(want) and is_plain(have)):
                return self.op(node, "convert", value, to=want)
            if isinstance(value, Const) and is_plain(have):
                return self.literal(node, value.value, want)
            self.fail(
                node,
                "type-mismatch",
                f"{describe(have)} does not fit in {describe(want)}",
                label=f"this is {describe(have)}",
                help=f"convert it where that is meant: {describe(want)}(...)",
            )
        elif want.kind == "int" and have.kind == "bool":
            return self.op(node, "convert", value, to=want)
        elif want.kind == have.kind == "ptr":
            return value
        self.fail(
            node,
            "type-mismatch",
            f"expected {describe(want)}, got {describe(have)}",
            label=f"this is {describe(have)}",
        )

    # -- arithmetic -------------------------------------------------------------

    def _binop(self, node: ast.BinOp) -> Value:
        name = ARITHMETIC.get(type(node.op))
        if name is None:
            symbol = {"Div": "/", "Pow": "**"}.get(type(node.op).__name__, "@")
            self.fail(
                node,
                "unsupported-expression",
                f"there is no operator {symbol}",
                help="integers divide with //" if symbol == "/" else "",
            )
        left = self.value(node.left)
        if isinstance(left, Place):
            left = self.load(node.left, left)  # the left side is read first
        return self.arithmetic(node, name, left, self.value(node.right))

    def arithmetic(self, node: ast.AST, name: str, left: Value, right: Value) -> Value:
        """``left name right``; ``node`` has the place of the whole expression."""
        lhs: Any = getattr(node, "left", node)
        rhs: Any = getattr(node, "right", node)
        if isinstance(left, Literal) and isinstance(right, Literal):
            return self._literals(node, name, left.value, right.value)
        if name in ("shl", "shr"):
            if isinstance(left, Literal):
                self.fail(
                    lhs,
                    "type-mismatch",
                    "a literal that is shifted has no width",
                    help=f"give it a type: u8({left.value}) << n",
                )
            return self._shift(node, name, self.as_operand(lhs, left), right, rhs)
        a, b = self._pair(lhs, left, rhs, right)
        for side, operand in ((lhs, a), (rhs, b)):
            if operand.type.kind not in ("int", "bool"):
                self.fail(side, "type-mismatch", f"{describe(operand.type)} has no arithmetic")
        boolean = a.type.kind == b.type.kind == "bool" and name in ("and", "or", "xor")
        want = BOOL if boolean else result_type(name, a.type, b.type)
        sized = not (is_plain(a.type) or is_plain(b.type))
        if sized and a.type.signed != b.type.signed and name in ("div", "mod"):
            self.fail(
                node,
                "type-mismatch",
                "a signed and an unsigned number are divided",
                help="convert one of them",
            )
        a = self.op(node, "convert", a, to=want)
        b = self.op(node, "convert", b, to=want)
        if name in ("div", "mod"):
            zero = Const(0, want)
            self.check(node, self.op(node, "ne", b, zero), "division-by-zero", "")
            if b == zero:
                return zero
        return self.op(node, name, a, b)

    def _literals(self, node: ast.AST, name: str, a: int, b: int) -> Literal:
        exact = {
            "add": int.__add__,
            "sub": int.__sub__,
            "mul": int.__mul__,
            "div": int.__floordiv__,
            "mod": int.__mod__,
            "and": int.__and__,
            "or": int.__or__,
            "xor": int.__xor__,
            "shl": int.__lshift__,
            "shr": int.__rshift__,
        }
        try:
            return Literal(exact[name](a, b))
        except (ZeroDivisionError, ValueError) as error:
            self.fail(node, "type-mismatch", str(error))

    def _shift(
        self, node: ast.AST, name: str, a: Operand, right: Value, rhs: ast.expr
    ) -> Operand:
        if is_plain(a.type):
            a = self.op(node, "convert", a, to=Scalar(64, signed=True, cls=int))
        if isinstance(right, Literal):
            if right.value < 0:
                self.fail(rhs, "type-mismatch", "a shift by a negative number")
            if right.value >= a.type.bits and not (a.type.signed and name == "shr"):
                return Const(0, a.type)
            return self.op(node, name, a, Const(min(right.value, a.type.bits - 1), a.type))
        n = self.as_operand(rhs, right)
        if n.type.bits <= a.type.bits:
            return self.op(node, name, a, self.op(node, "convert", n, to=a.type))
        # A count wider than the value: whatever does not fit shifts everything out.
        limit = Const(min(a.type.bits, (1 << a.type.bits) - 1), n.type)
        small = self.op(node, "lt", n, limit)
        kept = self.op(node, "select", small, n, limit, to=n.type)
        return self.op(node, name, a, self.op(node, "convert", kept, to=a.type))

    def _pair(
        self, lhs: ast.expr, left: Value, rhs: ast.expr, right: Value
    ) -> tuple[Operand, Operand]:
        """Both sides loaded, left first; a literal takes the other side's type."""
        a = None if isinstance(left, Literal) else self.as_operand(lhs, left)
        b = self.as_operand(rhs, right, _for_literal(a.type) if a is not None else None)
        if a is None:
            a = self.as_operand(lhs, left, _for_literal(b.type))
        return a, b

    def _unaryop(self, node: ast.UnaryOp) -> Value:
        if isinstance(node.op, ast.Not):
            return self.op(node, "not", self.truth(node.operand))
        value = self.value(node.operand)
        if isinstance(value, Literal):
            if isinstance(node.op, ast.Invert):
                return Literal(~value.value)
            return Literal(-value.value if isinstance(node.op, ast.USub) else value.value)
        operand = self.as_operand(node.operand, value)
        if operand.type.kind != "int":
            self.fail(node, "type-mismatch", f"{describe(operand.type)} has no arithmetic")
        if isinstance(node.op, ast.UAdd):
            return operand
        if is_plain(operand.type):
            low, high = limits(operand.type)
            wide = plain(min(low, -high - 1), max(high, -low))
            operand = self.op(node, "convert", operand, to=wide)
        return self.op(node, "neg" if isinstance(node.op, ast.USub) else "invert", operand)

    # -- comparisons ------------------------------------------------------------

    def _compare(self, node: ast.Compare) -> Operand:
        if len(node.ops) > 1:
            return self._chain(node)
        name = COMPARISON.get(type(node.ops[0]))
        if name is None:
            self.fail(
                node,
                "unsupported-expression",
                "`in` has no meaning in kernel Python",
                help="compare one by one: x == 1 or x == 2",
            )
        return self.compare(node, name, node.left, node.comparators[0])

    def _chain(self, node: ast.Compare) -> Operand:
        """``a < b < c``: b is evaluated once, c only if ``a < b``."""
        raise NotImplementedError

    def compare(self, node: ast.AST, name: str, lhs: ast.expr, rhs: ast.expr) -> Operand:
        """``lhs name rhs``: numbers by value, references and enums by identity."""
        left = self.value(lhs)
        if isinstance(left, Place):
            left = self.load(lhs, left)  # the left side is read first
        if isinstance(left, Literal) and isinstance(rhs, ast.Constant) and rhs.value is None:
            return Const(int(name == "ne"), BOOL)  # a parameter that can be a number or None
        right = self.value(rhs)
        if isinstance(left, Literal) and isinstance(right, Literal):
            left = self.literal(node, left.value, Scalar(64, signed=True))
            right = self.literal(node, right.value, left.type)
        if isinstance(left, Static) and isinstance(right, Static):
            if name not in ("eq", "ne"):
                self.fail(node, "type-mismatch", "these have no order")
            same = left.value is right.value or left.value == right.value
            return Const(int(same == (name == "eq")), BOOL)
        if name in ("eq", "ne") and _number_and_none(left, right):
            return Const(int(name == "ne"), BOOL)
        if isinstance(left, (Literal, Static)):
            b = self.as_operand(rhs, right)
            a = self._other_side(lhs, left, b.type)
        else:
            a = self.as_operand(lhs, left)
            b = self._other_side(rhs, right, a.type)
        kinds = {a.type.kind, b.type.kind}
        if kinds == {"int"}:
            want = common(a.type, b.type)
            if want.bits > WIDEST:
                return self._across_signs(node, name, a, b)
            return self.op(node, name, *(self.op(node, "convert", x, to=want) for x in (a, b)))
        if kinds == {"int", "bool"}:
            want = a.type if a.type.kind == "int" else b.type
            return self.op(node, name, *(self.op(node, "convert", x, to=want) for x in (a, b)))
        classes = {a.type.cls, b.type.cls} - ({None} if kinds == {"ref"} else set())
        if len(kinds) > 1 or len(classes) > 1:
            self.fail(
                node, "type-mismatch", f"{describe(a.type)} is compared with {describe(b.type)}"
            )
        if name not in ("eq", "ne") and a.type.kind != "bool":
            self.fail(node, "type-mismatch", f"{describe(a.type)} has no order")
        if a.type.bits != b.type.bits:  # None has no class yet
            a, b = (Const(0, b.type), b) if a.type.cls is None else (a, Const(0, a.type))
        return self.op(node, name, a, b)

    def _across_signs(self, node: ast.AST, name: str, a: Operand, b: Operand) -> Operand:
        """An u64 beside a signed number: one that is negative is below all others."""
        raw = Scalar(WIDEST)
        u, v = (self.op(node, "convert", x, to=raw) for x in (a, b))
        signed = a if a.type.signed else b
        negative = self.op(node, "lt", signed, Const(0, signed.type))
        below = name in (("lt", "le", "ne") if signed is a else ("gt", "ge", "ne"))
        plainly = self.op(node, name, u, v)
        return self.op(node, "select", negative, Const(int(below), BOOL), plainly, to=BOOL)

    def _other_side(self, node: ast.expr, value: Value, want: Scalar) -> Operand:
        """A literal compared with ``want`` need not fit: it is widened instead."""
        if isinstance(value, Literal) and want.kind in ("int", "bool"):
            low, high = limits(want)
            if not low <= value.value <= high or want.kind == "bool":
                want = plain(min(value.value, low), max(value.value, high))
        return self.as_operand(node, value, want)


def _for_literal(want: Scalar) -> Scalar:
    """A literal beside a plain int is exact; beside a bool it is a number."""
    return plain(0, 1) if is_plain(want) or want.kind == "bool" else want


def _number_and_none(left: Value, right: Value) -> bool:
    """A parameter that can be None, and is a number: no operand could be of both types."""
    if isinstance(left, Static):
        left, right = right, left
    return isinstance(left, Literal) and isinstance(right, Static) and right.value is None
