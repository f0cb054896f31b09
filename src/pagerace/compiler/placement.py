"""Where cells of full size stand: in one region of addresses, the fields of an object together.

    0          the status, a u64: see native/whole.py
    64         small structures and arrays, one after the other
    ...        large ones, each from a page of the host on

A large family that no function accesses has no place.  The scalar fields of an object stand
side by side, so that it is one cache line of the host or two; an array inside a structure
stands apart.  All is 0 at first, and a page that nobody touches is none of the host's memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pagerace.compiler.ir import Code, Family, Load, Store
from pagerace.compiler.memory import Leaf, Memory

HEADER = 64
SMALL = 1 << 16
PAGE = 4096


@dataclass(frozen=True)
class Placed:
    """Cell i of a family is at ``offset + i * stride``, in ``size`` bytes: 1, 2, 4 or 8."""

    offset: int
    stride: int
    size: int


@dataclass(frozen=True)
class Block:
    """What stands together: families with their offset inside, ``count`` times ``stride``."""

    name: str
    parts: tuple[tuple[Family, int], ...]
    count: int
    stride: int

    @property
    def bytes(self) -> int:
        return self.count * self.stride


@dataclass(frozen=True)
class Placement:
    """``of[family number]``; ``blocks`` with their offsets; ``bytes`` in all."""

    of: dict[int, Placed]
    blocks: tuple[tuple[Block, int], ...]
    bytes: int


def size_of(family: Family) -> int:
    """Bytes of a cell."""
    return max(1, 1 << (family.type.bits - 1).bit_length() >> 3)


def place(memory: Memory, codes: Iterable[Code]) -> Placement:
    """Give the cells of the memory that ``codes`` work on their places."""
    used = {
        instruction.family.number
        for code in codes
        for block in code.blocks
        for instruction in block.instructions
        if isinstance(instruction, (Load, Store))
    }
    blocks = sorted(_blocks(memory, used), key=lambda block: block.bytes > SMALL)
    of: dict[int, Placed] = {}
    placed: list[tuple[Block, int]] = []
    end = HEADER
    for block in blocks:
        alignment = PAGE if block.bytes > SMALL else 16
        start = -(-end // alignment) * alignment
        for family, inside in block.parts:
            of[family.number] = Placed(start + inside, block.stride, size_of(family))
        placed.append((block, start))
        end = start + block.bytes
    return Placement(of, tuple(placed), -(-end // PAGE) * PAGE)


def _blocks(memory: Memory, used: set[int]) -> list[Block]:
    def is_placed(family: Family) -> bool:
        wanted = family.number in used or family.count * size_of(family) <= SMALL
        return family.type.bits > 0 and wanted

    found: list[Block] = []
    known: set[int] = set()
    for structure in memory.structures.values():
        fields = [f for f in structure.fields.values() if isinstance(f, Leaf)]
        scalars = [f.family for f in fields if not f.lengths and is_placed(f.family)]
        known |= {family.number for family in scalars}
        if scalars:
            found.append(_side_by_side(structure.cls.__name__, scalars))
    for family in memory.families:
        if family.number not in known and is_placed(family):
            found.append(Block(family.name, ((family, 0),), family.count, size_of(family)))
    return found


def _side_by_side(name: str, families: list[Family]) -> Block:
    parts: list[tuple[Family, int]] = []
    end = 0
    for family in sorted(families, key=size_of, reverse=True):
        parts.append((family, end))
        end += size_of(family)
    largest = size_of(parts[0][0])
    return Block(name, tuple(parts), families[0].count, -(-end // largest) * largest)
