"""Memory of full size, for one interleaving: nothing has a list of all objects or cells.

Names are made when somebody asks, cells are 0 but for those in ``given``, and what owns an
object is known by ranges of objects.
"""

from __future__ import annotations

import math
import typing
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, overload

from pagerace.compiler.ir import BOOL, Family, Scalar
from pagerace.compiler.memory import Embedded, Memory, Structure
from pagerace.lang.structures import Pool, Struct, resolve_length

GIVEN_MAX = 1 << 16  # cells of a family that may start with something else than 0
CPU_BITS = 6  # of what smp_processor_id() gives


class Lazy(Sequence[str]):
    """``count`` names, each made when it is asked for."""

    def __init__(self, count: int, name: Callable[[int], str]) -> None:
        self.length, self.name = count, name

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [self.name(i) for i in range(*index.indices(self.length))]
        if not 0 <= index < self.length:
            raise IndexError(index)
        return self.name(index)


class Names(Lazy):
    """Names one after the other, as a list has them, without the list."""

    def __init__(self) -> None:
        super().__init__(0, self._find)
        self._parts: list[tuple[int, Sequence[str]]] = []

    def extend(self, more: Iterable[str]) -> None:
        part = more if isinstance(more, Sequence) else list(more)
        self._parts.append((self.length, part))
        self.length += len(part)

    def _find(self, index: int) -> str:
        start, part = next(p for p in reversed(self._parts) if p[0] <= index)
        return part[index - start]


@dataclass(frozen=True)
class Owned:
    """Objects ``start`` to ``start + count`` - 1 are, or are in, members of a pool.

    Object i lives as long as cell ``first + (i - start) // each`` of ``family`` is 1.
    """

    start: int
    count: int
    family: Family
    first: int
    each: int


@dataclass(frozen=True)
class FreeList:
    """A pool's free objects: ``first`` and then ``next``, else those from ``used`` on.

    ``first`` and ``next[i]`` are 1 + an object's number in the pool, or 0.
    """

    first: Family
    used: Family
    next: Family


class SparseMemory(Memory):
    """Families of any size, and what full size needs beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.given: dict[tuple[int, int], int] = {}  # (family, cell) -> what it starts with
        self.free_lists: dict[int, FreeList] = {}  # by id(pool)
        self.owned: dict[type[Struct], list[Owned]] = {}
        self._processor: Family | None = None

    def processor(self) -> Family:
        """What smp_processor_id() is, made on first use: there are no threads to say."""
        if self._processor is None:
            name = "<smp_processor_id()>"
            self._processor = self._family(name, Scalar(CPU_BITS), [name])
        return self._processor

    def track_allocation(self, pool: Pool[Any]) -> Family:
        structure = self.structures[pool.cls]
        if structure.allocated is None:
            names = self._element_names(structure.names, "<allocated>", ())
            structure.allocated = self._family(f"{pool.cls.__name__}.<allocated>", BOOL, names)
        if id(pool) not in self.free_lists:
            self._list_free(pool, structure, structure.allocated)
        return structure.allocated

    def _list_free(self, pool: Pool[Any], structure: Structure, allocated: Family) -> None:
        first, length = self.first[id(pool)], resolve_length(pool.length)
        self.owned.setdefault(pool.cls, []).append(Owned(first, length, allocated, first, 1))
        name = structure.cls.__name__
        scalar = self.reference(structure.cls, True)
        self.free_lists[id(pool)] = FreeList(
            self._family(f"{name}.<first free>", scalar, [f"{name}.<first free>"]),
            self._family(f"{name}.<used>", scalar, [f"{name}.<used>"]),
            self._family(f"{name}.<next free>", scalar, self._numbered(name, length)),
        )

    def compute_owners(self) -> None:
        """Find which objects are embedded in members of a pool; once."""
        for structure in self.structures.values():  # containers come first
            for place in structure.fields.values():
                if isinstance(place, Embedded):
                    each = math.prod(place.lengths)
                    self.owned.setdefault(place.cls, []).extend(
                        Owned(
                            place.base + part.start * each, part.count * each,
                            part.family, part.first, part.each * each,
                        )
                        for part in self.owned.get(structure.cls, ())
                    )  # fmt: skip

    # -- without lists ----------------------------------------------------------

    def _zeros(self, count: int) -> list[int]:
        return []

    def _fill(self, family: Family, value: int) -> None:
        if family.count > GIVEN_MAX:
            raise TypeError(f"{family.name}: so many cells can start with 0 only")
        self.given |= {(family.number, cell): value for cell in range(family.count)}

    def _set(self, family: Family, cell: int, value: int) -> None:
        self.given[family.number, cell] = value

    def _no_names(self) -> list[str]:
        return typing.cast("list[str]", Names())

    def _numbered(self, name: str, count: int) -> Sequence[str]:
        return Lazy(count, lambda i: f"{name}[{i}]")

    def _element_names(
        self, owners: Sequence[str], name: str, lengths: tuple[int, ...]
    ) -> Sequence[str]:
        each = math.prod(lengths)

        def element(i: int) -> str:
            suffix, rest = "", i % each
            for length in reversed(lengths):
                rest, index = divmod(rest, length)
                suffix = f"[{index}]{suffix}"
            return f"{owners[i // each]}.{name}{suffix}"

        return Lazy(len(owners) * each, element)
