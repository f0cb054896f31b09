"""The two sentences of "Why": which access came between, and what would have passed.

    CPU0 read pmd == 0 (numa.py:58) between CPU1's store to pmd (numa.py:40) and store to
    pmd (numa.py:44).  If CPU1 runs both without CPU0 in between, the property holds
    (nearest passing execution).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pagerace.compiler import interpreter, show
from pagerace.compiler.ir import Program, Where
from pagerace.compiler.layout import Layout
from pagerace.compiler.state import Event
from pagerace.report.execution import Violation
from pagerace.search.loops import Loops
from pagerace.search.nearest import Passing, Trials, nearest_passing, needs_no_race
from pagerace.search.replay import Run
from pagerace.search.telling import Telling
from pagerace.search.violations import waiting_in

_LOCK = re.compile(r"(^|_)(try|un)?lock(_|$)|^(down|up)_(read|write)")


@dataclass(frozen=True)
class Explanation:
    """``functions`` are the racing ones, that of the last step first."""

    sentences: list[str]
    functions: list[str]


@dataclass(frozen=True)
class _Access:
    """A shared load or store of a process."""

    process: int
    event: Event

    @property
    def is_store(self) -> bool:
        return self.event.kind == "store"

    def conflicts(self, other: _Access) -> bool:
        """Do both touch the same cell, and one of them write it?"""
        same = self.event.object == other.event.object
        return same and (self.is_store or other.is_store)


class Explainer:
    """Explains the executions of one program."""

    def __init__(self, program: Program, layout: Layout, loops: Loops) -> None:
        self.program, self.layout, self.loops = program, layout, loops
        self.objects = show.object_names(program)
        self._sites = _sites_by_function(program)

    def explain(self, run: Run, violation: Violation) -> Explanation:
        """Why a run ends in its violation."""
        moves = run.moves
        switches = sum(a[0] != b[0] for a, b in pairwise(moves))
        if violation.slug == "lock-order-inversion":
            return self._lock_order(run, violation)
        if switches == 0:
            return self._no_switch(run, violation)
        trials = Trials(self.program, self.layout, self.loops)
        passing = nearest_passing(run, trials)
        if passing is not None:
            explanation = self._between(run, passing, violation)
            if explanation is not None:
                return explanation
        if passing is None and needs_no_race(run, trials):
            second = "It needs no race: run without any preemption it is violated too."
        else:
            later = "the switch" if switches == 1 else f"any one of the {switches} switches"
            second = f"Delaying {later} gives no execution that passes."
        return self._last_access(run, violation, second)

    # -- the sentences ----------------------------------------------------------------

    def _between(
        self, run: Run, passing: Passing, violation: Violation
    ) -> Explanation | None:
        """The access that came between two of the process that was preempted."""
        switch, process = passing.switch, run.moves[passing.switch - 1][0]
        later = next(
            (i for i in range(switch, len(run.moves)) if run.moves[i][0] == process),
            len(run.moves),
        )
        window = [a for i in range(switch, later) for a in _accesses(run, i)]
        before = [a for i in range(switch) for a in _accesses(run, i) if a.process == process]
        extra = self._accesses_of(passing, run)
        own = [access for step in extra for access in step if access.process == process]
        after = _main(own[-1:]) if own else None
        flat = [access for step in extra for access in step]
        between = _most_telling(window, after, flat, before)
        if between is None:
            return None
        after = next((a for a in reversed(flat) if a.conflicts(between)), after)
        first = next((a for a in reversed(before) if a.conflicts(between)), None)
        first = first or (_main(list(_accesses(run, switch - 1))) if before else None)
        telling = Telling(run, violation)
        if not any(a.conflicts(between) for a in before):
            # What has come between is the end of it.  It began where somebody saw what
            # the process had done so far.
            first, between = _first_seen(telling, before, window) or (first, between)
        me, other = self._who(process), self._who(between.process)
        sentence = f"{other} {self._did(between, telling)}{self._at(between)}"
        last_noun = self._noun(after) if after is not None else "next step"
        if after is not None and after.process != process:
            last_noun = f"{self._who(after.process)}'s {last_noun}"
        elif first is None:
            last_noun = f"{me}'s {last_noun}"
        if first is not None:
            sentence += f" between {me}'s {self._noun(first, telling)} and {last_noun}."
        else:
            sentence += f" before {last_noun}."
        both = "both" if first is not None else "on"
        condition = f"{me} runs {both} without {other} in between"
        if any(mover != process for mover, _ in passing.delay):
            condition = f"{me} gets that far before {other} goes on"
        what = self._what_passes(violation)
        second = f"If {condition}, {what} (nearest passing execution)."
        if violation.slug in ("deadlock", "livelock"):
            waits = self._waits(run)
            if waits:
                sentence = f"{sentence[:-1]}; in the end {waits}."
        mine = after if after is not None and after.process == process else first
        ends = [between, mine]
        if run.moves[-1][0] == process:
            ends.reverse()
        return Explanation([sentence, second], self._functions([a for a in ends if a]))

    def _last_access(self, run: Run, violation: Violation, second: str) -> Explanation:
        """For want of a better explanation: what happened last, and what it met."""
        last, previous = self._last_two(run)
        accesses = [a for a in (last, previous) if a is not None]
        if violation.slug in ("deadlock", "livelock") and (waits := self._waits(run)):
            first = f"{waits[0].upper()}{waits[1:]}."
        elif last is None:
            first = "The last step violates it."
        else:
            first = f"{self._who(last.process)} {self._did(last)}{self._at(last)}"
            if previous is not None:
                first += f" after {self._who(previous.process)} {self._did(previous)}"
                first += self._at(previous)
            first += "."
        return Explanation([first, second], self._functions(accesses))

    def _no_switch(self, run: Run, violation: Violation) -> Explanation:
        """One process alone does it."""
        if not run.moves:
            return Explanation(["It is so before any step is taken."], [])
        who = self._who(run.moves[-1][0])
        accesses = [a for i in range(len(run.moves)) for a in _accesses(run, i)]
        sentences = [f"{who} does it alone, without any context switch."]
        if violation.slug in ("deadlock", "livelock") and (waits := self._waits(run)):
            sentences.append(f"From then on {waits}.")
        return Explanation(sentences, self._functions(accesses[-1:]))

    def _lock_order(self, run: Run, violation: Violation) -> Explanation:
        process = run.moves[-1][0]
        locks = [e for e in run.outcomes[-1].events if e.kind == "lock"]
        accesses = list(_accesses(run, len(run.moves) - 1))
        names = violation.text.split(" -> ")
        taken = locks[-1] if locks else None
        who = self._who(process)
        place = _place(taken.where) if taken is not None else ""
        name = taken.object if taken is not None else names[0]
        first = f"{who} takes {name}{place} in an order that closes the cycle {violation.text}."
        second = "CPUs that take these locks at the same time can wait for each other for ever."
        return Explanation([first, second], self._functions(accesses[-1:]))

    # -- words ------------------------------------------------------------------------

    def _who(self, process: int) -> str:
        """``CPU1``; where a CPU has several, ``zap on CPU1``, ``zap#2 on CPU1``."""
        item = self.program.processes[process]
        alone = sum(p.cpu == item.cpu and not p.agent for p in self.program.processes) == 1
        if alone and not item.agent:
            return f"CPU{item.cpu}"
        name = item.label.partition(".")[2] or item.name
        return f"{name} on CPU{item.cpu}"

    def _did(self, access: _Access, telling: Telling | None = None) -> str:
        event = access.event
        question, answer = telling.question(event) if telling is not None else ("", "")
        if question:
            return f"found {question} {answer}"
        new = show.value(event.type, event.new or 0, self.objects)
        if event.kind == "load":
            return f"read {event.object} == {new}"
        old = show.value(event.type, event.old or 0, self.objects)
        if old == new:
            return f"wrote {event.object} = {new} (unchanged)"
        return f"wrote {event.object}: {old} -> {new}"

    def _what_passes(self, violation: Violation) -> str:
        if violation.property:
            return "the property holds"
        if violation.slug in ("deadlock", "livelock"):
            return "all threads return"
        return "nothing is violated"

    def _waits(self, run: Run) -> str:
        """``CPU0 stays in ab() (demo.py:25), CPU1 stays in ba() (demo.py:30)``."""
        places = [(w.process, self._site(w.where)) for w in waiting_in(self.program, run.state)]
        return ", ".join(
            f"{self._who(process)} stays in {site.function}(){_place(site)}"
            for process, site in places
        )

    # -- what happened ----------------------------------------------------------------

    def _accesses_of(self, passing: Passing, run: Run) -> list[list[_Access]]:
        """The accesses of the steps by which the switch was delayed, a list for each."""
        outcome = run.starts[-1] if passing.switch == 0 else run.outcomes[passing.switch - 1]
        state = outcome.state
        found: list[list[_Access]] = []
        for process, choices in passing.delay:
            step = interpreter.step(self.program, state, process, choices)
            state = step.state
            found.append([_Access(process, e) for e in step.events if _is_access(e)])
        return found

    def _last_two(self, run: Run) -> tuple[_Access | None, _Access | None]:
        """The last access, and the last one before it by another process that conflicts."""
        accesses = [a for i in range(len(run.moves)) for a in _accesses(run, i)]
        if not accesses:
            return None, None
        last = _main([a for a in accesses if a.process == accesses[-1].process][-2:])
        others = [a for a in accesses if a.process != last.process and a.conflicts(last)]
        return last, others[-1] if others else None

    def _functions(self, accesses: Sequence[_Access]) -> list[str]:
        names: list[str] = []
        for access in accesses:
            name = self._site(access.event.where).function
            if name not in names:
                names.append(name)
        return names

    def _site(self, where: Where) -> Where:
        """The place to name: not in the accessor or the lock, but where it is called."""
        at: Where | None = where
        while at is not None:
            if len(self._sites.get(at.function, ())) > 1 and not _LOCK.search(at.function):
                return at
            at = at.caller
        return where

    def _noun(self, access: _Access, telling: Telling | None = None) -> str:
        """``load of x (mm.py:5)``, or the call that it is in, where the diagram tells it."""
        site = self._site(access.event.where)
        if telling is not None and telling.tells(access.event) and access.is_store:
            called = access.event.where
            while called is not site and called.caller is not None:
                if called.caller == site and not _LOCK.search(called.function):
                    return f"{called.function}(){_place(site)}"
                called = called.caller
        word = "store to" if access.is_store else "load of"
        return f"{word} {access.event.object}{self._at(access)}"

    def _at(self, access: _Access) -> str:
        return _place(self._site(access.event.where))


def _first_seen(
    telling: Telling, before: Sequence[_Access], window: Sequence[_Access]
) -> tuple[_Access, _Access] | None:
    """The first load in ``window`` of what a process had stored, and that store."""
    for load in window:
        if load.is_store or not telling.tells(load.event):
            continue
        stores = (a for a in reversed(before) if a.conflicts(load) and a.is_store)
        store = next(stores, None)
        if store is not None and store.event.new == load.event.new != store.event.old:
            return store, load
    return None


def _most_telling(
    window: Sequence[_Access],
    after: _Access | None,
    extra: Sequence[_Access],
    before: Sequence[_Access],
) -> _Access | None:
    """Of the accesses that came between, the one that conflicts with what is nearest."""
    tests = [
        lambda a: after is not None and a.conflicts(after),
        lambda a: any(a.conflicts(other) for other in extra),
        lambda a: bool(before) and a.conflicts(before[-1]),
        lambda a: any(a.conflicts(other) for other in before),
        lambda a: a.is_store,
        lambda a: True,
    ]
    for test in tests:
        found = [access for access in window if test(access)]
        if found:
            return next((access for access in found if access.is_store), found[0])
    return None


def _accesses(run: Run, number: int) -> Iterator[_Access]:
    """The shared accesses of one step."""
    process = run.moves[number][0]
    for event in run.outcomes[number].events:
        if _is_access(event):
            yield _Access(process, event)


def _is_access(event: Event) -> bool:
    return event.shared and event.kind in ("load", "store")


def _main(accesses: Sequence[_Access]) -> _Access:
    """The last store of a step, or its last access."""
    return next((a for a in reversed(accesses) if a.is_store), accesses[-1])


def _place(where: Where) -> str:
    return f" ({os.path.basename(where.file)}:{where.line})"


def _sites_by_function(program: Program) -> dict[str, set[int]]:
    """Function -> its lines at which, or in calls from which, there is a point."""
    sites: dict[str, set[int]] = {}
    for process in program.processes:
        for block in process.code.blocks:
            where = block.point.where if block.point is not None else None
            while where is not None:
                sites.setdefault(where.function, set()).add(where.line)
                where = where.caller
    return sites
