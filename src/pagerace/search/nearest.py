"""The nearest passing execution: one context switch later, and nothing is violated.

From the last switch to the first it is tried to let the process that was preempted run
on, one step longer each time; where it has to wait for hardware or an interrupt handler,
that runs too.  After that the others follow in the order they had, and then everything
runs to its end without further preemption.
"""

from __future__ import annotations

from array import array
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
HELP_MAX = 32  # steps of an agent for which a process waits
# Steps that all trials together may try: a number, not a time, so that the same execution
# is always explained in the same words.  About 0.25 s of native code.
CALLS_MAX = 50_000

Choices = Sequence[int]


@dataclass(frozen=True)
class Passing:
    """Delay the switch before step ``switch``, and it passes.

    ``moves`` is that execution, as (process, choices); the ``longer`` moves from
    ``switch`` on are those by which the switch is delayed.
    """

    switch: int
    longer: int
    moves: list[tuple[int, list[int]]]

    @property
    def delay(self) -> list[tuple[int, list[int]]]:
        """The moves by which the switch is delayed: of the process, and of agents."""
        return self.moves[self.switch : self.switch + self.longer]


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
        self.calls = 0  # steps that were tried

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
            self.calls += 1
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

    def help(self, process: int) -> bool:
        """Let agents run until a process that waits can go on; False if nothing helps."""
        words, length = list(self._state.view), len(self.moves)
        for agents in (*([agent] for agent in self.agents), self.agents):
            for agent in agents:
                for _ in range(HELP_MAX):
                    if self.violated or not self.take(agent):
                        break
                    if self._can_step(process):
                        return True
            if self.violated:
                return False
            self._state.view[:] = array("Q", words)
            del self.moves[length:]
        return False

    def _can_step(self, process: int) -> bool:
        words, length = list(self._state.view), len(self.moves)
        possible = self.take(process) or self.violated
        self._state.view[:] = array("Q", words)
        del self.moves[length:]
        self.violated = False
        return possible

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
    calls_max = CALLS_MAX if trials.loops.native else CALLS_MAX // 10
    for switch in _switches(moves, trials.agents):
        words = layout.pack(states[switch])
        for longer in range(1, LONGER_MAX):
            for follow in (_same_order, _without_preemption):
                taken = _try(trials, words, moves, switch, longer, follow)
                if taken is None:
                    break
                if not trials.violated and trials.finish():
                    return Passing(switch, taken, moves[:switch] + trials.moves)
                if trials.calls > calls_max:
                    return None
            else:
                continue
            break
    return None


def _switches(moves: Sequence[tuple[int, list[int]]], agents: Sequence[int]) -> list[int]:
    """The numbers of the moves that change the process, in the order they are tried.

    The last first; but those between threads tell more than those with an agent.
    """
    between_threads: list[int] = []
    with_agent: list[int] = []
    for switch in reversed(range(1, len(moves))):
        before, after = moves[switch - 1][0], moves[switch][0]
        if before != after:
            special = before in agents or after in agents
            (with_agent if special else between_threads).append(switch)
    return between_threads + with_agent


def needs_no_race(run: Run, trials: Trials) -> bool:
    """Is something violated too if every process runs as far as it can, in order?"""
    trials.start(trials.layout.pack(run.starts[-1].state))
    return not trials.finish() and trials.violated


Follow = Callable[[Trials, Sequence[tuple[int, Choices]]], None]


def _try(
    trials: Trials,
    words: Sequence[int],
    moves: Sequence[tuple[int, list[int]]],
    switch: int,
    longer: int,
    follow: Follow,
) -> int | None:
    """Delay one switch by ``longer`` steps of its process, then let the rest follow.

    Returns the number of moves before the rest, or None if it could not go on so long.
    """
    process = moves[switch - 1][0]
    rest = list(moves[switch:])
    own = [choices for mover, choices in rest if mover == process]
    trials.start(words)
    for number in range(longer):
        choices = own[number] if number < len(own) else ()
        while not trials.take(process, choices):
            if trials.violated or not trials.help(process):
                return None
    taken, skip = len(trials.moves), longer
    following: list[tuple[int, Choices]] = []
    for mover, choices in rest:
        if mover == process and skip > 0:
            skip -= 1
        else:
            following.append((mover, choices))
    follow(trials, following)
    return taken


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
