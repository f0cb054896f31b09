"""Judges for tests: a few calls, of private anonymous memory, with mistakes on request."""

from __future__ import annotations

from errno import EINVAL
from typing import Any

from pagerace.oracle import constants as c
from pagerace.oracle.program import (
    CannotJudge,
    Exit,
    Fork,
    Load,
    Mmap,
    Munmap,
    Observation,
    Page,
    Program,
    Sight,
    Space,
    Store,
    VmArea,
)
from pagerace.oracle.session import Session


class Fake:
    """Every mapping is taken to be private, anonymous, readable and writable.

    ``mistake``: "errno" (munmap of nothing is fine), "content" (a store of 7 is lost once
    there was a fork), "fork" (a child's pages are called exclusive), "moody" (munmap of
    nothing is fine every other time), "killed" (it cannot judge).
    """

    def __init__(self, mistake: str = "", missing: dict[str, str] | None = None) -> None:
        self.mistake, self.missing = mistake, missing or {}
        self.runs = 0
        self.interrupt_at = 0
        self.closed = False

    def sight(self) -> Sight:
        return Sight(f"fake {self.mistake}".strip(), self.missing)

    def close(self) -> None:
        self.closed = True

    def run(self, program: Program) -> list[Observation]:
        self.runs += 1
        if self.mistake == "killed":
            raise CannotJudge("the process was killed")
        if self.runs == self.interrupt_at:
            raise KeyboardInterrupt
        self.mapped: dict[int, set[int]] = {0: set()}
        self.contents: dict[int, dict[int, int]] = {0: {}}
        self.forked = False
        return [self._observation(self._one(call)) for call in program.calls]

    def _one(self, call: Any) -> tuple[int, int]:
        """The result, and the page of a signal or -1."""
        mapped = self.mapped.get(call.actor, set())
        contents = self.contents.get(call.actor, {})
        match call:
            case Mmap() if call.length and call.flags & 3 in (1, 2):
                pages = range(call.address, call.address + call.length)
                mapped.update(pages)
                for page in pages:
                    contents.pop(page, None)
                return call.address, -1
            case Munmap() if call.length:
                for page in range(call.address, call.address + call.length):
                    mapped.discard(page)
                    contents.pop(page, None)
                return 0, -1
            case Munmap():
                wrong = self.mistake == "errno" or (self.mistake == "moody" and self.runs % 2)
                return (0 if wrong else -EINVAL), -1
            case Load() | Store():
                if call.page not in mapped:
                    return 0, call.page
                addend = call.addend if isinstance(call, Store) else 0
                if self.mistake == "content" and self.forked and addend == 7:
                    addend = 0
                contents[call.page] = contents.get(call.page, 0) + addend
                return (contents[call.page] if isinstance(call, Load) else 0), -1
            case Fork():
                self.forked = True
                self.mapped[call.child] = set(mapped)
                self.contents[call.child] = dict(contents)
                return call.child, -1
            case Exit():
                del self.mapped[call.actor], self.contents[call.actor]
                return 0, -1
            case _:
                return -EINVAL, -1

    def _observation(self, outcome: tuple[int, int]) -> Observation:
        result, page = outcome
        signal = ("SIGSEGV", "SEGV_MAPERR", page) if page >= 0 else ("", "", -1)
        spaces = tuple(
            Space(number, self._pages(number), self._areas(number)) for number in self.mapped
        )
        return Observation(result, *signal, minor=0, major=0, spaces=spaces)

    def _pages(self, number: int) -> dict[int, Page]:
        bits = c.PM_PRESENT
        if number == 0 or self.mistake == "fork":
            bits |= c.PM_MMAP_EXCLUSIVE
        return {page: Page(bits, value) for page, value in self.contents[number].items()}

    def _areas(self, number: int) -> tuple[VmArea, ...]:
        pages = sorted(self.mapped[number])
        starts = [page for page in pages if page - 1 not in self.mapped[number]]
        ends = [page + 1 for page in pages if page + 1 not in self.mapped[number]]
        return tuple(
            VmArea(start, end, "rw-p", 0, -1, {"Size": 4 * (end - start)}, ("rd", "wr"))
            for start, end in zip(starts, ends, strict=True)
        )


def agreeing(place: int) -> Session:
    """Sessions of workers."""
    return Session(Fake(), Fake(), ())


def differing(place: int) -> Session:
    return Session(Fake(), Fake("errno"), ())


def broken(place: int) -> Session:
    return Session(Fake("killed"), Fake(), ())
