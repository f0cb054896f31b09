"""Types as the author sees them: which fits in which, and what arithmetic gives.

A sized integer wraps around.  A plain ``int`` (a literal, a ``range`` variable, the
result of ``choose``) takes the type of the other side, as it does in plain Python;
between two of them arithmetic is exact, so the result is as wide as it has to be.
Such a type is marked by ``cls=int``.
"""

from __future__ import annotations

import difflib
import types
from typing import Any

from pagerace.compiler.builder import Literal, Static, Value
from pagerace.compiler.ir import Scalar

WIDEST = 64


def smallest(value: int) -> Scalar:
    """The narrowest unsigned type that holds ``value``."""
    return Scalar(max(1, value.bit_length()))


def plain(low: int, high: int) -> Scalar:
    """The plain ``int`` that holds ``low`` to ``high``, in at most 64 bits."""
    signed = low < 0
    bits = max(high.bit_length(), (-low - 1).bit_length() if signed else 0, 1) + int(signed)
    return Scalar(min(bits, WIDEST), signed, cls=int)


def is_plain(scalar: Scalar) -> bool:
    """Is this a plain ``int``, which takes the type of the other side?"""
    return scalar.kind == "int" and scalar.cls is int


def limits(scalar: Scalar) -> tuple[int, int]:
    """The lowest and the highest value of an integer type."""
    if scalar.signed:
        return -(1 << (scalar.bits - 1)), (1 << (scalar.bits - 1)) - 1
    return 0, (1 << scalar.bits) - 1


def holds(want: Scalar, have: Scalar) -> bool:
    """Does ``want`` hold every value of ``have``?"""
    (low, high), (lowest, highest) = limits(have), limits(want)
    return lowest <= low and high <= highest


def result_type(name: str, a: Scalar, b: Scalar) -> Scalar:
    """The type of ``a name b``: the wider sized operand's, of two equal ones the left's.

    Two plain integers give one that holds every result.
    """
    a, b = (plain(0, 1) if side.kind == "bool" else side for side in (a, b))
    if is_plain(a) and is_plain(b):
        (low, high), (lowest, highest) = limits(a), limits(b)
        if name == "add":
            return plain(low + lowest, high + highest)
        if name == "sub":
            return plain(low - highest, high - lowest)
        if name == "mul":
            corners = [x * y for x in (low, high) for y in (lowest, highest)]
            return plain(min(corners), max(corners))
        return plain(min(low, lowest), max(high, highest))
    if is_plain(a) and b.kind == "int":
        return b
    if is_plain(b) and a.kind == "int":
        return a
    return b if b.kind == "int" and b.bits > a.bits else a


def common(a: Scalar, b: Scalar) -> Scalar:
    """A type that holds every value of both: comparisons are by value."""
    if a.signed == b.signed:
        return a if a.bits >= b.bits else b
    unsigned, other = (b, a) if a.signed else (a, b)
    return Scalar(max(unsigned.bits + 1, other.bits), signed=True)


def is_typeless(value: Value) -> bool:
    """Does this value still wait for its context to give it a type?"""
    return isinstance(value, Literal) or (isinstance(value, Static) and value.value is None)


def describe(scalar: Scalar) -> str:
    """A type as the author would write it."""
    if scalar.kind == "int":
        return "int" if is_plain(scalar) else f"{'s' if scalar.signed else 'u'}{scalar.bits}"
    if scalar.kind == "ref":
        name = scalar.cls.__name__ if scalar.cls else "None"
        return f"{name} | None" if scalar.nullable and scalar.cls else name
    if scalar.kind == "ptr":
        return f"ptr[{describe(scalar.element) if scalar.element else '?'}]"
    return scalar.cls.__name__ if scalar.cls else scalar.kind


def did_you_mean(name: str, names: list[str]) -> str:
    """A help line with the name that is closest, or nothing."""
    close = difflib.get_close_matches(name, [n for n in names if not n.startswith("<")], 1)
    return f"did you mean {close[0]!r}?" if close else ""


def syntax_name(name: str) -> str:
    """What people call a kind of ``ast`` node."""
    words = {
        "JoinedStr": "an f-string", "ListComp": "a list comprehension", "Lambda": "a lambda",
        "List": "a list", "Dict": "a dict", "Tuple": "a tuple", "Set": "a set",
        "Yield": "a yield", "Await": "an await", "NamedExpr": "an assignment expression",
        "GeneratorExp": "a generator", "DictComp": "a dict comprehension", "Slice": "a slice",
        "SetComp": "a set comprehension", "Starred": "a starred expression",
        "YieldFrom": "a yield from",
    }  # fmt: skip
    return words.get(name, name)


def kind_of(value: Any) -> str:
    """What a value is that only the compiler knows, for a message."""
    inner = value.value if isinstance(value, Static) else value
    if isinstance(inner, str):
        return "a string"
    if isinstance(inner, types.FunctionType):
        return "a function"
    if isinstance(inner, type):
        return "a class"
    return f"{type(inner).__name__} object"
