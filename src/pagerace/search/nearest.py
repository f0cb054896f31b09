"""The nearest passing execution: one context switch later, and nothing is violated.

From the last switch to the first it is tried to let the process that was preempted run
on, one step longer each time.  After that the others follow in the order they had, and
then everything runs to its end without further preemption.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pagerace.compiler.ir import Program
from pagerace.compiler.layout import Layout
from pagerace.compiler.native import context as places
from pagerace.search.areas import Area
from pagerace.search.loops import Loops
from pagerace.search.replay import Run

LONGER_MAX = 256  # steps that a switch is delayed by
STEPS_MAX = 20_000  # of one trial
SECONDS_MAX = 0.25  # for all trials together

Choices = Sequence[int]


@dataclass(frozen=True)
class Passing:
    """Delay the switch before step ``switch`` by ``longer`` steps, and it passes.

    ``moves`` is that execution, as (process, choices).
    """

    switch: int
    longer: int
    moves: list[tuple[int, list[int]]]


class Trials:
    """Runs executions without recording them, quickly."""

    def __init__(self, program: Program, layout: Layout, loops: Loops) -> None:
        self.program, self.layout, self.loops = program, layout, loops
        self._context = Area(places.context_bytes(program) // 8, "Q", native=loops.native)
        self._state = Area(layout.words, "Q", native=loops.native)
        self._target = Area(layout.words, "Q", native=loops.native)
        self.threads = [p.index for p in program.processes if not p.agent]
        self.agents = [p.index for p in program.processes if p.agent]
        self.moves: list[tuple[int, list[int]]] = []
        self.violated = False

    def start(self, words: Sequence[int]) -> None:
        """Go on from this state."""
        for number, word in enumerate(words):
            self._state.view[number] = word
        self.moves, self.violated = [], False

    def take(self, process: int, choices: Choices = ()) -> bool:
        """One step, with the first possible choices from ``choices`` on; was there one?

        Sets ``violated`` if the step or the state after it violates something.
        """
        context = self._context.view
        given = list(choices[: places.CHOICES_MAX])
        while True:
            for number, choice in enumerate(given):
                context[places.CHOICES + number] = choice
            context[places.GIVEN] = len(given)
            context[0] = 0
            outcome = self.loops.step(
                process, self._state.at(), self._target.at(), self._context.at()
            )
            made = context[0]
            digits = list(context[places.CHOICES : places.CHOICES + made])
            if outcome != places.BLOCKED:
                break
            radices = list(context[places.RADICES : places.RADICES + made])
            while digits and digits[-1] + 1 >= radices[len(digits) - 1]:
                digits.pop()
            if not digits:
                return False
            digits[-1] += 1
            given = digits
        if outcome == places.FINISHED:
            return False
        self.moves.append((process, digits))
        if outcome != places.OK:
            self.violated = True
            return False
        self._state, self._target = self._target, self._state
        self.violated = bool(self.loops.check_state(self._state.at(), self._context.at()))
        return not self.violated

    def finish(self) -> bool:
        """Run everything to its end without preemption; did it pass?

        The threads run in order, each as far as it can; agents when no thread can.
        """
        while not self.violated and not self.loops.threads_done(self._state.at()):
            if len(self.moves) > STEPS_MAX:
                return False
            before = len(self.moves)
            for process in self.threads:
                while len(self.moves) <= STEPS_MAX and self.take(process):
                    pass
            if len(self.moves) == before:
                if not any(self.take(process) for process in self.agents):
                    return False
        return not self.violated


def nearest_passing(run: Run, trials: Trials) -> Passing | None:
    """The nearest execution to a violating one that passes, or None if none was found."""
    layout, moves = trials.layout, run.moves
    states = [run.starts[-1].state, *(outcome.state for outcome in run.outcomes)]
    end = time.monotonic() + SECONDS_MAX
    for switch in reversed(range(1, len(moves))):
        process = moves[switch - 1][0]
        if moves[switch][0] == process:
            continue
        words = layout.pack(states[switch])
        for longer in range(1, LONGER_MAX):
            for follow in (_same_order, _without_preemption):
                taken = _try(trials, words, moves, switch, longer, follow)
                if taken < longer:
                    break
                if not trials.violated and trials.finish():
                    return Passing(switch, longer, moves[:switch] + trials.moves)
                if time.monotonic() > end:
                    return None
            else:
                continue
            break
    return None


Follow = Callable[[Trials, Sequence[tuple[int, Choices]]], None]


def _try(
    trials: Trials,
    words: Sequence[int],
    moves: Sequence[tuple[int, list[int]]],
    switch: int,
    longer: int,
    follow: Follow,
) -> int:
    """Delay one switch, then let the rest follow; returns by how many steps it could."""
    process = moves[switch - 1][0]
    rest = list(moves[switch:])
    own = [choices for mover, choices in rest if mover == process]
    trials.start(words)
    for number in range(longer):
        if not trials.take(process, own[number] if number < len(own) else ()):
            return number if not trials.violated else number + 1
    skip = longer
    following: list[tuple[int, Choices]] = []
    for mover, choices in rest:
        if mover == process and skip > 0:
            skip -= 1
        else:
            following.append((mover, choices))
    follow(trials, following)
    return longer


def _same_order(trials: Trials, following: Sequence[tuple[int, Choices]]) -> None:
    """Step by step as before; what is not possible any more is left out."""
    for process, choices in following:
        trials.take(process, choices)
        if trials.violated:
            return


def _without_preemption(trials: Trials, following: Sequence[tuple[int, Choices]]) -> None:
    """The same processes in the same order, each as far as it can run."""
    last: int | None = None
    for process, _ in following:
        if process == last or process in trials.agents:
            continue
        last = process
        while len(trials.moves) <= STEPS_MAX and trials.take(process):
            pass
        if trials.violated:
            return
