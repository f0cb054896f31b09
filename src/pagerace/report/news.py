"""Which accesses of an execution a reader of the race needs, and which say nothing.

Nothing is said by
  a load of what no other process changes in this execution,
  a load of a value that the process had or wrote before, with no store in between,
  a store of the value that was there, unless others store there too,
  stores that end where they began before any other process looks, such as a reference
  that is taken and dropped again.

What the violated property reads is always told, and so is all that locks do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pagerace.report.calls import Moment
from pagerace.report.execution import Execution

# Taking or releasing a lock is one line, whatever the lock is made of.
LOCK_FUNCTION = re.compile(
    r"(^|_)(try|un)?lock(_|$)|^(down|up|downgrade)_(read|write)|_downgrade$"
)

# The cell that says whether an object of a pool is allocated.
ALLOCATED = ".<allocated>"


def told(execution: Execution, moments: Sequence[Moment]) -> list[Moment]:
    """The moments that a diagram tells, in order."""
    news = _News(execution, moments)
    return [moment for moment in moments if news.has(moment)]


def is_locking(moment: Moment) -> bool:
    """Did this happen inside a function that takes or releases a lock?"""
    return any(LOCK_FUNCTION.search(call.function) for call in moment.call.outward())


class _News:
    def __init__(self, execution: Execution, moments: Sequence[Moment]) -> None:
        violation = execution.violation
        self.watched = set(violation.watched) if violation else set[str]()
        self.last_step = len(execution.steps) - 1
        if violation is None or violation.property:
            self.last_step = -1
        self.accesses: dict[str, list[Moment]] = {}
        for moment in moments:
            if moment.event.kind in ("load", "store") and moment.event.shared:
                self.accesses.setdefault(moment.event.object, []).append(moment)
        self.changers = {
            name: {m.process for m in accesses if m.event.old != m.event.new}
            for name, accesses in self.accesses.items()
        }
        self.dull: set[Moment] = set()
        for name, accesses in self.accesses.items():
            self.dull.update(_known_loads(accesses))
            if name not in self.watched:
                self.dull.update(_undone_stores(accesses))

    def has(self, moment: Moment) -> bool:
        """Is this told?"""
        event = moment.event
        if event.kind == "return":
            return moment.call.parent is None and event.new not in ("", "None")
        if event.kind not in ("load", "store"):
            return event.kind in ("trace", "fence")
        if not event.shared:
            return False
        if is_locking(moment):
            return event.kind == "store" or self._others_change(moment)
        if moment in self.dull:
            return False
        if event.kind == "load":
            if event.object.endswith(ALLOCATED):
                return False
            return self._others_change(moment) or moment.step == self.last_step
        changed = event.old != event.new
        return changed or event.object in self.watched or self._others_change(moment)

    def _others_change(self, moment: Moment) -> bool:
        return bool(self.changers[moment.event.object] - {moment.process})


def _known_loads(accesses: Sequence[Moment]) -> Iterator[Moment]:
    """Loads of a value that the process knows, and those of a read-modify-write."""
    known: dict[int, str] = {}
    stored = {(m.process, m.step) for m in accesses if m.event.kind == "store"}
    for moment in accesses:
        event = moment.event
        if event.kind == "load":
            if (
                known.get(moment.process) == event.new
                or (moment.process, moment.step) in stored
            ):
                yield moment
            known[moment.process] = event.new
        else:
            known = {moment.process: event.new}


def _undone_stores(accesses: Sequence[Moment]) -> Iterator[Moment]:
    """Stores of one process that end in the value that they began with, unseen."""
    run: list[Moment] = []
    process = -1
    for moment in accesses:
        if moment.process != process:
            process, run = moment.process, []
        if moment.event.kind != "store":
            continue
        run.append(moment)
        for i, earlier in enumerate(run):
            if earlier.event.old == moment.event.new and earlier.event.old != earlier.event.new:
                yield from run[i:]
                del run[i:]
                break
