"""Programs of a seed, spread over processes, each with a kernel judge on a CPU of its own.

The result is that of one process: chunks are looked at in their order, and the first
program that shows a difference is the one of the lowest number.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from multiprocessing.pool import Pool
from typing import Any

from pagerace.oracle import generate_huge
from pagerace.oracle.compare import Compared
from pagerace.oracle.generate import OPERATIONS, Features, from_seed
from pagerace.oracle.program import Program
from pagerace.oracle.session import Outcome, Progress, Session

CHUNK = 25


@dataclass(frozen=True)
class Work:
    """Programs ``first`` to ``first + count - 1`` of a seed.

    ``fault_around``: what the kernel is set to while they run, in pages; None: unknown.
    ``without``: calls that a judge cannot make.  ``huge``: each of so many programs is about
    huge pages (oracle/generate_huge.py): 1 all of them, 0 none.
    """

    seed: int
    first: int
    count: int
    calls: int
    fault_around: int | None = None
    without: tuple[str, ...] = ()
    huge: int = 0

    def programs(self) -> Iterator[tuple[str, Program]]:
        """Each with its name."""
        made = {name: n for name, n in OPERATIONS.items() if name not in self.without}
        for number in range(self.first, self.first + self.count):
            huge = self.huge != 0 and number % self.huge == self.huge - 1
            make = generate_huge.from_seed if huge else from_seed
            program = make(self.seed, number, self.calls, Features(operations=made))
            name = f"program {number} of seed {self.seed}"
            yield name, replace(program, fault_around=self.fault_around)

    def chunks(self) -> list[Work]:
        """The same programs, in parts."""
        end = self.first + self.count
        return [
            replace(self, first=first, count=min(CHUNK, end - first))
            for first in range(self.first, end, CHUNK)
        ]


# The session of this process, once it is a worker.
_session: list[Session] = []


def _begin(places: Any, factory: str) -> None:
    """A worker's first words: Ctrl-C is the parent's business."""
    from importlib import import_module

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    module, _, name = factory.partition(":")
    _session.append(getattr(import_module(module), name)(places.get()))


def _compare(work: Work) -> Outcome:
    session = _session[0]
    session.outcome = replace(session.outcome, compared=Compared(), found=None, cannot="")
    return session.run(work.programs())


def session_on(cpu: int) -> Session:
    """Both judges of this machine, and programs that run on one CPU."""
    from pagerace.oracle.judges import kernel_judge, model_judge

    return Session(kernel_judge(cpu), model_judge())


def cpus(workers: int) -> list[int]:
    """A CPU for each worker; there are no more workers than CPUs."""
    return sorted(os.sched_getaffinity(0))[:workers]


def run_parallel(
    work: Work,
    outcome: Outcome,
    places: Sequence[int],
    progress: Progress | None = None,
    factory: str = "pagerace.oracle.parallel:session_on",
) -> Outcome:
    """Fill ``outcome`` in.  ``factory``: module and name of what makes a worker's session."""
    start = time.monotonic()
    context = multiprocessing.get_context("spawn")
    free = context.Queue()
    for place in places:
        free.put(place)
    pool = context.Pool(len(places), _begin, (free, factory))
    try:
        _collect(pool, work, outcome, progress, start)
    except KeyboardInterrupt:
        outcome.interrupted = True
    finally:
        pool.terminate()
        pool.join()
    outcome.seconds = time.monotonic() - start
    return outcome


def _collect(
    pool: Pool, work: Work, outcome: Outcome, progress: Progress | None, start: float
) -> None:
    for part in pool.imap(_compare, work.chunks()):
        add(outcome.compared, part.compared)
        outcome.found, outcome.cannot = part.found, part.cannot
        if outcome.found or outcome.cannot:
            return
        if progress:
            progress(outcome.compared, time.monotonic() - start)


def add(total: Compared, part: Compared) -> None:
    """Count what one more chunk has compared."""
    for item in fields(part):
        value = getattr(part, item.name)
        if isinstance(value, int):
            setattr(total, item.name, getattr(total, item.name) + value)
        else:
            getattr(total, item.name).update(value)
