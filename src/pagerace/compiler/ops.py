"""The operations on values, each defined once: its meaning and its native code.

``meaning(type, *values)`` is the definition: it takes the type of the first operand and
bit patterns, and returns an integer that the interpreter wraps to the result type.
``emit(builder, type, *values)`` builds the same with an llvmlite builder, which is an
argument so that this file needs nothing but the standard library.

TRUSTED: checked against each other by tests on every operation, width and sign.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pagerace.compiler.ir import Scalar


def signed_value(type: Scalar, value: int) -> int:
    """The number that a bit pattern stands for."""
    if type.signed and value >> (type.bits - 1):
        return value - (1 << type.bits)
    return value


def wrap(type: Scalar, value: int) -> int:
    """The bit pattern of ``value`` in ``type``."""
    return value & ((1 << type.bits) - 1)


@dataclass(frozen=True)
class Operation:
    """``result``: "same" as the operands, "bool", or "given" by the destination."""

    name: str
    symbol: str
    result: Literal["same", "bool", "given"]
    meaning: Callable[..., int]
    emit: Callable[..., Any]


def _divide(type: Scalar, a: int, b: int) -> int:
    """Python's floor division.  A Check stands before: ``b`` is not 0."""
    return signed_value(type, a) // signed_value(type, b)


def _remainder(type: Scalar, a: int, b: int) -> int:
    return signed_value(type, a) % signed_value(type, b)


def _is_minus_one(b: Any, y: Any) -> Any:
    return b.icmp_signed("==", y, y.type(-1))


def _safe(b: Any, y: Any) -> Any:
    """``y``, but 1 for -1: the machine traps on the least number divided by -1."""
    return b.select(_is_minus_one(b, y), y.type(1), y)


def _rounds_up(b: Any, x: Any, y: Any) -> Any:
    """Has the hardware's signed division rounded a negative quotient up?"""
    remainder = b.srem(x, y)
    signs_differ = b.icmp_signed("<", b.xor(remainder, y), x.type(0))
    return b.and_(b.icmp_unsigned("!=", remainder, x.type(0)), signs_differ)


def _emit_divide(b: Any, type: Scalar, x: Any, y: Any) -> Any:
    if not type.signed:
        return b.udiv(x, y)
    safe = _safe(b, y)
    quotient = b.sub(b.sdiv(x, safe), b.zext(_rounds_up(b, x, safe), x.type))
    return b.select(_is_minus_one(b, y), b.neg(x), quotient)


def _emit_remainder(b: Any, type: Scalar, x: Any, y: Any) -> Any:
    if not type.signed:
        return b.urem(x, y)
    safe = _safe(b, y)
    return b.add(b.srem(x, safe), b.select(_rounds_up(b, x, safe), safe, x.type(0)))


def _shift_left(type: Scalar, a: int, n: int) -> int:
    return a << n if n < type.bits else 0


def _shift_right(type: Scalar, a: int, n: int) -> int:
    return signed_value(type, a) >> min(n, type.bits)


def _emit_shift(name: str) -> Callable[..., Any]:
    """A shift by the width or more gives 0 (or the sign), never LLVM's poison."""

    def emit(b: Any, type: Scalar, x: Any, n: Any) -> Any:
        limit = n.type(type.bits - 1)
        small = b.icmp_unsigned("<=", n, limit)
        if name == "shr" and type.signed:
            return b.ashr(x, b.select(small, n, limit))
        safe = b.select(small, n, n.type(0))
        shifted = b.shl(x, safe) if name == "shl" else b.lshr(x, safe)
        return b.select(small, shifted, x.type(0))

    return emit


def _compare(symbol: str, compare: Callable[[int, int], bool]) -> tuple[Any, Any]:
    def meaning(type: Scalar, a: int, b: int) -> int:
        return int(compare(signed_value(type, a), signed_value(type, b)))

    def emit(b: Any, type: Scalar, x: Any, y: Any) -> Any:
        return (b.icmp_signed if type.signed else b.icmp_unsigned)(symbol, x, y)

    return meaning, emit


def _emit_convert(b: Any, type: Scalar, x: Any, *, to: Any) -> Any:
    """``to`` is the LLVM type of the destination."""
    if to.width < type.bits:
        return b.trunc(x, to)
    if to.width > type.bits:
        return b.sext(x, to) if type.signed else b.zext(x, to)
    return x


_TABLE: list[Operation] = [
    Operation("add", "+", "same", lambda t, a, b: a + b, lambda b, t, x, y: b.add(x, y)),
    Operation("sub", "-", "same", lambda t, a, b: a - b, lambda b, t, x, y: b.sub(x, y)),
    Operation("mul", "*", "same", lambda t, a, b: a * b, lambda b, t, x, y: b.mul(x, y)),
    Operation("div", "//", "same", _divide, _emit_divide),
    Operation("mod", "%", "same", _remainder, _emit_remainder),
    Operation("and", "&", "same", lambda t, a, b: a & b, lambda b, t, x, y: b.and_(x, y)),
    Operation("or", "|", "same", lambda t, a, b: a | b, lambda b, t, x, y: b.or_(x, y)),
    Operation("xor", "^", "same", lambda t, a, b: a ^ b, lambda b, t, x, y: b.xor(x, y)),
    Operation("shl", "<<", "same", _shift_left, _emit_shift("shl")),
    Operation("shr", ">>", "same", _shift_right, _emit_shift("shr")),
    Operation("invert", "~", "same", lambda t, a: ~a, lambda b, t, x: b.not_(x)),
    Operation("neg", "-", "same", lambda t, a: -a, lambda b, t, x: b.neg(x)),
    Operation("not", "not", "bool", lambda t, a: 1 - a, lambda b, t, x: b.not_(x)),
    Operation("eq", "==", "bool", *_compare("==", lambda a, b: a == b)),
    Operation("ne", "!=", "bool", *_compare("!=", lambda a, b: a != b)),
    Operation("lt", "<", "bool", *_compare("<", lambda a, b: a < b)),
    Operation("le", "<=", "bool", *_compare("<=", lambda a, b: a <= b)),
    Operation("gt", ">", "bool", *_compare(">", lambda a, b: a > b)),
    Operation("ge", ">=", "bool", *_compare(">=", lambda a, b: a >= b)),
    # To another width or sign: by value, then wrapped.
    Operation("convert", "", "given", lambda t, a: signed_value(t, a), _emit_convert),
    # To bool: any non-zero value is true.
    Operation("truth", "", "bool", lambda t, a: int(a != 0),
              lambda b, t, x: b.icmp_unsigned("!=", x, x.type(0))),
    # select(condition, a, b); the type given is that of the condition.
    Operation("select", "?:", "given", lambda t, c, a, b: a if c else b,
              lambda b, t, c, x, y: b.select(c, x, y)),
]  # fmt: skip

TABLE: dict[str, Operation] = {operation.name: operation for operation in _TABLE}
