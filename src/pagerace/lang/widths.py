"""Integer types whose width the bound parameters say, and flags that only some machines have.

``ulong = sized("ulong", lambda: Machine.address_bits)`` is used as ``u36`` is: as an
annotation, as ``ulong(x)``, as the element of an array.  A type of no bits holds 0 and has
no storage: no load and no store of it is ever made, and it is no part of a state.

For editors such a name should be ``int``, as ``u4`` is, and a function cannot say that of
its result:

    if TYPE_CHECKING:
        ulong: TypeAlias = int
    else:
        ulong = sized("ulong", lambda: Machine.address_bits)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pagerace.lang.integers import SizedInt
from pagerace.lang.structures import bound_now, unrecorded

BITS_MAX = 64


class WidthError(TypeError):
    """The bound parameters give a width that no type can have."""


class _WidthOfConfig(type):
    """Reads ``bits`` from the parameters that are bound at this moment."""

    width: Callable[[], int]
    known: tuple[Any, int]

    @property
    def bits(cls) -> int:
        bindings = bound_now()
        if cls.known[0] is not bindings:
            cls.known = bindings, _checked(cls.__name__, cls.width)
        return cls.known[1]


def _checked(name: str, width: Callable[[], int]) -> int:
    """A width.  That its parameters were read is no bound of a verdict by itself."""
    with unrecorded() as read:
        bits = width()
    if isinstance(bits, int) and 0 <= bits <= BITS_MAX:  # pyright: ignore
        return int(bits)
    asked = ", ".join(f"{cls.__name__}.{parameter}" for cls, parameter in read)
    raise WidthError(
        f"{name} cannot have {bits!r} bits{f', as {asked} says' if asked else ''}: "
        f"0 to {BITS_MAX} can be"
    )


class FlagInt(SizedInt):
    """What a flag holds that exists on some machines only."""


def _type(name: str, base: type[SizedInt], width: Callable[[], int]) -> Any:
    body = {"width": staticmethod(width), "known": (None, 0), "__module__": __name__}
    return _WidthOfConfig(name, (base,), body)


def sized(name: str, width: Callable[[], int]) -> Any:
    """An unsigned integer type, of 0 to 64 bits under the parameters that are bound.

    Raises WidthError where it is used with another width.
    """
    return _type(name, SizedInt, width)


@dataclass(frozen=True)
class OnlyIf:
    """The mark inside ``Annotated[bool, only_if(...)]``; ``type`` is what the field holds."""

    type: Any


def only_if(condition: Callable[[], bool]) -> OnlyIf:
    """A flag that some machines have: ``huge: Annotated[bool, only_if(lambda: ...)]``.

    On the others it is always False and costs nothing.
    """
    return OnlyIf(_type("bool", FlagInt, lambda: int(bool(condition()))))
