"""Traces fed to several simulated kernels at once, so that each is read once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from pagerace.replay.events import Batch, Call, Event, TraceError
from pagerace.replay.mappings import Mappings


class Machine(Protocol):
    """What is simulated: one kernel and machine of one configuration."""

    def feed(self, event: Event) -> None:
        """Do what the event says, in native code without Python's lock where it is long."""
        ...

    def counts(self) -> Mapping[str, Any]:
        """What was counted so far."""
        ...


class Opened(Protocol):
    """What a session wants of a ``reader.Trace``."""

    @property
    def line(self) -> int: ...
    @property
    def done(self) -> float: ...
    @property
    def parent(self) -> int: ...
    def events(self) -> Iterator[Event]: ...


@dataclass
class _Turn:
    """A trace that takes its turns; ``event`` is its next, None behind the last."""

    trace: Opened
    events: Iterator[Event]
    event: Event | None = None
    process: int = 0
    waits: bool = False  # to be forked


class Session:
    """Every event of every trace goes to every machine; ``accesses`` are counted here.

    Traces take turns, an event each: they are processes that run at once.
    """

    def __init__(
        self,
        traces: Sequence[Opened],
        machines: Sequence[Machine],
        mappings: Sequence[Mappings],
        given: Callable[[int], tuple[Sequence[Event], Sequence[Call]]],
    ) -> None:
        """``mappings[i]`` is told of what ``machines[i]`` is fed.

        ``given`` is asked, with the number of the first process, for what there is before
        the first access, and for calls of another run.
        """
        self.traces, self.machines, self.mappings = traces, machines, mappings
        self._given = given
        self.accesses = 0
        self.errors: list[TraceError] = []
        self._turns: dict[int, _Turn] = {}
        self._each: Callable[[Event], bool] = lambda event: True
        self.reading = False  # and not feeding: Ctrl-C may interrupt without harm
        self._start = time.monotonic()
        workers = min(len(machines), _cores())
        self._pool = ThreadPoolExecutor(workers) if workers > 1 else None

    @property
    def seconds(self) -> float:
        """Since the session began."""
        return time.monotonic() - self._start

    @property
    def done(self) -> float:
        """How much of all traces is read, 0 to 1; 0 where that is not known."""
        parts = [trace.done for trace in self.traces]
        return sum(parts) / len(parts) if all(parts) else 0.0

    @property
    def lines(self) -> int:
        """Lines, or entries, read so far."""
        return sum(trace.line for trace in self.traces)

    def feed(self, event: Event) -> None:
        """Hand an event to all."""
        if isinstance(event, Batch):
            self.accesses += len(event.records)
        for mappings in self.mappings:
            mappings.observe(event)
        if self._pool is None:
            for machine in self.machines:
                machine.feed(event)
        else:
            list(self._pool.map(lambda machine: machine.feed(event), self.machines))

    def run(self, each: Callable[[Event], bool]) -> None:
        """Replay to the end, or until ``each``, which sees every event fed, says False.

        A trace that cannot be read on ends; the others go on, and ``errors`` has it.  A process
        that one of the others forks waits for that, and is over when it is waited for.
        """
        self._each = each
        turns = [_Turn(trace, trace.events()) for trace in self.traces]
        for turn in turns:
            self._advance(turn)
        if first := next((turn.event for turn in turns if turn.event is not None), None):
            self._begin(first.process)
        here = {turn.process for turn in turns}
        for turn in turns:
            turn.waits = turn.trace.parent in here and turn.trace.parent != turn.process
        self._turns = {turn.process: turn for turn in turns}
        while left := [turn for turn in turns if turn.event is not None]:
            able = [turn for turn in left if not turn.waits]
            for turn in able or left:
                if not self._step(turn):
                    return
        for machine, mappings in zip(self.machines, self.mappings, strict=True):
            for call in mappings.rest():
                machine.feed(call)

    def _step(self, turn: _Turn) -> bool:
        """One event of a trace, which is then read on; False: stop."""
        event = turn.event
        if event is None:
            return True
        turn.waits = False
        if isinstance(event, Call) and event.name == "wait":
            child = self._turns.get(event.result)
            turn.event = None  # so that two that wait for each other do not wait for ever
            while child is not None and child.event is not None:
                if not self._step(child):
                    return False
            if child is None:
                self.feed(Call(event.result, event.result, "exit", (), 0, event.line))
        else:
            self.feed(event)
            if not self._each(event):
                return False
            if isinstance(event, Call) and event.name == "fork":
                if child := self._turns.get(event.result):
                    child.waits = False
        self._advance(turn)
        return True

    def _advance(self, turn: _Turn) -> None:
        """Read the next event of a trace."""
        try:
            self.reading = True
            turn.event = next(turn.events, None)
        except TraceError as error:
            self.errors.append(error)
            turn.event = None
        finally:
            self.reading = False
        if turn.event is not None and not turn.process:
            turn.process = turn.event.process

    def _begin(self, process: int) -> None:
        events, calls = self._given(process)
        for mappings in self.mappings:
            mappings.expect(calls)
        for event in events:
            self.feed(event)

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
