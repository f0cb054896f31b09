"""The search itself, on random graphs, with one worker and with several."""

from __future__ import annotations

import signal

import pytest

from pagerace.search import levels
from tests.search.graphs import FAILS, Graph, Run, random_graph


@pytest.mark.parametrize("seed", range(20))
def test_levels_are_those_of_a_plain_search(seed: int) -> None:
    graph = random_graph(seed)
    for level in graph.levels():
        graph.done.update(s for s in level if not graph.edges(s))
    run = Run(graph)
    assert run.end == "complete"
    assert run.states() == graph.levels()
    edges = sum(len(graph.edges(s)) for level in graph.levels() for s in level)
    assert run.search.transitions == edges


@pytest.mark.parametrize("seed", range(6))
def test_order_of_states_does_not_depend_on_workers(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(levels, "LARGE_LEVEL", 3)
    graph = random_graph(seed, 200)
    graph.done = set(range(200))
    runs = [Run(graph, workers) for workers in (1, 2, 5)]
    stored = [
        (run.search.transitions, run.store.number, bytes(run.store.states.view[:40_000]))
        for run in runs
    ]
    assert stored[0] == stored[1] == stored[2]


def test_a_state_with_more_successors_than_a_buffer_holds() -> None:
    width = 40_000
    fan = [[*range(1, width)], *([] for _ in range(width - 1))]
    graph = Graph([fan], done=set(range(width)))
    run = Run(graph)
    assert run.end == "complete"
    assert run.store.number == width
    assert run.search.transitions == width - 1
    assert run.store.buffers.capacity > 256


def test_bounds_end_the_search_the_same_way_for_any_number_of_workers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(levels, "LARGE_LEVEL", 3)
    graph = random_graph(5, 400)
    graph.done = set(range(400))
    for bound in (1, 2, 17, 60):
        ends = [Run(graph, workers, states_max=bound) for workers in (1, 3)]
        assert [run.end for run in ends] == ["states", "states"]
        assert ends[0].store.number == ends[1].store.number >= bound
    depths = [Run(graph, workers, depth_max=4) for workers in (1, 3)]
    assert [(run.end, run.store.depth) for run in depths] == [("depth", 4), ("depth", 4)]
    assert depths[0].states() == graph.levels()[:5]


def test_deadlock_failure_and_bad_state_are_seen() -> None:
    assert Run(Graph([[[1], []]])).end == "found"
    assert Run(Graph([[[1], [FAILS]]], done={1})).end == "found"
    assert Run(Graph([[[1], []]], done={1}, bad={1})).end == "found"
    assert Run(Graph([[[1], []]], done={1})).end == "complete"


def test_found_wins_over_a_bound() -> None:
    graph = Graph([[[1, 2, 3], [], [FAILS], []]], done={1, 2, 3})
    assert Run(graph, states_max=4).end == "states"
    assert Run(graph, states_max=5).end == "found"


def test_one_ctrl_c_may_come_as_two_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    with levels.Interrupt() as interrupt:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert interrupt.seen
        monkeypatch.setattr(levels.Interrupt, "SAME_SECONDS", -1.0)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
