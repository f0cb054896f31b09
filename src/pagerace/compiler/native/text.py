"""LLVM IR written as text, through a builder with llvmlite's method names.

``ops.TABLE``'s ``emit`` functions take either this builder or ``llvmlite.ir``'s.  For
10,000 instructions text takes 5 ms and ``llvmlite.ir`` objects 110 ms, which is why this
file exists.  Two more things make LLVM faster:

- What is constant is folded on the way, so there is less text to parse.
- A value of ``width`` 2 to 64 bits is held in an ``i64`` whose upper bits are zero, as
  it is in a state's word.  Packing needs no conversion then, and LLVM, which is slow at
  types that the machine does not have, sees none.  A single bit is an ``i1``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable


class Type:
    """An unsigned bit pattern of ``width`` bits; called with a number: a constant.

    ``name`` is the LLVM type that holds it.
    """

    __slots__ = ("name", "ones", "width")

    def __init__(self, width: int) -> None:
        self.width = width
        self.ones = (1 << width) - 1
        self.name = "i1" if width == 1 else "i64"

    def __call__(self, number: int) -> Value:
        number &= self.ones
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


_INTEGERS = [Type(bits) for bits in range(1, 65)]
I1, I64 = _INTEGERS[0], _INTEGERS[63]
POINTER = Pointer()


def integer(bits: int) -> Type:
    """The type of a pattern of ``bits`` bits, the same object each time."""
    return _INTEGERS[bits - 1]


def signed(value: Value) -> int:
    """A constant as a signed number."""
    number = value.constant
    assert number is not None
    width = value.type.width
    return number - (1 << width) if number >> (width - 1) else number


_COMPARE: dict[str, tuple[str, Callable[[int, int], bool]]] = {
    "==": ("eq", lambda a, b: a == b),
    "!=": ("ne", lambda a, b: a != b),
    "<": ("lt", lambda a, b: a < b),
    "<=": ("le", lambda a, b: a <= b),
    ">": ("gt", lambda a, b: a > b),
    ">=": ("ge", lambda a, b: a >= b),
}


class Builder:
    """Appends lines to one function.  Operands of an operation have the same type."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.count = 0
        self.block = ""

    # -- instructions in general ------------------------------------------------------

    def value(self, type: Type, text: str) -> Value:
        """Append ``%v1 = text`` and return ``%v1``."""
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

    def _raw(self, name: str, x: Value, y: Value) -> Value:
        return self.value(x.type, f"{name} {x.type.name} {x.text}, {y.text}")

    def _wrapped(self, name: str, x: Value, y: Value) -> Value:
        """An operation whose result may have bits above the width: they are cleared."""
        return self._wrap(self._raw(name, x, y), x.type)

    def _wrap(self, x: Value, type: Type) -> Value:
        """``x``, of the same LLVM type, as one of ``type``."""
        if 1 < type.width < 64:
            return self.value(type, f"and i64 {x.text}, {type.ones}")
        return x if x.type is type else Value(type, x.text)

    def _extended(self, x: Value) -> Value:
        """``x`` as a signed number of 64 bits."""
        if x.constant is not None:
            return I64(signed(x))
        if x.type.width == 1:
            return self.value(I64, f"sext i1 {x.text} to i64")
        if x.type.width == 64:
            return x
        return self.ashr(self._high(x), I64(64 - x.type.width))

    def _high(self, x: Value) -> Value:
        """``x`` at the top of the register, where the machine looks for the sign."""
        if x.constant is not None:
            return I64(x.constant << (64 - x.type.width))
        return self.value(I64, f"shl i64 {x.text}, {64 - x.type.width}")

    # -- arithmetic: the names of llvmlite.ir.IRBuilder ---------------------------------

    def add(self, x: Value, y: Value) -> Value:
        if x.constant is not None and y.constant is not None:
            return x.type(x.constant + y.constant)
        if y.constant == 0:
            return x
        return self._wrapped("add", x, y)

    def sub(self, x: Value, y: Value) -> Value:
        if x.constant is not None and y.constant is not None:
            return x.type(x.constant - y.constant)
        if y.constant == 0:
            return x
        return self._wrapped("sub", x, y)

    def mul(self, x: Value, y: Value) -> Value:
        if x.constant is not None and y.constant is not None:
            return x.type(x.constant * y.constant)
        if y.constant == 1:
            return x
        return self._wrapped("mul", x, y)

    def sdiv(self, x: Value, y: Value) -> Value:
        """In 64 bits, so that only there the quotient may not fit."""
        return self.trunc(self._raw("sdiv", self._extended(x), self._extended(y)), x.type)

    def udiv(self, x: Value, y: Value) -> Value:
        return self._raw("udiv", x, y)

    def srem(self, x: Value, y: Value) -> Value:
        return self.trunc(self._raw("srem", self._extended(x), self._extended(y)), x.type)

    def urem(self, x: Value, y: Value) -> Value:
        return self._raw("urem", x, y)

    def and_(self, x: Value, y: Value) -> Value:
        if x.constant is not None and y.constant is not None:
            return x.type(x.constant & y.constant)
        return self._raw("and", x, y)

    def or_(self, x: Value, y: Value) -> Value:
        if x.constant is not None and y.constant is not None:
            return x.type(x.constant | y.constant)
        return self._raw("or", x, y)

    def xor(self, x: Value, y: Value) -> Value:
        if x.constant is not None and y.constant is not None:
            return x.type(x.constant ^ y.constant)
        return self._raw("xor", x, y)

    def shl(self, x: Value, y: Value) -> Value:
        if x.constant is not None and y.constant is not None:
            return x.type(x.constant << y.constant)
        if y.constant == 0:
            return x
        return self._wrapped("shl", x, y)

    def lshr(self, x: Value, y: Value) -> Value:
        if x.constant is not None and y.constant is not None:
            return x.type(x.constant >> y.constant)
        if y.constant == 0:
            return x
        return self._raw("lshr", x, y)

    def ashr(self, x: Value, y: Value) -> Value:
        if y.constant == 0 or x.type.width == 1:
            return x
        return self._wrap(self._raw("ashr", self._extended(x), y), x.type)

    def not_(self, x: Value) -> Value:
        return self.xor(x, x.type(-1))

    def neg(self, x: Value) -> Value:
        return self.sub(x.type(0), x)

    # -- comparison, choice, width --------------------------------------------------------

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
        if name in ("eq", "ne"):
            return self.icmp_unsigned(symbol, x, y)
        if 1 < x.type.width < 64:
            x, y = self._high(x), self._high(y)
        return self.value(I1, f"icmp s{name} {x.type.name} {x.text}, {y.text}")

    def select(self, condition: Value, x: Value, y: Value) -> Value:
        if condition.constant is not None:
            return x if condition.constant else y
        if x.text == y.text:
            return x
        name = x.type.name
        return self.value(
            x.type, f"select i1 {condition.text}, {name} {x.text}, {name} {y.text}"
        )

    def trunc(self, x: Value, to: Type) -> Value:
        if x.constant is not None:
            return to(x.constant)
        if to.width == 1:
            return self.value(to, f"trunc i64 {x.text} to i1")
        return self._wrap(x, to)

    def zext(self, x: Value, to: Type) -> Value:
        if x.constant is not None:
            return to(x.constant)
        if x.type.width == 1 < to.width:
            return self.value(to, f"zext i1 {x.text} to i64")
        return Value(to, x.text)

    def sext(self, x: Value, to: Type) -> Value:
        if x.constant is not None:
            return to(signed(x))
        return self._wrap(self._extended(x), to)

    def resize(self, x: Value, to: Type) -> Value:
        """``x`` with zeros added at the top, or cut; to and from a pointer as well."""
        if x.type is to:
            return x
        if x.type is POINTER:
            return self.resize(self.value(I64, f"ptrtoint ptr {x.text} to i64"), to)
        if to is POINTER:
            return self.value(to, f"inttoptr i64 {self.resize(x, I64).text} to ptr")
        return self.zext(x, to) if x.type.width < to.width else self.trunc(x, to)

    # -- memory ------------------------------------------------------------------------------

    def load(self, type: Type, address: Value | str, bits: int = 0) -> Value:
        """``bits``: how wide it is in memory (8, 16, 32), if not as wide as LLVM's type."""
        text = address if isinstance(address, str) else address.text
        if bits in (0, 64):
            return self.value(type, f"load {type.name}, ptr {text}")
        narrow = self.value(type, f"load i{bits}, ptr {text}")
        if type.width == 1:
            return self.value(type, f"trunc i{bits} {narrow.text} to i1")
        return self.value(type, f"zext i{bits} {narrow.text} to i64")

    def store(self, x: Value, address: Value | str, bits: int = 0) -> None:
        text = address if isinstance(address, str) else address.text
        name = x.type.name
        if bits not in (0, 64):
            if x.constant is None:
                convert = "zext" if name == "i1" else "trunc"
                x = self.value(x.type, f"{convert} {name} {x.text} to i{bits}")
            name = f"i{bits}"
        self.line(f"store {name} {x.text}, ptr {text}")

    def element(self, bits: int, base: str, index: Value) -> Value:
        """The address of ``base[index]``, elements of ``bits`` bits."""
        if index.constant == 0:
            return Value(POINTER, base)
        number = index.text if index.constant is None else str(signed(index))
        return self.value(POINTER, f"getelementptr inbounds i{bits}, ptr {base}, i64 {number}")

    # -- control ---------------------------------------------------------------------------

    def jump(self, label: str) -> None:
        self.line(f"br label %{label}")

    def branch(self, condition: Value, then: str, other: str, likely: bool = False) -> None:
        """``likely``: ``other`` is where an error leads."""
        if condition.constant is not None:
            self.jump(then if condition.constant else other)
            return
        weights = ", !prof !0" if likely else ""
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
        self.metadata = {"!0": '!{!"branch_weights", i32 2000, i32 1}'}

    def function(self, header: str, builder: Builder) -> None:
        """``header``: from the linkage up to the attributes, without ``define``."""
        self.parts.append(f"define {header} {{\n" + "\n".join(builder.lines) + "\n}\n")

    def table(self, bits: int, numbers: tuple[int, ...]) -> str:
        """The name of a constant array of integers of 8, 16, 32 or 64 bits."""
        key = (bits, numbers)
        if key not in self.tables:
            self.tables[key] = f"@table.{len(self.tables)}"
        return self.tables[key]

    def declare(self, name: str, signature: str) -> None:
        """``signature``: such as ``i64 @name(ptr, i64)``; the first one stays."""
        self.declarations.setdefault(name, signature)

    def text(self) -> str:
        """All of it, the same text for the same calls in the same order."""
        lines: list[str] = []
        for (bits, numbers), name in self.tables.items():
            row = ", ".join(f"i{bits} {number}" for number in numbers)
            lines.append(f"{name} = private constant [{len(numbers)} x i{bits}] [{row}]")
        lines += [f"declare {signature}" for signature in self.declarations.values()]
        lines += self.parts
        lines += [f"{name} = {node}" for name, node in self.metadata.items()]
        return "\n".join(lines) + "\n"
