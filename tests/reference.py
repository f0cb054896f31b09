"""Every interleaving, searched the plain way: what all faster searches must agree with.

Breadth first over the states of the interpreter, one dictionary; no reduction unless a
test of reductions asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from pagerace.compiler import interpreter
from pagerace.compiler.interpreter import State
from pagerace.compiler.ir import Check, Program


@dataclass
class Reference:
    """What a complete search found.

    states        different states, the initial one among them
    transitions   steps that led to a state, new or not
    depth         length of the longest shortest path
    violations    name (a Check's slug, a property, "endless-loop", "deadlock",
                  "livelock") -> steps of a shortest execution that shows it;
                  a livelock is looked for only if there is no other violation
    complete      states in which all threads have returned
    reached       the names of ``sometimes`` properties that hold somewhere
    levels        new states per level, the initial one on level 0
    orders        (lock, held mask) pairs of LockOrder
    blocks        blocks executed, as (process, block)
    passed        the same, in steps that were possible
    ends          states in which no process can step
    lost          is there a state from which no complete state can be reached?
    """

    states: int = 0
    transitions: int = 0
    depth: int = 0
    violations: dict[str, int] = field(default_factory=dict[str, int])
    complete: int = 0
    reached: set[str] = field(default_factory=set[str])
    levels: list[int] = field(default_factory=list[int])
    orders: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])
    blocks: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])
    passed: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])
    ends: set[object] = field(default_factory=set[object])
    lost: bool = False

    @property
    def shortest(self) -> int | None:
        """Steps of the shortest execution with a violation."""
        return min(self.violations.values(), default=None)

    def violated(self, name: str, steps: int) -> None:
        self.violations[name] = min(steps, self.violations.get(name, steps))


CHOOSES = 62  # the bit of ``chosen`` that tells that the step may choose

Chosen: TypeAlias = "Callable[[Sequence[int]], int]"


def search(
    program: Program, states_max: int = 1_000_000, chosen: Chosen | None = None
) -> Reference:
    """Search to the end, past violations too.  Raises OverflowError above the bound.

    ``chosen`` gives the processes to expand for the program counters of a state, as bits,
    or a negative number; if none of these has a successor, all are expanded.  Where it is
    one, and its step chooses nothing, the state is not kept but the next one.
    """
    found = Reference()
    state = interpreter.initial(program)
    numbers = {state.key(): 0}
    states = [state]
    successors: list[list[int]] = []
    depths = [0]
    done: list[bool] = []
    for number, state in enumerate(states):  # grows while it is read
        depth = depths[number]
        done.append(_look(program, state, depth, found))
        wanted = -1 if chosen is None else chosen(state.pc)
        following, can_step = _expand(program, state, depth, found, wanted)
        if not following and wanted != -1:
            following, can_step = _expand(program, state, depth, found, -1)
        if not can_step:
            found.ends.add(state.key())
        if not can_step and not done[number]:
            found.violated("deadlock", depth)
        successors.append([])
        for after in following:
            if chosen is not None:
                after = _run_on(program, after, depth + 1, found, chosen)
            key = after.key()
            if key not in numbers:
                if len(states) == states_max:
                    raise OverflowError(f"more than {states_max:,} states")
                numbers[key] = len(states)
                states.append(after)
                depths.append(depth + 1)
            successors[number].append(numbers[key])
    found.states = len(states)
    found.transitions = sum(map(len, successors))
    found.depth = depths[-1]
    found.complete = sum(done)
    found.levels = [depths.count(level) for level in range(found.depth + 1)]
    _look_for_livelock(successors, depths, done, found)
    return found


def _look(program: Program, state: State, depth: int, found: Reference) -> bool:
    """Evaluate the properties in a new state; is it a complete one?"""
    done = interpreter.threads_done(program, state)
    for property in program.properties:
        if property.kind == "at_end" and not done:
            continue
        holds = interpreter.evaluate(program, property, state)
        # A check that fails inside is a mistake in any property, a ``sometimes`` too.
        if isinstance(holds, Check) or (not holds and property.kind != "sometimes"):
            found.violated(property.name, depth)
        elif holds and property.kind == "sometimes":
            found.reached.add(property.name)
    return done


def _run_on(
    program: Program, state: State, depth: int, found: Reference, chosen: Chosen
) -> State:
    """The state that stands for this one: after the steps to which there is no other."""
    while True:
        alone = chosen(state.pc)
        if alone < 0 or alone >> CHOOSES & 1:
            return state
        _look(program, state, depth, found)
        if _violates(program, state):
            return state
        outcome = interpreter.step(program, state, alone.bit_length() - 1, record=False)
        if outcome.kind != "ok":
            return state
        found.orders.update(outcome.locks)
        number = alone.bit_length() - 1
        found.blocks.update((number, block) for block in outcome.blocks)
        found.passed.update((number, block) for block in outcome.blocks)
        state = outcome.state


def _violates(program: Program, state: State) -> bool:
    other = Reference()
    _look(program, state, 0, other)
    return bool(other.violations)


def _expand(
    program: Program, state: State, depth: int, found: Reference, wanted: int
) -> tuple[list[State], bool]:
    """(the states after one step of a wanted process, whether any step is possible)."""
    following: list[State] = []
    can_step = False
    for process in program.processes:
        if not wanted >> process.index & 1:
            continue
        for outcome in interpreter.enumerate_steps(program, state, process.index, record=False):
            found.blocks.update((process.index, block) for block in outcome.blocks)
            can_step |= outcome.kind in ("ok", "failed", "endless")
            if outcome.kind != "blocked":
                found.passed.update((process.index, block) for block in outcome.blocks)
            if outcome.kind == "ok":
                following.append(outcome.state)
                found.orders.update(outcome.locks)
            elif outcome.kind == "failed":
                assert outcome.check is not None
                found.violated(outcome.check.slug, depth + 1)
            elif outcome.kind == "endless":
                found.violated("endless-loop", depth + 1)
    return following, can_step


def _look_for_livelock(
    successors: list[list[int]], depths: list[int], done: list[bool], found: Reference
) -> None:
    """States from which no complete state can be reached."""
    predecessors: list[list[int]] = [[] for _ in successors]
    for number, following in enumerate(successors):
        for successor in following:
            predecessors[successor].append(number)
    good = list(done)
    pending = [number for number, complete in enumerate(done) if complete]
    while pending:
        for before in predecessors[pending.pop()]:
            if not good[before]:
                good[before] = True
                pending.append(before)
    found.lost = not all(good)
    if not found.violations:
        for number in range(len(successors)):
            if not good[number]:
                found.violated("livelock", depths[number])
