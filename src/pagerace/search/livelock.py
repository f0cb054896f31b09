"""After a complete search: from which states can the threads no longer all return?

A state is good if all its threads are done or if a step leads to a good state.  For
each state the search noted one successor, so that the few states where following these
ends can be settled first, and then almost all others in one sweep; sweeps are repeated
until one finds no further good state.
"""

from __future__ import annotations

from array import array

from pagerace.search import completion, engine
from pagerace.search.areas import Area
from pagerace.search.bounds import Clock
from pagerace.search.levels import Interrupt
from pagerace.search.store import Store, Worker

BUDGET = 4 << 20  # states in a call
ROOTS_BATCH = 1 << 14


class Unfinished(Exception):
    """The time was over, or Ctrl-C, before the question was answered.  ``reason``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def first_lost_level(
    store: Store, worker: Worker, clock: Clock, interrupt: Interrupt
) -> int | None:
    """The first level with a state from which completion is out of reach, or None.

    Afterwards ``forward`` is GOOD exactly for the good states.  Raises Unfinished.
    """
    settler = _Settler(store, worker, clock, interrupt)
    try:
        settler.settle_roots()
        left = settler.sweep()
    finally:
        settler.close()
    return _first_level(store) if left > 0 else None


class _Settler:
    def __init__(
        self, store: Store, worker: Worker, clock: Clock, interrupt: Interrupt
    ) -> None:
        self.store, self.worker, self.clock, self.interrupt = store, worker, clock, interrupt
        self.counts = Area(completion.COUNTS, "Q", native=store.native)
        self.room = max(1, min(store.number, store.marks_bytes // 4))
        self.roots = Area(self.room, "I", native=store.native)
        self.parts = (store.depth + 1) * engine.SHARDS

    def close(self) -> None:
        self.counts.close()
        self.roots.close()

    def settle_roots(self) -> None:
        """Find out about the roots; what cannot be settled is left to the sweeps."""
        store, part = self.store, 0
        while part < self.parts:
            self._look_at_bounds()
            part = store.loops.mark_complete(
                store.states.at(), store.forward.at(), store.control.at(), store.levels.at(),
                part, self.parts, BUDGET, self.roots.at(), self.room, self.counts.at(),
            )  # fmt: skip
        number = self.counts.view[completion.ROOTS]
        found = 1
        while found > 0:
            self.counts.view[completion.FOUND_GOOD] = 0
            for first in reversed(range(0, number, ROOTS_BATCH)):
                self._look_at_bounds()
                store.loops.settle_roots(
                    store.states.at(), store.tables.at(), store.forward.at(),
                    store.shards.at(), store.control.at(), self.roots.at(), first,
                    min(number, first + ROOTS_BATCH), self.counts.at(),
                    self.worker.scratch.at(), self.worker.context.at(),
                )  # fmt: skip
            found = self.counts.view[completion.FOUND_GOOD]

    def sweep(self) -> int:
        """Settle all states; returns how many are not good."""
        store, counts = self.store, self.counts.view
        while True:
            counts[completion.FOUND_GOOD] = counts[completion.LEFT] = 0
            part = self.parts
            while part > 0:
                self._look_at_bounds()
                part = store.loops.sweep(
                    store.states.at(), store.tables.at(), store.forward.at(),
                    store.shards.at(), store.control.at(), store.levels.at(), part, BUDGET,
                    self.counts.at(), self.worker.scratch.at(), self.worker.context.at(),
                )  # fmt: skip
            if counts[completion.LEFT] == 0 or counts[completion.FOUND_GOOD] == 0:
                return counts[completion.LEFT]

    def _look_at_bounds(self) -> None:
        if self.interrupt.seen:
            raise Unfinished("interrupted")
        if self.clock.is_over():
            raise Unfinished("time")


def _first_level(store: Store) -> int:
    for depth in range(store.depth + 1):
        for shard in range(engine.SHARDS):
            part = depth * engine.SHARDS + shard
            base = shard * store.stride
            first = base + store.levels.view[part]
            last = base + store.levels.view[part + engine.SHARDS]
            good = array("I", [engine.GOOD]) * (last - first)
            if array("I", store.forward.view[first:last].tobytes()) != good:
                return depth
    raise AssertionError("a state that is not good lies on some level")
