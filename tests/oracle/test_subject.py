"""Processes that are driven: nothing is left of them, whatever happens."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from pagerace.oracle import image
from pagerace.oracle.kernel import Kernel
from pagerace.oracle.program import (
    WINDOW_START,
    CannotJudge,
    File,
    Fork,
    Load,
    Mmap,
    Program,
    Store,
)
from pagerace.oracle.subject import Fault, Gone, Nursery

_PAUSE, _GETPID = 34, 39


@pytest.fixture
def nursery(kernel: Kernel):
    made = Nursery(2, 10.0, None)
    yield made
    made.close()


def is_gone(pid: int) -> bool:
    """Neither alive nor a zombie of ours."""
    return not Path(f"/proc/{pid}").exists()


def open_files() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_a_subject_has_nothing_but_its_code(nursery: Nursery) -> None:
    maps = Path(f"/proc/{nursery.subject().pid}/maps").read_text().splitlines()
    starts = [int(line.split("-")[0], 16) for line in maps if "[vsyscall]" not in line]
    assert starts == [image.TEXT, image.SCRATCH]
    assert min(starts) // 4096 > WINDOW_START


def test_a_fault_is_told_and_the_subject_lives_on(nursery: Nursery) -> None:
    subject = nursery.subject()
    assert subject.load(0x123000) == Fault(signal.SIGSEGV, 1, 0x123000)
    # Its code is mapped without write permission.
    assert subject.add(image.TEXT, 1) == Fault(signal.SIGSEGV, 2, image.TEXT)
    assert subject.syscall(_GETPID) == subject.pid


def test_close_leaves_nothing() -> None:
    before, threads = open_files(), threading.active_count()
    nursery = Nursery(2, 10.0, None)
    pids = [nursery.subject().pid, nursery.subject().fork().pid, *nursery.subjects]
    nursery.close()
    assert [pid for pid in pids if not is_gone(pid)] == []
    assert (open_files(), threading.active_count()) == (before, threads)


def test_a_program_leaves_nothing(kernel: Kernel, tmp_path: Path) -> None:
    before = open_files()
    files = (File("file"), File("memfd"))
    with Kernel(folder=tmp_path) as judge:
        inside = open_files()
        judge.run(Program((Fork(0, 1), Fork(1, 2)), files))
        assert open_files() == inside
        assert len(judge._nursery.subjects) == 1  # from which the next ones are forked
    assert open_files() == before
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_hangs_is_ended(kernel: Kernel) -> None:
    nursery = Nursery(2, 0.2, None)
    try:
        subject = nursery.subject()
        with pytest.raises(Gone, match=r"it took more than 0.2 s"):
            subject.syscall(_PAUSE)
        assert is_gone(subject.pid)
    finally:
        nursery.close()


@pytest.mark.parametrize("delay", [0, 0.1])
def test_a_subject_that_is_killed_is_told_and_the_judge_goes_on(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, delay: float
) -> None:
    program = Program((Mmap(0, 0, 1, 1, 0x32), Load(0, 0)))
    with Kernel(known=kernel.permitted) as judge:
        nursery = judge._nursery
        first = next(iter(nursery.subjects))
        make = nursery.subject

        def killed():
            subject = make()
            os.kill(subject.pid, signal.SIGKILL)
            time.sleep(delay)
            return subject

        with monkeypatch.context() as patch:
            patch.setattr(nursery, "subject", killed)
            with pytest.raises(CannotJudge, match="killed from outside, by SIGKILL"):
                judge.run(program)
        assert is_gone(first)
        assert judge.run(program)[-1].minor == 1
        os.kill(next(iter(judge._nursery.subjects)), signal.SIGKILL)
        with pytest.raises(CannotJudge, match="killed from outside, by SIGKILL"):
            judge.run(program)
        assert judge.run(program)[-1].minor == 1


def test_a_terminal_does_not_reach_subjects(nursery: Nursery) -> None:
    assert os.getpgid(nursery.subject().pid) != os.getpgid(0)


def test_signals_from_outside_disturb_nothing(nursery: Nursery) -> None:
    subject = nursery.subject()
    for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGINT, signal.SIGWINCH):
        os.kill(subject.pid, number)
        assert subject.syscall(_GETPID) == subject.pid


_DIES = """
import signal
from pagerace.oracle.subject import Nursery
signal.signal(signal.SIGINT, signal.default_int_handler)
nursery = Nursery(2, 60.0, None)
waits = nursery.subject()
print(nursery.subject().pid, *nursery.subjects, flush=True)
waits.syscall(34)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_nothing_survives_this_process(kernel: Kernel, how: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _DIES], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        assert len(pids) == 4
        process.send_signal(how)
    for _ in range(100):
        if all(_state(pid) in ("", "Z", "X") for pid in pids):
            break
        time.sleep(0.05)
    assert [_state(pid) for pid in pids if _state(pid) not in ("", "Z", "X")] == []


def _state(pid: int) -> str:
    """As /proc has it; a process whose parent ended is reaped by whoever adopts it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_kills_at_any_moment_are_told_and_leave_nothing(kernel: Kernel) -> None:
    program = Program((Mmap(0, 0, 9, 3, 0x32), Fork(0, 1), Fork(1, 2), Store(2, 0, 1)))
    dice, told = random.Random(1), Counter[str]()
    before = open_files()
    with Kernel(known=kernel.permitted) as judge:
        over = threading.Event()

        def kill() -> None:
            while not over.wait(dice.random() / 100):
                pids = list(judge._nursery.subjects)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(dice.choice(pids or [1 << 22]), signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        for _ in range(100):
            try:
                told[str(judge.run(program)[-1].result)] += 1
            except CannotJudge as error:
                told[str(error)] += 1
        over.set()
        killer.join()
    assert set(told) <= {"0", "a subject was killed from outside, by SIGKILL"}
    assert len(told) == 2
    assert open_files() == before


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT is Python's own: what a shell runs in the background has it ignored."""
    found = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, found)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_at_any_moment_leaves_nothing(kernel: Kernel) -> None:
    program = Program((Mmap(0, 0, 9, 3, 0x32), Fork(0, 1), Fork(1, 2), Store(2, 0, 1)))
    dice, interrupted = random.Random(1), 0
    before, wanted = open_files(), signal.getsignal(signal.SIGINT)
    old = signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    try:
        with Kernel(known=kernel.permitted) as judge:
            for _ in range(60):
                try:
                    signal.setitimer(signal.ITIMER_REAL, 0.0001 + dice.random() / 200)
                    judge.run(program)
                    time.sleep(0.01)
                except KeyboardInterrupt:
                    interrupted += 1
                assert len(judge._nursery.subjects) == 1
            pid = judge._nursery._group
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert interrupted == 60
    assert is_gone(pid)
    assert (open_files(), signal.getsignal(signal.SIGINT)) == (before, wanted)


def test_a_judge_belongs_to_its_thread(kernel: Kernel) -> None:
    found: list[str] = []

    def other() -> None:
        try:
            kernel.run(Program(()))
        except CannotJudge as error:
            found.append(str(error))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert found == ["a Kernel is used by another thread than the one that made it"]


def test_all_of_a_program_runs_on_one_cpu(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    before = os.sched_getaffinity(0)
    nursery = kernel._nursery
    found: list[set[int]] = []
    make = nursery.subject

    def looked_at():
        subject = make()
        found.extend([os.sched_getaffinity(0), os.sched_getaffinity(subject.pid)])
        return subject

    monkeypatch.setattr(nursery, "subject", looked_at)
    kernel.run(Program(()))
    assert found == [{kernel.cpu}, {kernel.cpu}]
    assert os.sched_getaffinity(0) == before
