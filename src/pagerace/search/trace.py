"""From a violation that was seen to one shortest execution, with the fewest switches.

The stored states are searched backward, level by level: a state is marked if a step of
it leads to a mark of the next level.  Then one walks forward from mark to mark.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pagerace.lang.direct import ptr
from pagerace.search import backward, engine
from pagerace.search.areas import Area
from pagerace.search.levels import Interrupt
from pagerace.search.store import Store, Worker
from pagerace.search.team import Team

ROOM_MAX = 4096  # marks per shard and level
GROUPS = 16  # of shards, for the workers
LARGE_LEVEL = 8192


@dataclass(frozen=True)
class Goal:
    """What ends the execution: bits of ``backward``, and the level it is on.

    ``states`` are violations in a state of level ``depth``; ``steps`` violations in a
    step from such a state, as long as ``next_states`` in a state of the level after.
    ``words`` are a state of the level, to which the execution leads.
    """

    depth: int
    states: int = 0
    steps: int = 0
    next_states: int = 0
    words: tuple[int, ...] = ()
    lock_pairs: dict[int, int] = field(default_factory=dict[int, int])


@dataclass(frozen=True)
class Move:
    """A step of a process with its data choices, and the state after it.

    ``words`` is empty if the step is the violation, whose ``outcome`` is then not 0, or
    0 for a step that takes locks in the wrong order.
    """

    process: int
    choices: tuple[int, ...]
    words: tuple[int, ...]
    ends: bool
    outcome: int


class Interrupted(Exception):
    """Ctrl-C while an execution was being put together."""


class Marks:
    """The marks of one level, with the table to find them by."""

    def __init__(self, store: Store, words: Sequence[int], costs: Sequence[int]) -> None:
        self.number = len(words) // store.words
        self.bits = max(2, (2 * self.number).bit_length())
        self._words = array("Q", words)
        self._costs = array("I", costs)
        self._index = array("I", bytes(4 << self.bits))
        self._native = store.native
        store.loops.index_marks(self.words, self.number, self.index, self.bits)

    def _at(self, numbers: array[int]) -> Any:
        return numbers.buffer_info()[0] if self._native else ptr(numbers)

    @property
    def words(self) -> Any:
        return self._at(self._words)

    @property
    def costs(self) -> Any:
        return self._at(self._costs)

    @property
    def index(self) -> Any:
        return self._at(self._index)


class Tracer:
    """Finds executions in what a search has stored."""

    def __init__(
        self, store: Store, team: Team, workers: list[Worker], interrupt: Interrupt
    ) -> None:
        self.store, self.team, self.workers, self.interrupt = store, team, workers, interrupt
        self.processes = store.control.view[engine.PROCESSES]
        self.complete = True  # have all marks been kept, so that switches are the fewest?
        self._wanted = Area(engine.SHARDS, "Q", native=store.native)
        self._best = Area(backward.BEST_WORDS, "Q", native=store.native)

    def find(self, goal: Goal) -> list[Move]:
        """The execution.  Raises Interrupted."""
        for lock, held in goal.lock_pairs.items():
            self._wanted.view[lock] = held
        each = self.store.words * 8 + self.processes * 4
        allowed = self.store.marks_bytes // (goal.depth + 2) // each // engine.SHARDS
        self.room = max(4, min(ROOM_MAX, allowed))
        self._marks = Area(
            engine.SHARDS * self.room * self.store.words, "Q", native=self.store.native
        )
        self._costs = Area(
            engine.SHARDS * self.room * self.processes, "I", native=self.store.native
        )
        levels: dict[int, Marks] = {}
        if goal.next_states:
            levels[goal.depth + 1] = self._mark(goal.depth + 1, goal.next_states, None)
        last = goal.states | goal.steps
        if goal.words:
            levels[goal.depth] = Marks(self.store, goal.words, [0] * self.processes)
        else:
            levels[goal.depth] = self._mark(goal.depth, last, levels.get(goal.depth + 1))
        for depth in reversed(range(goal.depth)):
            levels[depth] = self._mark(depth, 0, levels[depth + 1])
        self._marks.close()
        self._costs.close()
        assert levels[0].number == 1, "the initial state is on every way"
        return self._walk(goal, levels)

    def _mark(self, depth: int, goals: int, following: Marks | None) -> Marks:
        """The marks of one level."""
        store = self.store
        large = store.size_of_level(depth) > LARGE_LEVEL
        groups = GROUPS if large else 1
        width = engine.SHARDS // groups
        counts = [0] * groups
        if following is None:
            following = Marks(store, (), ())
        starts = store.levels.at(depth * engine.SHARDS)

        def mark(worker: int, group: int) -> None:
            mine, first = self.workers[worker], group * width
            counts[group] = store.loops.mark_level(
                store.states.at(), store.forward.at(), store.control.at(), starts,
                first, first + width, goals, self._wanted.at(),
                following.words, following.costs, following.index,
                following.bits if following.number else 0,
                self._marks.at(first * self.room * store.words),
                self._costs.at(first * self.room * self.processes), self.room,
                mine.scratch.at(), mine.context.at(),
            )  # fmt: skip

        if self.interrupt.seen:
            raise Interrupted
        self.team.run(mark, groups)
        words, costs = array("Q"), array("I")
        for group, count in enumerate(counts):
            first = group * width * self.room
            w, p = store.words, self.processes
            words.frombytes(self._marks.view[first * w : (first + count) * w].tobytes())
            costs.frombytes(self._costs.view[first * p : (first + count) * p].tobytes())
            # Which shards were full is not told; a group this full may have one.
            self.complete = self.complete and count < self.room
        return Marks(store, words, costs)

    def _walk(self, goal: Goal, levels: dict[int, Marks]) -> list[Move]:
        """From the initial state along the marks with the lowest costs.

        Where states have been left out between two that are stored, the steps to them too.
        """
        store, worker = self.store, self.workers[0]
        source = Area(store.words, "Q", native=store.native)
        target = Area(store.words, "Q", native=store.native)
        # Not the mark, which may be a state symmetric to this one.
        source.view[:] = array("Q", store.initial)
        nothing = Marks(store, (), ())
        moves: list[Move] = []
        best = self._best.view
        last = goal.depth if goal.states or goal.words else goal.depth + 1
        for depth in range(last):
            following = levels.get(depth + 1, nothing)
            store.loops.choose_step(
                source.at(), target.at(), store.control.at(),
                moves[-1].process if moves else engine.NONE,
                goal.steps if depth == goal.depth else 0, self._wanted.at(),
                following.words, following.costs, following.index,
                following.bits if following.number else 0,
                self._best.at(), worker.scratch.at(), worker.context.at(),
            )  # fmt: skip
            if best[backward.COST] == backward.INFINITE and depth == goal.depth:
                break  # somebody waits here for a lock that completes the wrong order
            assert best[backward.COST] != backward.INFINITE, "every mark leads on"
            made = best[backward.CHOICES]
            choices = best[backward.CHOICES + 1 : backward.CHOICES + 1 + made]
            ends = bool(best[backward.ENDS])
            process, outcome = best[backward.PROCESS], best[backward.OUTCOME]
            words = () if ends and outcome != 0 else tuple(target.view)
            moves.append(Move(process, tuple(choices), words, ends, outcome))
            if words:
                moves += self._run_on(target)
            source, target = target, source
        for area in (source, target):
            area.close()
        return moves

    def _run_on(self, state: Area) -> list[Move]:
        """The steps, in place, to the state that is stored for this one."""
        store, worker = self.store, self.workers[0]
        moves: list[Move] = []
        if not store.control.view[engine.REDUCTIONS] & engine.PARTIAL_ORDER:
            return moves
        while True:
            alone = store.loops.chosen(state.at())
            made = store.loops.run_on(state.at(), worker.scratch.at(), worker.context.at())
            if not made:
                return moves
            moves.append(Move(alone.bit_length() - 1, (), tuple(state.view), False, 0))
