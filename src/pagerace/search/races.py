"""Plain data races: found in the states that a search has stored, and told.

As the kernel's memory model has it: two accesses to the same place that nothing orders,
one of them at least a write, one of them at least plain.  Nothing orders them where both
can come next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from pagerace.compiler import interpreter, show
from pagerace.compiler.interpreter import State
from pagerace.compiler.ir import Code, Process, Program
from pagerace.compiler.layout import Layout
from pagerace.compiler.native import context as places
from pagerace.compiler.native.accesses import Bits
from pagerace.compiler.state import Event
from pagerace.lang.structures import bound
from pagerace.report.execution import Race, RacingAccess, Violation
from pagerace.search import engine, racing
from pagerace.search.areas import Area
from pagerace.search.loops import plain_functions
from pagerace.search.replay import Mismatch, Run, where_of
from pagerace.search.store import Store, Worker

ROOM = 4096  # races that are new in one part of a level


@dataclass(frozen=True)
class Found:
    """Two processes that race in a state of level ``depth``, found first there."""

    depth: int
    words: tuple[int, ...]
    first: int
    second: int


@dataclass(frozen=True)
class Access:
    """One of the two: the step that makes it, with its choices, and the event itself."""

    process: int
    choices: tuple[int, ...]
    event: Event


# -- finding -----------------------------------------------------------------------


def search(
    program: Program, layout: Layout, store: Store, worker: Worker,
    ended: Callable[[], bool],
) -> list[Found]:  # fmt: skip
    """All races between two points, in the order of levels.

    ``ended()`` is asked now and then whether to stop.  Raises NativeUnavailable.
    """
    bits = Bits(program)
    find = _finder(program, layout, bits, native=store.native)
    pairs = bits.all_points**2 // 64 + 1
    known = Area(pairs, "Q", native=store.native)
    notes = Area(ROOM * racing.NOTE_WORDS, "Q", native=store.native)
    rivals = Area(len(program.processes), "Q", native=store.native)
    for process in program.processes:
        rivals.view[process.index] = _rivals(program, process)
    width = (len(program.processes) + 1) * bits.record_words
    records = Area(width, "Q", native=store.native)
    found: list[Found] = []
    for depth in range(store.depth + 1):
        if ended():
            break
        for part in range(depth * engine.SHARDS, (depth + 1) * engine.SHARDS):
            count = find(
                store.states.at(), store.control.at(), store.levels.at(), part,
                rivals.at(), known.at(), notes.at(), ROOM, records.at(), worker.context.at(),
            )  # fmt: skip
            for number in range(count):
                note = notes.view[number * racing.NOTE_WORDS :]
                start = note[0] * store.words
                words = tuple(store.states.view[start : start + store.words])
                found.append(Found(depth, words, note[1], note[2]))
                note.release()
    for area in (rivals, known, notes, records):
        area.close()
    return found


def _rivals(program: Program, process: Process) -> int:
    """With whom a process can race, as a mask: not with what its own CPU does beside it.

    Nobody else runs on its CPU meanwhile, and an agent there is its interrupts.
    """
    return sum(
        1 << other.index
        for other in program.processes
        if other.cpu != process.cpu or not (other.agent or process.agent)
    )


def _finder(
    program: Program, layout: Layout, bits: Bits, *, native: bool
) -> Callable[..., int]:
    if not native:
        model = _Interpreted(program, layout, bits)
        given = {"Engine": SimpleNamespace(words=layout.words),
                 "Racing": SimpleNamespace(masks=bits.masks, points=bits.all_points),
                 "accesses": model.accesses}  # fmt: skip
        return plain_functions((engine, racing), given)["find_races"]
    from pagerace.compiler.native import build
    from pagerace.compiler.program import compile_direct

    sizes = racing.Racing(masks=bits.masks, points=bits.all_points)
    with bound(engine.Engine(words=layout.words), sizes):
        codes: Sequence[Code] = compile_direct((racing.find_races,))[0]
    made = build.compile_accesses(program, layout, codes)
    return made.function("find_races")


class _Interpreted:
    """``accesses`` as the interpreter means it."""

    def __init__(self, program: Program, layout: Layout, bits: Bits) -> None:
        self.program, self.layout, self.bits = program, layout, bits
        self.cells = {
            name: bits.first[family.number] + index
            for family in program.families
            if family.number in bits.first
            for index, name in enumerate(family.names)
        }

    def accesses(self, process: int, source: Any, record: Any, context: Any) -> int:
        state = self.layout.unpack([source[word] for word in range(self.layout.words)])
        given = [context[places.CHOICES + i] for i in range(context[places.GIVEN])]
        outcome = interpreter.step(self.program, state, process, given)
        context[0] = len(outcome.choices)
        for i, (choice, radix) in enumerate(
            zip(outcome.choices, outcome.radices, strict=True)
        ):
            context[places.CHOICES + i] = choice
            context[places.RADICES + i] = radix
        record[0] = self.bits.points[process] + state.pc[process]
        for event in outcome.events:
            if event.kind in ("load", "store") and event.shared:
                bit = self.cells[event.object]
                mask = int(event.kind == "store") + 2 * int(not event.plain)
                word = 1 + mask * self.bits.masks + (bit >> 6)
                record[word] = record[word] | 1 << (bit & 63)
        codes = {"ok": places.OK, "blocked": places.BLOCKED, "finished": places.FINISHED,
                 "failed": places.FAILED, "endless": places.ENDLESS}  # fmt: skip
        return codes[outcome.kind]


# -- telling -----------------------------------------------------------------------


def pair_of(program: Program, state: State, first: int, second: int) -> tuple[Access, Access]:
    """The two accesses of a race in a state, in the order in which they are shown.

    The last one is plain, and of two plain ones it is one that reads, so that the other
    one's write is there to be seen.  Raises Mismatch if the interpreter finds no race.
    """
    pairs = [
        (a, b)
        for a in _accesses(program, state, first)
        for b in _accesses(program, state, second)
        if races(a.event, b.event)
    ]
    if not pairs:
        raise Mismatch("native code finds a data race, the interpreter finds none")
    ordered = [pair for a, b in pairs for pair in ((a, b), (b, a)) if pair[1].event.plain]
    # An access that writes first says more than one that reads before it writes.
    return max(ordered, key=lambda p: (p[0].event.kind == "store", p[1].event.kind == "load"))


def races(a: Event, b: Event) -> bool:
    """Do two accesses that can both come next race?"""
    return (
        a.object == b.object
        and (a.kind == "store" or b.kind == "store")
        and (a.plain or b.plain)
    )


def _accesses(program: Program, state: State, process: int) -> Iterator[Access]:
    for outcome in interpreter.enumerate_steps(program, state, process):
        if outcome.kind not in ("blocked", "finished"):
            for event in outcome.events:
                if event.kind in ("load", "store") and event.shared:
                    yield Access(process, tuple(outcome.choices), event)


def describe(program: Program, pair: tuple[Access, Access]) -> Race:
    """A race as data."""
    writer = next(access.event for access in pair if access.event.kind == "store")
    objects = show.object_names(program)
    old, new = (
        show.value(writer.type, value or 0, objects) for value in (writer.old, writer.new)
    )
    accesses = [
        RacingAccess(
            process=access.process,
            write=access.event.kind == "store",
            plain=access.event.plain,
            where=where_of(access.event.where),
        )
        for access in pair
    ]
    return Race(writer.object, old, new, accesses)


def distinct(found: Sequence[Race]) -> list[Race]:
    """The first race of each pair of places."""
    kept: dict[object, Race] = {}
    for race in found:
        sides = sorted(
            (a.where.file, a.where.line, a.where.function, a.write) for a in race.accesses
        )
        kept.setdefault(tuple(sides), race)
    return list(kept.values())


def violation_of(program: Program, race: Race) -> Violation:
    """The violation of a race: it lies where its last access is, which is plain."""
    first, second = race.accesses
    where = second.where
    text = f"races with CPU{program.processes[first.process].cpu}"
    functions = sorted([first.where.function, where.function])
    return Violation(
        "data-race", "", text, where.file, where.line, where.column,
        functions=functions, watched=[race.object],
    )  # fmt: skip


def show_both(run: Run, pair: tuple[Access, Access]) -> None:
    """Let both accesses happen at the end of a run, if the first leaves the second possible."""
    for access in pair:
        run.take(access.process, access.choices)
