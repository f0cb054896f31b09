"""Traces that take turns, processes that fork and wait, and threads of one process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pagerace.replay.events import Batch, Call, Event, TraceError, records_of
from pagerace.replay.mappings import Mappings
from pagerace.replay.reader import Trace
from pagerace.replay.session import Session
from tests.replay.traces import drain

SCHED = """\
==7== Parent PID: 6
--7--   SCHED[1]:  acquired lock (thread_wrapper(starting new thread))
 L 00001000,8
SYSCALL[7,1](56) sys_clone ( 3d0f00, 0x5, 0x5, 0x5, 0x5 ) --> [pre-success] Success(0x9) \
--7--   SCHED[1]: releasing lock (VG_(vg_yield)) -> VgTs_Yielding
--7--   SCHED[2]:  acquired lock (thread_wrapper(starting new thread))
 L 00002000,8
SYSCALL[7,2](28) sys_madvise ( 0x2000, 4096, 4 ) --> [async] ...
--7--   SCHED[1]:  acquired lock (VG_(vg_yield))
 L 00003000,8
SYSCALL[7,2](28) ... [async] --> Success(0x0)
"""

PARENT = """\
==7== Parent PID: 6
 L 00001000,8
SYSCALL[7,1](56) sys_clone ( 1200011, 0x0, 0x0, 0x4, 0x0 )   clone(fork): process 7 created child 9
 S 00001000,8
SYSCALL[7,1](61) sys_wait4 ( 9, 0x0, 0, 0x0 ) --> [async] ...
SYSCALL[7,1](61) ... [async] --> Success(0x9)
 S 00002000,8
SYSCALL[7,1](56) sys_clone ( 4111, 0x0, 0x0, 0x4, 0x0 )   clone(fork): process 7 created child 10
SYSCALL[7,1](231) exit_group( 0 ) --> [pre-success] Success(0x0)
"""  # noqa: E501

CHILD = """\
==9== Parent PID: 7
 S 00001000,8
 S 00003000,8
SYSCALL[9,1](231) exit_group( 0 ) --> [pre-success] Success(0x0)
"""


def test_threads_of_valgrind(tmp_path: Path) -> None:
    (tmp_path / "trace").write_text(SCHED)
    found, error = drain(Trace(str(tmp_path / "trace")))
    second = 7 << 16 | 2
    assert error is None
    assert found == [
        (7, 7, 0x1000, 8, 1),
        Call(7, 7, "thread", (), 9, 4),
        (7, second, 0x2000, 8, 1),
        (7, 7, 0x3000, 8, 1),
        Call(7, second, "madvise", (0x2000, 4096, 4), 0, 10),
    ]


class Recording:
    """A machine that remembers what it was fed."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, str]] = []

    def feed(self, event: Event) -> None:
        if isinstance(event, Batch):
            self.seen += [(event.process, hex(r >> 8)) for r in event.records]
        elif isinstance(event, Call):
            self.seen.append((event.process, event.name))

    def counts(self) -> dict[str, Any]:
        return {}


def session_of(*traces: Any) -> tuple[Session, Recording]:
    machine = Recording()
    return Session(traces, [machine], [Mappings()], lambda process: ([], [])), machine


def traces_of(folder: Path, *texts: str) -> list[Trace]:
    for number, text in enumerate(texts):
        (folder / str(number)).write_text(text)
    return [Trace(str(folder / str(i)), i + 1) for i in range(len(texts))]


def test_a_child_starts_when_it_is_forked_and_is_waited_for(tmp_path: Path) -> None:
    session, machine = session_of(*traces_of(tmp_path, CHILD, PARENT))
    session.run(lambda event: True)
    assert not session.errors
    fork = machine.seen.index((7, "fork"))
    assert {process for process, _ in machine.seen[:fork]} == {7}
    after = machine.seen.index((7, "0x2000"))
    assert [what for process, what in machine.seen[fork:after] if process == 9] == [
        "0x1000", "0x3000", "exit"
    ]  # fmt: skip
    assert [what for process, what in machine.seen if process == 7] == [
        "0x1000", "fork", "0x1000", "0x2000", "exit"
    ]  # fmt: skip


def test_a_child_without_a_trace_exits_when_it_is_waited_for(tmp_path: Path) -> None:
    session, machine = session_of(*traces_of(tmp_path, PARENT))
    session.run(lambda event: True)
    at = machine.seen.index((9, "exit"))
    assert machine.seen[at - 1] == (7, "0x1000")
    assert machine.seen[at + 1] == (7, "0x2000")


class Fixed:
    """A trace of given events, with an error at its end."""

    done = 0.5
    line = 3

    def __init__(self, events: list[Event], parent: int, error: bool = False) -> None:
        self._events, self.parent, self.error = events, parent, error

    def events(self) -> Iterator[Event]:
        yield from self._events
        if self.error:
            raise TraceError("trace", 4, "cut off")


def batch(process: int) -> Batch:
    return Batch(process, process, records_of([process << 8]), (1, 1))


def test_processes_that_wait_for_each_other_come_to_an_end() -> None:
    wait = [Call(1, 1, "wait", (), 2, 1), Call(2, 2, "wait", (), 1, 1)]
    session, machine = session_of(
        Fixed([batch(1), wait[0], batch(1)], 2), Fixed([batch(2), wait[1], batch(2)], 1)
    )
    session.run(lambda event: True)
    assert sorted(machine.seen) == [(1, "0x1"), (1, "0x1"), (2, "0x2"), (2, "0x2")]
    assert (session.accesses, session.lines, session.done) == (4, 6, 0.5)


def test_one_trace_may_end_in_an_error_and_the_others_go_on() -> None:
    session, machine = session_of(Fixed([batch(1)], 0, True), Fixed([batch(2)] * 3, 0))
    session.run(lambda event: True)
    assert [str(error) for error in session.errors] == ["trace:4: cut off"]
    assert len(machine.seen) == 4


def test_a_session_stops_when_it_is_told_to() -> None:
    session, machine = session_of(Fixed([batch(1)] * 3, 0))
    session.run(lambda event: False)
    assert len(machine.seen) == 1
