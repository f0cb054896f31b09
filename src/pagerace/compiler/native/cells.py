"""Access to memory families that are packed into the words of a state.

A word is a value of the body that emits (a variable, see ``body``), not memory: a cell
is shifted out of it, or a new word is made with the cell replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

from pagerace.compiler.layout import Slot
from pagerace.compiler.native.text import I1, I64, Builder, Value, integer

ONES = (1 << 64) - 1


def mask_of(slot: Slot) -> int:
    """The bits of its word that a slot takes."""
    return ((1 << slot.bits) - 1) << slot.shift


def extract(b: Builder, word: Value, slot: Slot) -> Value:
    """The value in a slot that is known when compiled."""
    if slot.bits == 0:
        return I1(0)
    shifted = b.lshr(word, I64(slot.shift))
    return b.trunc(shifted, integer(slot.bits)) if slot.bits < 64 else shifted


def insert(b: Builder, word: Value, slot: Slot, value: Value) -> Value:
    """``word`` with ``value``, of the slot's width, in the slot."""
    if slot.bits == 0:
        return word
    if slot.bits == 64:
        return value
    wide = b.shl(b.zext(value, I64), I64(slot.shift))
    return b.or_(b.and_(word, I64(~mask_of(slot))), wide)


@dataclass(frozen=True, slots=True)
class Group:
    """The cells ``first`` to ``last`` of a family, all in one word, at equal distance.

    Cell ``i`` starts at bit ``i * stride + offset``; ``offset`` may be negative.
    """

    word: int
    first: int
    last: int
    stride: int
    offset: int


def groups(slots: Sequence[Slot]) -> list[Group]:
    """The runs of cells that one formula reaches, in order."""
    stride = max(slots[0].bits, 1)
    found: list[Group] = []
    for index, slot in enumerate(slots):
        offset = slot.shift - index * stride
        if found and (found[-1].word, found[-1].offset) == (slot.word, offset):
            found[-1] = Group(slot.word, found[-1].first, index, stride, offset)
        else:
            found.append(Group(slot.word, index, index, stride, offset))
    return found


def words_of(slots: Sequence[Slot], index: int | None) -> int:
    """The words, as a mask, that hold cell ``index``, or any cell if it is None."""
    chosen = slots if index is None else [slots[index if index < len(slots) else 0]]
    return reduce(lambda mask, slot: mask | 1 << slot.word, chosen, 0)


def load(
    b: Builder, slots: Sequence[Slot], index: Value, word: Callable[[int], Value]
) -> Value:
    """The value of cell ``index``; ``word(n)`` is the current value of word n."""
    if index.constant is not None or len(slots) == 1:
        slot = slots[known_index(index, len(slots))]
        return extract(b, word(slot.word), slot)
    index = _wide(b, index)
    runs = groups(slots)
    chosen, offset = word(runs[-1].word), I64(runs[-1].offset)
    for run in reversed(runs[:-1]):
        here = b.icmp_unsigned("<=", index, I64(run.last))
        if runs[-1].word != run.word:
            chosen = b.select(here, word(run.word), chosen)
        offset = b.select(here, I64(run.offset), offset)
    shift = b.add(b.mul(index, I64(runs[0].stride)), offset)
    shifted = b.lshr(chosen, shift)
    bits = slots[0].bits
    return b.trunc(shifted, integer(bits)) if bits < 64 else shifted


def store(
    b: Builder,
    slots: Sequence[Slot],
    index: Value,
    value: Value,
    word: Callable[[int], Value],
    set_word: Callable[[int, Value], None],
) -> None:
    """Replace cell ``index``: ``set_word(n, w)`` gets each word that may have changed."""
    if index.constant is not None or len(slots) == 1:
        slot = slots[known_index(index, len(slots))]
        set_word(slot.word, insert(b, word(slot.word), slot, value))
        return
    index = _wide(b, index)
    wide = b.zext(value, I64) if value.type.width < 64 else value
    ones = I64((1 << slots[0].bits) - 1)
    runs = groups(slots)
    for run in runs:
        shift = b.add(b.mul(index, I64(run.stride)), I64(run.offset))
        shift = b.and_(shift, I64(63)) if len(runs) > 1 else shift
        cleared = b.and_(word(run.word), b.not_(b.shl(ones, shift)))
        changed = b.or_(cleared, b.shl(wide, shift))
        if len(runs) > 1:
            here = b.icmp_unsigned("<=", index, I64(run.last))
            if run.first > 0:
                after = b.icmp_unsigned(">=", index, I64(run.first))
                here = b.and_(here, after)
            changed = b.select(here, changed, word(run.word))
        set_word(run.word, changed)


def known_index(index: Value, count: int) -> int:
    """The constant index.  Out of range it stands where a Check has surely failed."""
    number = index.constant or 0
    return number if number < count else 0


def _wide(b: Builder, index: Value) -> Value:
    return b.zext(index, I64) if index.type.width < 64 else index
