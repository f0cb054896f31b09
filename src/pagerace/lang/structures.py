"""Structures of shared memory: ``Struct``, ``BitStruct``, arrays, pools, parameters.

All of it is plain Python that runs: an instance of a ``Struct`` holds its fields, a
pool holds its objects.  The compiler reads the same classes to lay out a state.

======================  =========================================================
``class Page(Struct)``  fields by annotation; a field of ``Struct`` type is embedded
``Ref[Page]``           a field that refers to an object of a pool or a global
``Page | None``         the same, or nothing (the kernel's NULL)
``Array[T]``            with ``= array(4)`` or ``= array(lambda: Machine.cpus)``
``class pte(BitStruct)`` a value of several bits that is read and written whole
``pool(Page, 4)``       objects that ``alloc()`` hands out and ``free()`` takes back
``per_thread(Task)``    one object a thread, which no other thread can see
``class Machine(Config)`` compile-time parameters: they cost nothing where they are read
``class ops(Constants)``  a constant table of functions and numbers: see constants.py
======================  =========================================================
"""

from __future__ import annotations

import contextlib
import enum
import sys
import types
import typing
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import (
    Annotated,
    Any,
    ClassVar,
    Generic,
    TypeAlias,
    TypeVar,
    cast,
    dataclass_transform,
)

from pagerace.lang import integers
from pagerace.lang.integers import SizedInt

T = TypeVar("T")
C = TypeVar("C", bound="Config")
S = TypeVar("S", bound="Struct")
B = TypeVar("B", bound="BitStruct")

Length: TypeAlias = "int | Callable[[], int]"


class KernelPythonError(Exception):
    """Kernel Python, called as plain Python, did what no kernel may do."""


@dataclass(frozen=True)
class RefMark:
    """The mark inside ``Ref[T]`` that tells a reference from an embedded struct."""


Ref = Annotated[T, RefMark()]


@dataclass(frozen=True)
class ArrayDefault:
    """What ``array(...)`` leaves in the class body: the length, known when compiled."""

    length: Length


def resolve_length(length: Length) -> int:
    """The number of elements under the parameters bound at this moment."""
    return length() if callable(length) else length


def array(length: Length) -> Any:
    """Give an ``Array[T]`` field or global its length: a number, or a lambda of one."""
    return ArrayDefault(length)


def field_types(cls: type) -> dict[str, Any]:
    """The annotated fields of a class, in order, with string annotations resolved.

    Names are looked up in the class's module first, then where the class was made.
    """
    cached = cls.__dict__.get("_field_types")
    if cached is not None:
        return cached
    fields: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if base.__module__ in (__name__, "builtins", "typing"):
            continue
        # A class of its own, so that get_type_hints() resolves no inherited annotation.
        own = type("own", (), {"__annotations__": vars(base).get("__annotations__", {})})
        module = sys.modules.get(base.__module__)
        hints = typing.get_type_hints(
            own, vars(module) if module else None, dict(vars(base)), include_extras=True
        )
        for name, hint in hints.items():
            if typing.get_origin(hint) is not ClassVar and not name.startswith("__"):
                fields[name] = _type_in(hint)
    cls._field_types = fields
    return fields


def _type_in(hint: Any) -> Any:
    """The type that a mark in ``Annotated[...]`` puts in the place of an annotation."""
    marks = getattr(hint, "__metadata__", ())
    return next((mark.type for mark in marks if hasattr(mark, "type")), hint)


def is_reference(hint: Any) -> bool:
    """Is this field annotation ``Ref[T]`` or ``T | None``?"""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return True
    return any(isinstance(mark, RefMark) for mark in getattr(hint, "__metadata__", ()))


def _convert(hint: Any, value: Any, place: tuple[Any, Any] | None) -> Any:
    """``value`` as the field type keeps it: integers wrapped and told their place."""
    if hint is bool:
        return integers.u1(bool(value), place)  # pyright: ignore
    if isinstance(hint, type) and issubclass(hint, SizedInt):
        return hint(value, place)
    if hint is int:
        return integers.PlainInt(value, place)
    if isinstance(value, BitStruct) and place is not None:
        value = value.replace()
        object.__setattr__(value, "_place", place)
    return value


def initial_value(hint: Any, default: Any) -> Any:
    """What a field holds before anything is written: zero, none, or its default."""
    if isinstance(default, ArrayDefault):
        (element,) = typing.get_args(hint)
        return cast(Any, Array)(element, resolve_length(default.length))
    if is_reference(hint):
        return default
    if isinstance(hint, type) and issubclass(hint, Struct):
        return hint()
    if isinstance(hint, type) and issubclass(hint, BitStruct):
        return default if default is not None else hint()
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return default if default is not None else next(iter(hint))
    return default if default is not None else 0


class Struct:
    """A structure of shared memory.  Subclass it and annotate the fields.

    Instances compare by identity, as objects in memory do.
    """

    def __init__(self) -> None:
        cls = type(self)
        for name, hint in field_types(cls).items():
            value = initial_value(hint, cls.__dict__.get(name))
            object.__setattr__(self, name, value)
            if isinstance(value, Array) or (
                isinstance(value, Struct) and not is_reference(hint)
            ):
                vars(cast(Any, value))["_home"] = (self, name)

    def __getattribute__(self, name: str) -> Any:
        value = object.__getattribute__(self, name)
        if name.startswith("__"):
            return value
        hint = field_types(type(self)).get(name)
        if hint is None:
            return value
        if is_reference(hint):
            note_reference_read(self, name, value)
        return _convert(hint, value, (self, name))

    def __setattr__(self, name: str, value: Any) -> None:
        hint = field_types(type(self)).get(name)
        if hint is None:
            raise AttributeError(f"{type(self).__name__} has no field {name!r}")
        value = _convert(hint, value, None)
        object.__setattr__(self, name, value)
        # What a module's body assigns is where a check starts from; what plain calls of
        # kernel Python leave behind is not.
        if sys._getframe(1).f_code.co_name == "<module>":
            vars(self).setdefault("_assigned", {})[name] = value


_last_reference_read: tuple[Any, str | int, Any] | None = None


def note_reference_read(owner: Any, name: str | int, value: Any) -> None:
    """Remember the place of a reference: unlike an integer it cannot carry it."""
    global _last_reference_read
    _last_reference_read = (owner, name, value)


def place_of(value: Any) -> tuple[Any, Any]:
    """(object, field) that ``value`` was just read from.

    Raises KernelPythonError for a value that was not read from a structure.
    """
    place = getattr(value, "place", None) or getattr(value, "_place", None)
    if place is not None:
        return place
    last = _last_reference_read
    if last is not None and last[2] is value:
        return last[0], last[1]
    raise KernelPythonError("the first argument must be a field or an array element")


def store(place: tuple[Any, Any], value: Any) -> None:
    """Write ``value`` to a place that ``place_of`` gave."""
    owner, key = place
    if isinstance(owner, Array):
        owner[key] = value
    else:
        setattr(owner, key, value)


@dataclass_transform(kw_only_default=True)
class BitStruct:
    """Several bit fields that are one value: a PTE, a flags word.

    A value never changes; ``pte.replace(dirty=True)`` gives a new one.  Fields are
    laid out from bit 0 upward in the order of the class body.
    """

    _place: ClassVar[tuple[Any, Any] | None]

    def __init__(self, **values: Any) -> None:
        hints = field_types(type(self))
        for name, hint in hints.items():
            given = values.pop(name, type(self).__dict__.get(name))
            object.__setattr__(self, name, _convert(hint, initial_value(hint, given), None))
        if values:
            raise TypeError(f"{type(self).__name__} has no field {next(iter(values))!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("a BitStruct is a value: use .replace(...)")

    def replace(self: B, **changes: Any) -> B:
        """The same value with some fields changed."""
        values = {name: getattr(self, name) for name in field_types(type(self))}
        return type(self)(**(values | changes))

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and all(
            getattr(self, name) == getattr(other, name) for name in field_types(type(self))
        )

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, name) for name in field_types(type(self))))

    def __repr__(self) -> str:
        fields = (f"{name}={getattr(self, name)!r}" for name in field_types(type(self)))
        return f"{type(self).__name__}({', '.join(fields)})"


class Array(Generic[T]):
    """A fixed number of elements of one type; an index out of range is an error."""

    def __init__(self, element: Any, length: int) -> None:
        self.element = element
        self.values: list[Any] = [initial_value(element, None) for _ in range(length)]
        self._assigned: dict[int, Any] = {}
        for index, value in enumerate(self.values):
            if isinstance(value, Struct):
                vars(value)["_home"] = (self, index)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> T:
        self._check(index)
        value = self.values[index]
        if is_reference(self.element):
            note_reference_read(self, int(index), value)
        return _convert(self.element, value, (self, int(index)))

    def __setitem__(self, index: int, value: T) -> None:
        self._check(index)
        self.values[index] = value = _convert(self.element, value, None)
        if sys._getframe(1).f_code.co_name == "<module>":
            self._assigned[int(index)] = value

    def __iter__(self) -> Iterator[T]:
        return (self[index] for index in range(len(self.values)))

    def _check(self, index: int) -> None:
        if not 0 <= index < len(self.values):
            raise KernelPythonError(f"index {index} outside an array of {len(self.values)}")


def home_of(item: Any) -> tuple[Any, Any] | None:
    """(structure, array or pool; field or index) that an object is a part of."""
    parts = vars(cast(object, item))
    return parts.get("_home")


def assignments(item: Any) -> Iterator[tuple[Any, Any, Any]]:
    """(owner, field or index, value) that the module's body assigned in an object."""
    known = vars(cast(object, item))
    assigned: dict[Any, Any] = known.get("_assigned", {})
    for key, value in assigned.items():
        yield item, key, value
    parts: list[Any] = [*known.values()]
    for within in ("_objects", "values"):  # of a pool, of an array
        if not isinstance(item, Struct):
            parts += known.get(within) or []
    for part in parts:
        if isinstance(part, (Struct, Array)):
            home = home_of(part)
            if home is not None and home[0] is item:
                yield from assignments(part)


class Pool(Generic[S]):
    """Objects of one type that can be allocated and freed.

    ``pool[i]`` is object ``i``, allocated or not; ``pool.index(x)`` is its number.
    In a check, each access to an object that is not allocated is reported as
    use-after-free, unless the protocol never allocates or frees in this pool.
    """

    def __init__(self, cls: type[S], length: Length) -> None:
        self.cls, self.length = cls, length
        self._objects: list[S] | None = None
        self._allocated: list[bool] = []

    def _all(self) -> list[S]:
        if self._objects is None:
            self._objects = [self.cls() for _ in range(resolve_length(self.length))]
            self._allocated = [False] * len(self._objects)
            for index, item in enumerate(self._objects):
                vars(item)["_home"] = (self, index)
        return self._objects

    def __len__(self) -> int:
        return len(self._all())

    def __getitem__(self, index: int) -> S:
        if not 0 <= index < len(self._all()):
            raise KernelPythonError(f"index {index} outside a pool of {len(self)}")
        return self._all()[index]

    def __iter__(self) -> Iterator[S]:
        return iter(list(self._all()))

    def index(self, item: S) -> int:
        """The number of an object: 0 for the first."""
        return next(i for i, other in enumerate(self._all()) if other is item)

    def alloc(self) -> S | None:
        """The first free object, now allocated; None when all are in use.

        Fields keep what they held: like ``alloc_page()``, nothing is zeroed.
        """
        for i, item in enumerate(self._all()):
            if not self._allocated[i]:
                self._allocated[i] = True
                return item
        return None

    def free(self, item: S) -> None:
        """Give an object back.  One that is not allocated is a double free."""
        i = self.index(item)
        if not self._allocated[i]:
            raise KernelPythonError(f"double-free of {self.cls.__name__} {i}")
        self._allocated[i] = False

    def allocated(self, item: S) -> bool:
        """Is this object allocated?  For properties; code has its own means to know."""
        return bool(self._all()) and self._allocated[self.index(item)]


def pool(cls: type[S], length: Length) -> Pool[S]:
    """A pool of ``length`` objects of ``cls``, none of them allocated."""
    return Pool(cls, length)


class PerThread(Generic[S]):
    """One object for each thread or agent; ``tasks.current`` is that of the caller.

    Only its thread sees it, so an access is local work and never a point.
    """

    def __init__(self, cls: type[S]) -> None:
        self.cls = cls
        self._object: S | None = None

    @property
    def current(self) -> S:
        """The object of the running thread (plain Python has one thread)."""
        if self._object is None:
            self._object = self.cls()
        return self._object


def per_thread(cls: type[S]) -> PerThread[S]:
    """A ``cls`` for every thread and agent of a protocol."""
    return PerThread(cls)


_bound: dict[Any, Any] = {}
_read: dict[tuple[type, str], Any] = {}


class ConfigMeta(type):
    """``Machine.cpus`` reads the value that is bound now, else the class's default."""

    def __getattribute__(cls, name: str) -> Any:
        if name.startswith("_") or name not in field_types(cls):
            return super().__getattribute__(name)
        known = _bound.get(cls)
        holder = super() if known is None else known
        value = holder.__getattribute__(name)
        _read[cls, name] = value
        return value


@dataclass_transform(kw_only_default=True)
class Config(metaclass=ConfigMeta):
    """Compile-time parameters.  ``class Machine(Config): cpus: int = 2``.

    Code reads ``Machine.cpus``; a protocol binds ``config=[Machine(cpus=3)]``.
    """

    def __init__(self, **values: Any) -> None:
        for name in field_types(type(self)):
            default = type.__getattribute__(type(self), name)
            object.__setattr__(self, name, values.pop(name, default))
        if values:
            raise TypeError(f"{type(self).__name__} has no parameter {next(iter(values))!r}")

    def replace(self: C, **changes: Any) -> C:
        """The same parameters with some of them changed."""
        return type(self)(**(vars(self) | changes))

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({values})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(repr(self))


def bound_now() -> Any:
    """What stands for the parameters bound at this moment: another object for others."""
    return _bound


@contextlib.contextmanager
def unrecorded() -> Generator[dict[tuple[type, str], Any]]:
    """Let parameters be read without ``bound`` hearing of it; gives those that are."""
    global _read
    saved, _read = _read, {}
    try:
        yield _read
    finally:
        _read = saved


@contextlib.contextmanager
def bound(*configs: Config) -> Generator[dict[tuple[type, str], Any]]:
    """Bind parameters while plain Python or the compiler runs what is inside.

    Gives (class, parameter) -> value of those that have been read, as they are read.
    """
    global _bound, _read
    saved = _bound, _read
    _bound = _bound | {type(config): config for config in configs}
    _read = {}
    try:
        yield _read
    finally:
        _bound, _read = saved
