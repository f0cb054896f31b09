"""Completion that is out of reach, against the plain answer."""

from __future__ import annotations

import pytest

from pagerace.search import backward, engine, livelock
from pagerace.search.bounds import Clock
from pagerace.search.livelock import Unfinished, first_lost_level
from pagerace.search.trace import Goal, Tracer
from tests.search.graphs import Graph, Run, random_graph


def without_deadlock(seed: int) -> Graph:
    graph = random_graph(seed)
    for state in range(60):
        if not graph.edges(state) and state not in graph.done:
            graph.steps[0][state] = [max(0, state - 1)]
    return graph


def lost_level(run: Run) -> int | None:
    return first_lost_level(run.store, run.workers[0], Clock(None), run.interrupt)


@pytest.mark.parametrize("seed", range(60))
def test_lost_states(seed: int) -> None:
    graph = without_deadlock(seed)
    run = Run(graph)
    assert run.end == "complete"
    lost = graph.lost()
    levels = [depth for depth, states in enumerate(graph.levels()) if lost & set(states)]
    assert lost_level(run) == (levels[0] if levels else None)
    forward = run.store.forward.view
    for shard in range(engine.SHARDS):
        for index in range(run.store.shards.view[shard * engine.ROW]):
            place = shard * run.store.stride + index
            state = run.store.states.view[place * run.store.words]
            assert (forward[place] != engine.GOOD) == (state in lost)
    if levels:
        tracer = Tracer(run.store, run.team, run.workers, run.interrupt)
        moves = tracer.find(Goal(levels[0], states=backward.LOST))
        assert len(moves) == levels[0]
        assert not moves or moves[-1].words[0] in lost


def test_both_kinds_are_met() -> None:
    found = {bool(without_deadlock(seed).lost()) for seed in range(60)}
    assert found == {True, False}


def test_a_list_of_roots_that_is_too_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(livelock, "BUDGET", 8)
    for seed in range(10):
        graph = without_deadlock(seed)
        run = Run(graph)
        run.store.marks_bytes = 8
        assert (lost_level(run) is not None) == bool(graph.lost())


def test_interrupted() -> None:
    run = Run(without_deadlock(1))
    run.interrupt.seen = True
    with pytest.raises(Unfinished, match="interrupted"):
        lost_level(run)
