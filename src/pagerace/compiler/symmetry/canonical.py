"""The representative of a state's orbit: what it is, on the words of a state.

A swap of two neighbouring units exchanges bits of the words: a ``Move`` exchanges those of
one word with those of another, or of the same, that lie equally far from each other.

The *signature* of a unit is what is its alone: its cells, program counters and locals, as
numbers in an order that is the same for all units.  The representative of a state is, of
all that it can be permuted to, the one whose signatures are least, the first unit's first;
among those with equal signatures the one whose words are least.  While the order of the
units still matters (``Group.marked``) a state represents itself.

``native.symmetry`` does the same without trying all permutations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import factorial
from typing import TypeAlias

from pagerace.compiler.ir import Program
from pagerace.compiler.layout import Layout, Slot
from pagerace.compiler.symmetry import Group, Symmetry
from pagerace.compiler.symmetry.candidates import Permutation

Words: TypeAlias = "tuple[int, ...]"

# Groups with more elements are brought into order by signatures alone: two states of one
# orbit may then have two representatives, which costs states and nothing else.
ORDER_MAX = 24


@dataclass(frozen=True, slots=True)
class Move:
    """Exchange the bits of ``mask`` in word ``low`` with those ``shift`` further up in
    word ``high``.  The two words may be one."""

    low: int
    high: int
    shift: int
    mask: int

    def apply(self, words: list[int]) -> None:
        changed = (words[self.high] >> self.shift ^ words[self.low]) & self.mask
        words[self.low] ^= changed
        words[self.high] ^= changed << self.shift


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of all signatures: for each unit the word and how far up it lies there."""

    places: tuple[tuple[int, int], ...]
    mask: int

    def value(self, words: Sequence[int], unit: int) -> int:
        word, shift = self.places[unit]
        return words[word] >> shift & self.mask


@dataclass(frozen=True)
class Canonical:
    """One group, with what it does to the words of a state.

    ``swaps[i]`` exchanges units i and i + 1.  ``rest``: for each word the bits that move and
    are in no signature.  ``marked``: for each process that has some, its program counter
    and the points at which the order still matters.
    """

    swaps: tuple[tuple[Move, ...], ...]
    pieces: tuple[Piece, ...]
    rest: tuple[int, ...]
    marked: tuple[tuple[Slot, frozenset[int]], ...]

    @property
    def units(self) -> int:
        return len(self.swaps) + 1

    @property
    def exact(self) -> bool:
        """Do all states of an orbit have one representative?"""
        return factorial(self.units) <= ORDER_MAX or not any(self.rest)

    def applies(self, words: Sequence[int]) -> bool:
        """Is no process at a point at which the order still matters?"""
        return all(
            words[slot.word] >> slot.shift & ((1 << slot.bits) - 1) not in points
            for slot, points in self.marked
        )

    def key(self, words: Sequence[int]) -> tuple[object, ...]:
        """What is least for the representative."""
        signatures = tuple(self.signature(words, unit) for unit in range(self.units))
        return signatures, tuple(words)

    def signature(self, words: Sequence[int], unit: int) -> Words:
        return tuple(piece.value(words, unit) for piece in self.pieces)

    def swapped(self, words: Sequence[int], number: int) -> list[int]:
        """The words after units ``number`` and ``number + 1`` have changed places."""
        result = list(words)
        for move in self.swaps[number]:
            move.apply(result)
        return result

    def orbit(self, words: Sequence[int]) -> set[Words]:
        """All states that a state can be permuted to, whether that is of use or not."""
        found = {tuple(words)}
        pending = [tuple(words)]
        while pending:
            state = pending.pop()
            for number in range(len(self.swaps)):
                other = tuple(self.swapped(state, number))
                if other not in found:
                    found.add(other)
                    pending.append(other)
        return found

    def representative(self, words: Sequence[int]) -> Words:
        """The one state that stands for all of the orbit of ``words``."""
        if not self.applies(words):
            return tuple(words)
        if self.exact:
            return min(self.orbit(words), key=self.key)
        return self.in_order(words)

    def in_order(self, words: Sequence[int]) -> Words:
        """The units in the order of their signatures."""
        result = list(words)
        for end in range(len(self.swaps), 0, -1):
            for number in range(end):
                if self.signature(result, number) > self.signature(result, number + 1):
                    result = self.swapped(result, number)
        return tuple(result)


def representative(groups: Sequence[Canonical], words: Sequence[int]) -> Words:
    """What stands for a state, group after group."""
    result = tuple(words)
    for group in groups:
        result = group.representative(result)
    return result


def canonicals(program: Program, layout: Layout, symmetry: Symmetry) -> list[Canonical]:
    """Each group as it acts on the words of a state; one that moves no bit is left out."""
    found = [_canonical(program, layout, group) for group in symmetry.groups]
    return [group for group in found if any(group.swaps)]


def _canonical(program: Program, layout: Layout, group: Group) -> Canonical:
    swaps = [_exchanged(layout, swap) for swap in group.swaps]
    pieces, rest = _signatures(swaps, layout.words)
    marked = tuple(
        (layout.pc[process], frozenset(points))
        for process, points in sorted(group.marked.items())
        if points
    )
    return Canonical(tuple(tuple(_moves(swap)) for swap in swaps), pieces, rest, marked)


# -- bits, numbered through all words ----------------------------------------------------


def _exchanged(layout: Layout, swap: Permutation) -> dict[int, int]:
    """For each bit that moves the one that it changes places with."""
    pairs: dict[int, int] = {}

    def exchange(one: Slot, other: Slot) -> None:
        for a, b in zip(_bits(one), _bits(other), strict=True):
            if pairs.setdefault(a, b) != b or pairs.setdefault(b, a) != a:
                raise AssertionError("locals that share bits do so in different ways")

    for family, moved in swap.cells.items():
        slots = layout.cells.get(family, [])
        for i, slot in enumerate(slots):
            if moved[i] > i:
                exchange(slot, slots[moved[i]])
    for p, q in enumerate(swap.processes):
        if q > p:
            exchange(layout.pc[p], layout.pc[q])
            for register, slot in layout.locals[p].items():
                exchange(slot, layout.locals[q][register])
    return pairs


def _bits(slot: Slot) -> Iterator[int]:
    first = slot.word * 64 + slot.shift
    yield from range(first, first + slot.bits)


def _moves(pairs: dict[int, int]) -> Iterator[Move]:
    """As few moves as exchange these bits."""
    masks: dict[tuple[int, int, int], int] = {}
    for a, b in sorted(pairs.items()):
        if a % 64 < b % 64 or (a % 64 == b % 64 and a < b):
            key = (a // 64, b // 64, b % 64 - a % 64)
            masks[key] = masks.get(key, 0) | 1 << a % 64
    for (low, high, shift), mask in masks.items():
        yield Move(low, high, shift, mask)


def _signatures(
    swaps: Sequence[dict[int, int]], words: int
) -> tuple[tuple[Piece, ...], tuple[int, ...]]:
    """(the pieces of the signatures, the widest first; the bits of no signature)."""
    masks: dict[tuple[tuple[int, int], ...], int] = {}
    rest = [0] * words
    seen: set[int] = set()
    for first in sorted({bit for swap in swaps for bit in swap}):
        if first in seen:
            continue
        places = _of_one_unit_each(first, swaps)
        if places is None:
            seen.add(first)
            rest[first // 64] |= 1 << first % 64
            continue
        seen.update(places)
        lowest = min(bit % 64 for bit in places)
        key = tuple((bit // 64, bit % 64 - lowest) for bit in places)
        masks[key] = masks.get(key, 0) | 1 << lowest
    pieces = [Piece(places, mask) for places, mask in masks.items()]
    pieces.sort(key=lambda piece: -piece.mask.bit_count())
    return tuple(pieces), tuple(rest)


def _of_one_unit_each(first: int, swaps: Sequence[dict[int, int]]) -> list[int] | None:
    """The bits of all units that correspond to one, in their order; None if there are
    none, because the bit is of two units: what one knows of another."""
    orbit = {first}
    pending = [first]
    while pending:
        bit = pending.pop()
        for swap in swaps:
            other = swap.get(bit, bit)
            if other not in orbit:
                orbit.add(other)
                pending.append(other)
    for start in sorted(orbit):
        places = [start]
        for swap in swaps:
            places.append(swap.get(places[-1], places[-1]))
        alone = all(
            swap.get(bit, bit) == bit
            for unit, bit in enumerate(places)
            for number, swap in enumerate(swaps)
            if unit not in (number, number + 1)
        )
        if alone and len(set(places)) == len(places) == len(orbit):
            return places
    return None


def adjacent_order(units: int) -> list[int]:
    """Swaps of neighbours that lead through all orders of the units, each once.

    (Steinhaus, Johnson, Trotter.)
    """
    orders: list[tuple[int, ...]] = [()]
    for unit in range(units):
        longer: list[tuple[int, ...]] = []
        for turn, order in enumerate(orders):
            places = range(unit + 1) if turn % 2 else range(unit, -1, -1)
            longer += [(*order[:place], unit, *order[place:]) for place in places]
        orders = longer
    return [
        next(i for i, (a, b) in enumerate(zip(x, y, strict=True)) if a != b)
        for x, y in pairwise(orders)
    ]
