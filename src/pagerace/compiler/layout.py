"""Where each part of a state lies: a state is a few 64-bit words.

    word 0   63 ........................ 0     all written cells, program counters
    word 1   [local|page.dirty[3..0]|pc 0]     and live locals, dense, in no fixed
                                               order; unused bits are zero

No slot straddles two words.  The cells of one family lie side by side with an equal
stride, in one word where they fit, so that an index known only at run time is a shift;
a larger family starts at bit 0 of a word and fills as many whole cells as fit in this
word and the following ones.  Two locals of a process that are never live at the same
point may share bits.  Processes that keep the same locals share them in the same way, so
that the bits of one can change places with those of another.  What has no bits (a
structure with nothing in it) has no slot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pagerace.compiler.ir import Point, Process, Program, Reg
from pagerace.compiler.state import State

WORD_BITS = 64


@dataclass(frozen=True, slots=True)
class Slot:
    """``bits`` bits from bit ``shift`` upward of word ``word``."""

    word: int
    shift: int
    bits: int


class Layout:
    """The slots of a program's states.

    ``words`` per state, at least 1; ``bits`` of them in use.  ``cells[family]`` has a
    slot per cell, for written families only: the others are constants.  ``pc`` has a
    slot per process, of 0 bits where the process has no point.  ``locals[process]``
    maps register numbers to slots, for registers that are live at some point.
    """

    words: int
    bits: int
    cells: dict[int, list[Slot]]
    pc: list[Slot]
    locals: list[dict[int, Slot]]

    def __init__(self, program: Program) -> None:
        self._program = program
        self._points = [points_of(process) for process in program.processes]
        used: list[int] = []  # the bits taken, a mask per word
        self.cells = {}
        self.pc = [Slot(0, 0, 0)] * len(program.processes)
        self._place_permanent(used)
        self.locals = []
        alike: dict[tuple[tuple[Reg, ...], ...], dict[int, Slot]] = {}
        for points in self._points:
            kept = tuple(point.live for point in points)
            if kept in alike:
                self.locals.append(_place_again(used, alike[kept]))
            else:
                self.locals.append(_place_locals(used, points))
                alike[kept] = self.locals[-1]
        self.words = max(1, len(used))
        self.bits = sum(mask.bit_count() for mask in used)

    @staticmethod
    def of(program: Program) -> Layout:
        """The layout of a program whose points, with what is live there, are known."""
        return Layout(program)

    def _place_permanent(self, used: list[int]) -> None:
        """Large families first, then the largest of what fits in a word."""
        small: list[tuple[int, int, int]] = []  # (-bits, 0 family or 1 pc, its number)
        for family in self._program.families:
            stride = family.type.bits
            if not family.written or family.count * stride == 0:
                continue
            if family.count * stride > WORD_BITS:
                self.cells[family.number] = _place_array(used, family.count, stride)
            else:
                small.append((-family.count * stride, 0, family.number))
        for process, points in enumerate(self._points):
            small.append((-len(points).bit_length(), 1, process))
        for negative_bits, is_pc, number in sorted(small):
            slot = _first_fit(used, -negative_bits)
            _take(used, slot)
            if is_pc:
                self.pc[number] = slot
            else:
                family = self._program.families[number]
                self.cells[number] = _side_by_side(slot, family.count, family.type.bits)
        self.cells = dict(sorted(self.cells.items()))

    def pack(self, state: State) -> tuple[int, ...]:
        """The words of a state.  Equal states, and only those, have equal words."""
        words = [0] * self.words
        for number, slots in self.cells.items():
            for slot, value in zip(slots, state.memory[number], strict=True):
                words[slot.word] |= value << slot.shift
        for process, slot in enumerate(self.pc):
            words[slot.word] |= state.pc[process] << slot.shift
            slots_of_locals = self.locals[process]
            for register, value in state.locals[process].items():
                slot = slots_of_locals[register]
                words[slot.word] |= value << slot.shift
        return tuple(words)

    def unpack(self, words: Sequence[int]) -> State:
        """The state that ``pack`` gave these words for."""

        def value(slot: Slot) -> int:
            return words[slot.word] >> slot.shift & ((1 << slot.bits) - 1)

        memory = [
            [value(slot) for slot in self.cells[family.number]]
            if family.number in self.cells
            else list(family.initial)
            for family in self._program.families
        ]
        pc = [value(slot) for slot in self.pc]
        values = [
            {r.number: value(slots[r.number]) for r in self.live(process, pc[process])}
            for process, slots in enumerate(self.locals)
        ]
        return State(memory, pc, values)

    def live(self, process: int, pc: int) -> tuple[Reg, ...]:
        """The registers that a state keeps of a process whose program counter is ``pc``."""
        points = self._points[process]
        return points[pc].live if pc < len(points) else ()


def points_of(process: Process) -> list[Point]:
    """The points of a process, in order of their numbers."""
    points = [process.code.blocks[number].point for number in process.points]
    return [point for point in points if point is not None]


def _side_by_side(slot: Slot, count: int, stride: int) -> list[Slot]:
    """``slot`` cut into ``count`` slots of ``stride`` bits."""
    return [Slot(slot.word, slot.shift + i * stride, stride) for i in range(count)]


def _place_array(used: list[int], count: int, stride: int) -> list[Slot]:
    """``count`` slots of ``stride`` bits from bit 0 of fresh words, taken."""
    each = WORD_BITS // stride
    first = len(used)
    slots = [Slot(first + i // each, i % each * stride, stride) for i in range(count)]
    for slot in slots:
        _take(used, slot)
    return slots


def _place_locals(used: list[int], points: list[Point]) -> dict[int, Slot]:
    """Slots for the locals of one process: first fit, the widest first.

    They may share bits with each other where they are never live together, but with
    nothing else, so ``used`` takes them over only at the end.
    """
    neighbours: dict[int, set[int]] = {}
    widths: dict[int, int] = {}
    for point in points:
        together = {register.number for register in point.live}
        for register in point.live:
            widths[register.number] = register.type.bits
            neighbours.setdefault(register.number, set()).update(together)
    slots: dict[int, Slot] = {}
    for number in sorted(widths, key=lambda n: (-widths[n], n)):
        busy = list(used)
        for other in neighbours[number] & slots.keys():
            _take(busy, slots[other])
        slots[number] = _first_fit(busy, widths[number])
    for slot in slots.values():
        _take(used, slot)
    return dict(sorted(slots.items()))


def _place_again(used: list[int], model: dict[int, Slot]) -> dict[int, Slot]:
    """Slots that lie to each other as those of another process do.

    What touches there stays together; the widest of these pieces is placed first.
    """
    pieces: list[tuple[int, int, int]] = []  # word, first bit, first bit behind
    for slot in sorted(model.values(), key=lambda slot: (slot.word, slot.shift)):
        word, first, end = pieces[-1] if pieces else (-1, 0, 0)
        if slot.word == word and slot.shift <= end:
            pieces[-1] = (word, first, max(end, slot.shift + slot.bits))
        else:
            pieces.append((slot.word, slot.shift, slot.shift + slot.bits))
    slots: dict[int, Slot] = {}
    for word, first, end in sorted(pieces, key=lambda piece: piece[1] - piece[2]):
        place = _first_fit(used, end - first)
        _take(used, place)
        for number, slot in model.items():
            if slot.word == word and first <= slot.shift < end:
                shift = place.shift + slot.shift - first
                slots[number] = Slot(place.word, shift, slot.bits)
    return dict(sorted(slots.items()))


def _first_fit(used: list[int], bits: int) -> Slot:
    """The first place with ``bits`` free bits, in a further word if there is none."""
    assert 0 <= bits <= WORD_BITS
    ones = (1 << bits) - 1
    for word, mask in enumerate(used):
        for shift in range(WORD_BITS - bits + 1):
            if not mask >> shift & ones:
                return Slot(word, shift, bits)
    return Slot(len(used), 0, bits) if bits > 0 else Slot(0, 0, 0)


def _take(used: list[int], slot: Slot) -> None:
    used += [0] * (slot.word + 1 - len(used))
    used[slot.word] |= (1 << slot.bits) - 1 << slot.shift
