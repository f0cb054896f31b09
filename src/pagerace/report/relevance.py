"""Which events of an execution a reader needs to see the race, and which are noise.

The starting point is what the violation looks at: the cells that the property reads at
the end, or the check that failed.  From there one walks back.  The last write of such a
cell is needed; so are the loads that decided it, if another process wrote what they saw
or wrote the cell afterwards; so are these writes; and so on.

Which loads decided a write is not known exactly.  They are looked for in the same step,
in the same call, and in calls that returned something to a call around the write.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pagerace.report.calls import Call, Moment, moments_of
from pagerace.report.execution import Execution

# Taking or releasing a lock is one line, whatever the lock is made of.
LOCK_FUNCTION = re.compile(
    r"(^|_)(try|un)?lock(_|$)|^(down|up|downgrade)_(read|write)|_downgrade$"
)

# The cell that says whether an object of a pool is allocated.
ALLOCATED = ".<allocated>"

_NUMBER = re.compile(r"-?\d+")
_TOLD = ("load", "store", "trace", "return", "wait", "fence", "choose", "lock", "check")


def relevant(execution: Execution, moments: Sequence[Moment] | None = None) -> set[int]:
    """The numbers, in ``moments_of(execution)``, of the events to show.

    Notes are always among them, and an event of the last step, where there is one.
    """
    return _Slice(execution, moments_of(execution) if moments is None else moments).numbers()


def lock_call(call: Call) -> Call | None:
    """The outermost call around, or this one, that takes or releases a lock."""
    found = None
    for outer in call.outward():
        if LOCK_FUNCTION.search(outer.function) and outer.parent is not None:
            found = outer
    return found


class _Slice:
    """The walk back from the violation of one execution."""

    def __init__(self, execution: Execution, moments: Sequence[Moment]) -> None:
        self.execution = execution
        self.moments = moments
        self.cells: dict[str, list[int]] = {}  # accesses
        self.writes: dict[str, list[int]] = {}  # of these, the stores that change the value
        self.steps: dict[int, list[int]] = {}
        self.by_process: dict[int, list[int]] = {}
        for number, moment in enumerate(moments):
            self.steps.setdefault(moment.step, []).append(number)
            self.by_process.setdefault(moment.process, []).append(number)
            event = moment.event
            if event.kind in ("load", "store"):
                cell = self._cell(number)
                self.cells.setdefault(cell, []).append(number)
                if event.kind == "store" and event.old != event.new:
                    self.writes.setdefault(cell, []).append(number)
        violation = execution.violation
        self.reads = list(dict.fromkeys(violation.watched)) if violation is not None else []
        self.torn = list(self._torn_locks())
        self.torn_calls = {self.moments[store].call for *_, store in self.torn}
        self.alone = False  # the process's own writes count as well
        self.kept: set[int] = set()
        self.walked: set[int] = set()  # those of which the reasons are kept, too

    def numbers(self) -> set[int]:
        """What to show."""
        for self.alone in (False, True):
            self.kept, self.walked = set(), set()
            self._walk()
            # What no other process can see passes values on, but is not shown.
            self.kept = {i for i in self.kept if self.moments[i].event.shared}
            if len({self.moments[number].process for number in self.kept}) > 1:
                break
        if not self.kept:
            self.kept = {i for cell in self.cells.values() for i in cell if self._is_told(i)}
        for torn in self.torn:
            self.kept.update(torn)
        self._keep_objects()
        self._drop_repeated()
        self._keep_locks()
        self._keep_others()
        self._keep_last_step()
        return self.kept

    def _walk(self) -> None:
        check = self._failed_check()
        if check is not None:
            for load in self._deciding(check):
                self._keep_load(load)
            self._keep_freeing()
        elif not self.reads:
            self.kept.update(
                i for cell in self.cells.values() for i in cell if self._is_candidate(i)
            )
        for note, moment in enumerate(self.moments):
            if moment.event.kind == "trace":  # somebody found worth saying what it is about
                for load in self._deciding(note):
                    if self.moments[load].step == moment.step:
                        self._keep_load(load)
        for cell in self.reads:
            stores = [
                i for i in self.cells.get(cell, ()) if self.moments[i].event.kind == "store"
            ]
            for number in {*stores[-1:], *self.writes.get(cell, [])[-1:]}:
                self._keep_store(number)

    def _keep_freeing(self) -> None:
        """Keep who has freed the object of which the last step finds that it is free."""
        for number in self.steps.get(len(self.execution.steps) - 1, []):
            event = self.moments[number].event
            if event.kind == "load" and event.object.endswith(ALLOCATED):
                freed = [i for i in self.writes.get(self._cell(number), ()) if i < number]
                if freed and self.moments[freed[-1]].event.new == "false":
                    self.kept.add(freed[-1])

    def _failed_check(self) -> int | None:
        """The check in which the last step ended."""
        last = self.steps.get(len(self.execution.steps) - 1, [])
        return next((i for i in reversed(last) if self.moments[i].event.kind == "check"), None)

    # -- what is kept -----------------------------------------------------------------

    def _keep_store(self, number: int, *, missed: bool = False) -> None:
        """Keep a store and what led to it; of a ``missed`` one only what it waited for."""
        if number in (self.kept if missed else self.walked):
            return
        self.kept.add(number)
        if missed:
            for load in self._awaited(number):
                self._keep_load(load)
            return
        self.walked.add(number)
        for load in self._deciding(number):
            direct = self._is_direct(load, number) and not self._updates(load)
            self._keep_load(load, direct=direct)
        self._keep_overwritten(number)

    def _keep_overwritten(self, number: int) -> None:
        """Keep the store before, if another process made it: its effect is lost."""
        moment = self.moments[number]
        before = [
            i
            for i in self.cells[self._cell(number)]
            if i < number and self.moments[i].event.kind == "store"
        ]
        if not before:
            return
        last = self.moments[before[-1]]
        if last.process == moment.process:
            shared = len(self._processes(self._cell(number))) > 1
            if shared and self._updates(number) and not self._is_counting(before[-1]):
                self._keep_store(before[-1])
        elif last.event.old == last.event.new:
            self.kept.add(before[-1])
        elif not self._is_counting(before[-1]):
            self._keep_store(before[-1])

    def _keep_load(self, number: int, *, direct: bool = False) -> None:
        """Keep a load, the write that it saw, and the next write, which it did not see.

        ``direct``: the value went into what is kept, so that its own writes count too.
        """
        source, following = self._source(number), self._following(number)
        if number in self.walked:
            return
        self.walked.add(number)
        if not self._updates(number):
            self.kept.add(number)
        if source is not None and (direct or self._is_from_other(number)):
            self._keep_store(source)
        if following is not None and not self._is_own(following, number):
            self._keep_store(following, missed=True)
            self._keep_late_load(number, following)

    def _keep_objects(self) -> None:
        """Keep where objects come from, and what is done to those that get lost.

        An object gets lost where a process overwrites the reference that another made.
        """
        for number in sorted(self.kept):
            event, source = self.moments[number].event, self._source(number)
            if event.kind != "store" or event.old == event.new:
                continue
            if source is not None and not self._is_own(source, number):
                for cell, writes in self.writes.items():
                    if cell.startswith(f"{event.old}."):
                        self.kept.update(i for i in writes if self._is_told(i))
            for name in (event.old, event.new):
                self.kept.update(self.writes.get(f"{name}{ALLOCATED}", ()))

    def _keep_late_load(self, number: int, missed: int) -> None:
        """Keep the load by which a process sees, too late, what it has missed."""
        for other in self.cells[self._cell(number)]:
            if other > missed and self._is_own(number, other) and not self._updates(other):
                if self._source(other) == missed:
                    self.kept.add(other)
                return

    def _drop_repeated(self) -> None:
        """A process that looks again, and sees the same write, learns nothing."""
        seen: set[tuple[str, int, int | None]] = set()
        for number in sorted(self.kept):
            moment = self.moments[number]
            if moment.event.kind == "load":
                key = (moment.event.object, moment.process, self._source(number))
                if key in seen:
                    self.kept.remove(number)
                seen.add(key)

    def _keep_locks(self) -> None:
        """Keep locks that several processes take, around what is kept."""
        users: dict[str, dict[int, list[int]]] = {}
        for cell, writes in self.writes.items():
            for number in writes:
                if self._lock_call(number) is not None:
                    process = self.moments[number].process
                    users.setdefault(cell, {}).setdefault(process, []).append(number)
        kept = set(self.kept)
        for by_process in users.values():
            if len(by_process) < 2:
                continue
            for process, numbers in by_process.items():
                for begin, end in zip(numbers, [*numbers[1:], len(self.moments)], strict=True):
                    inside = range(begin + 1, end)
                    if any(i in kept and self.moments[i].process == process for i in inside):
                        self.kept.update(i for i in (begin, end) if i < len(self.moments))

    def _keep_others(self) -> None:
        """Keep notes, barriers between what is kept, and what a thread returned."""
        around = {call for i in self.kept for call in self.moments[i].call.outward()}
        for number, moment in enumerate(self.moments):
            event, is_top = moment.event, moment.call.parent is None
            agent = self.execution.processes[moment.process].agent
            if (
                event.kind == "trace"
                or (event.kind == "fence" and moment.call in around)
                or (event.kind == "return" and is_top and not agent and _is_answer(event.new))
            ):
                self.kept.add(number)

    def _keep_last_step(self) -> None:
        """Keep something of the step in which the violation shows."""
        if self.execution.violation is None:
            return
        last = self.steps.get(len(self.execution.steps) - 1, [])
        for store in [number for number in last if number in self.kept]:
            self.kept.update(i for i in last if i < store and self._is_seen_with(i, store))
        if any(number in self.kept for number in last):
            return
        for kinds in (("store",), ("load", "wait", "choose"), _TOLD):
            for number in reversed(last):
                event = self.moments[number].event
                if event.kind in kinds and (event.shared or kinds is _TOLD):
                    self.kept.add(number)
                    if kinds is _TOLD:  # what was drawn is then all that there is to tell
                        self.kept.update(
                            i for i in last if self.moments[i].event.kind == "choose"
                        )
                    return

    def _is_seen_with(self, number: int, store: int) -> bool:
        """Is this a load for a store of the last step, and not only of what it updates?"""
        event = self.moments[number].event
        return (
            self.moments[store].event.kind == "store"
            and event.kind == "load"
            and event.shared
            and self._is_direct(number, store)
            and not self._updates(number)
            and not event.object.endswith(ALLOCATED)
            and self._lock_call(number) is None
        )

    # -- locks that are none ------------------------------------------------------------

    def _torn_locks(self) -> Iterator[tuple[int, int, int]]:
        """Where a lock is seen free, taken by another process, and then taken all the same.

        What such a function does is the race itself: it is not told as a lock.  Each is
        (the load, the write that came between, the store).
        """
        for cell, accesses in self.cells.items():
            seen: dict[Call, int] = {}  # the last load of each call
            for number in accesses:
                moment = self.moments[number]
                if lock_call(moment.call) is None:
                    continue
                if moment.event.kind == "load":
                    seen[moment.call] = number
                elif (load := seen.get(moment.call)) is not None:
                    between = [
                        i
                        for i in self.writes.get(cell, ())
                        if load < i < number and not self._is_own(i, number)
                    ]
                    if between:
                        yield load, between[0], number

    def _lock_call(self, number: int) -> Call | None:
        """The call around an event that takes or releases a lock, and works as one."""
        call = self.moments[number].call
        return None if call in self.torn_calls else lock_call(call)

    # -- how events depend on each other ------------------------------------------------

    def _cell(self, number: int) -> str:
        """The cell of an access.  What is not shared is another for each process."""
        moment = self.moments[number]
        name = moment.event.object
        return name if moment.event.shared else f"{moment.process} {name}"

    def _deciding(self, number: int) -> Iterator[int]:
        """The loads before that may have decided that, or what, is written here."""
        moment = self.moments[number]
        around = set(moment.call.outward())
        for other in self.by_process[moment.process]:
            if other >= number:
                return
            load = self.moments[other]
            if load.event.kind != "load":
                continue
            if load.event.object.endswith(ALLOCATED):
                continue
            if self._is_direct(other, number) and not self._is_counting(other):
                if self._source(other) is not None or self._is_candidate(other):
                    yield other
            elif self._is_checked_first(other, number) or self._is_decisive(
                other, number, around
            ):
                yield other

    def _is_decisive(self, load: int, number: int, around: set[Call]) -> bool:
        """May a load, near by or in a call that returned, have decided what is done later?"""
        a, b = self.moments[load], self.moments[number]
        if not self._is_candidate(load):
            return False
        if a.step == b.step or a.call is b.call:
            return True
        return _reaches(a.call, around) and self._is_news_at(load, number)

    def _is_checked_first(self, load: int, number: int) -> bool:
        """Does a call look at a shared cell before it writes there?"""
        a, b, cell = self.moments[load], self.moments[number], self._cell(load)
        several = len(self._processes(cell)) > 1 and self._lock_call(load) is None
        same = cell == self._cell(number) and not self._is_counting(load)
        return a.call is b.call and several and same

    def _is_news_at(self, load: int, number: int) -> bool:
        """Is what a load saw from another process, or out of date at a later event?"""
        following = self._following(load)
        return self._is_from_other(load) or (following is not None and following < number)

    def _is_direct(self, load: int, number: int) -> bool:
        """Is the load in the same call as the other event, in the same step?"""
        a, b = self.moments[load], self.moments[number]
        return a.step == b.step and a.call is b.call

    def _awaited(self, number: int) -> Iterator[int]:
        """The loads that let a step go on which waits."""
        step = self.steps[self.moments[number].step]
        waits = [i for i in step if i < number and self.moments[i].event.kind == "wait"]
        for i in step:
            if waits and i < waits[-1] and self.moments[i].event.kind == "load":
                if self._is_candidate(i):
                    yield i

    def _is_candidate(self, number: int) -> bool:
        """May this access be part of a race?"""
        moment = self.moments[number]
        event = moment.event
        if event.kind == "store":
            several = len(self._processes(self._cell(number))) > 1
            return event.old != event.new and several and not self._is_counting(number)
        if self._lock_call(number) is not None or self._is_counting(number):
            return False
        if event.object.endswith(ALLOCATED):
            return False
        if self._is_from_other(number):
            return True
        following = self._following(number)
        return following is not None and not self._is_own(following, number)

    def _is_from_other(self, number: int) -> bool:
        """Did another process write what is read here?

        ``alone``: did any?  Of what is not shared, only its own process can have.
        """
        source = self._source(number)
        private = not self.moments[number].event.shared
        return source is not None and (
            self.alone or private or not self._is_own(source, number)
        )

    def _is_told(self, number: int) -> bool:
        event = self.moments[number].event
        return event.shared and (event.kind == "store" or not self._updates(number))

    def _is_counting(self, number: int) -> bool:
        """Is this a counter going up or down where nobody's test of it changes?

        Tests of reference counts are for zero.
        """
        store = self._update_of(number)
        if store is None:
            return False
        event = self.moments[store].event
        if not _NUMBER.fullmatch(event.old) or not _NUMBER.fullmatch(event.new):
            return False
        old, new = int(event.old), int(event.new)
        return event.object not in self.reads and abs(old - new) == 1 and 0 not in (old, new)

    def _updates(self, number: int) -> bool:
        """Is this one of the two accesses of a read-modify-write?"""
        return self._update_of(number) is not None

    def _update_of(self, number: int) -> int | None:
        """The store of the read-modify-write that this access is part of."""
        moment = self.moments[number]
        same = [
            i
            for i in self.steps[moment.step]
            if self.moments[i].event.object == moment.event.object
            and self.moments[i].event.kind in ("load", "store")
        ]
        if moment.event.kind == "load":
            return next(
                (i for i in same if i > number and self.moments[i].event.kind == "store"), None
            )
        loads = (i for i in same if i < number and self.moments[i].event.kind == "load")
        return number if any(True for _ in loads) else None

    def _source(self, number: int) -> int | None:
        """The last write before of the cell."""
        writes = self.writes.get(self._cell(number), [])
        return next((i for i in reversed(writes) if i < number), None)

    def _following(self, number: int) -> int | None:
        """The next write of the cell."""
        writes = self.writes.get(self._cell(number), [])
        return next((i for i in writes if i > number), None)

    def _is_own(self, number: int, other: int) -> bool:
        return self.moments[number].process == self.moments[other].process

    def _processes(self, cell: str) -> set[int]:
        return {self.moments[i].process for i in self.cells[cell]}


def _reaches(call: Call, around: set[Call]) -> bool:
    """Is the call one of ``around``, or does what it returned come there?"""
    for outer in call.outward():
        if outer in around:
            return True
        if not _is_answer(outer.returned):
            return False
    return False


def _is_answer(value: str | None) -> bool:
    return value not in (None, "", "None")
