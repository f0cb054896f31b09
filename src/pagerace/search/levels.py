"""Level by level through all states: the loop around the native loops.

Levels that are small are searched by one worker in calls of at most about
``CALL_SECONDS``; between calls the bounds and Ctrl-C are looked at.  A large level is
cut into rounds, in which all workers first expand chunks of it and then store shards.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from pagerace.search import engine
from pagerace.search.bounds import Bounds, Clock, Memory
from pagerace.search.loops import Loops
from pagerace.search.store import FIRST_CAPACITY, LEVELS_MAX, STATES_LIMIT, Store, Worker
from pagerace.search.team import Team

CALL_SECONDS = 0.03
FIRST_BUDGET = 4096  # states to expand in the first call
LARGE_LEVEL = 8192  # states for which it pays to wake other workers
CHUNKS_PER_WORKER = 8
SHARD_GROUPS_PER_WORKER = 4
PROGRESS_SECONDS = 0.2
MEMORY_CHECK_SECONDS = 0.5

End: TypeAlias = Literal[
    "complete", "found", "states", "depth", "memory", "time", "interrupted", "system-memory"
]


@dataclass(frozen=True)
class Progress:
    """How far a search has come.  ``rate`` is new states a second, ``memory`` bytes."""

    states: int
    depth: int
    seconds: float
    rate: float
    memory: int

    def __str__(self) -> str:
        return (
            f"{self.states:,} states, depth {self.depth:,}, "
            f"{self.rate / 1e6:.1f} M/s, {self.memory / (1 << 20):,.0f} MiB"
        )


class Interrupt:
    """Ctrl-C while the search runs: the first asks it to end, a later one ends at once.

    What follows at once is the first one still: ``timeout`` signals a process and then
    its group, and a key may be hit twice.
    """

    SAME_SECONDS = 0.5

    def __init__(self) -> None:
        self.seen = False
        self._first = 0.0
        self._previous: Any = None

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.getsignal(signal.SIGINT)
            signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def _handle(self, number: int, frame: Any) -> None:
        now = time.monotonic()
        if not self.seen:
            self.seen, self._first = True, now
        elif now - self._first > self.SAME_SECONDS:
            raise KeyboardInterrupt


class Search:
    """A breadth-first search; ``go`` runs it and says why it ended.

    ``lock_orders_wrong`` is asked after a level in which locks were taken in a new
    order, and ends the search by returning True.
    """

    def __init__(
        self,
        loops: Loops,
        store: Store,
        team: Team,
        workers: list[Worker],
        bounds: Bounds,
        memory: Memory,
        clock: Clock,
        interrupt: Interrupt,
        *,
        lock_orders_wrong: Callable[[], bool] = lambda: False,
        progress: Callable[[Progress], object] | None = None,
    ) -> None:
        self.loops, self.store, self.team, self.workers = loops, store, team, workers
        self.bounds, self.memory, self.clock, self.interrupt = bounds, memory, clock, interrupt
        self.lock_orders_wrong, self.progress = lock_orders_wrong, progress
        self.seen = 0  # transitions of rounds of many workers
        self._reported = (0.0, 0)
        self._checked = 0.0
        self._control = store.control.view
        self._control[engine.STATES_MAX] = min(bounds.states_max or STATES_LIMIT, STATES_LIMIT)
        depth_max = LEVELS_MAX if bounds.depth_max is None else bounds.depth_max
        self._control[engine.DEPTH_MAX] = min(depth_max, LEVELS_MAX)
        if team.size > 1:
            self._control[engine.LARGE] = LARGE_LEVEL
        self._control[engine.BUDGET] = FIRST_BUDGET

    @property
    def transitions(self) -> int:
        """Steps taken that led to a state, new or known."""
        return self.seen + self.workers[0].tally.view[engine.SEEN]

    def go(self) -> End:
        """Search until there is nothing more to find or a reason to stop."""
        if self._control[engine.STATES] >= self._control[engine.STATES_MAX]:
            return "states"
        while True:
            end = self._decide(self._advance())
            if end is not None:
                return "found" if end != "complete" and self.found_something else end

    @property
    def found_something(self) -> bool:
        """Has a violation been seen on the level that is searched?"""
        kinds = (engine.FAILED, engine.STUCK, engine.VIOLATED)
        return any(w.tally.view[kind] for w in self.workers for kind in kinds)

    def _advance(self) -> int:
        """Search on for a while, with all workers if what is left of the level is much."""
        left = self._control[engine.SIZE] - self._control[engine.RANK]
        if left > self._control[engine.LARGE]:
            return self._large_level()
        before = self.clock.seconds()
        outcome = self._run()
        self._adapt(self.clock.seconds() - before)
        return outcome

    def _run(self) -> int:
        store, worker = self.store, self.workers[0]
        return self.loops.run(
            store.states.at(), store.tables.at(), store.forward.at(), store.shards.at(),
            store.control.at(), store.levels.at(), store.buffers.records.at(),
            store.buffers.fills.at(), worker.scratch.at(), worker.context.at(),
            worker.tally.at(),
        )  # fmt: skip

    def _adapt(self, seconds: float) -> None:
        """Choose how much the next call may do from how long the last one took."""
        budget = self._control[engine.BUDGET]
        if seconds < CALL_SECONDS / 2:
            self._control[engine.BUDGET] = min(2 * budget, 1 << 20)
        elif seconds > CALL_SECONDS:
            self._control[engine.BUDGET] = max(budget // 2, 64)

    def _decide(self, outcome: int) -> End | None:
        """What a call's outcome means; None to go on."""
        if outcome == engine.DONE:
            return "complete"
        if outcome == engine.FOUND:
            return "found"
        if outcome == engine.LOCKS and self.lock_orders_wrong():
            return "found"
        if outcome == engine.NO_STATES:
            return "states"
        if outcome == engine.NO_DEPTH:
            return "depth"
        if outcome == engine.NO_MEMORY:
            return "memory"
        if outcome == engine.NO_BUFFER:
            buffers = self.store.buffers
            grown = 4 * buffers.capacity
            if buffers.bytes * 4 > self.store.memory_bytes // 2:
                return "memory"
            self.store.set_buffers(buffers.chunks, grown)
        return self._look_at_bounds()

    def _look_at_bounds(self) -> End | None:
        if self.interrupt.seen:
            return "interrupted"
        if self.clock.is_over():
            return "time"
        now = self.clock.seconds()
        if now - self._checked >= MEMORY_CHECK_SECONDS:
            self._checked = now
            if self.memory.is_low():
                return "system-memory"
        self._report(now)
        return None

    def _report(self, now: float) -> None:
        then, states = self._reported
        if self.progress is None or now - then < PROGRESS_SECONDS:
            return
        number = self.store.number
        rate = (number - states) / (now - then)
        self._reported = (now, number)
        self.progress(Progress(number, self.store.depth, now, rate, self.store.bytes))

    # -- a level for all workers ----------------------------------------------------------

    def _large_level(self) -> int:
        """Search one level with all workers, and let ``run`` end it."""
        control = self._control
        chunks = CHUNKS_PER_WORKER * self.team.size
        capacity = max(self.store.buffers.capacity, FIRST_CAPACITY)
        if self.store.buffers.chunks < chunks:
            self.store.set_buffers(chunks, capacity)
        while control[engine.RANK] < control[engine.SIZE]:
            room = engine.SHARDS * control[engine.CAPACITY] * chunks
            if control[engine.STATES] + room >= control[engine.STATES_MAX]:
                return self._finish_alone()
            outcome = self._round(chunks)
            if outcome is not None:
                return outcome
            if self._look_at_bounds() is not None:
                return engine.PAUSED
        return self._finish_alone()

    def _finish_alone(self) -> int:
        """Let ``run`` do the rest of the level, with what all workers saw."""
        for worker in self.workers[1:]:
            for kind in (engine.FAILED, engine.STUCK, engine.VIOLATED):
                self.workers[0].tally.view[kind] += worker.tally.view[kind]
                worker.tally.view[kind] = 0
            self._join_locks(worker)
        return self._run()

    def _join_locks(self, worker: Worker) -> None:
        first, other = self.workers[0].context.view, worker.context.view
        for lock in range(self._control[engine.LOCKS_KNOWN]):
            first[engine.LOCK_ORDER + lock] |= other[engine.LOCK_ORDER + lock]

    def _round(self, chunks: int) -> int | None:
        """Expand up to ``chunks`` chunks and store what they give; None if all is well."""
        control, store = self._control, self.store
        rank, size = control[engine.RANK], control[engine.SIZE]
        # Aim at buffers that are well filled but seldom full: a chunk that stops early
        # makes the work on all later ones void.
        fanout = max(1.0, self.transitions / max(1, self._expanded()))
        most = int(engine.SHARDS * control[engine.CAPACITY] * 0.7 / fanout)
        each = max(1, min(most, -(-(size - rank) // chunks)))
        firsts = list(range(rank, min(size, rank + each * chunks), each))
        reached = [0] * len(firsts)
        seen = [0] * len(firsts)

        def expand(worker: int, number: int) -> None:
            mine = self.workers[worker]
            before = mine.tally.view[engine.SEEN]
            place = number * engine.SHARDS
            reached[number] = self.loops.expand(
                store.states.at(), store.shards.at(), store.control.at(), firsts[number],
                min(size, firsts[number] + each),
                store.buffers.records.at(place * store.buffers.capacity * (store.words + 1)),
                store.buffers.fills.at(place), mine.scratch.at(), mine.context.at(),
                mine.tally.at(),
            )  # fmt: skip
            seen[number] = mine.tally.view[engine.SEEN] - before
            mine.tally.view[engine.SEEN] = before

        self.team.run(expand, len(firsts))
        good = 1  # chunks without a gap between them
        while good < len(firsts) and reached[good - 1] == firsts[good]:
            good += 1
        if reached[good - 1] == rank:
            return engine.NO_BUFFER
        if not self.loops.fits(
            store.shards.at(), store.control.at(), store.buffers.fills.at(), good
        ):
            return engine.NO_MEMORY
        groups = min(engine.SHARDS, SHARD_GROUPS_PER_WORKER * self.team.size)
        bounds = [engine.SHARDS * group // groups for group in range(groups + 1)]
        self.team.run(
            lambda _, group: store.insert(bounds[group], bounds[group + 1], good), groups
        )
        self.loops.count_states(store.shards.at(), store.control.at())
        control[engine.RANK] = reached[good - 1]
        self.seen += sum(seen[:good])
        return None

    def _expanded(self) -> int:
        """States that have been expanded."""
        starts = self.store.shards.view[engine.START :: engine.ROW]
        return sum(starts) + self._control[engine.RANK]
