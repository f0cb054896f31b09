"""Random programs, weighted towards what goes wrong: overlaps, splits, copies on write.

A regular file never gets a hole: what reads one brings its neighbours too, as far as the
kernel's readahead likes.  Memory files (memfd) have them.

Every choice is one ``draw(n)``, a number from 0 to n - 1, so that the same generator runs
from a seed and as a Hypothesis strategy (oracle/strategy.py).  A small draw is a simple
choice, wherever one is simpler.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from pagerace.oracle import constants as c
from pagerace.oracle.program import (
    Call,
    Exit,
    File,
    Fork,
    Ftruncate,
    Load,
    Madvise,
    Mincore,
    Mmap,
    Mprotect,
    Mremap,
    Msync,
    Munmap,
    Pread,
    Program,
    Pwrite,
    Store,
)

Draw: TypeAlias = Callable[[int], int]
T = TypeVar("T")

# One of 1,000 programs is short, and one call of 16 is probably wrong.
WRONG = 16
PROCESSES = 3
# Where most mappings begin: around the border of two page tables, page 128.
HOT = range(100, 156)


@dataclass(frozen=True)
class Features:
    """What programs are made of.  ``operations``: weights, by name of the call.

    ``private``: all memory is private and anonymous.
    """

    operations: dict[str, int] = field(default_factory=lambda: dict(OPERATIONS))
    files: tuple[str, ...] = ("file", "memfd")
    written_in: tuple[int, ...] = (1,)
    private: bool = False
    advices: tuple[int, ...] = (
        c.MADV_DONTNEED, c.MADV_POPULATE_READ, c.MADV_POPULATE_WRITE, c.MADV_FREE,
        c.MADV_NORMAL, c.MADV_RANDOM, c.MADV_SEQUENTIAL, c.MADV_DONTFORK, c.MADV_DOFORK,
        c.MADV_WIPEONFORK, c.MADV_KEEPONFORK, c.MADV_HUGEPAGE, c.MADV_NOHUGEPAGE,
        c.MADV_COLD,
    )  # fmt: skip


OPERATIONS = {
    "load": 20, "store": 26, "mmap": 14, "munmap": 5, "mprotect": 8, "madvise": 7,
    "mremap": 6, "fork": 4, "ftruncate": 4, "pwrite": 3, "pread": 2, "msync": 2, "exit": 2,
    "mincore": 3,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Area:
    """What a page of the window belongs to, as far as the generator knows."""

    number: int  # of the mmap() that made it
    prot: int
    shared: bool
    file: int
    index: int  # of the page in the file


class Sketch:
    """Roughly what the program has mapped so far; it only steers the choices."""

    def __init__(self, window: int) -> None:
        self.window = window
        self.spaces: dict[int, list[Area | None]] = {0: [None] * window}
        self.processes = 1

    def mapped(self, actor: int) -> list[int]:
        return [page for page, area in enumerate(self.spaces[actor]) if area is not None]

    def around(self, actor: int, page: int) -> tuple[int, int]:
        """The mapping that has this page: its pages are first to end - 1."""
        space = self.spaces[actor]
        area = space[page]
        first = end = page
        while first > 0 and _same(space[first - 1], area):
            first -= 1
        while end < self.window and _same(space[end], area):
            end += 1
        return first, end

    def put(self, actor: int, first: int, areas: Sequence[Area | None]) -> None:
        """``areas`` from page ``first`` on, as far as the window goes."""
        for page, area in enumerate(areas, first):
            if 0 <= page < self.window:
                self.spaces[actor][page] = area


def _same(one: Area | None, other: Area | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.number == other.number and one.prot == other.prot


class Generator:
    """Makes one program from draws."""

    def __init__(self, draw: Draw, features: Features, window: int) -> None:
        self.draw = draw
        self.features = features
        self.sketch = Sketch(window)
        self.files = [] if features.private else [self._file() for _ in range(1 + draw(3))]
        self.sizes = [file.pages for file in self.files]
        self.addend = 0
        self.maps = 0

    # Choices.

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.draw(len(choices))]

    def weighted(self, weights: dict[T, int]) -> T:
        left = self.draw(sum(weights.values()))
        for choice, weight in weights.items():
            if left < weight:
                return choice
            left -= weight
        raise AssertionError

    def once_in(self, number: int) -> bool:
        return self.draw(number) == number - 1

    def length(self) -> int:
        return 1 + self.draw(self.weighted({4: 4, 16: 5, 48: 1}))

    def place(self) -> int:
        """Where a new mapping begins."""
        if self.once_in(4):
            return self.draw(self.sketch.window)
        return HOT[self.draw(len(HOT))] if len(HOT) <= self.sketch.window else 0

    def page(self, actor: int, prot: int) -> int:
        """A page to touch: mostly one that can be, and often the edge of a mapping."""
        mapped = self.sketch.mapped(actor)
        if not mapped or self.once_in(32):
            return self.draw(self.sketch.window)
        if not self.once_in(10):
            mapped = [page for page in mapped if self._permits(actor, page, prot)] or mapped
        page = self.pick(mapped)
        first, end = self.sketch.around(actor, page)
        edge = self.pick((page, first, end - 1, page))
        return edge if self._permits(actor, edge, prot) else page

    def _permits(self, actor: int, page: int, prot: int) -> bool:
        area = self.sketch.spaces[actor][page]
        if area is None or not area.prot & (prot | c.PROT_WRITE):
            return False
        return area.file not in range(len(self.sizes)) or area.index < self.sizes[area.file]

    def range(self, actor: int) -> tuple[int, int]:
        """A first page and a length: part of a mapping, all of it, or more."""
        mapped = self.sketch.mapped(actor)
        if not mapped or self.once_in(12):
            first = self.place()
            return first, min(self.length(), self.sketch.window - first)
        page = self.pick(mapped)
        first, end = self.sketch.around(actor, page)
        kind = self.weighted(
            {"all": 3, "head": 3, "tail": 3, "inside": 5, "across": 3, "from": 2, "to": 2}
        )
        if kind == "inside":
            end = page + 1 + self.draw(end - page)
            first = page
        elif kind == "head":
            end = page + 1
        elif kind == "tail":
            first = page
        elif kind == "across":
            end += self.length()
            first = page
        elif kind == "from":
            first -= self.length()
        elif kind == "to":
            end += self.length()
        first, end = max(first, 0), min(end, self.sketch.window)
        return first, end - first

    # The program.

    def _file(self) -> File:
        kind = self.pick(self.features.files)
        return File(
            kind,
            pages=1 + self.draw(self.weighted({8: 2, 24: 3, 40: 1})),
            writable=not self.once_in(8),
            written_in=self.pick(self.features.written_in) if kind == "file" else 1,
        )

    def call(self) -> Call:
        """The next call."""
        actor = self._actor()
        weights = dict(self.features.operations)
        if not self.sketch.mapped(actor):
            weights["mmap"] = 10 * weights.get("mmap", 1)
        if len(self.sketch.spaces) >= PROCESSES:
            weights.pop("fork", None)
        if actor == 0:
            weights.pop("exit", None)
        return getattr(self, f"_{self.weighted(weights)}")(actor)

    def program(self, calls: int) -> Program:
        """A program of the next ``calls`` calls."""
        made = tuple(self.call() for _ in range(calls))
        return Program(made, tuple(self.files), self.sketch.window)

    def _actor(self) -> int:
        return self.pick(sorted(self.sketch.spaces))

    def _load(self, actor: int) -> Call:
        return Load(actor, self.page(actor, c.PROT_READ))

    def _store(self, actor: int) -> Call:
        self.addend += 1
        return Store(actor, self.page(actor, c.PROT_WRITE), self.addend)

    def _prot(self) -> int:
        rw = c.PROT_READ | c.PROT_WRITE
        return self.weighted(
            {rw: 12, c.PROT_READ: 5, c.PROT_NONE: 2, rw | c.PROT_EXEC: 1, c.PROT_WRITE: 1}
        )

    def _file_number(self) -> int:
        if self.once_in(WRONG * 4):
            return len(self.files) + 3
        return self.draw(len(self.files)) if self.files else 3

    def _mmap(self, actor: int) -> Call:
        # The first one is what a C program would write; odd ones come later.
        file = -1 if self.draw(5) < 2 else self._file_number()
        shared = self.draw(5) >= (3 if file < 0 else 2)
        if self.features.private:
            file, shared = -1, False
        prot = self._prot()
        address, length = self.place(), self.length()
        if self.once_in(4) and self.sketch.mapped(actor):
            address, length = self._neighbour(actor)
        length = min(length, self.sketch.window - address)
        index = self.draw(self.files[file].pages + 2) if file in range(len(self.files)) else 0
        if self.draw(3) == 0:
            index = 0
        flags = c.MAP_SHARED if shared else c.MAP_PRIVATE
        flags |= c.MAP_FIXED_NOREPLACE if self.once_in(8) else c.MAP_FIXED
        if file < 0:
            flags |= c.MAP_ANONYMOUS
            index = 0
        if self.once_in(10):
            flags |= self.pick((c.MAP_POPULATE, c.MAP_NORESERVE))
        if self.once_in(WRONG * 2):
            length = self.pick((0, length))
            flags = self.pick((flags & ~3, flags | c.MAP_ANONYMOUS, flags, flags | 3))
        call = Mmap(actor, address, length, prot, flags, file, index)
        self._note_mmap(call)
        return call

    def _neighbour(self, actor: int) -> tuple[int, int]:
        """Right behind or before a mapping, so that two of them may become one."""
        first, end = self.sketch.around(actor, self.pick(self.sketch.mapped(actor)))
        length = self.length()
        if self.draw(2) or first < length:
            return min(end, self.sketch.window - 1), length
        return first - length, length

    def _note_mmap(self, call: Mmap) -> None:
        if call.length == 0 or call.flags & 3 not in (1, 2):
            return
        if call.file >= len(self.files) and not call.flags & c.MAP_ANONYMOUS:
            return
        space = self.sketch.spaces[call.actor]
        if call.flags & c.MAP_FIXED_NOREPLACE and any(
            space[call.address : call.address + call.length]
        ):
            return
        self.maps += 1
        shared = call.flags & 3 == c.MAP_SHARED
        self.sketch.put(
            call.actor,
            call.address,
            [
                Area(self.maps, call.prot, shared, call.file, call.offset + i)
                for i in range(call.length)
            ],
        )

    def _munmap(self, actor: int) -> Call:
        first, length = self.range(actor)
        if self.once_in(WRONG * 2):
            length = 0
        self.sketch.put(actor, first, [None] * length)
        return Munmap(actor, first, length)

    def _mprotect(self, actor: int) -> Call:
        first, length = self.range(actor)
        prot = self._prot()
        if self.once_in(WRONG * 2):
            prot |= 0x40
        if self.once_in(WRONG * 4):
            length = 0
        space = self.sketch.spaces[actor]
        self.sketch.put(
            actor,
            first,
            [
                Area(area.number, prot, area.shared, area.file, area.index) if area else None
                for area in space[first : first + length]
            ],
        )
        return Mprotect(actor, first, length, prot)

    def _mremap(self, actor: int) -> Call:
        first, old = self.range(actor)
        window = self.sketch.window
        if self.once_in(WRONG):
            old = self.pick((0, old))
        new = self.weighted(
            {old: 4, self.length(): 3, old + self.length(): 3, max(old - 1, 0): 1}
        )
        flags = self.weighted(
            {
                c.MREMAP_MAYMOVE | c.MREMAP_FIXED: 8,
                0: 3,
                c.MREMAP_MAYMOVE | c.MREMAP_FIXED | c.MREMAP_DONTUNMAP: 2,
                c.MREMAP_MAYMOVE: 1,
                c.MREMAP_FIXED: 1,
                c.MREMAP_MAYMOVE | c.MREMAP_DONTUNMAP: 1,
            }
        )
        if flags & c.MREMAP_DONTUNMAP and not self.once_in(8):
            new = old
        to = self.place()
        if self.once_in(WRONG):
            to = first
        if not flags & c.MREMAP_FIXED:
            to = 0
            new = min(new, window - first)
        new = min(new, window - to)
        call = Mremap(actor, first, old, new, flags, to)
        self._note_mremap(call)
        return call

    def _note_mremap(self, call: Mremap) -> None:
        space = self.sketch.spaces[call.actor]
        areas = list(space[call.address : call.address + call.old_length])
        if not areas or areas[0] is None or call.new_length == 0:
            return
        first, end = call.address, call.address + call.old_length
        to, size = call.new_address, call.new_length
        if not call.flags & c.MREMAP_FIXED:
            if call.flags == 0 and size < len(areas):
                self.sketch.put(call.actor, first + size, [None] * (len(areas) - size))
            elif call.flags == 0 and not any(space[end : first + size]):
                self._grow(call.actor, first, end, size)
            return
        if not call.flags & c.MREMAP_MAYMOVE or (to < end and first < to + size):
            return
        if any(not _same(area, areas[0]) for area in areas[:size]):
            return
        if not call.flags & c.MREMAP_DONTUNMAP:
            self.sketch.put(call.actor, first, [None] * len(areas))
        self.sketch.put(call.actor, to, areas[:size])
        self._grow(call.actor, to, to + min(size, len(areas)), size)

    def _grow(self, actor: int, first: int, end: int, size: int) -> None:
        last = self.sketch.spaces[actor][end - 1]
        if last is not None:
            self.sketch.put(
                actor,
                end,
                [
                    Area(last.number, last.prot, last.shared, last.file, last.index + 1 + i)
                    for i in range(first + size - end)
                ],
            )

    def _madvise(self, actor: int) -> Call:
        first, length = self.range(actor)
        advices = self.features.advices
        # The first four are what changes pages.
        advice = self.pick(advices[:4] if not self.once_in(4) else advices)
        if self.once_in(WRONG * 2):
            advice = 77
        if self.once_in(WRONG * 4):
            length = 0
        return Madvise(actor, first, length, advice)

    def _msync(self, actor: int) -> Call:
        first, length = self.range(actor)
        flags = self.weighted(
            {c.MS_SYNC: 6, c.MS_ASYNC: 2, c.MS_INVALIDATE: 1, c.MS_SYNC | c.MS_ASYNC: 1, 8: 1}
        )
        return Msync(actor, first, length, flags)

    def _mincore(self, actor: int) -> Call:
        first, length = self.range(actor)
        return Mincore(actor, first, 0 if self.once_in(WRONG * 2) else length)

    def _ftruncate(self, actor: int) -> Call:
        file = self._file_number()
        size = self.files[file].pages if file < len(self.files) else 4
        pages = self.draw(size + 1) if self.draw(3) else size
        if file < len(self.files) and self.files[file].kind == "file":
            pages = min(pages, self.sizes[file])
        if file < len(self.files) and self.files[file].writable:
            self.sizes[file] = pages
        return Ftruncate(actor, file, pages)

    def _pwrite(self, actor: int) -> Call:
        file = self._file_number()
        self.addend += 1
        index = self._index(file)
        if file < len(self.files) and self.files[file].kind == "file":
            index = min(index, self.sizes[file])
        if file < len(self.files) and self.files[file].writable:
            self.sizes[file] = max(self.sizes[file], index + 1)
        return Pwrite(actor, file, index, 5_000 + self.addend)

    def _pread(self, actor: int) -> Call:
        file = self._file_number()
        return Pread(actor, file, self._index(file))

    def _index(self, file: int) -> int:
        size = self.files[file].pages if file < len(self.files) else 1
        return self.draw(size + 2)

    def _fork(self, actor: int) -> Call:
        child = self.sketch.processes
        self.sketch.processes += 1
        self.sketch.spaces[child] = list(self.sketch.spaces[actor])
        return Fork(actor, child)

    def _exit(self, actor: int) -> Call:
        del self.sketch.spaces[actor]
        return Exit(actor)


def from_seed(
    seed: int, number: int, calls: int = 30, features: Features | None = None
) -> Program:
    """Program ``number`` of a seed: the same on every machine and in every order."""
    source = random.Random(f"pagerace {seed} {number}")
    # randrange() is not promised to stay as it is between versions of Python; random() is.
    return generate(lambda n: int(source.random() * n), calls, features)


def generate(
    draw: Draw, calls: int = 30, features: Features | None = None, window: int = 256
) -> Program:
    """One program of ``calls`` calls from draws."""
    return Generator(draw, features or Features(), window).program(calls)
