"""Random programs about huge pages: two of them fit into the window, and parts of both.

Process 0 begins with a private anonymous mapping and MADV_HUGEPAGE.  What comes then takes
huge pages apart, shares them, moves them, and puts them together again.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from pagerace.oracle import constants as c
from pagerace.oracle.generate import WRONG, Features, Generator
from pagerace.oracle.program import Call, Madvise, Mmap, Mremap, Program

HUGE = 512
# The window begins 128 pages below a border of huge pages, and ends 128 behind one.
FIRST = 128
WINDOW = FIRST + 2 * HUGE + 128
BORDERS = tuple(range(FIRST, WINDOW, HUGE))

OPERATIONS = {
    "load": 16, "store": 26, "mmap": 4, "munmap": 6, "mprotect": 10, "madvise": 18,
    "mremap": 8, "fork": 6, "exit": 5,
    "mincore": 4,
}  # fmt: skip
# Those that come often, and all.
OFTEN = {
    c.MADV_DONTNEED: 6, c.MADV_FREE: 4, c.MADV_POPULATE_READ: 2, c.MADV_POPULATE_WRITE: 3,
    c.MADV_HUGEPAGE: 5, c.MADV_NOHUGEPAGE: 1,
}  # fmt: skip


class HugeGenerator(Generator):
    """Makes one program from draws."""

    def length(self) -> int:
        if self.draw(3) == 0:
            return self.pick((HUGE, HUGE, 2 * HUGE, HUGE + 8, HUGE - 8))
        return 1 + self.draw(self.weighted({4: 4, 48: 4, 600: 2}))

    def place(self) -> int:
        """At a border, near it, or anywhere."""
        kind = self.draw(4)
        if kind == 3:
            return self.draw(self.sketch.window)
        border = self.pick((*BORDERS[:-1], 0))
        return border if kind else max(border - 4 + self.draw(9), 0)

    def range(self, actor: int) -> tuple[int, int]:
        """Often all of a huge page, or what begins or ends at its border."""
        if not self.sketch.mapped(actor) or self.draw(5) > 1:
            return super().range(actor)
        border = self.pick(BORDERS[:-1])
        inside = 1 + self.draw(HUGE - 1)
        first, end = self.pick(
            (
                (border, border + HUGE),
                (border, border + inside),
                (border + inside, border + HUGE),
                (border - 8, border + HUGE + 8),
            )
        )
        return first, end - first

    def program(self, calls: int) -> Program:
        """A program whose first two calls are the mapping and the advice."""
        first = self.pick((0, FIRST, FIRST, FIRST - 3, 0))
        end = self.pick((WINDOW, WINDOW - 128, WINDOW, FIRST + HUGE, WINDOW - 126))
        flags = c.MAP_PRIVATE | c.MAP_ANONYMOUS | c.MAP_FIXED
        mapped = Mmap(0, first, end - first, c.PROT_READ | c.PROT_WRITE, flags)
        self._note_mmap(mapped)
        made: tuple[Call, ...] = (mapped, Madvise(0, first, end - first, c.MADV_HUGEPAGE))
        made += tuple(self.call() for _ in range(calls - 2))
        return Program(made[:calls], (), self.sketch.window)

    def _mremap(self, actor: int) -> Call:
        """Nothing goes where the kernel likes: then it splits what it could not move whole."""
        call = super()._mremap(actor)
        assert isinstance(call, Mremap)
        if call.flags & c.MREMAP_FIXED:
            return call
        return replace(call, flags=call.flags & ~(c.MREMAP_MAYMOVE | c.MREMAP_DONTUNMAP))

    def _madvise(self, actor: int) -> Call:
        call = super()._madvise(actor)
        assert isinstance(call, Madvise)
        if self.once_in(WRONG):
            return call
        weights = {advice: n for advice, n in OFTEN.items() if advice in self.features.advices}
        return replace(call, advice=self.weighted(weights))


def huge_features(features: Features | None = None) -> Features:
    """Features of programs about huge pages, with the calls that ``features`` has."""
    known = features.operations if features else OPERATIONS
    made = {name: n for name, n in OPERATIONS.items() if name in known}
    # MADV_COLD of a part of a huge page splits it, which mm/ leaves out.
    advices = tuple(advice for advice in Features().advices if advice != c.MADV_COLD)
    return Features(operations=made, files=(), private=True, advices=advices)


def from_seed(
    seed: int, number: int, calls: int = 30, features: Features | None = None
) -> Program:
    """Program ``number`` of a seed: the same on every machine and in every order."""
    source = random.Random(f"pagerace huge {seed} {number}")
    return generate(lambda n: int(source.random() * n), calls, features)


def generate(
    draw: Callable[[int], int], calls: int = 30, features: Features | None = None
) -> Program:
    """One program of ``calls`` calls from draws."""
    return HugeGenerator(draw, huge_features(features), WINDOW).program(calls)
