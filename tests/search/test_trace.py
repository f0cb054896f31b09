"""Executions are shortest, with the fewest switches, and the same for any workers."""

from __future__ import annotations

from itertools import pairwise

import pytest

from pagerace.search import backward, trace
from pagerace.search.trace import Goal, Move, Tracer
from tests.search.graphs import FAILS, Graph, Run, random_graph


def moves_to(run: Run, goal: Goal) -> list[Move]:
    return Tracer(run.store, run.team, run.workers, run.interrupt).find(goal)


def switches(moves: list[Move]) -> int:
    return sum(a.process != b.process for a, b in pairwise(moves))


def complete(seed: int) -> Graph:
    graph = random_graph(seed)
    graph.done = set(range(60))
    return graph


@pytest.mark.parametrize("seed", range(30))
def test_fewest_switches(seed: int) -> None:
    graph = complete(seed)
    levels = graph.levels()
    depth = len(levels) - 1
    graph.bad = set(levels[depth][:2])
    run = Run(graph)
    assert run.end == "found"
    moves = moves_to(run, Goal(depth, states=backward.PROPERTY))
    assert len(moves) == depth
    assert not depth or moves[-1].words[0] in graph.bad
    assert switches(moves) == graph.fewest_switches(graph.bad, depth)
    state = 0
    for move in moves:
        choice = move.choices[0] if move.choices else 0
        state = graph.steps[move.process][state][choice]
        assert move.words == (state, state * state)


@pytest.mark.parametrize("seed", range(10))
def test_a_failing_step_and_a_bad_state_of_the_same_length(seed: int) -> None:
    graph = complete(seed)
    levels = graph.levels()
    depth = len(levels) - 2
    if depth < 1:
        pytest.skip("too small")
    graph.bad = {levels[depth + 1][0]}
    graph.steps[0][levels[depth][0]] = [FAILS]
    levels = graph.levels()
    graph.bad &= set(levels[depth + 1]) if len(levels) > depth + 1 else set()
    run = Run(graph)
    assert run.end == "found" and run.store.depth == depth
    store = run.store
    store.loops.next_level(store.shards.at(), store.control.at(), store.levels.at())
    following = backward.PROPERTY if graph.bad else 0
    goal = Goal(depth, steps=backward.FAILURE, next_states=following)
    moves = moves_to(run, goal)
    assert len(moves) == depth + 1
    assert moves[-1].ends == (moves[-1].outcome == 3) != (bool(moves[-1].words))


def test_stuck() -> None:
    graph = Graph([[[1], [2], []], [[1], [2], []]], done={0})
    run = Run(graph)
    moves = moves_to(run, Goal(2, states=backward.STUCK))
    assert [(m.process, m.words[0]) for m in moves] == [(0, 1), (0, 2)]


def test_same_execution_for_any_number_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "LARGE_LEVEL", 2)
    graph = complete(3)
    depth = len(graph.levels()) - 1
    graph.bad = set(graph.levels()[depth])
    found = [
        moves_to(Run(graph, workers), Goal(depth, states=backward.PROPERTY))
        for workers in (1, 2, 4)
    ]
    assert found[0] == found[1] == found[2]


def test_ties_go_to_the_lowest_process_and_choice() -> None:
    graph = Graph([[[1, 2], [], []], [[2], [], []]], done={0, 1, 2}, bad={1, 2})
    moves = moves_to(Run(graph), Goal(1, states=backward.PROPERTY))
    assert [(m.process, m.choices) for m in moves] == [(0, (0,))]
