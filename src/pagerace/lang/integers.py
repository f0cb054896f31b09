"""Sized integers: ``u1`` .. ``u64``, ``s8`` .. ``s64``.

A value of ``u8`` is a Python integer that wraps around: ``u8(255) + 1 == 0``.
The type of a mixed expression is that of the wider operand; a plain Python ``int``
takes the type of the other side, as a literal does in C.  For an editor every one of
these names is ``int`` (see ``integers.pyi``), so that ``count: u8 = 0`` type-checks.

A value read from a structure also remembers the place that it was read from.  That
is how ``WRITE_ONCE(page.flags, 1)`` finds the place in plain Python, where the
compiler finds it in the source.
"""

# What editors see of this module is integers.pyi; the names made in loops are there.
# pyright: basic

from __future__ import annotations

from typing import Any, ClassVar

__all__ = [  # pyright: ignore[reportUnsupportedDunderAll]
    *(f"u{bits}" for bits in range(1, 65)),
    *(f"s{bits}" for bits in (8, 16, 32, 64)),
]


def wrap(value: int, bits: int, signed: bool) -> int:
    """Reduce ``value`` modulo ``2**bits``, into the signed range where ``signed``."""
    value &= (1 << bits) - 1
    if signed and value >> (bits - 1):
        value -= 1 << bits
    return value


class SizedInt(int):
    """An integer of ``bits`` bits that wraps around; ``place`` is (object, name)."""

    bits: ClassVar[int] = 64
    signed: ClassVar[bool] = False
    yields: ClassVar[bool] = False  # takes the type of the other side, as a literal does
    place: tuple[Any, Any] | None

    def __new__(cls, value: int = 0, place: tuple[Any, Any] | None = None) -> SizedInt:
        self = int.__new__(cls, wrap(int(value), cls.bits, cls.signed))
        self.place = place
        return self

    def __repr__(self) -> str:
        return int.__repr__(self)

    def __invert__(self) -> SizedInt:
        return type(self)(~int(self))

    def __neg__(self) -> SizedInt:
        return type(self)(-int(self))


def _common(left: SizedInt, right: int) -> type[SizedInt]:
    if not isinstance(right, SizedInt) or right.yields:
        return type(left)
    a, b = type(left), type(right)  # a width may be known to the type alone: see widths.py
    return b if a.yields or b.bits > a.bits else a


def _operators(name: str) -> None:
    plain = getattr(int, name)
    reflected = name.replace("__", "__r", 1)

    def forward(self: SizedInt, other: int) -> Any:
        if not isinstance(other, int):
            return NotImplemented
        kind = type(self) if name in ("__lshift__", "__rshift__") else _common(self, other)
        return kind(plain(int(self), int(other)))

    def backward(self: SizedInt, other: int) -> Any:
        if not isinstance(other, int):
            return NotImplemented
        return type(self)(plain(int(other), int(self)))

    setattr(SizedInt, name, forward)
    setattr(SizedInt, reflected, backward)


for _name in ("add", "sub", "mul", "floordiv", "mod", "and", "or", "xor", "lshift", "rshift"):
    _operators(f"__{_name}__")

for _bits in range(1, 65):
    globals()[f"u{_bits}"] = type(
        f"u{_bits}", (SizedInt,), {"bits": _bits, "signed": False, "__module__": __name__}
    )
for _bits in (8, 16, 32, 64):
    globals()[f"s{_bits}"] = type(
        f"s{_bits}", (SizedInt,), {"bits": _bits, "signed": True, "__module__": __name__}
    )


class PlainInt(SizedInt):
    """What a field annotated ``int`` holds: C's ``int``."""

    bits = 32
    signed = True
    yields = True
