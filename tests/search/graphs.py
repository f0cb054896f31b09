"""Random state graphs in place of a compiled program, and answers found the plain way."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from pagerace.lang.direct import ptr
from pagerace.search import engine
from pagerace.search.bounds import Bounds, Clock, Memory
from pagerace.search.levels import End, Interrupt, Search
from pagerace.search.loops import Loops, python_loops
from pagerace.search.store import Store, Worker
from pagerace.search.team import Team

FAILS = -1
WORDS = 2


@dataclass
class Graph:
    """``steps[process][state]``: the states after each data choice; [] is no step.

    A choice may lead to FAILS.  State 0 is the first.
    """

    steps: list[list[list[int]]]
    done: set[int] = field(default_factory=set[int])
    bad: set[int] = field(default_factory=set[int])

    @property
    def processes(self) -> int:
        return len(self.steps)

    def edges(self, state: int) -> list[tuple[int, int, int]]:
        """(process, choice, state after it) of all steps from a state."""
        return [
            (process, choice, after)
            for process in range(self.processes)
            for choice, after in enumerate(self.steps[process][state])
        ]

    def levels(self) -> list[list[int]]:
        """States by distance from state 0."""
        found, levels = {0}, [[0]]
        while levels[-1]:
            after = [a for s in levels[-1] for _, _, a in self.edges(s) if a != FAILS]
            levels.append(sorted(set(after) - found))
            found.update(levels[-1])
        return levels[:-1]

    def lost(self) -> set[int]:
        """Reachable states from which no state of ``done`` can be reached."""
        states = {s for level in self.levels() for s in level}
        good = states & self.done
        while True:
            more = {s for s in states - good if any(a in good for _, _, a in self.edges(s))}
            if not more:
                return states - good
            good |= more

    def fewest_switches(self, goals: set[int], length: int) -> int:
        """Of all ways of ``length`` steps to one of ``goals``, the fewest switches."""
        best = {(0, -1): 0}
        for _ in range(length):
            following: dict[tuple[int, int], int] = {}
            for (state, last), cost in best.items():
                for process, _, after in self.edges(state):
                    total = cost + (last not in (-1, process))
                    key = (after, process)
                    following[key] = min(total, following.get(key, total))
            best = following
        return min(cost for (state, _), cost in best.items() if state in goals)


def random_graph(seed: int, states: int = 60) -> Graph:
    """A connected-ish graph, a few steps out of each state."""
    make = random.Random(seed)
    processes = make.randint(1, 4)
    steps: list[list[list[int]]] = []
    for _ in range(processes):
        table: list[list[int]] = []
        for state in range(states):
            near = [
                max(0, min(states - 1, state + make.randint(-4, 9)))
                for _ in range(make.choice([0, 1, 1, 1, 2, 3]))
            ]
            table.append(near)
        steps.append(table)
    done = {make.randrange(states) for _ in range(make.randint(1, 3))}
    return Graph(steps, done)


def loops_of(graph: Graph) -> Loops:
    """The loops as Python over the graph.  A state's second word is its square."""

    def step(process: int, source: ptr[int], target: ptr[int], context: ptr[int]) -> int:
        options = graph.steps[process][source[0]]
        if not options:
            return 1
        choice = context[engine.DIGITS] if context[engine.GIVEN] else 0
        if len(options) > 1:
            context[engine.MADE] = 1
            context[engine.DIGITS], context[engine.RADICES] = choice, len(options)
        after = options[choice]
        if after == FAILS:
            return 3
        target[0], target[1] = after, after * after
        return 0

    def check_state(source: ptr[int], context: ptr[int]) -> int:
        return int(source[0] in graph.bad)

    def threads_done(source: ptr[int]) -> int:
        return int(source[0] in graph.done)

    return python_loops(WORDS, step, check_state, threads_done)


class Run:
    """A search of a graph, with all that belongs to it."""

    def __init__(self, graph: Graph, workers: int = 1, **bounds: int) -> None:
        self.loops = loops_of(graph)
        self.store = Store(self.loops, WORDS, graph.processes, 0, 64 << 20)
        self.workers = [Worker(WORDS, 1024, native=False) for _ in range(workers)]
        self.team = Team(workers)
        self.interrupt = Interrupt()
        self.store.start([0, 0])
        self.search = Search(
            self.loops, self.store, self.team, self.workers, Bounds(**bounds), Memory(None),
            Clock(None), self.interrupt,
        )  # fmt: skip
        self.end: End = self.search.go()
        self.team.close()

    def states(self) -> list[list[int]]:
        """The states stored, by level."""
        store, found = self.store, []
        for depth in range(store.depth + 1):
            level: list[int] = []
            for shard in range(engine.SHARDS):
                part = depth * engine.SHARDS + shard
                first, last = store.levels.view[part], store.levels.view[part + engine.SHARDS]
                for index in range(first, last):
                    place = (shard * store.stride + index) * WORDS
                    level.append(store.states.view[place])
                    assert store.states.view[place + 1] == level[-1] ** 2
            found.append(sorted(level))
        return found
