"""How long a thread takes, in steps, alone and beside the others: schedules drawn at random.

Kernel Python, as the loops of the search.  Time is counted in *ticks*.  In a tick each
process that may run takes one step, in an order that is drawn anew; who has to wait has waited
for a tick.  So a thread that is alone takes as many ticks as it has steps, and one that meets
others as many more as it waits.  A thread that is measured begins at any moment while the
others are at work: 0 to ``LONGEST`` ticks late, as many as the longest of them takes alone, and
they in the first half of that.  They do nothing in one tick of four: CPUs are never as fast as
each other.  Agents are hardware, and take part in every tick.

A schedule is a function of the seed: no figure depends on the machine that draws it.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any, Final

from pagerace.compiler import interpreter, ir
from pagerace.compiler.ir import Code, Program
from pagerace.compiler.layout import Layout
from pagerace.compiler.native.context import context_bytes
from pagerace.lang.direct import ptr
from pagerace.lang.integers import u64
from pagerace.lang.structures import bound
from pagerace.search import engine, loops
from pagerace.search.areas import Area
from pagerace.search.engine import DIGITS, GIVEN, MADE, RADICES, Engine, step

# Words of ``control``.
PROCESSES: Final = 0
MEASURED: Final = 1  # the process whose ticks are counted
TAKES_PART: Final = 2  # a bit for each process that runs at all
AGENTS: Final = 3  # a bit for each that runs in every tick
SEED: Final = 4
LONGEST: Final = 5
TICKS_MAX: Final = 6
CONTROL_WORDS: Final = 8

# What ``measure`` returns where the thread does not return: a step failed, or it cannot go on.
NOTHING: Final = 0

FINISHED: Final = 2  # of step(): see compiler/native/context.py
BLOCKED: Final = 1
OK: Final = 0

SCHEDULES: Final = 1000
FEW: Final = 9  # that tell how long a thread takes alone
TICKS: Final = 20_000


def drawn(control: ptr[u64]) -> u64:
    """The next number of a sequence that begins with the seed: xorshift64*."""
    value: u64 = control[SEED]
    value = value ^ (value >> 12)
    value = value ^ u64(value << 25)
    value = value ^ (value >> 27)
    control[SEED] = value
    return u64(value * u64(0x2545F4914F6CDD1D)) >> 32


def one_step(
    process: u64, state: ptr[u64], spare: ptr[u64], context: ptr[u64], control: ptr[u64]
) -> u64:
    """A step of a process, in place, with choices that are drawn; what step() says of it."""
    context[GIVEN] = 0
    outcome: u64 = step(process, state, spare, context)
    given: u64 = 0
    while given < context[MADE]:
        context[DIGITS + given] = drawn(control) % context[RADICES + given]
        given += 1
        context[GIVEN] = given
        outcome = step(process, state, spare, context)
    if outcome == OK:
        for word in range(Engine.words):
            state[word] = spare[word]
    return outcome


def measure(
    state: ptr[u64], spare: ptr[u64], context: ptr[u64], control: ptr[u64], begins: ptr[u64]
) -> u64:
    """Run one schedule from ``state``, which changes: the ticks of the thread, or NOTHING.

    ``begins``: room for a word of each process: the tick in which it begins.
    """
    processes: u64 = control[PROCESSES]
    measured: u64 = control[MEASURED]
    for number in range(processes):
        begins[number] = 0
        if (control[AGENTS] >> number) & 1 == 0:
            begins[number] = drawn(control) % (control[LONGEST] // 2 + 1)
    begins[measured] = drawn(control) % (control[LONGEST] + 1)
    tick: u64 = 0
    while tick < control[TICKS_MAX]:
        first: u64 = drawn(control) % processes
        for turn in range(processes):
            process: u64 = (first + turn) % processes
            if (control[TAKES_PART] >> process) & 1 == 0:
                continue
            if tick < begins[process]:
                continue
            if process != measured:
                if (control[AGENTS] >> process) & 1 == 0:
                    if drawn(control) % 4 == 0:
                        continue
            outcome: u64 = one_step(process, state, spare, context, control)
            if outcome > FINISHED:
                return NOTHING
            if process == measured:
                if outcome == FINISHED:
                    return tick - begins[process]
        tick += 1
    return NOTHING


@dataclass(frozen=True)
class Ticks:
    """Of many schedules.  ``failed``: those in which a step failed, or nobody could go on."""

    found: Sequence[int]
    failed: int = 0

    @property
    def median(self) -> float:
        return median(self.found) if self.found else 0

    @property
    def mean(self) -> float:
        return fmean(self.found) if self.found else 0

    @property
    def worst(self) -> int:
        return max(self.found, default=0)


@dataclass(frozen=True)
class Latency:
    """Of one thread of one claim: ``alone``, and ``contended`` by the claim's others."""

    thread: str
    alone: Ticks
    contended: Ticks


def latencies(
    program: Program, threads: Sequence[str], *, schedules: int = SCHEDULES, native: bool = True
) -> list[Latency]:
    """Measure threads of a program, by their names.  Raises NativeUnavailable."""
    layout = Layout.of(program)
    run = _native(program, layout) if native else _interpreted(program, layout)
    areas = _Areas(program, layout, native=native)
    try:
        return [areas.measured(run, name, schedules) for name in threads]
    finally:
        areas.close()


class _Areas:
    """The memory of a run."""

    def __init__(self, program: Program, layout: Layout, *, native: bool) -> None:
        self.initial = layout.pack(interpreter.initial(program))
        self.program, self.processes = program, len(program.processes)
        self.agents = sum(1 << p.index for p in program.processes if p.agent)
        self.state = Area(layout.words, "Q", native=native)
        self.spare = Area(layout.words, "Q", native=native)
        self.context = Area(context_bytes(program) // 8, "Q", native=native)
        self.control = Area(CONTROL_WORDS, "Q", native=native)
        self.begins = Area(self.processes, "Q", native=native)

    def measured(self, run: Callable[..., int], name: str, schedules: int) -> Latency:
        """One thread."""
        threads = [p for p in self.program.processes if not p.agent]
        process = next(p.index for p in threads if p.name == name)

        def ticks(process: int, takes_part: int, longest: int, schedules: int) -> Ticks:
            found = [
                self.run(run, process, takes_part, longest, seed)
                for seed in range(1, schedules + 1)
            ]
            good = [n for n in found if n != NOTHING]
            return Ticks(good, len(found) - len(good))

        longest = max(
            int(ticks(p.index, self.agents | 1 << p.index, 0, FEW).median) for p in threads
        )
        alone = ticks(process, self.agents | 1 << process, 0, schedules)
        everybody = (1 << self.processes) - 1
        return Latency(name, alone, ticks(process, everybody, longest, schedules))

    def run(
        self, run: Callable[..., int], process: int, takes_part: int, longest: int, seed: int
    ) -> int:
        """One schedule."""
        for word, value in enumerate(self.initial):
            self.state.view[word] = value
        control = {
            PROCESSES: self.processes, MEASURED: process, TAKES_PART: takes_part,
            AGENTS: self.agents, SEED: seed * 0x9E3779B97F4A7C15 % (1 << 64), LONGEST: longest,
            TICKS_MAX: TICKS,
        }  # fmt: skip
        for word, value in control.items():
            self.control.view[word] = value
        return run(
            self.state.at(), self.spare.at(), self.context.at(), self.control.at(),
            self.begins.at(),
        )  # fmt: skip

    def close(self) -> None:
        for area in (self.state, self.spare, self.context, self.control, self.begins):
            area.close()


ENTRIES = (measure,)


def _native(program: Program, layout: Layout) -> Callable[..., int]:
    from pagerace.compiler.native import build
    from pagerace.compiler.native.direct import Function

    native = build.compile_program(program, layout)

    def codes() -> Sequence[Code]:
        from pagerace.compiler.program import compile_direct

        with bound(Engine(words=layout.words)):
            return compile_direct(ENTRIES)[0]

    pointer = ir.Scalar(64, kind="ptr", element=ir.U64)
    functions = {"measure": Function("measure", (pointer,) * 5, ir.U64, False)}
    identity = ("latency", str(layout.words), loops.sources_of((engine, _here())))
    native.add(build.make_ready(codes, functions, "search", *identity))
    return native.function("measure")


def _interpreted(program: Program, layout: Layout) -> Callable[..., int]:
    """The same as Python, over the interpreter."""
    model = loops.Interpreted(program, layout)
    known = types.SimpleNamespace(words=layout.words)
    names: dict[str, Any] = {"Engine": known, "step": model.step}
    return loops.plain_functions((engine, _here()), names)["measure"]


def _here() -> types.ModuleType:
    return sys.modules[__name__]
