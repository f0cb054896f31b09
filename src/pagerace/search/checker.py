"""``check``: search a program and say what came out, with an execution to show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise

from pagerace.compiler import interpreter
from pagerace.compiler.ir import Program
from pagerace.compiler.layout import Layout
from pagerace.compiler.native import context as places
from pagerace.compiler.reductions import (
    NAMES,
    NO_REDUCTIONS,
    PARTIAL_ORDER,
    SYMMETRY,
    Reductions,
    names_of,
)
from pagerace.report import execution as document
from pagerace.search import backward, engine, livelock, races, violations
from pagerace.search.bounds import Bounds, Clock, Memory, cores
from pagerace.search.coverage import never_executed
from pagerace.search.explain import Explainer
from pagerace.search.levels import End, Interrupt, Progress, Search
from pagerace.search.lockorder import LockOrders
from pagerace.search.loops import Loops, interpreted_loops, native_loops
from pagerace.search.replay import Mismatch, Run, processes_of, replay_moves, steps_of
from pagerace.search.result import Result, TooManyChoices
from pagerace.search.schedule import format as format_schedule
from pagerace.search.store import Store, Worker
from pagerace.search.team import Team
from pagerace.search.trace import Goal, Interrupted, Move, Tracer

# A violation that was found with reductions is searched for again without them, in at
# most so many states: times those with reductions, and some.
AGAIN_TIMES, AGAIN_STATES = 8, 1_000_000


def check(
    program: Program,
    *,
    states_max: int | None = None,
    depth_max: int | None = None,
    memory_max: int | None = None,
    time_max: float | None = None,
    workers: int | None = None,
    reductions: str | Sequence[str] = NAMES,
    data_races: bool = False,
    progress: Callable[[str, float], object] | None = None,
    native: bool = True,
) -> Result:
    """Search every interleaving of ``program``, breadth first.

    ``reductions``: those of ``compiler.reductions.NAMES`` that may leave out what would
    show nothing new.  What they find is searched for again without them, so that the
    execution shown is a shortest one; where that would take too long ``shortest`` of the
    execution's search is false.  A bound on depth switches partial order reduction off,
    under which ways to a state get longer.

    ``data_races``: look for those, too, in all states that are found, with which nothing
    is left out.  One of them is what is violated then, whatever else is; the violation
    lists them all.

    ``memory_max`` is in bytes for the whole process, ``time_max`` in seconds; a search
    that meets a bound, or Ctrl-C, is inconclusive.  ``workers`` defaults to all cores,
    and no result depends on it.  ``progress(line, seconds)`` is called a few times a
    second.  Raises Mismatch if native code and the interpreter disagree,
    NativeUnavailable, and ValueError for a bound that makes no sense.
    """
    bounds = Bounds(
        states_max=states_max, depth_max=depth_max, memory_max=memory_max, time_max=time_max
    )
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}, it must be at least 1")
    names = [n for n in names_of(reductions) if n != PARTIAL_ORDER or depth_max is None]
    names = [] if data_races else names
    clock = Clock(time_max)
    with ExitStack() as stack, Interrupt() as interrupt:
        layout = Layout.of(program)
        reduced = Reductions.of(program, layout, names)
        loops = (native_loops if native else interpreted_loops)(program, layout, reduced)
        clock.restart()  # the steps are compiled: what is counted is the search

        def checker(bounds: Bounds, reduced: Reductions) -> _Checker:
            made = _Checker(
                program, layout, loops, bounds, clock, interrupt, workers or cores(), reduced
            )
            stack.callback(made.close)
            return made

        first = checker(bounds, reduced)
        goal, covered = first.search(progress)
        if data_races:
            found = first.data_races(covered)
            if found is not None:
                return found
        if goal is None:
            return covered
        if reduced.figures and not interrupt.seen:
            states = AGAIN_TIMES * covered.states + AGAIN_STATES
            again = replace(bounds, states_max=states)
            second = checker(again, NO_REDUCTIONS)
            other_goal, other = second.search(progress)
            if other_goal is not None:
                first, goal = second, other_goal
                covered = replace(other, reductions=covered.reductions)
        return first.violated(goal, covered)


def races_of(program: Program, *, native: bool = True) -> list[races.Found]:
    """The data races between points, in all states of a complete search."""
    layout = Layout.of(program)
    loops = (native_loops if native else interpreted_loops)(program, layout)
    with ExitStack() as stack, Interrupt() as interrupt:
        checker = _Checker(
            program, layout, loops, Bounds(), Clock(None), interrupt, 1, NO_REDUCTIONS
        )
        stack.callback(checker.close)
        checker.search(None)
        return checker.races_found()


class _Checker:
    """One search with all that belongs to it."""

    def __init__(
        self,
        program: Program,
        layout: Layout,
        loops: Loops,
        bounds: Bounds,
        clock: Clock,
        interrupt: Interrupt,
        workers: int,
        reduced: Reductions,
    ) -> None:
        self.program, self.layout, self.bounds, self.clock = program, layout, bounds, clock
        self.interrupt, self.loops, self.reduced = interrupt, loops, reduced
        self.memory = Memory(bounds.memory_max)
        words, native = layout.words, loops.native
        bits = {PARTIAL_ORDER: engine.PARTIAL_ORDER, SYMMETRY: engine.SYMMETRY}
        self.store = Store(
            self.loops, words, len(program.processes), program.locks, self.memory.bytes,
            sum(bits[name] for name in reduced.figures),
        )  # fmt: skip
        size = places.context_bytes(program)
        self.workers = [Worker(words, size, native=native) for _ in range(workers)]
        self.team = Team(workers)
        self.orders = LockOrders(program.locks)

    def close(self) -> None:
        self.team.close()
        for worker in self.workers:
            worker.close()
        self.store.close()

    def search(
        self, progress: Callable[[str, float], object] | None
    ) -> tuple[Goal | None, Result]:
        """The whole search: what it found, and what it has covered."""
        initial = interpreter.initial(self.program)
        self.store.start(self.layout.pack(initial))

        def report(now: Progress) -> None:
            if progress is not None:
                progress(str(now), now.seconds)

        self.levels = Search(
            self.loops, self.store, self.team, self.workers, self.bounds, self.memory,
            self.clock, self.interrupt, lock_orders_wrong=self._lock_orders_wrong,
            progress=report if progress is not None else None,
        )  # fmt: skip
        end = self.levels.go()
        goal = self._goal(end)
        if goal is None and end == "complete":
            try:
                goal = self._livelock()
            except livelock.Unfinished as error:
                end = "interrupted" if error.reason == "interrupted" else "time"
        return goal, self._covered(end)

    def violated(self, goal: Goal, covered: Result) -> Result:
        """What was found, with its execution."""
        try:
            self.interrupt.seen = False  # it ended the search; the next ends this too
            return self._violated(goal, covered)
        except Interrupted:
            reason = "interrupted while the violation that was found was traced back"
            return replace(covered, verdict="inconclusive", reason=reason)

    def data_races(self, covered: Result) -> Result | None:
        """The data races in the states that were found, or None; the first is shown."""
        found = self.races_found()
        if not found:
            return None
        pairs = [
            races.pair_of(self.program, self.layout.unpack(item.words), item.first, item.second)
            for item in found
        ]
        told = races.distinct([races.describe(self.program, pair) for pair in pairs])
        tracer = Tracer(self.store, self.team, self.workers, self.interrupt)
        moves = tracer.find(Goal(found[0].depth, words=found[0].words))
        run = replay_moves(self.program, self.layout, moves)
        races.show_both(run, pairs[0])
        violation = replace(races.violation_of(self.program, told[0]), races=told)
        execution = execution_of(run, violation, None, search=self._searched())
        return replace(
            covered, verdict="violated", reason="", violation=violation, execution=execution,
            fewest_switches=tracer.complete, seconds=self.clock.seconds(),
        )  # fmt: skip

    def races_found(self) -> list[races.Found]:
        return races.search(
            self.program, self.layout, self.store, self.workers[0],
            lambda: self.interrupt.seen or self.clock.is_over(),
        )  # fmt: skip

    # -- what was found -------------------------------------------------------------------

    def _lock_orders_wrong(self) -> bool:
        view = self.workers[0].context.view
        first = places.LOCKS
        return self.orders.add(list(view[first : first + self.program.locks]))

    def _goal(self, end: End) -> Goal | None:
        """The shortest violation that is known when the search ends, if there is one."""
        depth = self.store.depth
        tally = [0] * engine.TALLY_WORDS
        for worker in self.workers:
            for kind in (engine.FAILED, engine.STUCK, engine.VIOLATED):
                tally[kind] += worker.tally.view[kind]
        if end not in ("complete", "found") and not tally[engine.VIOLATED]:
            # States of this level that were stored and not yet looked at.
            tally[engine.VIOLATED] = self._inspect(depth)
        states = backward.PROPERTY if tally[engine.VIOLATED] else 0
        states |= backward.STUCK if tally[engine.STUCK] else 0
        if states:
            return Goal(depth, states=states)
        if end == "complete":
            return None
        following = backward.PROPERTY if self._inspect_next(depth) else 0
        if tally[engine.FAILED]:
            return Goal(depth, steps=backward.FAILURE, next_states=following)
        if following:
            return Goal(depth + 1, states=following)
        if self.orders.cycle is not None:
            pairs = self.orders.closing_pairs()
            return Goal(depth, steps=backward.LOCK_PAIR, lock_pairs=pairs)
        return None

    def _inspect(self, depth: int) -> int:
        """How many states of a level violate a property."""
        store, first = self.store, depth * engine.SHARDS
        return self.loops.inspect(
            store.states.at(), store.control.at(), store.levels.at(), first,
            first + engine.SHARDS, self.workers[0].context.at(),
        )  # fmt: skip

    def _inspect_next(self, depth: int) -> int:
        """The same for what has been found of the level after ``depth``."""
        store = self.store
        for shard in range(engine.SHARDS):
            count = store.shards.view[shard * engine.ROW + engine.COUNT]
            store.levels.view[(depth + 2) * engine.SHARDS + shard] = count
        return self._inspect(depth + 1)

    def _livelock(self) -> Goal | None:
        depth = livelock.first_lost_level(
            self.store, self.workers[0], self.clock, self.interrupt
        )
        return None if depth is None else Goal(depth, states=backward.LOST)

    def _covered(self, end: End) -> Result:
        """What the search has covered; taken before a backward one adds to the counts."""
        store, program = self.store, self.program
        reached = 0
        for worker in self.workers:
            reached |= worker.context.view[places.SOMETIMES]
        sometimes = [
            (item.name, bool(reached >> index & 1))
            for index, item in enumerate(program.properties)
            if item.kind == "sometimes"
        ]
        contexts = [memoryview(worker.context.view).cast("B") for worker in self.workers]
        self._join_orders()
        return Result(
            verdict="holds" if end == "complete" else "inconclusive",
            reason=self._reason(end),
            states=store.number,
            seen=self.levels.transitions,
            depth=store.depth,
            seconds=self.clock.seconds(),
            state_bits=self.layout.bits,
            state_words=self.layout.words,
            bytes=store.bytes,
            reached=[name for name, held in sometimes if held],
            unreached=[name for name, held in sometimes if not held],
            never_executed=never_executed(program, contexts),
            lock_order=[
                (violations.lock_name(program, held), violations.lock_name(program, taken))
                for held, taken in self.orders.edges()
            ],
            workers=len(self.workers),
            reductions=self.reduced.figures,
            told_apart=list(self.reduced.told_apart),
        )

    def _join_orders(self) -> None:
        first = places.LOCKS
        for worker in self.workers:
            masks = worker.context.view[first : first + self.program.locks]
            for lock, mask in enumerate(masks):
                self.orders.known[lock] |= mask

    def _reason(self, end: End) -> str:
        bounds = self.bounds
        return {
            "complete": "",
            "found": "",
            "states": f"stopped at {self.store.number:,} states"
            + (" (--states-max)" if bounds.states_max else ""),
            "depth": f"stopped at depth {self.store.depth:,}"
            + (" (--depth-max)" if bounds.depth_max is not None else ""),
            "memory": f"stopped at {self.memory.reason} of memory",
            "system-memory": "stopped because the machine runs out of memory",
            "time": f"stopped after {bounds.time_max or 0:g} s (--time-max)",
            "interrupted": "interrupted",
        }[end]

    # -- the execution ----------------------------------------------------------------

    def _violated(self, goal: Goal, covered: Result) -> Result:
        tracer = Tracer(self.store, self.team, self.workers, self.interrupt)
        moves = tracer.find(goal)
        if any(move.outcome == places.TOO_MANY_CHOICES for move in moves):
            raise TooManyChoices(
                f"a step calls choose() more than {places.CHOICES_MAX} times"
            )
        run = replay_moves(self.program, self.layout, moves)
        if goal.lock_pairs:
            run.end_where_taken(goal.lock_pairs)
        violation = self._violation(goal, run, moves)
        execution = execution_of(
            run, violation, self._explainer(), search=self._searched()
        )
        return replace(
            covered, verdict="violated", reason="", violation=execution.violation,
            execution=execution,
            fewest_switches=tracer.complete and not self.reduced.figures,
            seconds=self.clock.seconds(),
        )  # fmt: skip

    def _searched(self) -> document.Search:
        return document.Search(
            self.store.number, self.levels.transitions, self.store.depth,
            self.clock.seconds(), shortest=PARTIAL_ORDER not in self.reduced.figures,
        )  # fmt: skip

    def _violation(self, goal: Goal, run: Run, moves: list[Move]) -> document.Violation:
        if goal.states == backward.LOST:
            return violations.livelock_of(run)
        found = violations.violation_of(run)
        if found is None and goal.lock_pairs and self.orders.cycle is not None:
            return violations.lock_order_of(run, self.orders.cycle)
        if found is None:
            raise Mismatch(
                f"native code finds a violation after {len(moves)} steps, "
                "the interpreter finds none"
            )
        return found

    def _explainer(self) -> Explainer:
        return Explainer(self.program, self.layout, self.loops)


def execution_of(
    run: Run,
    violation: document.Violation | None,
    explainer: Explainer | None,
    search: document.Search | None = None,
) -> document.Execution:
    """The document of a run; what only the protocol's source knows is left empty."""
    program = run.program
    why: list[str] = []
    if violation is not None and explainer is not None:
        explanation = explainer.explain(run, violation)
        why = explanation.sentences
        violation.functions[:] = explanation.functions
    moves = run.moves
    return document.Execution(
        protocol=document.Claim(program.name, program.file),
        verdict="violated" if violation is not None else "holds",
        processes=processes_of(program),
        steps=steps_of(run),
        violation=violation,
        schedule=format_schedule(moves, program.processes) if moves else "",
        switches=sum(a[0] != b[0] for a, b in pairwise(moves)),
        why=why,
        bounds=dict(program.bounds),
        search=search or document.Search(),
    )
