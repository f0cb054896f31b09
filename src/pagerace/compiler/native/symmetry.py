"""Native code for symmetry: bring a state into the order that represents its orbit.

    void canonicalise(ptr state, ptr spare)

``state`` is replaced by its representative, as ``symmetry.canonical`` defines it; ``spare``
has room for two states.  Most states are in order, and a comparison or two tell; where two
units change places, bits move by exclusive or, some at a time.
"""

from __future__ import annotations

from collections.abc import Sequence

from pagerace.compiler.native.text import I1, I64, Builder, Module, Value
from pagerace.compiler.native.words import word_address
from pagerace.compiler.symmetry.canonical import Canonical, Move, adjacent_order

HEADER = "void @canonicalise(ptr noalias %state, ptr noalias %spare) noinline nounwind"


def emit(module: Module, groups: Sequence[Canonical], words: int) -> None:
    """Append ``canonicalise``, which does nothing where there is no group."""
    b = Builder()
    b.label("entry")
    if groups:
        b.jump("g0.start")
    for number, group in enumerate(groups):
        _Group(module, b, group, f"g{number}.", f"g{number + 1}.start", words).emit()
    if groups:
        b.label(f"g{len(groups)}.start")
    b.line("ret void")
    module.function(HEADER, b)


class _Group:
    """The code of one group, from its label ``start`` to the label ``after``."""

    def __init__(
        self, module: Module, b: Builder, group: Canonical, prefix: str, after: str, words: int
    ) -> None:
        self.module, self.b, self.group, self.words = module, b, group, words
        self.prefix, self.after = prefix, after

    def label(self, name: str) -> str:
        return f"{self.prefix}{name}"

    def load(self, word: int, base: str = "%state") -> Value:
        return self.b.load(I64, word_address(self.b, base, word))

    def store(self, word: int, value: Value, base: str = "%state") -> None:
        self.b.store(value, word_address(self.b, base, word))

    def emit(self) -> None:
        b = self.b
        b.label(self.label("start"))
        self.marks()
        count = len(self.group.swaps)
        steps = [(end, i) for end in range(count, 0, -1) for i in range(end)]
        for turn, (_, number) in enumerate(steps):
            swap, following = self.label(f"swap{turn}"), self.label(f"next{turn}")
            self.compare(number, swap, following, f"turn{turn}.")
            b.label(swap)
            self.exchange(number)
            b.jump(following)
            b.label(following)
        if any(self.group.rest) and self.group.exact:
            self.ties()
        else:
            b.jump(self.after)

    def marks(self) -> None:
        """Leave the state alone while the order of the units matters to some process."""
        b = self.b
        for turn, (slot, points) in enumerate(self.group.marked):
            shifted = b.lshr(self.load(slot.word), I64(slot.shift))
            pc = b.and_(shifted, I64((1 << slot.bits) - 1))
            bits = [0] * ((1 << slot.bits) // 64 + 1)
            for point in points:
                bits[point // 64] |= 1 << point % 64
            mask = I64(bits[0])
            if len(bits) > 1:
                table = self.module.table(64, tuple(bits))
                mask = b.load(I64, b.element(64, table, b.lshr(pc, I64(6))))
                pc = b.and_(pc, I64(63))
            marked = b.and_(b.lshr(mask, pc), I64(1))
            go_on = self.label(f"unmarked{turn}")
            b.branch(b.icmp_unsigned("==", marked, I64(0)), go_on, self.after)
            b.label(go_on)

    def compare(self, number: int, greater: str, other: str, prefix: str) -> None:
        """Branch on whether unit ``number`` has a greater signature than the next."""
        b = self.b
        for turn, piece in enumerate(self.group.pieces):
            one, two = (
                b.and_(b.lshr(self.load(word), I64(shift)), I64(piece.mask))
                for word, shift in piece.places[number : number + 2]
            )
            equal, differ = self.label(f"{prefix}eq{turn}"), self.label(f"{prefix}ne{turn}")
            b.branch(b.icmp_unsigned("==", one, two), equal, differ)
            b.label(differ)
            b.branch(b.icmp_unsigned(">", one, two), greater, other)
            b.label(equal)
        b.jump(other)

    def exchange(self, number: int, base: str = "%state") -> None:
        """Let unit ``number`` and the next change places."""
        moves = self.group.swaps[number]
        touched = sorted({word for move in moves for word in (move.low, move.high)})
        words = {word: self.load(word, base) for word in touched}
        for move in moves:
            self.move(move, words)
        for word in touched:
            self.store(word, words[word], base)

    def move(self, move: Move, words: dict[int, Value]) -> None:
        b = self.b
        above = b.lshr(words[move.high], I64(move.shift))
        changed = b.and_(b.xor(above, words[move.low]), I64(move.mask))
        words[move.low] = b.xor(words[move.low], changed)
        words[move.high] = b.xor(words[move.high], b.shl(changed, I64(move.shift)))

    def ties(self) -> None:
        """Units of equal signatures may differ in what they know of each other.

        Go through all orders; of those with the same signatures keep the least.
        """
        b = self.b
        try_all = self.label("ties")
        rest = I64(0)
        for word, mask in enumerate(self.group.rest):
            if mask:
                rest = b.or_(rest, b.and_(self.load(word), I64(mask)))
        b.branch(b.icmp_unsigned("==", rest, I64(0)), self.after, try_all)
        b.label(try_all)
        for word in range(self.words):
            self.store(word, self.load(word), "%spare")
        for turn, number in enumerate(adjacent_order(self.group.units)):
            self.exchange(number, "%spare")
            keep, following = self.label(f"keep{turn}"), self.label(f"tried{turn}")
            self.is_better(keep, following, f"try{turn}.")
            b.label(keep)
            for word in range(self.words):
                self.store(word, self.load(word, "%spare"))
            b.jump(following)
            b.label(following)
        b.jump(self.after)

    def is_better(self, better: str, other: str, prefix: str) -> None:
        """Branch on whether ``spare`` has the signatures of ``state`` and lesser words."""
        b = self.b
        same = I1(1)
        for piece in self.group.pieces:
            for word, shift in piece.places:
                here = b.xor(self.load(word), self.load(word, "%spare"))
                differ = b.and_(b.lshr(here, I64(shift)), I64(piece.mask))
                same = b.and_(same, b.icmp_unsigned("==", differ, I64(0)))
        begin = self.label(f"{prefix}words")
        b.branch(same, begin, other)
        b.label(begin)
        for word in range(self.words):
            one, two = self.load(word, "%spare"), self.load(word)
            less, equal = self.label(f"{prefix}lt{word}"), self.label(f"{prefix}eq{word}")
            b.branch(b.icmp_unsigned("==", one, two), equal, less)
            b.label(less)
            b.branch(b.icmp_unsigned("<", one, two), better, other)
            b.label(equal)
        b.jump(other)
