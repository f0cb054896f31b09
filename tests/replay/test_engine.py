"""The engine of a replay: native code and the interpreter count the same."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from pagerace.compiler.running import Running
from pagerace.lang.structures import Config
from pagerace.machine.counters import Counting
from pagerace.machine.memory import Machine
from pagerace.machine.tables import PteTables
from pagerace.machine.tlb_sets import Tlb
from pagerace.mm.fault_around import V5_10, V5_12, FaultAround, Prefault
from pagerace.mm.lruvec import Watermarks
from pagerace.mm.mm_types import Mm, Reclaim, Vma
from pagerace.mm.readahead import Readahead
from pagerace.replay import engine
from pagerace.replay.calls import MAP, PROT
from pagerace.replay.engine import TABLES, NoMemory, Replay
from pagerace.replay.events import (
    FETCH,
    LOAD,
    MODIFY,
    STORE,
    Batch,
    Call,
    Event,
    Mapping,
    pack,
    records_of,
)

PAGE = 4096
READ_WRITE = PROT["PROT_READ"] | PROT["PROT_WRITE"]
ANONYMOUS = MAP["MAP_PRIVATE"] | MAP["MAP_ANONYMOUS"]


def small(frames: int = 120) -> list[Config]:
    """A machine that the interpreter can run."""
    return [
        Machine(
            cpus=2, levels=4, entries=4, tables=60, uppers=60, pages=1 << 10, frames=frames,
            blocks=1 << 13, full_size=True, address_bits=14, frame_bits=10, version_bits=0,
            count_bits=32,
        ),
        PteTables(come_and_go=True), Mm(vmas=64, mms=8, files=8), Vma(flags=True),
        Reclaim(lists=True), Counting(on=True),
        Tlb(l1_sets=4, l1_ways=2, l1_huge_sets=1, l1_huge_ways=1, l1i_sets=2, l1i_ways=2,
            l1i_huge_ways=1, l2_sets=4, l2_ways=4, pde=2, pdpte=2, pml4e=1, pml5e=1),
        Watermarks(low=16, high=32),
    ]  # fmt: skip


def batch(*accesses: tuple[int, int, int], process: int = 1, thread: int = 1) -> Batch:
    """Accesses of (address, size, kind)."""
    records = [record for access in accesses for record in pack(*access)]
    return Batch(process, thread, records_of(records), (1, len(records)))


def anonymous(process: int, page: int, pages: int, prot: int = READ_WRITE) -> Mapping:
    return Mapping(process, page * PAGE, (page + pages) * PAGE, prot, ANONYMOUS, 0, "")


def file(process: int, page: int, pages: int, path: str, flags: str, offset: int = 0) -> Call:
    arguments = (0, pages * PAGE, READ_WRITE, MAP[flags], 3, offset * PAGE)
    return Call(process, process, "mmap", arguments, page * PAGE, 1, path)


_kernels: dict[tuple[str, bool], Running] = {}


@pytest.fixture(autouse=True)
def one_kernel_for_each_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling takes longer than all else here; its memory is put back to its beginning."""

    def made(
        functions: Any, config: Sequence[Config], *, interpret: bool, hurry: bool
    ) -> Running:
        key = repr(config), interpret
        if key not in _kernels:
            _kernels[key] = Running(functions, config, interpret=interpret, hurry=True)
        _kernels[key].reset()
        return _kernels[key]

    monkeypatch.setattr(engine, "Running", made)


def run(events: Sequence[Event], *, interpret: bool = False, **others: Any) -> dict[str, Any]:
    config = small(others.pop("frames", 120))
    replay = Replay(config=config, interpret=interpret, **others)
    for event in events:
        replay.feed(event)
    counts = replay.counts()
    del counts["resident_bytes"]
    return counts


def both(events: Sequence[Event], **others: Any) -> dict[str, Any]:
    """Counted by native code, after the interpreter has counted the same."""
    native = run(events, **others)
    assert run(events, interpret=True, **others) == native
    return native


def test_accesses_are_counted_by_kind() -> None:
    counts = both([
        anonymous(1, 16, 4),
        batch((16 * PAGE, 4, FETCH), (16 * PAGE + 4, 4, FETCH), (17 * PAGE - 4, 8, LOAD),
              (18 * PAGE, 64, STORE), (18 * PAGE, 200, MODIFY)),
    ])  # fmt: skip
    assert (counts["accesses"], counts["touches"]) == (8, 9)
    assert (counts["instructions"], counts["loads"]) == (2, 1)
    assert (counts["stores"], counts["modifies"]) == (1, 4)
    assert counts["frames_used"] == 1  # what is only read is the zero page


def loads(*pages: int, process: int = 1, thread: int = 1, kind: int = LOAD) -> Batch:
    accesses = [(page * PAGE + 8, 4, kind) for page in pages]
    return batch(*accesses, process=process, thread=thread)


def stores(*pages: int, process: int = 1, thread: int = 1) -> Batch:
    return loads(*pages, process=process, thread=thread, kind=STORE)


def call(process: int, name: str, *arguments: int, result: int = 0) -> Call:
    return Call(process, process, name, arguments, result, 1)


def test_memory_is_taken_by_stores_and_given_back_by_munmap_and_exit() -> None:
    events = [anonymous(1, 16, 8), loads(*range(16, 24)), stores(16, 17, 18)]
    assert both(events)["frames_used"] == 3
    unmapped = call(1, "munmap", 17 * PAGE, PAGE)
    assert both([*events, unmapped])["frames_used"] == 2
    counts = both([*events, unmapped, call(1, "exit")])
    assert (counts["frames_used"], counts["calls_made"], counts["calls_differ"]) == (0, 2, 0)


def test_memory_moves_and_is_dropped() -> None:
    moved = Call(1, 1, "mremap", (16 * PAGE, 4 * PAGE, 6 * PAGE, 1, 0), 40 * PAGE, 1)
    events = [anonymous(1, 16, 4), stores(16, 17), moved, loads(40, 41, 45), stores(40, 41)]
    counts = both(events)
    assert (counts["frames_used"], counts["faults_segv"], counts["calls_differ"]) == (2, 0, 0)
    assert both([*events, loads(16)])["faults_segv"] == 1
    dropped = call(1, "madvise", 40 * PAGE, 2 * PAGE, 4)
    assert both([*events, dropped])["frames_used"] == 0
    shrunk = Call(1, 1, "mremap", (40 * PAGE, 6 * PAGE, PAGE, 0, 0), 40 * PAGE, 1)
    assert both([*events, shrunk])["frames_used"] == 1


def test_what_cannot_be_done_is_counted() -> None:
    assert both([call(1, "mprotect", 16 * PAGE, PAGE, READ_WRITE)])["calls_differ"] == 1
    failed = call(1, "munmap", 16 * PAGE, 0, result=-22)
    assert both([failed])["calls_made"] == 0


def test_fork_copies_when_somebody_writes() -> None:
    events = [
        anonymous(1, 16, 4), stores(16, 17, 18), call(1, "fork", result=2),
        loads(16, 17, 18, process=2),
    ]  # fmt: skip
    assert both(events)["frames_used"] == 3
    events += [stores(16, process=2), stores(16, 17, process=1)]
    assert both(events)["frames_used"] == 5
    events += [call(2, "exit")]
    assert both(events)["frames_used"] == 3


def test_processes_share_the_page_cache() -> None:
    events = [file(p, 32, 8, "libc", "MAP_PRIVATE") for p in (1, 2)]
    events += [loads(*range(32, 40), process=p) for p in (1, 2)]
    assert both(events)["frames_used"] == 8
    assert both([*events, stores(33, process=2)])["frames_used"] == 9


def test_the_heap_grows_and_shrinks() -> None:
    events = [
        call(1, "brk", 0, result=40 * PAGE), call(1, "brk", 44 * PAGE, result=44 * PAGE),
        stores(40, 41, 42, 43), call(1, "brk", 41 * PAGE, result=41 * PAGE), stores(40, 41),
    ]  # fmt: skip
    counts = both(events)
    assert (counts["frames_used"], counts["faults_segv"]) == (1, 1)


def test_what_is_asked_for_is_mapped_first() -> None:
    asked: list[tuple[int, int, int]] = []

    def unmapped(process: int, address: int, kind: int) -> list[Mapping]:
        asked.append((process, address, kind))
        return [anonymous(process, address // PAGE, 2)] if address < 60 * PAGE else []

    records = batch(
        (50 * PAGE + 5, 2, LOAD), (51 * PAGE, 2, STORE), (52 * PAGE - 2, 4, STORE),
        (61 * PAGE, 1, FETCH), (50 * PAGE, 2, LOAD), (1 << 50, 1, LOAD),
    )  # fmt: skip
    counts = run([records], unmapped=unmapped)
    assert asked == [
        (1, 50 * PAGE + 5, LOAD), (1, 52 * PAGE, STORE), (1, 61 * PAGE, FETCH),
        (1, 1 << 50, LOAD),
    ]  # fmt: skip
    assert (counts["accesses"], counts["faults_segv"]) == (4, 2)


def test_a_thread_on_another_cpu_forgets_what_is_unmapped() -> None:
    events = [
        anonymous(1, 16, 4), stores(16, 17), loads(16, 17, thread=2),
        call(1, "munmap", 16 * PAGE, PAGE), loads(16, 17, thread=2),
    ]  # fmt: skip
    counts = both(events, cpus=2)
    assert (counts["ipis_sent"], counts["ipis_handled"], counts["faults_segv"]) == (1, 1, 1)
    assert both(events, cpus=1)["ipis_sent"] == 0


def test_a_right_that_is_missing_is_a_signal() -> None:
    events = [
        anonymous(1, 16, 4), stores(16),
        call(1, "mprotect", 16 * PAGE, PAGE, PROT["PROT_READ"]), loads(16), stores(16, 17),
        call(1, "mprotect", 16 * PAGE, PAGE, READ_WRITE), stores(16),
    ]  # fmt: skip
    counts = both(events)
    assert (counts["faults_segv"], counts["stores"], counts["loads"]) == (1, 3, 1)


def test_little_memory_evicts_what_was_used_longest_ago() -> None:
    mapped = file(1, 100, 140, "data", "MAP_SHARED")
    counts = both([mapped, loads(*range(100, 240)), loads(*range(100, 180))])
    assert counts["reclaim_evicted"] > 100
    assert counts["reclaim_refaults"] > 60
    assert counts["frames_used"] < 120 - 16
    roomy = run([mapped, loads(*range(100, 200)), loads(*range(100, 200))])
    assert (roomy["reclaim_evicted"], roomy["frames_used"]) == (0, 100)


def test_what_is_used_again_and_again_stays() -> None:
    """Pages that every round uses keep their place beside a file that is read once."""
    hot = range(100, 130)
    events: list[Event] = [
        file(1, 100, 30, "hot", "MAP_SHARED"), file(1, 200, 600, "cold", "MAP_SHARED"),
        anonymous(2, 16, 1),
    ]  # fmt: skip
    for start in range(200, 800, 10):
        # With the other process the TLB forgets, so that each round sets accessed bits.
        events += [loads(*hot, *range(start, start + 10)), loads(16, process=2)]
    counts = run(events)
    assert counts["reclaim_evicted"] > 400
    assert counts["reclaim_activated"] >= 20
    assert counts["reclaim_refaults"] < 120


def _refaults(prefault: Prefault) -> int:
    """Some pages are used again and again; of the others, every eighth once."""
    around = [V5_12.replace(prefault=prefault), Readahead(mmap=True, ra_pages=16)]
    replay = Replay(config=[*small(), *around])
    events: list[Event] = [
        file(1, 100, 40, "hot", "MAP_SHARED"), file(1, 208, 800, "cold", "MAP_SHARED"),
        anonymous(2, 16, 1),
    ]  # fmt: skip
    for turn, page in enumerate(range(211, 1003, 8)):
        hot = 100 + turn % 4 * 10
        events += [loads(*range(hot, hot + 10), page), loads(16, process=2)]
    for event in events:
        replay.feed(event)
    found = replay.counts()["reclaim_refaults"]
    assert isinstance(found, int)
    return found


def test_what_fault_around_maps_old_goes_before_what_is_used() -> None:
    assert _refaults(Prefault.OLD) < 20 < 80 < _refaults(Prefault.YOUNG)


def test_dirty_pages_are_written_before_they_go() -> None:
    mapped = file(1, 100, 150, "data", "MAP_SHARED")
    counts = both([mapped, stores(*range(100, 250)), stores(100, 101)])
    assert counts["reclaim_evicted"] > 40


def test_memory_that_nothing_can_free_is_said() -> None:
    replay = Replay(config=small())
    replay.feed(anonymous(1, 100, 400))
    with pytest.raises(NoMemory, match="pages are free, and nothing can be evicted"):
        replay.feed(stores(*range(100, 500)))
    accesses = replay.counts()["accesses"]
    assert isinstance(accesses, int)
    assert 110 < accesses < 120


def test_random_processes() -> None:
    choice = random.Random(4)
    events: list[Event] = []
    alive = [1]
    for process in (1,):
        events += [anonymous(process, 16, 64), file(process, 128, 64, "f", "MAP_SHARED"),
                   file(process, 256, 64, "f", "MAP_PRIVATE", 32)]  # fmt: skip
    for step in range(60):
        process = choice.choice(alive)
        pages = [choice.randrange(16, 320) for _ in range(8)]
        kind = choice.choice((LOAD, STORE, MODIFY, FETCH))
        events.append(loads(*pages, process=process, thread=choice.randrange(2), kind=kind))
        what = choice.randrange(12)
        start = choice.choice((16, 128, 256)) + choice.randrange(60)
        if what == 0 and len(alive) < 4:
            events.append(call(process, "fork", result=step + 10))
            alive.append(step + 10)
        elif what == 1 and len(alive) > 1:
            events.append(call(process, "exit"))
            alive.remove(process)
        elif what in (2, 3):
            events.append(call(process, "munmap", start * PAGE, choice.randrange(1, 8) * PAGE))
        elif what in (4, 5):
            events.append(anonymous(process, start, choice.randrange(1, 8)))
        elif what == 6:
            length = choice.randrange(1, 4) * PAGE
            events.append(call(process, "mprotect", start * PAGE, length, choice.randrange(4)))
    counts = both([*events, *(call(process, "exit") for process in alive)], cpus=2)
    assert counts["ipis_sent"] > 5
    assert counts["accesses"] > 200
    assert counts["faults_segv"] > 20


def test_v5_10_maps_the_copy_of_a_private_page() -> None:
    """alloc_set_pte() maps ``vmf->cow_page``: the page of the file stays clean and unmapped."""
    events = [
        file(1, 16, 2, "lib", "MAP_PRIVATE"), stores(16), loads(17), call(1, "exit")
    ]  # fmt: skip
    config = [c for c in small() if not isinstance(c, FaultAround)] + [V5_10, TABLES["v5.11"]]
    replay = Replay(config=config, hurry=True)
    for event in events:
        replay.feed(event)
    assert replay.counts()["frames_used"] == 2  # both pages of the file; the copy is gone
