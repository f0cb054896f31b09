"""Native steps against the interpreter, along random walks."""

from __future__ import annotations

import random

from pagerace.compiler import interpreter
from pagerace.compiler.ir import Program
from tests.compiler.native.test_stepped import Runner


def compare_walks(program: Program, seed: str, walks: int, steps: int) -> int:
    """Compare every step that is possible on the way, whichever one is taken.

    Returns the number of steps that were compared.
    """
    runner = Runner(program)
    walk = random.Random(seed)
    compared = 0
    for _ in range(walks):
        state = interpreter.initial(program)
        for _ in range(steps):
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
    return compared
