"""Traces fed to several simulated kernels at once, so that each is read once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
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
    def events(self) -> Iterator[Event]: ...


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

        A trace that cannot be read on ends; the others go on, and ``errors`` has it.
        """
        begun = False
        running = [trace.events() for trace in self.traces]
        while running:
            for events in list(running):
                try:
                    self.reading = True
                    event = next(events, None)
                except TraceError as error:
                    self.errors.append(error)
                    event = None
                finally:
                    self.reading = False
                if event is None:
                    running.remove(events)
                    continue
                if not begun:
                    begun = True
                    self._begin(event.process)
                self.feed(event)
                if not each(event):
                    return
        for machine, mappings in zip(self.machines, self.mappings, strict=True):
            for call in mappings.rest():
                machine.feed(call)

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
