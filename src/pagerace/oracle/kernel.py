"""The running kernel as a judge: programs run in real processes, and all is looked at.

Each program gets a new process, which has nothing mapped but a page of code and a page that
it shares with this one (oracle/subject.py).  A call is one instruction in it; before the next
one, /proc tells what has become of it.

All processes, this one too, run on one CPU meanwhile.  A page that was just allocated waits
in a list of the CPU (mm/swap.c, lru_add_drain()), which holds a reference; do_wp_page()
empties the list of its own CPU only, and copies a page that it would otherwise reuse.
"""

from __future__ import annotations

import ctypes
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pagerace.oracle import files, image
from pagerace.oracle.fault_around import FaultAround
from pagerace.oracle.permitted import Permitted, permitted
from pagerace.oracle.program import (
    ELSEWHERE,
    END_OF_FILE,
    PAGE,
    WINDOW,
    WINDOW_START,
    CannotJudge,
    Exit,
    Fork,
    Ftruncate,
    Load,
    Madvise,
    Mincore,
    Mmap,
    Mprotect,
    Mremap,
    Msync,
    Munmap,
    Observation,
    Pread,
    Program,
    Pwrite,
    Sight,
    Store,
)
from pagerace.oracle.program import Call as AnyCall
from pagerace.oracle.seeing import Areas, Frames, Watcher
from pagerace.oracle.subject import Fault, Nursery, Subject, interrupted_later

_MMAP, _MPROTECT, _MUNMAP, _MREMAP, _MSYNC, _MINCORE, _MADVISE = 9, 10, 11, 25, 26, 27, 28
_PREAD, _PWRITE, _FTRUNCATE, _OPENAT = 17, 18, 77, 257
_AT_FDCWD = -100

_NOT_TOLD = b"\xff"
_CODES = {
    (signal.SIGSEGV, 1): "SEGV_MAPERR",
    (signal.SIGSEGV, 2): "SEGV_ACCERR",
    (signal.SIGBUS, 2): "BUS_ADRERR",
}
DISTURBS = {
    "smaps": "Referenced: the process itself reads contents, which sets accessed bits",
    "flags": "referenced, active, lru: the same, once the kernel looks at accessed bits",
}


class Kernel:
    """The judge.  To be used by the thread that made it, and closed; or in a ``with``.

    ``frames``: look at /proc/kpagecount and kpageflags too, where permitted.  ``folder``:
    where regular files are made (they have no names), the temporary folder by default.
    ``cpu``: on which programs run, the one that we are on now by default.  ``timeout``:
    seconds until a program is taken to hang.  Raises CannotJudge.
    """

    def __init__(
        self, *, frames: bool = True, folder: Path | None = None, cpu: int | None = None,
        timeout: float = 20.0, known: Permitted | None = None,
    ) -> None:  # fmt: skip
        self.permitted = known or permitted()
        if reason := self.permitted.refused.get("processes"):
            raise CannotJudge(reason)
        self.folder = folder or Path(tempfile.gettempdir())
        self.timeout = timeout
        self.cpu = _this_cpu() if cpu is None else cpu
        self.areas = Areas()
        self.frames: Frames | None = None
        self.around = FaultAround()
        self._owner = (os.getpid(), threading.get_ident())
        self._wants_frames = frames
        self._closed = False
        with interrupted_later():
            self._nursery = Nursery(_scratch_pages(WINDOW), timeout, self.cpu)
        if frames and not self.permitted.refused.get("frames"):
            self.frames = Frames()

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def sight(self) -> Sight:
        """What it sees here: the kinds that it does not, each with its reason."""
        missing = self.permitted.missing()
        if not self._wants_frames:
            missing |= dict.fromkeys(("mapcount", "flags"), "not asked for")
        disturbs = {kind: what for kind, what in DISTURBS.items() if kind not in missing}
        return Sight(self.permitted.about, missing, disturbs)

    def run(self, program: Program) -> list[Observation]:
        """Raises CannotJudge if a subject was killed or hung; the judge can go on then."""
        if self._owner != (os.getpid(), threading.get_ident()):
            raise CannotJudge("a Kernel is used by another thread than the one that made it")
        nursery = self._ready(program.window)
        if program.fault_around is not None:
            self.around.set(program.fault_around * PAGE)
        run = _Run(self, nursery, program)
        with interrupted_later(), _on_cpu(self.cpu):
            try:
                run.begin()
                return [run.call(call) for call in program.calls]
            except BaseException as error:
                # Nobody knows what the processes were in the middle of: begin with new ones.
                cause = nursery.death() if isinstance(error, OSError) else ""
                nursery.close()
                if cause:
                    raise CannotJudge(cause) from None
                raise
            finally:
                nursery.clear()
                run.close()
                if program.fault_around is not None:
                    self.around.restore()

    def _ready(self, window: int) -> Nursery:
        """The nursery; a new one where the old one is of no use, or its list too short."""
        if self._closed:
            raise CannotJudge("a Kernel is used after its close()")
        pages = _scratch_pages(window)
        if not self._nursery.usable or self._nursery.scratch.pages < pages:
            with interrupted_later():
                self._nursery.close()
                self._nursery = Nursery(pages, self.timeout, self.cpu)
        return self._nursery

    def close(self) -> None:
        """Leave no process, no file and no setting behind."""
        with interrupted_later():
            self._closed = True
            self._nursery.close()
            if self.frames is not None:
                self.frames.close()
                self.frames = None
            self.around.close()


class _Run:
    """One program."""

    def __init__(self, judge: Kernel, nursery: Nursery, program: Program) -> None:
        self.judge = judge
        self.nursery = nursery
        self.program = program
        self.watchers: dict[int, Watcher] = {}
        self.told: tuple[int, ...] = ()  # by the mincore() that was just made
        self._scratch = nursery.scratch
        # Behind the list: the page that is written and read, and paths.
        self._buffer = (self._scratch.pages - 1) * PAGE

    def begin(self) -> None:
        first = self.nursery.subject()
        inodes: dict[int, int] = {}
        for number, file in enumerate(self.program.files):
            made = files.make(number, file, self.judge.folder)
            try:
                inodes[os.fstat(made).st_ino] = number
                self._open(first, made, number, os.O_RDWR if file.writable else os.O_RDONLY)
            finally:
                os.close(made)
        self.judge.areas.begin(inodes)
        self._watch(0, first)

    def _open(self, subject: Subject, file: int, number: int, flags: int) -> None:
        """Open a file of ours in a subject; there it has its number in the program."""
        path = f"/proc/{os.getpid()}/fd/{file}".encode() + b"\0"
        self._scratch.memory[self._buffer : self._buffer + len(path)] = path
        where = image.SCRATCH + self._buffer
        got = subject.syscall(_OPENAT, _AT_FDCWD, where, flags, 0)
        self._scratch.memory[self._buffer : self._buffer + len(path)] = bytes(len(path))
        if got != number:
            raise CannotJudge(f"open() of the subject: {os.strerror(max(-got, 0))}")

    def _watch(self, process: int, subject: Subject) -> None:
        judge, refused = self.judge, self.judge.permitted.refused
        self.watchers[process] = Watcher(
            subject, process, self.program.window, judge.areas, judge.frames,
            smaps="smaps" not in refused, pagemap="pagemap" not in refused,
        )  # fmt: skip

    def close(self) -> None:
        for watcher in self.watchers.values():
            watcher.close()
        self.watchers.clear()

    def call(self, call: AnyCall) -> Observation:
        """Make a call, and look at everything."""
        watcher = self.watchers[call.actor]
        result = _CALLS[type(call)](self, watcher.subject, call)
        name, code, page, minor, major = "", "", -1, 0, 0
        if isinstance(result, Fault):
            name = signal.Signals(result.signal).name
            code = _CODES.get((signal.Signals(result.signal), result.code), str(result.code))
            page = result.address // PAGE - WINDOW_START
            result = 0
        if type(call) is Exit:
            minor, major = self._ended(watcher)
        else:
            minor, major = watcher.new_faults()
        spaces = tuple(self.watchers[number].look() for number in sorted(self.watchers))
        told, self.told = self.told, ()
        return Observation(result, name, code, page, minor, major, spaces, vector=told)

    def _ended(self, watcher: Watcher) -> tuple[int, int]:
        watcher.close()
        del self.watchers[watcher.process]
        minor, major = watcher.subject.lifetime_faults
        return minor - watcher.minor, major - watcher.major

    def fork(self, subject: Subject, call: Fork) -> int:
        self._watch(call.child, subject.fork())
        return call.child

    def exit(self, subject: Subject, call: Exit) -> int:
        subject.exit()
        return 0

    def pwrite(self, subject: Subject, call: Pwrite) -> int:
        self._scratch.words[self._buffer // 8] = call.value & ((1 << 64) - 1)
        where = image.SCRATCH + self._buffer
        done = subject.syscall(_PWRITE, call.file, where, PAGE, call.index * PAGE)
        return done // PAGE if done >= 0 else done

    def pread(self, subject: Subject, call: Pread) -> int:
        where = image.SCRATCH + self._buffer
        done = subject.syscall(_PREAD, call.file, where, PAGE, call.index * PAGE)
        if done == 0:
            return END_OF_FILE
        return self._scratch.words[self._buffer // 8] if done > 0 else done

    def mincore(self, subject: Subject, call: Mincore) -> int:
        """The vector lies where the list does; what the kernel leaves there was not told."""
        memory, size = self._scratch.memory, min(call.length, self._buffer)
        memory[:size] = _NOT_TOLD * size
        where, length = _address(call.address), call.length * PAGE
        result = subject.syscall(_MINCORE, where, length, image.SCRATCH)
        self.told = tuple(byte & 1 for byte in memory[:size].partition(_NOT_TOLD)[0])
        return result

    def placed(self, subject: Subject, result: int, length: int) -> int:
        """Where a mapping is now, as a page; outside the window it is unmapped."""
        if result < 0:
            return result
        page = result // PAGE - WINDOW_START
        if 0 <= page < self.program.window:
            return page
        subject.syscall(_MUNMAP, result, length * PAGE)
        return ELSEWHERE

    def mmap(self, subject: Subject, call: Mmap) -> int:
        result = subject.syscall(
            _MMAP, _address(call.address), call.length * PAGE, call.prot, call.flags,
            call.file, call.offset * PAGE,
        )  # fmt: skip
        return self.placed(subject, result, call.length)

    def mremap(self, subject: Subject, call: Mremap) -> int:
        result = subject.syscall(
            _MREMAP, _address(call.address), call.old_length * PAGE, call.new_length * PAGE,
            call.flags, _address(call.new_address),
        )  # fmt: skip
        return self.placed(subject, result, call.new_length)


def _address(page: int) -> int:
    return (page + WINDOW_START) * PAGE


def _simple(number: int, *last: str) -> Callable[[_Run, Subject, Any], int]:
    """A system call on a range of pages."""

    def call(run: _Run, subject: Subject, call: Any) -> int:
        arguments = (getattr(call, name) for name in last)
        return subject.syscall(number, _address(call.address), call.length * PAGE, *arguments)

    return call


_CALLS: dict[type, Callable[[_Run, Subject, Any], Fault | int]] = {
    Mmap: _Run.mmap,
    Munmap: _simple(_MUNMAP),
    Mprotect: _simple(_MPROTECT, "prot"),
    Mremap: _Run.mremap,
    Madvise: _simple(_MADVISE, "advice"),
    Msync: _simple(_MSYNC, "flags"),
    Mincore: _Run.mincore,
    Ftruncate: lambda run, subject, call: subject.syscall(
        _FTRUNCATE, call.file, call.pages * PAGE
    ),
    Pwrite: _Run.pwrite,
    Pread: _Run.pread,
    Load: lambda run, subject, call: subject.load(_address(call.page)),
    Store: lambda run, subject, call: subject.add(_address(call.page), call.addend),
    Fork: _Run.fork,
    Exit: _Run.exit,
}


def _scratch_pages(window: int) -> int:
    """A list of eight bytes for each page of the window, and a page behind it."""
    return -(-window * 8 // PAGE) + 1


def _this_cpu() -> int:
    allowed = os.sched_getaffinity(0)
    now = ctypes.CDLL(None).sched_getcpu()
    return now if now in allowed else min(allowed)


@contextmanager
def _on_cpu(cpu: int) -> Generator[None]:
    """This thread runs on one CPU meanwhile."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
