"""Decision diagrams over bits, and numbers made of them: equal functions, equal numbers.

A node is an int: 0 is false, 1 is true, and any other is "if variable then high else low".
Nodes are unique and reduced, and variables are tested in the order in which they were made,
so that two functions of the same variables are equal if and only if their nodes are.

A ``Bits`` is a number as a tuple of nodes, the lowest bit first.
"""

from __future__ import annotations

from typing import TypeAlias

from pagerace.compiler import ops
from pagerace.compiler.ir import Scalar

Bits: TypeAlias = "tuple[int, ...]"

FALSE = 0
TRUE = 1


class TooLarge(Exception):
    """A diagram has more nodes than it may have."""


class Unsupported(Exception):
    """An operation that diagrams are not built for."""


class Diagrams:
    """All nodes of one proof.  ``nodes_max``: above it, TooLarge is raised.

    ``open_sums``: of a sum only the summands are known, in no order, unless one of them is
    a number, as in an index.  What is equal then is equal; what is not may be equal all the
    same.  A sum over all CPUs that is compared with much else has small diagrams only so.
    """

    def __init__(self, nodes_max: int = 50_000, *, open_sums: bool = False) -> None:
        self.nodes_max = nodes_max
        self.open_sums = open_sums
        self._sums: dict[tuple[Bits, ...], Bits] = {}
        self._summands: dict[Bits, tuple[Bits, ...]] = {}
        self.variables = 0
        end = 1 << 60  # a constant tests a variable after all others
        self._node: list[tuple[int, int, int]] = [(end, 0, 0), (end, 1, 1)]
        self._unique: dict[tuple[int, int, int], int] = {}
        self._known: dict[tuple[int, int, int], int] = {}

    def variable(self) -> int:
        """A new bit that may be either."""
        self.variables += 1
        return self._make(self.variables, FALSE, TRUE)

    def unknown(self, bits: int) -> Bits:
        """A number that may be any."""
        return tuple(self.variable() for _ in range(bits))

    def _make(self, level: int, low: int, high: int) -> int:
        if low == high:
            return low
        key = (level, low, high)
        found = self._unique.get(key)
        if found is None:
            found = self._unique[key] = len(self._node)
            if found > self.nodes_max:
                raise TooLarge
            self._node.append(key)
        return found

    def choose(self, test: int, then: int, other: int) -> int:
        """if ``test`` then ``then`` else ``other``."""
        if test <= TRUE:
            return then if test else other
        if then == other:
            return then
        if then == TRUE and other == FALSE:
            return test
        if then == test:
            then = TRUE
        if other == test:
            other = FALSE
        key = (test, then, other)
        found = self._known.get(key)
        if found is None:
            a, b, c = self._node[test], self._node[then], self._node[other]
            level = min(a[0], b[0], c[0])
            low0, high0 = (a[1], a[2]) if a[0] == level else (test, test)
            low1, high1 = (b[1], b[2]) if b[0] == level else (then, then)
            low2, high2 = (c[1], c[2]) if c[0] == level else (other, other)
            found = self._make(
                level, self.choose(low0, low1, low2), self.choose(high0, high1, high2)
            )
            self._known[key] = found
        return found

    def both(self, one: int, other: int) -> int:
        if one > other:  # the same question has one key
            one, other = other, one
        return self.choose(one, other, FALSE) if one > TRUE else other * one

    def either(self, one: int, other: int) -> int:
        if one > other:
            one, other = other, one
        return self.choose(one, TRUE, other)

    def negate(self, one: int) -> int:
        return self.choose(one, FALSE, TRUE)

    def differ(self, one: int, other: int) -> int:
        if one > other:
            one, other = other, one
        return self.choose(one, self.negate(other), other)

    def select(self, test: int, then: Bits, other: Bits) -> Bits:
        """``choose`` bit by bit."""
        if test <= TRUE:
            return then if test else other
        return tuple(self.choose(test, a, b) for a, b in zip(then, other, strict=True))

    def equal(self, one: Bits, other: Bits) -> int:
        result = TRUE
        for a, b in zip(one, other, strict=True):
            result = self.both(result, self.negate(self.differ(a, b)))
        return result

    # -- arithmetic ------------------------------------------------------------------

    def operation(self, name: str, type: Scalar, result: Scalar, args: list[Bits]) -> Bits:
        """As ``ops.TABLE[name]`` means it, of operands of which the first is a ``type``.

        Raises TooLarge and Unsupported.
        """
        known = [value_of(arg) for arg in args]
        if None not in known:
            value = ops.TABLE[name].meaning(type, *known)
            return constant(ops.wrap(result, value), result.bits)
        width = result.bits
        match name, args:
            case ("convert", [a]):
                return _fit(a, width, signed=type.signed)
            case ("truth", [a]):
                return (self._any(a),)
            case ("not", [a]):
                return (self.negate(a[0]),)
            case ("select", [c, a, b]):
                return self.select(c[0], _fit(a, width), _fit(b, width))
            case ("invert", [a]):
                return tuple(self.negate(bit) for bit in _fit(a, width))
            case ("neg", [a]):
                zero = constant(0, width)
                return self._add(zero, _fit(a, width), subtract=True)
            case ("add", [a, b]) if self.open_sums and known == [None, None]:
                return self._open_sum(_fit(a, width), _fit(b, width))
            case ("add" | "sub", [a, b]):
                return self._add(_fit(a, width), _fit(b, width), subtract=name == "sub")
            case ("mul", [a, b]):
                return self._multiply(_fit(a, width), _fit(b, width))
            case ("and" | "or" | "xor", [a, b]):
                join = {"and": self.both, "or": self.either, "xor": self.differ}[name]
                pairs = zip(_fit(a, width), _fit(b, width), strict=True)
                return tuple(join(x, y) for x, y in pairs)
            case ("shl" | "shr", [a, n]):
                return _fit(self._shift(name, type, _fit(a, type.bits), n), width)
            case ("div" | "mod", [a, b]) if not type.signed:
                quotient, rest = self._divide(a, b)
                return _fit(quotient if name == "div" else rest, width)
            case ("eq" | "ne" | "lt" | "le" | "gt" | "ge", [a, b]):
                return (self._compare(name, type, a, b),)
            case _:
                raise Unsupported(name)

    def _any(self, bits: Bits) -> int:
        result = FALSE
        for bit in bits:
            result = self.either(result, bit)
        return result

    def _add(self, a: Bits, b: Bits, *, subtract: bool) -> Bits:
        carry = TRUE if subtract else FALSE
        result: list[int] = []
        for x, y in zip(a, b, strict=True):
            if subtract:
                y = self.negate(y)
            half = self.differ(x, y)
            result.append(self.differ(half, carry))
            carry = self.choose(half, carry, x)
        return tuple(result)

    def _open_sum(self, a: Bits, b: Bits) -> Bits:
        """A number that may be any, but is the same for the same summands."""
        summands = sorted(self._summands.get(a, (a,)) + self._summands.get(b, (b,)))
        key = tuple(summands)
        if key not in self._sums:
            self._sums[key] = self.unknown(len(a))
            self._summands[self._sums[key]] = key
        return self._sums[key]

    def _multiply(self, a: Bits, b: Bits) -> Bits:
        result = constant(0, len(a))
        for shift, bit in enumerate(b):
            if bit != FALSE:
                part = (FALSE,) * shift + a[: len(a) - shift]
                kept = tuple(self.both(bit, x) for x in part)
                result = self._add(result, kept, subtract=False)
        return result

    def _shift(self, name: str, type: Scalar, a: Bits, n: Bits) -> Bits:
        fill = a[-1] if name == "shr" and type.signed else FALSE
        for place, bit in enumerate(n):
            distance = min(1 << place, len(a))
            if name == "shl":
                moved = (FALSE,) * distance + a[: len(a) - distance]
            else:
                moved = a[distance:] + (fill,) * distance
            a = self.select(bit, moved, a)
        return a

    def _divide(self, a: Bits, b: Bits) -> tuple[Bits, Bits]:
        """Quotient and remainder of numbers without sign; nothing sensible for b = 0."""
        width = max(len(a), len(b)) + 1
        divisor, rest = _fit(b, width), constant(0, width)
        quotient: list[int] = []
        for bit in reversed(a):
            rest = (bit, *rest[:-1])
            fits = self.negate(self._less(rest, divisor))
            rest = self.select(fits, self._add(rest, divisor, subtract=True), rest)
            quotient.insert(0, fits)
        return tuple(quotient), rest

    def _compare(self, name: str, type: Scalar, a: Bits, b: Bits) -> int:
        if len(a) != len(b):
            raise Unsupported(f"{name} of {len(a)} and {len(b)} bits")
        if name in ("eq", "ne"):
            same = self.equal(a, b)
            return same if name == "eq" else self.negate(same)
        if type.signed:  # the least number first: as if the sign bit were turned
            a = (*a[:-1], self.negate(a[-1]))
            b = (*b[:-1], self.negate(b[-1]))
        less = self._less(a, b) if name in ("lt", "ge") else self._less(b, a)
        return less if name in ("lt", "gt") else self.negate(less)

    def _less(self, a: Bits, b: Bits) -> int:
        result = FALSE
        for x, y in zip(a, b, strict=True):
            result = self.choose(self.differ(x, y), y, result)
        return result


def constant(value: int, bits: int) -> Bits:
    """A number that is known."""
    return tuple(value >> place & 1 for place in range(bits))


def value_of(bits: Bits) -> int | None:
    """The number, if it is known."""
    value = 0
    for place, bit in enumerate(bits):
        if bit > TRUE:
            return None
        value |= bit << place
    return value


def _fit(bits: Bits, width: int, *, signed: bool = False) -> Bits:
    """With zeros, or its sign, added at the top; or cut."""
    if len(bits) >= width:
        return bits[:width]
    fill = bits[-1] if signed and bits else FALSE
    return bits + (fill,) * (width - len(bits))
