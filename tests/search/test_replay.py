"""Replaying what native code found, and noticing when it is wrong."""

from __future__ import annotations

import dataclasses

import pytest

from pagerace.compiler.layout import Layout
from pagerace.search.replay import Mismatch, Run, replay_moves, steps_of
from pagerace.search.trace import Move
from tests.search import samples


def moves_of(schedule: list[tuple[int, tuple[int, ...]]], name: str) -> list[Move]:
    """The moves as a search would have found them."""
    program = samples.program(name)
    run, layout = Run.of(program), Layout.of(program)
    moves: list[Move] = []
    for process, choices in schedule:
        outcome = run.take(process, choices)
        words = layout.pack(outcome.state) if outcome.kind == "ok" else ()
        code = {"ok": 0, "failed": 3}[outcome.kind]
        moves.append(Move(process, tuple(outcome.choices), words, code != 0, code))
    return moves


FIVE = [(0, (2,)), (0, (1,)), (0, ()), (0, ())]


def test_a_faithful_replay() -> None:
    program = samples.program("choices")
    run = replay_moves(program, Layout.of(program), moves_of(FIVE, "choices"))
    assert [outcome.kind for outcome in run.outcomes] == ["ok", "ok", "ok", "failed"]
    kinds = [event.kind for step in steps_of(run) for event in step.events]
    assert kinds == ["choose", "choose", "store", "load", "check"]


def test_differences_are_noticed() -> None:
    program = samples.program("choices")
    layout = Layout.of(program)
    moves = moves_of(FIVE, "choices")
    wrong = layout.unpack(moves[2].words)
    wrong.memory[0][0] ^= 1
    cases = [
        (2, {"words": layout.pack(wrong)}, "counter.value is 5, native 4"),
        (3, {"outcome": 0}, "native code says ok, the interpreter failed"),
        (0, {"choices": ()}, r"native code chose \[\], the interpreter \[0\]"),
        (1, {"process": 1, "choices": (), "outcome": 1}, "says blocked, the interpreter ok"),
    ]
    for number, change, message in cases:
        changed = list(moves)
        changed[number] = dataclasses.replace(moves[number], **change)
        with pytest.raises(Mismatch, match=f"step {number + 1} of 4 .*{message}"):
            replay_moves(program, layout, changed)
