"""Native steps against the interpreter on every protocol there is, along random walks."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pagerace.cli.load import Target, built_in_names, targets_of
from pagerace.compiler import interpreter
from pagerace.compiler.program import compile_protocol
from tests.compiler.native.test_stepped import Runner

BENCH = Path(__file__).parents[2] / "bench" / "delayed_rmap.py"
TARGETS = {
    target.address: target
    for target in targets_of([*built_in_names(), str(BENCH)], mutants=True)
}
WALKS = 3
STEPS = 60


@pytest.mark.parametrize("name", TARGETS)
def test_steps_agree(name: str) -> None:
    """Every step that is possible on the way is compared, whichever one is taken."""
    target: Target = TARGETS[name]
    program = compile_protocol(target.protocol, name)
    runner = Runner(program)
    walk = random.Random(name)
    compared = 0
    for _ in range(WALKS):
        state = interpreter.initial(program)
        for _ in range(STEPS):
            runner.compare_state(state)
            following: list[interpreter.State] = []
            for process in program.processes:
                for outcome in interpreter.enumerate_steps(program, state, process.index):
                    runner.compare_step(state, process.index, outcome)
                    compared += 1
                    if outcome.kind == "ok":
                        following.append(outcome.state)
            if not following:
                break
            state = walk.choice(following)
    assert compared > WALKS * 10
