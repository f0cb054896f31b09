"""Kernel Python as plain calls, native or interpreted, over memory of its own.

One interleaving of a machine of any size: what replays traces and runs programs beside a
real kernel.  Nothing is explored here.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Callable, Sequence
from typing import Any

from pagerace.compiler import interpreter, ir
from pagerace.compiler.ir import Family, Scalar
from pagerace.compiler.memory import FieldPlace, Leaf
from pagerace.compiler.ops import signed_value
from pagerace.compiler.placement import PAGE
from pagerace.compiler.whole import Whole, compile_whole, symbol_of
from pagerace.lang.protocol import Edit, Function
from pagerace.lang.structures import Array, Config, PerThread, Pool, Struct, bound

_FORMATS: dict[int, Any] = {1: "B", 2: "H", 4: "I", 8: "Q"}


class KernelStopped(Exception):
    """A function of the kernel could not go on.

    ``slug`` names the detector, or is "deadlock" for a wait that nobody can end;
    ``function``, ``file`` and ``line`` are where it stands.
    """

    def __init__(self, slug: str, text: str, where: ir.Where) -> None:
        self.slug, self.text = slug, text
        self.function, self.file, self.line = where.function, where.file, where.line
        about = f": {text}" if text else ""
        super().__init__(f"{slug}{about}, in {where.function}() at {where.file}:{where.line}")


class Running:
    """Functions of the kernel, ready to be called, and the memory that they work on.

    ``interpret``: the interpreter runs them, over the same memory; for small machines.
    ``hurry``: compile in a third of the time, for what then runs only for a moment.
    Raises CompileError, and NativeUnavailable where nothing native can run.
    """

    def __init__(
        self,
        functions: Sequence[Function],
        config: Sequence[Config] = (),
        *,
        interpret: bool = False,
        edits: Sequence[Edit] = (),
        hurry: bool = False,
    ) -> None:
        self.config = tuple(config)
        with bound(*config):
            self.whole = whole = compile_whole(functions, edits)
        self.memory, self.placement = whole.memory, whole.placement
        self._region = mmap.mmap(-1, whole.placement.bytes, **_private())
        self._bytes = memoryview(self._region)
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._region))
        self._engine: _Native | _Interpreted
        entries = {symbol_of(function) for function in functions}
        if interpret:
            placed = self.placement.of
            views = [
                self.view(family) if family.number in placed else None
                for family in self.memory.families
            ]
            self._engine = _Interpreted(whole, views)
        else:
            self._engine = _Native(whole, entries, self._address, hurry)
        self._begin()
        self._calls: dict[Function, Callable[..., int]] = {}

    def _begin(self) -> None:
        for (number, cell), value in self.memory.given.items():
            self.view(self.memory.families[number])[cell] = value

    def reset(self) -> None:
        """Memory as it was when this was made; what was in it goes back to the host."""
        if hasattr(self._region, "madvise"):
            self._region.madvise(mmap.MADV_DONTNEED)
        else:
            self._region[:] = bytes(len(self._region))
        self._begin()

    def close(self) -> None:
        """Give the memory back.  Views that ``cells`` gave must not be used any more."""
        self._calls.clear()
        if hasattr(self._region, "madvise"):
            self._region.madvise(mmap.MADV_DONTNEED)
        self._engine = _Closed()  # pyright: ignore[reportAttributeAccessIssue]

    # -- calls ------------------------------------------------------------------

    def call(self, function: Function, *arguments: Any) -> int:
        """Call one of the functions; its result as a number, 0 where it has none.

        An argument is an integer, the address of a buffer for ``ptr``, or for a reference
        None, an object or what ``reference`` gives.  Raises KernelStopped.
        """
        known = self._calls.get(function)
        if known is None:
            known = self._calls[function] = self._engine.function(symbol_of(function))
        if any(not isinstance(argument, int) for argument in arguments):
            arguments = tuple(self._number(argument) for argument in arguments)
        return known(*arguments)

    def _number(self, argument: Any) -> int:
        return self.reference(argument) if not isinstance(argument, int) else int(argument)

    @property
    def processor(self) -> int:
        """What smp_processor_id() is."""
        return self.view(self.memory.processor())[0]

    @processor.setter
    def processor(self, number: int) -> None:
        self.view(self.memory.processor())[0] = number

    # -- memory -----------------------------------------------------------------

    def reference(self, item: Any, index: int | None = None) -> int:
        """A reference as the kernel has it: an object, or member ``index`` of a pool."""
        if item is None:
            return 0
        if isinstance(item, PerThread):
            return self.memory.first[id(item)] + 1
        if index is not None:
            first = self.memory.first.get(id(item))
            if first is None:
                raise KeyError("no function of these names the pool")
            return first + index + 1
        with bound(*self.config):
            number = self.memory.number_of(item)
        if number is None:
            raise KeyError(f"no function of these names this {type(item).__name__}")
        return number + 1

    def get(self, owner: Any, path: str, *indexes: int) -> int:
        """The bits of one cell.

        ``owner``: a global, ``(pool, index)`` or ``(structure's class, reference)``;
        ``path``: fields with dots between; ``indexes``: one for each array on the way.
        """
        family, cell = self._cell(owner, path, indexes)
        return 0 if family.type.bits == 0 else self.view(family)[cell]

    def set(self, owner: Any, path: str, *rest: int) -> None:
        """Store into the cell that ``get`` reads; the value is the last argument."""
        *indexes, value = rest
        family, cell = self._cell(owner, path, indexes)
        if family.type.bits:
            self.view(family)[cell] = value & ((1 << family.type.bits) - 1)

    def cells(self, cls: type[Struct], name: str) -> memoryview:
        """All cells of a field, of all objects, as they are at any moment."""
        place = self.memory.structures[cls].fields[name]
        if not isinstance(place, Leaf):
            raise KeyError(f"{cls.__name__}.{name} is a structure: name a field of it")
        return self.view(place.family)

    def type_of(self, cls: type[Struct], name: str) -> Scalar:
        """What the cells of a field hold, for ``compiler.show.value``."""
        place = self.memory.structures[cls].fields[name]
        assert isinstance(place, Leaf)
        return place.family.type

    def _cell(self, owner: Any, path: str, indexes: Sequence[int]) -> tuple[Family, int]:
        rest = list(indexes)
        if isinstance(owner, Array):
            place: FieldPlace = self.memory.arrays[id(owner)]
            number, names = _element(place, 0, rest), path.split(".") if path else []
        else:
            cls, number = self._object(owner)
            first, *names = path.split(".")
            place = self._field(cls, first)
            number = _element(place, number, rest)
        for name in names:
            if isinstance(place, Leaf):
                raise KeyError(f"{path}: {place.family.name} has no field {name!r}")
            number += place.base
            place = self._field(place.cls, name)
            number = _element(place, number, rest)
        if not isinstance(place, Leaf):
            raise KeyError(f"{path} is a structure: name a field of it")
        if rest:
            raise IndexError(f"{path}: {len(rest)} indexes too many")
        return place.family, number

    def _object(self, owner: Any) -> tuple[type[Struct], int]:
        if isinstance(owner, tuple):
            kind, number = owner  # pyright: ignore[reportUnknownVariableType]
            if isinstance(kind, Pool):
                return kind.cls, self.reference(kind, number) - 1  # pyright: ignore
            return kind, number - 1  # pyright: ignore
        if isinstance(owner, PerThread):
            return owner.cls, self.reference(owner) - 1  # pyright: ignore
        return type(owner), self.reference(owner) - 1

    def _field(self, cls: type[Struct], name: str) -> FieldPlace:
        structure = self.memory.structures.get(cls)
        if structure is None or name not in structure.fields:
            raise KeyError(f"{cls.__name__} has no field {name!r} here")
        return structure.fields[name]

    def view(self, family: Family) -> memoryview:
        """All cells of a family."""
        at = self.placement.of.get(family.number)
        if at is None:
            raise KeyError(f"no function of these reads or writes {family.name}")
        whole = self._bytes[at.offset : at.offset + (family.count - 1) * at.stride + at.size]
        return whole.cast(_FORMATS[at.size])[:: at.stride // at.size]

    # -- sizes ------------------------------------------------------------------

    @property
    def bytes(self) -> int:
        """Memory of the host that is in use for the kernel's, page by page."""
        return _resident(self._address, self.placement.bytes).count(1) * PAGE

    def bytes_of(self) -> dict[str, int]:
        """The same by structure, or by array, for those that have pages of their own."""
        found: dict[str, int] = {}
        pages = _resident(self._address, self.placement.bytes)
        for block, start in self.placement.blocks:
            end = start + block.bytes
            used = pages.count(1, start // PAGE, -(-end // PAGE)) * PAGE
            found[block.name] = found.get(block.name, 0) + min(used, block.bytes)
        return found


def _element(place: FieldPlace, number: int, indexes: list[int]) -> int:
    for length in place.lengths:
        if not indexes:
            raise IndexError(f"an index below {length} is missing")
        index = indexes.pop(0)
        if not 0 <= index < length:
            raise IndexError(f"index {index} outside an array of {length}")
        number = number * length + index
    return number


def _private() -> dict[str, int]:
    """Memory that is not there before it is touched, however much of it is asked for."""
    if not hasattr(mmap, "MAP_ANONYMOUS"):
        return {}
    # Python names it from 3.13 on; the value is that of x86 and arm64.
    linux = 0x4000 if sys.platform == "linux" else 0
    unreserved = getattr(mmap, "MAP_NORESERVE", linux)
    return {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | unreserved}


def _resident(address: int, size: int) -> bytes:
    """1 for each page of the host that is there, else 0; see mincore(2)."""
    pages = (ctypes.c_ubyte * (-(-size // PAGE)))()
    mincore = ctypes.CDLL(None).mincore
    mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    if mincore(address, size, pages) != 0:
        return b""
    return bytes(pages).translate(_LOWEST_BIT)


_LOWEST_BIT = bytes(i & 1 for i in range(256))


def _as_number(scalar: Scalar, bits: int | None) -> int:
    return 0 if not bits else signed_value(scalar, bits)


class _Closed:
    def function(self, symbol: str) -> Callable[..., int]:
        raise ValueError("this kernel is closed")


class _Native:
    """Machine code."""

    def __init__(self, whole: Whole, entries: set[str], address: int, hurry: bool) -> None:
        from pagerace.compiler.native import build

        self.native = build.compile_whole(whole, entries, "search" if hurry else "loops")
        self.address = address
        self.status = ctypes.c_uint64.from_address(address)

    def function(self, symbol: str) -> Callable[..., int]:
        known = self.native.functions[symbol]
        run, status, address = self.native.function(symbol), self.status, self.address
        masks = [(1 << scalar.bits) - 1 for scalar in known.parameters]
        result = known.result

        def call(*arguments: int) -> int:
            given = [a & mask for a, mask in zip(arguments, masks, strict=True)]
            found = run(address, *given)
            if status.value:
                self.stop()
            return _as_number(result, found)

        return call

    def stop(self) -> None:
        from pagerace.compiler.native.direct import NOT_POSSIBLE

        status, self.status.value = self.status.value, 0
        if status > NOT_POSSIBLE:
            raise KernelStopped(
                "deadlock", "nobody can end this wait",
                self.native.waits[status - NOT_POSSIBLE - 1].where,
            )  # fmt: skip
        check = self.native.checks[status - 1]
        raise KernelStopped(check.slug, check.text, check.where)


class _Interpreted:
    """The interpreter."""

    def __init__(self, whole: Whole, views: list[Any]) -> None:
        self.whole, self.views = whole, views

    def function(self, symbol: str) -> Callable[..., int]:
        code = self.whole.codes[symbol]
        scalars = [register.type for register in code.parameters]

        def call(*arguments: int) -> int:
            given = [
                interpreter.Pointer(_Pointed(argument, scalar.element))  # pyright: ignore
                if scalar.kind == "ptr" else argument & ((1 << scalar.bits) - 1)
                for argument, scalar in zip(arguments, scalars, strict=True)
            ]  # fmt: skip
            try:
                found = interpreter.run_code(
                    None, code, self.views, given, functions=self.whole.codes
                )
            except interpreter.CheckFailed as error:
                check = error.check
                raise KernelStopped(check.slug, check.text, check.where) from None
            except interpreter.NotPossible as error:
                text = "nobody can end this wait"
                raise KernelStopped("deadlock", text, error.where) from None
            return _as_number(code.result, found)

        return call


class _Pointed:
    """What a pointer that the caller gave leads to, element by element."""

    def __init__(self, address: int, element: Scalar | None) -> None:
        bits = max(8, 1 << (element.bits - 1).bit_length()) if element else 8
        self.address, self.size = address, bits // 8
        self.type: Any = {1: ctypes.c_uint8, 2: ctypes.c_uint16, 4: ctypes.c_uint32}.get(
            self.size, ctypes.c_uint64
        )

    def __getitem__(self, index: int) -> int:
        return self.type.from_address(self.address + index * self.size).value

    def __setitem__(self, index: int, value: int) -> None:
        self.type.from_address(self.address + index * self.size).value = value
