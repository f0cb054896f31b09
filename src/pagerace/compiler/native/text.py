"""LLVM IR written as text, through a builder with llvmlite's method names.

``ops.TABLE``'s ``emit`` functions take either this builder or ``llvmlite.ir``'s.  For a
program of 10,000 instructions text takes 5 ms and ``llvmlite.ir`` objects 110 ms, which
is why this file exists.  What is constant is folded on the way: less text to parse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable


class Type:
    """An LLVM integer type ``iN`` (``width`` bits); called with a number: a constant."""

    __slots__ = ("name", "width")

    def __init__(self, width: int) -> None:
        self.width = width
        self.name = f"i{width}"

    def __call__(self, number: int) -> Value:
        number &= (1 << self.width) - 1
        return Value(self, str(number), number)


class Pointer(Type):
    """LLVM's ``ptr``, which counts as 64 bits wide."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(64)
        self.name = "ptr"

    def __call__(self, number: int) -> Value:
        text = f"inttoptr (i64 {number} to ptr)" if number else "null"
        return Value(self, text, number)


class Value:
    """A value by its name in the text; ``constant`` where it is known."""

    __slots__ = ("constant", "text", "type")

    def __init__(self, type: Type, text: str, constant: int | None = None) -> None:
        self.type = type
        self.text = text
        self.constant = constant


_INTEGERS = [Type(bits) for bits in range(1, 129)]
I1, I8, I64 = _INTEGERS[0], _INTEGERS[7], _INTEGERS[63]
POINTER = Pointer()


def integer(bits: int) -> Type:
    """The type ``i<bits>``, the same object each time."""
    return _INTEGERS[bits - 1]


def signed(value: Value) -> int:
    """A constant as a signed number."""
    number = value.constant
    assert number is not None
    return number - (1 << value.type.width) if number >> (value.type.width - 1) else number


_COMPARE: dict[str, tuple[str, Callable[[int, int], bool]]] = {
    "==": ("eq", lambda a, b: a == b),
    "!=": ("ne", lambda a, b: a != b),
    "<": ("lt", lambda a, b: a < b),
    "<=": ("le", lambda a, b: a <= b),
    ">": ("gt", lambda a, b: a > b),
    ">=": ("ge", lambda a, b: a >= b),
}


class Builder:
    """Appends lines to one function.  Values are numbered, so their order is fixed."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.count = 0
        self.block = "entry"

    # -- instructions in general ---------------------------------------------------

    def value(self, type: Type, text: str) -> Value:
        """Append ``%n = text`` and return ``%n``."""
        name = f"%v{self.count}"
        self.count += 1
        self.lines.append(f" {name} = {text}")
        return Value(type, name)

    def line(self, text: str) -> None:
        """Append an instruction without a result."""
        self.lines.append(" " + text)

    def label(self, name: str) -> None:
        """Start the block ``name``."""
        self.lines.append(name + ":")
        self.block = name

    # -- arithmetic: llvmlite.ir.IRBuilder's names ------------------------------------

    def _binary(
        self, name: str, x: Value, y: Value, fold: Callable[[int, int], int]
    ) -> Value:
        if x.constant is not None and y.constant is not None:
            return x.type(fold(x.constant, y.constant))
        return self.value(x.type, f"{name} {x.type.name} {x.text}, {y.text}")

    def add(self, x: Value, y: Value) -> Value:
        if y.constant == 0:
            return x
        return self._binary("add", x, y, lambda a, b: a + b)

    def sub(self, x: Value, y: Value) -> Value:
        if y.constant == 0:
            return x
        return self._binary("sub", x, y, lambda a, b: a - b)

    def mul(self, x: Value, y: Value) -> Value:
        if y.constant == 1:
            return x
        return self._binary("mul", x, y, lambda a, b: a * b)

    def sdiv(self, x: Value, y: Value) -> Value:
        return self.value(x.type, f"sdiv {x.type.name} {x.text}, {y.text}")

    def udiv(self, x: Value, y: Value) -> Value:
        return self.value(x.type, f"udiv {x.type.name} {x.text}, {y.text}")

    def srem(self, x: Value, y: Value) -> Value:
        return self.value(x.type, f"srem {x.type.name} {x.text}, {y.text}")

    def urem(self, x: Value, y: Value) -> Value:
        return self.value(x.type, f"urem {x.type.name} {x.text}, {y.text}")

    def and_(self, x: Value, y: Value) -> Value:
        return self._binary("and", x, y, lambda a, b: a & b)

    def or_(self, x: Value, y: Value) -> Value:
        if x.constant == 0:
            return y
        return self._binary("or", x, y, lambda a, b: a | b)

    def xor(self, x: Value, y: Value) -> Value:
        return self._binary("xor", x, y, lambda a, b: a ^ b)

    def shl(self, x: Value, y: Value) -> Value:
        if y.constant == 0:
            return x
        return self._binary("shl", x, y, lambda a, b: a << b)

    def lshr(self, x: Value, y: Value) -> Value:
        if y.constant == 0:
            return x
        return self._binary("lshr", x, y, lambda a, b: a >> b)

    def ashr(self, x: Value, y: Value) -> Value:
        return self.value(x.type, f"ashr {x.type.name} {x.text}, {y.text}")

    def not_(self, x: Value) -> Value:
        if x.constant is not None:
            return x.type(~x.constant)
        return self.value(x.type, f"xor {x.type.name} {x.text}, -1")

    def neg(self, x: Value) -> Value:
        return self.sub(x.type(0), x)

    # -- comparison, choice, width -----------------------------------------------------

    def icmp_unsigned(self, symbol: str, x: Value, y: Value) -> Value:
        name, fold = _COMPARE[symbol]
        if x.constant is not None and y.constant is not None:
            return I1(fold(x.constant, y.constant))
        sign = "" if name in ("eq", "ne") else "u"
        return self.value(I1, f"icmp {sign}{name} {x.type.name} {x.text}, {y.text}")

    def icmp_signed(self, symbol: str, x: Value, y: Value) -> Value:
        name, fold = _COMPARE[symbol]
        if x.constant is not None and y.constant is not None:
            return I1(fold(signed(x), signed(y)))
        sign = "" if name in ("eq", "ne") else "s"
        return self.value(I1, f"icmp {sign}{name} {x.type.name} {x.text}, {y.text}")

    def select(self, condition: Value, x: Value, y: Value) -> Value:
        if condition.constant is not None:
            return x if condition.constant else y
        name = x.type.name
        return self.value(
            x.type, f"select i1 {condition.text}, {name} {x.text}, {name} {y.text}"
        )

    def trunc(self, x: Value, to: Type) -> Value:
        if x.constant is not None:
            return to(x.constant)
        return self.value(to, f"trunc {x.type.name} {x.text} to {to.name}")

    def zext(self, x: Value, to: Type) -> Value:
        if x.constant is not None:
            return to(x.constant)
        return self.value(to, f"zext {x.type.name} {x.text} to {to.name}")

    def sext(self, x: Value, to: Type) -> Value:
        if x.constant is not None:
            return to(signed(x))
        return self.value(to, f"sext {x.type.name} {x.text} to {to.name}")

    # -- memory and control -----------------------------------------------------------------

    def load(self, type: Type, address: Value | str, suffix: str = "") -> Value:
        """``suffix``: alignment or metadata, such as ``", align 8"``."""
        text = address if isinstance(address, str) else address.text
        return self.value(type, f"load {type.name}, ptr {text}{suffix}")

    def store(self, x: Value, address: Value | str, suffix: str = "") -> None:
        text = address if isinstance(address, str) else address.text
        self.line(f"store {x.type.name} {x.text}, ptr {text}{suffix}")

    def element(self, type: Type, base: str, index: Value) -> Value:
        """The address of ``base[index]``, elements of ``type``."""
        if index.constant == 0:
            return Value(POINTER, base)
        return self.value(
            POINTER,
            f"getelementptr inbounds {type.name}, ptr {base}, {index.type.name} {index.text}",
        )

    def jump(self, label: str) -> None:
        self.line(f"br label %{label}")

    def branch(self, condition: Value, then: str, other: str, likely: bool = False) -> None:
        """``likely``: ``other`` is for errors; see ``LIKELY`` in the module's text."""
        if condition.constant is not None:
            self.jump(then if condition.constant else other)
            return
        weights = ", !prof !1" if likely else ""
        self.line(f"br i1 {condition.text}, label %{then}, label %{other}{weights}")

    def switch(self, value: Value, default: str, cases: Iterable[tuple[int, str]]) -> None:
        name = value.type.name
        targets = " ".join(f"{name} {number}, label %{label}" for number, label in cases)
        self.line(f"switch {name} {value.text}, label %{default} [{targets}]")

    def phi(self, type: Type, incoming: Iterable[tuple[Value, str]]) -> Value:
        pairs = ", ".join(f"[{value.text}, %{label}]" for value, label in incoming)
        return self.value(type, f"phi {type.name} {pairs}")


class Module:
    """The text of one module: functions, constant tables, declarations."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.tables: dict[tuple[int, tuple[int, ...]], str] = {}
        self.declarations: dict[str, str] = {}

    def function(self, header: str, builder: Builder) -> None:
        """``header``: from the linkage up to the attributes, without ``define``."""
        self.parts.append(f"define {header} {{\n" + "\n".join(builder.lines) + "\n}\n")

    def table(self, width: int, numbers: tuple[int, ...]) -> str:
        """The name of a constant array of integers of ``width`` bits (8, 16, 32, 64)."""
        key = (width, numbers)
        if key not in self.tables:
            self.tables[key] = f"@table.{len(self.tables)}"
        return self.tables[key]

    def declare(self, name: str, signature: str) -> None:
        """``signature``: such as ``i64 @name(ptr, i64)``; the first one stays."""
        self.declarations.setdefault(name, signature)

    def text(self) -> str:
        """All of it, the same text for the same calls in the same order."""
        lines: list[str] = []
        for (width, numbers), name in self.tables.items():
            row = ", ".join(f"i{width} {number}" for number in numbers)
            lines.append(f"{name} = private constant [{len(numbers)} x i{width}] [{row}]")
        lines += [f"declare {signature}" for signature in self.declarations.values()]
        lines += self.parts
        lines.append(METADATA)
        return "\n".join(lines) + "\n"


METADATA = '!0 = !{}\n!1 = !{!"branch_weights", i32 2000, i32 1}'
