"""The shared memory of a protocol: which structures there are, and their families.

All objects of one structure are numbered: first those that are globals, pool members
or per-thread objects, in the order in which they are found; then those embedded in
other structures, container by container.  A field is then a family of cells whose
index is ``object * elements + element``, and an embedded structure's number is affine
in its container's.
"""

from __future__ import annotations

import enum
import math
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from pagerace.compiler.fields import FieldError, lengths_of, referent
from pagerace.compiler.ir import BOOL, INT, NONE, Family, Scalar
from pagerace.lang.constants import Constants
from pagerace.lang.direct import ptr
from pagerace.lang.integers import SizedInt
from pagerace.lang.structures import (
    Array,
    BitStruct,
    PerThread,
    Pool,
    Struct,
    assignments,
    field_types,
    home_of,
    is_reference,
    resolve_length,
)
from pagerace.lang.widths import FlagInt, WidthError

WORD_BITS = 64


def may_be_none(scalar: Scalar) -> Scalar:
    """The type of a variable or a cell: no annotation keeps None out of memory."""
    return replace(scalar, nullable=True) if scalar.kind == "ref" else scalar


@dataclass(frozen=True)
class Leaf:
    """A scalar field, or an array of scalars: ``lengths`` is () or (n,) or (n, m) ..."""

    family: Family
    lengths: tuple[int, ...]


@dataclass(frozen=True)
class Embedded:
    """A structure inside a structure: its objects' numbers start at ``base``."""

    cls: type[Struct]
    base: int
    lengths: tuple[int, ...]


FieldPlace: TypeAlias = Leaf | Embedded
GlobalObject: TypeAlias = "Struct | Pool[Any] | PerThread[Any] | Array[Any]"


@dataclass
class Structure:
    """One structure: how many objects of it there are, and where its fields are."""

    cls: type[Struct]
    names: list[str] = field(default_factory=list[str])
    fields: dict[str, FieldPlace] = field(default_factory=dict[str, FieldPlace])
    private: bool = False
    threads: list[int] = field(default_factory=list[int])  # of per-thread objects
    allocated: Family | None = None
    # For each object the family and cell that tell whether its owner is allocated.
    owners: list[tuple[Family, int] | None] = field(
        default_factory=list["tuple[Family, int] | None"]
    )

    @property
    def count(self) -> int:
        return len(self.names)


class Memory:
    """Families and structures of one protocol, with the names of its globals."""

    def __init__(self) -> None:
        self.families: list[Family] = []
        self.structures: dict[type[Struct], Structure] = {}
        # id(global object) -> number of its first object, or its array's place
        self.first: dict[int, int] = {}
        self.arrays: dict[int, FieldPlace] = {}
        self.kept: list[Any] = []  # keeps every object alive, so that ids stay unique
        self._bits: dict[type[BitStruct], dict[str, tuple[int, Scalar]]] = {}
        self._scalars: dict[type, Scalar | None] = {}  # found so far: one object of each
        # Constant tables that direct code has functions for, and what was found to be right.
        self.tables: list[Constants] = []
        self.compared: set[tuple[str, Any]] = set()

    # -- types ------------------------------------------------------------------

    def scalar(self, hint: Any) -> Scalar | None:
        """The value type that an annotation means; None for what is not a value."""
        if hint is bool:
            return BOOL
        if hint is int:
            return INT
        if hint is None or hint is type(None):
            return NONE
        if typing.get_origin(hint) is ptr:
            return Scalar(64, kind="ptr", element=self.scalar(typing.get_args(hint)[0]))
        if is_reference(hint):
            cls, nullable = referent(hint)
            if isinstance(cls, type) and issubclass(cls, Struct):
                return self.reference(cls, nullable)
            return None
        if not isinstance(hint, type):
            return None
        if issubclass(hint, Struct):
            return self.reference(hint, False)
        if hint not in self._scalars:
            self._scalars[hint] = self._number(hint)
        return self._scalars[hint]

    def _number(self, hint: type) -> Scalar | None:
        """The value type of a class whose values are no references."""
        if issubclass(hint, FlagInt):
            return Scalar(hint.bits, kind="bool")
        if issubclass(hint, SizedInt):
            return Scalar(hint.bits, hint.signed)
        if issubclass(hint, enum.Enum):
            return Scalar(max(1, (len(hint) - 1).bit_length()), kind="enum", cls=hint)
        if issubclass(hint, BitStruct):
            parts = tuple((name, t) for name, (_, t) in self.bit_fields(hint).items())
            total = sum(t.bits for _, t in parts)
            return Scalar(total, kind="bits", cls=hint, fields=parts)
        return None

    def _field(self, cls: type, name: str, hint: Any) -> Scalar | None:
        """The value type of a field.  Raises FieldError where no machine has its width."""
        try:
            return self.scalar(hint)
        except WidthError as error:
            raise FieldError(cls, name, str(error)) from None

    def reference(self, cls: type[Struct], nullable: bool) -> Scalar:
        """The type of a reference to ``cls``: wide enough for None and every object."""
        structure = self.structures.get(cls)
        count = structure.count if structure else 0
        return Scalar(max(1, count.bit_length()), kind="ref", cls=cls, nullable=nullable)

    def bit_fields(self, cls: type[BitStruct]) -> dict[str, tuple[int, Scalar]]:
        """Field name -> (first bit, type), from bit 0 upward in the class's order."""
        if cls not in self._bits:
            fields: dict[str, tuple[int, Scalar]] = {}
            start = 0
            for name, hint in field_types(cls).items():
                scalar = self._field(cls, name, hint)
                if scalar is None:
                    raise FieldError(cls, name, "this is not an integer, a bool or an enum")
                fields[name] = (start, may_be_none(scalar))
                start += scalar.bits
            if start > WORD_BITS:
                raise FieldError(cls, "", f"{start} bits; a word has {WORD_BITS}")
            self._bits[cls] = fields
        return self._bits[cls]

    def encode(self, scalar: Scalar, value: Any) -> int:
        """The bit pattern of a plain Python value."""
        if value is None:
            return 0
        if scalar.kind == "enum":
            return list(typing.cast(Any, scalar.cls)).index(value)
        if scalar.kind == "bits":
            fields = self.bit_fields(typing.cast(Any, scalar.cls))
            return sum(
                self.encode(t, getattr(value, name)) << start
                for name, (start, t) in fields.items()
            )
        if scalar.kind == "ref":
            number = self.number_of(value)
            return 0 if number is None else number + 1
        return int(value) & ((1 << scalar.bits) - 1)

    # -- globals ----------------------------------------------------------------

    def build(
        self,
        objects: dict[str, GlobalObject],
        threads: int,
        mentioned: Iterable[type[Struct]] = (),
    ) -> None:
        """Number all objects and make the families; ``threads`` counts agents too.

        ``mentioned`` structures are known even if there is no object of them.
        """
        self.kept.extend(objects.values())
        direct: dict[type[Struct], list[tuple[Any, Sequence[str]]]] = {}
        for name, item in objects.items():
            if isinstance(item, Pool):
                count = resolve_length(item.length)
                direct.setdefault(item.cls, []).append((item, self._numbered(name, count)))
            elif isinstance(item, PerThread):
                direct.setdefault(item.cls, []).append((item, self._numbered(name, threads)))
            elif isinstance(item, Struct):
                direct.setdefault(type(item), []).append((item, [name]))
        elements = [a.element for a in objects.values() if isinstance(a, Array)]
        order = self._containers_first([*direct, *elements, *mentioned])
        for cls in order:
            structure = self.structures[cls] = Structure(cls)
            structure.names = self._no_names()
            for item, names in direct.get(cls, []):
                self.first[id(item)] = structure.count
                structure.private |= isinstance(item, PerThread)
                structure.names.extend(names)
                if isinstance(item, PerThread):
                    structure.threads.extend(range(threads))
        arrays = {name: item for name, item in objects.items() if isinstance(item, Array)}
        for name, item in arrays.items():
            self._array_of_structures(name, item)
        for cls in order:
            self._embed(self.structures[cls])
        self._refuse_shared_tasks()
        for name, item in arrays.items():
            self._array_of_values(name, item)  # a reference is as wide as there are objects
        for cls in order:
            self._leaves(self.structures[cls])
        for item in objects.values():
            for owner, key, value in assignments(item):
                self._initial(owner, key, value)

    def _containers_first(self, roots: Iterable[Any]) -> list[type[Struct]]:
        """All structures that appear, each after every structure that embeds it."""
        done: dict[type[Struct], None] = {}

        def visit(cls: type[Struct]) -> None:
            if cls in done:
                return
            for name, hint in field_types(cls).items():
                _, element = lengths_of(cls, name, hint)
                if isinstance(element, type) and issubclass(element, Struct):
                    visit(element)
            done[cls] = None
            for name, hint in field_types(cls).items():
                cls_referred = referent(lengths_of(cls, name, hint)[1])[0]
                if isinstance(cls_referred, type) and issubclass(cls_referred, Struct):
                    referred.append(cls_referred)

        referred = [cls for cls in roots if isinstance(cls, type) and issubclass(cls, Struct)]
        while referred:
            visit(referred.pop(0))
        return list(reversed(done))

    def _refuse_shared_tasks(self) -> None:
        """What one thread alone sees becomes its locals, so nothing else may be of its kind."""
        for structure in self.structures.values():
            if structure.private and len(structure.threads) != structure.count:
                raise TypeError(
                    f"{structure.cls.__name__} is both per-thread and shared memory: "
                    "make it two classes"
                )

    def _array_of_structures(self, name: str, item: Array[Any]) -> None:
        length = len(item.values)
        if isinstance(item.element, type) and issubclass(item.element, Struct):
            structure = self.structures[item.element]
            self.arrays[id(item)] = Embedded(item.element, structure.count, (length,))
            structure.names.extend(self._numbered(name, length))

    def _array_of_values(self, name: str, item: Array[Any]) -> None:
        if id(item) in self.arrays:
            return
        length = len(item.values)
        scalar = self.scalar(item.element)
        if scalar is None:
            raise TypeError(f"{name}: elements of this type cannot be shared")
        names = [f"{name}[{i}]" for i in range(length)]
        family = self._family(f"{name}[]", scalar, names)
        self._default(family, None)
        self.arrays[id(item)] = Leaf(family, (length,))

    def _embed(self, structure: Structure) -> None:
        cls = structure.cls
        for name, hint in field_types(cls).items():
            lengths, element = lengths_of(cls, name, hint)
            if isinstance(element, type) and issubclass(element, Struct):
                inner = self.structures[element]
                inner.private |= structure.private
                structure.fields[name] = Embedded(element, inner.count, lengths)
                inner.names.extend(self._element_names(structure.names, name, lengths))
                each = math.prod(lengths)
                inner.threads.extend(t for t in structure.threads for _ in range(each))

    def _leaves(self, structure: Structure) -> None:
        cls = structure.cls
        for name, hint in field_types(cls).items():
            if name in structure.fields:
                continue
            default = cls.__dict__.get(name)
            lengths, element = lengths_of(cls, name, hint)
            scalar = self._field(cls, name, element)
            if scalar is None:
                raise FieldError(cls, name, "no value of shared memory has this type")
            names = self._element_names(structure.names, name, lengths)
            family = self._family(f"{cls.__name__}.{name}", scalar, names)
            family.private = structure.private
            if scalar.kind == "ref" and not family.private:
                if scalar.cls in self.structures and self.structures[scalar.cls].private:
                    raise FieldError(
                        cls, name, "this would show a per-thread object to other threads"
                    )
            self._default(family, None if lengths else default)
            structure.fields[name] = Leaf(family, lengths)

    def _default(self, family: Family, default: Any) -> None:
        """What cells hold before anything is assigned: zero, or what the class says."""
        if default is None and family.type.kind == "bits":
            default = typing.cast(Any, family.type.cls)()
        value = 0 if default is None else self.encode(family.type, default)
        if value:
            self._fill(family, value)

    def _fill(self, family: Family, value: int) -> None:
        family.initial = [value] * family.count

    def number_of(self, item: Struct) -> int | None:
        """The number of an object among those of its class; None if it is not known."""
        known, home = self.first.get(id(item)), home_of(item)
        if known is not None or home is None:
            return known
        owner, key = home
        if isinstance(owner, Pool):
            first = self.first.get(id(owner))
            return None if first is None else first + key
        start = self._cell(owner, key)
        return None if start is None else start[0].base + start[1]  # pyright: ignore

    def _cell(self, owner: Any, key: Any) -> tuple[FieldPlace, int] | None:
        """(place, index in it) of a field of a structure, or of an element of an array."""
        if not isinstance(owner, Array):
            number = self.number_of(owner)
            structure = self.structures.get(type(owner))
            return None if number is None or not structure else (structure.fields[key], number)
        if id(owner) in self.arrays:
            return self.arrays[id(owner)], key
        home = home_of(owner)
        array = None if home is None else self._cell(*home)
        if array is None:
            return None
        place, number = array
        if key >= place.lengths[0]:
            raise TypeError(f"the module's body uses element {key} of {place.lengths[0]}")
        return place, number * place.lengths[0] + key

    def _initial(self, owner: Any, key: Any, value: Any) -> None:
        """Take over what the module's own body assigned."""
        cell = self._cell(owner, key)
        if cell is not None and isinstance(cell[0], Leaf):
            family = cell[0].family
            self._set(family, cell[1], self.encode(family.type, value))

    def _set(self, family: Family, cell: int, value: int) -> None:
        family.initial[cell] = value

    def _zeros(self, count: int) -> list[int]:
        return [0] * count

    def _no_names(self) -> list[str]:
        return []

    def _numbered(self, name: str, count: int) -> Sequence[str]:
        """``name[0]``, ``name[1]`` ..."""
        return [f"{name}[{i}]" for i in range(count)]

    def _element_names(
        self, owners: Sequence[str], name: str, lengths: tuple[int, ...]
    ) -> Sequence[str]:
        names = [f"{owner}.{name}" for owner in owners]
        for length in lengths:
            names = [f"{base}[{i}]" for base in names for i in range(length)]
        return names

    def _family(self, name: str, scalar: Scalar, given_names: Sequence[str]) -> Family:
        # A structure that is referred to but of which there is no object has a cell too,
        # which nothing reaches: following the reference fails before.
        names = typing.cast("list[str]", given_names or [f"{name} of nothing"])
        family = Family(len(self.families), name, may_be_none(scalar), len(names), names)
        family.initial = self._zeros(len(names))
        self.families.append(family)
        return family

    def track_allocation(self, pool: Pool[Any]) -> Family:
        """The family of "allocated" bits of a pool's structure, made on first use.

        Objects of the structure that are in no pool count as always allocated.
        """
        structure = self.structures[pool.cls]
        if structure.allocated is None:
            names = self._element_names(structure.names, "<allocated>", ())
            family = self._family(f"{pool.cls.__name__}.<allocated>", BOOL, names)
            family.initial = [1] * structure.count
            structure.allocated = family
        first = self.first[id(pool)]
        for i in range(first, first + resolve_length(pool.length)):
            structure.allocated.initial[i] = 0
        return structure.allocated

    def private_cells(self, thread: int) -> dict[int, list[int]]:
        """Family number -> cells of the per-thread objects of one thread."""
        cells: dict[int, list[int]] = {}
        for structure in self.structures.values():
            if not structure.private:
                continue
            for place in structure.fields.values():
                if isinstance(place, Leaf):
                    each = math.prod(place.lengths)
                    cells[place.family.number] = [
                        i * each + j
                        for i, owner in enumerate(structure.threads)
                        if owner == thread
                        for j in range(each)
                    ]
        return cells

    def compute_owners(self) -> None:
        """Find for each object the pool member that it is or is embedded in."""
        for structure in self.structures.values():  # containers come first
            if not structure.owners:
                structure.owners = [None] * structure.count
            family = structure.allocated
            if family is not None:
                for i in range(structure.count):
                    if not family.initial[i]:
                        structure.owners[i] = (family, i)
            for place in structure.fields.values():
                if isinstance(place, Embedded):
                    inner = self.structures[place.cls]
                    if not inner.owners:
                        inner.owners = [None] * inner.count
                    each = math.prod(place.lengths)
                    for i in range(structure.count * each):
                        inner.owners[place.base + i] = structure.owners[i // each]
