"""What is mapped where, as the trace tells it, and what to do about an access elsewhere."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from pagerace.replay.calls import MAP, MREMAP, PROT
from pagerace.replay.events import FETCH, Call, Event, Mapping

PAGE: Final = 4096
INFERRED: Final = 1 << 20  # bytes that one access without a mapping brings, at most
_ANY: Final = PROT["PROT_READ"] | PROT["PROT_WRITE"] | PROT["PROT_EXEC"]


class Ranges:
    """Ranges of addresses that do not overlap, in order."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def add(self, start: int, end: int) -> None:
        """Add a range, and what it overlaps becomes part of it."""
        self.remove(start, end)
        at = bisect_right(self._starts, start)
        self._starts.insert(at, start)
        self._ends.insert(at, end)

    def remove(self, start: int, end: int) -> None:
        """Take a range away, wherever it is."""
        first = bisect_right(self._ends, start)
        last = first
        while last < len(self._starts) and self._starts[last] < end:
            last += 1
        if first == last:
            return
        before, after = self._starts[first], self._ends[last - 1]
        kept = [(before, start)] if before < start else []
        kept += [(end, after)] if end < after else []
        self._starts[first:last] = [pair[0] for pair in kept]
        self._ends[first:last] = [pair[1] for pair in kept]

    def has(self, address: int) -> bool:
        """Is the address in one of them?"""
        at = bisect_right(self._starts, address) - 1
        return at >= 0 and address < self._ends[at]

    def gap(self, address: int, start: int, end: int) -> tuple[int, int]:
        """What of ``start`` to ``end`` around a free address is free."""
        at = bisect_right(self._starts, address)
        low = self._ends[at - 1] if at else start
        high = self._starts[at] if at < len(self._starts) else end
        return max(start, low), min(end, high)


class Mappings:
    """Told of every event; asked where an access hits no mapping.

    Calls of another run (``--strace``) have no place in the trace.  They are made in their
    order, each as late as possible: when an access needs the mapping that one of them, or
    one after it, makes.
    """

    def __init__(self, calls: Sequence[Call] = ()) -> None:
        self._pending: dict[int, list[Call]] = {}
        self.expect(calls)
        self._known: dict[int, Ranges] = {}
        self._breaks: dict[int, int] = {}
        self._asked: dict[int, int] = {}
        self.inferred = 0  # mappings
        self.inferred_bytes = 0

    def expect(self, calls: Sequence[Call]) -> None:
        """These are the calls of another run."""
        self._pending.clear()
        for call in reversed(calls):
            self._pending.setdefault(call.process, []).append(call)

    def observe(self, event: Event) -> None:
        """Take note of what an event maps and unmaps."""
        if isinstance(event, Mapping):
            self._of(event.process).add(event.start, event.end)
        elif isinstance(event, Call):
            if event.name == "fork" and event.result > 0:
                copy = self._known[event.result] = Ranges()
                own = self._of(event.process)
                copy._starts, copy._ends = list(own._starts), list(own._ends)
            elif event.name == "exit":
                self._known.pop(event.process, None)
            for start, end, there in self._changes(event):
                ranges = self._of(event.process)
                (ranges.add if there else ranges.remove)(start, end)

    def __call__(self, process: int, address: int, kind: int) -> list[Mapping | Call]:
        """What to do before an access to ``address``, which is not mapped; [] for nothing."""
        page = address - address % PAGE
        if self._asked.get(process) == page and self._of(process).has(address):
            return []  # it was answered, and to no avail
        self._asked[process] = page
        due = self._due(process, address)
        if not due and not self._of(process).has(address):
            due.append(self._infer(process, address, kind))
        for event in due:
            self.observe(event)
        return due

    def rest(self) -> list[Call]:
        """The calls that no access needed, once the trace is over."""
        left = [call for waiting in self._pending.values() for call in reversed(waiting)]
        self._pending.clear()
        return left

    def _of(self, process: int) -> Ranges:
        return self._known.setdefault(process, Ranges())

    def _due(self, process: int, address: int) -> list[Mapping | Call]:
        """The pending calls up to the first that maps an address; [] if none does."""
        waiting = self._pending.get(process, [])
        breaks = dict(self._breaks)
        due: list[Mapping | Call] = []
        for call in reversed(waiting):
            due.append(call)
            changes = self._changes(call)
            if any(there and start <= address < end for start, end, there in changes):
                self._breaks = breaks
                del waiting[len(waiting) - len(due) :]
                return due
        self._breaks = breaks
        return []

    def _changes(self, call: Call) -> list[tuple[int, int, bool]]:
        """The ranges that a call maps (True) or unmaps (False); it moves the break."""
        arguments, result = call.arguments, call.result
        if result < 0:
            return []
        if call.name == "mmap":
            return [(result, _up(result + arguments[1]), True)]
        if call.name == "munmap":
            return [(arguments[0], _up(arguments[0] + arguments[1]), False)]
        if call.name == "mremap":
            old, old_length, length, flags = arguments[:4]
            changes = [(result, _up(result + length), True)]
            moved = old != result and not flags & MREMAP["MREMAP_DONTUNMAP"]
            if moved or length < old_length:
                changes.insert(0, (old, _up(old + old_length), False))
            return changes
        if call.name == "brk":
            before = self._breaks.get(call.process, _up(result))
            after = self._breaks[call.process] = _up(result)
            if after != before:
                return [(min(before, after), max(before, after), after > before)]
        return []

    def _infer(self, process: int, address: int, kind: int) -> Mapping:
        """Memory that must have been there: a file's where instructions come from it."""
        start = address - address % INFERRED
        start, end = self._of(process).gap(address, start, start + INFERRED)
        flags = MAP["MAP_PRIVATE"]
        path = f"inferred/{process}" if kind == FETCH else ""
        if not path:
            flags |= MAP["MAP_ANONYMOUS"]
        self.inferred += 1
        self.inferred_bytes += end - start
        return Mapping(process, start, end, _ANY, flags, start if path else 0, path)


def _up(address: int) -> int:
    return -(-address // PAGE) * PAGE
