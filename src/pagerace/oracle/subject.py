"""Processes that do as they are told, an instruction at a time.

A ``Nursery`` starts one process by exec, and forks a subject off it for each program.  All
are children of this process, so that whoever ends is reaped here, and all are traced, so that
the kernel kills them when this process ends in whatever way.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import signal
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass
from types import FrameType

from pagerace.oracle import image, ptrace
from pagerace.oracle.constants import MAP_FIXED, MAP_SHARED, PROT_READ, PROT_WRITE
from pagerace.oracle.program import PAGE, CannotJudge

_CLOSE, _MMAP, _MUNMAP, _CLONE, _EXIT_GROUP, _CLOSE_RANGE = 3, 9, 11, 56, 231, 436
_CLONE_PARENT = 0x8000
_NO_SYSCALL = (1 << 64) - 1
_MFD_EXEC = 0x10
_TOP = 0x7FFF_FFFF_F000  # the end of user addresses with four levels of tables


class Gone(CannotJudge):
    """A subject ended that nobody had told to: killed, by us when it took too long."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A signal that an instruction got: its number, si_code and si_addr."""

    signal: int
    code: int
    address: int


class Scratch:
    """Memory that all subjects and this process share: lists, paths, what is written.

    It is a shared mapping, which a fork neither copies nor write-protects.
    """

    def __init__(self, pages: int) -> None:
        self.pages = pages
        self.file = os.memfd_create("pagerace-scratch", os.MFD_CLOEXEC)
        os.ftruncate(self.file, pages * PAGE)
        self.memory = mmap.mmap(self.file, pages * PAGE)
        self.words = memoryview(self.memory).cast("Q")

    def close(self) -> None:
        self.words.release()
        self.memory.close()
        os.close(self.file)


class Subject:
    """One process, stopped.  Only its nursery makes it."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self.nursery = nursery
        self.pid = pid
        self.alive = True
        self.lifetime_faults = 0, 0  # minor and major, once it has ended
        self._registers = ptrace.Registers()

    def begin(self) -> None:
        """Wait for the stop of a new tracee, and take its registers."""
        self._wait()
        ptrace.read_registers(self.pid, self._registers)

    def step(self, entry: int, rax: int = 0, *arguments: int) -> Fault | int:
        """Run the code at ``entry`` up to its int3: what is in rax then, signed, or a fault.

        ``arguments`` are those of a system call.  Raises Gone, or ProcessLookupError if it
        was killed while it was stopped.
        """
        registers = self._registers
        registers.rip, registers.rax, registers.orig_rax = entry, rax, _NO_SYSCALL
        for name, value in zip(("rdi", "rsi", "rdx", "r10", "r8", "r9"), arguments):  # noqa: B905
            setattr(registers, name, value)
        ptrace.write_registers(self.pid, registers)
        return self._finish()

    def load(self, address: int) -> Fault | int:
        """What the eight bytes at an address are, unsigned."""
        result = self.step(image.LOAD, 0, address)
        return result if isinstance(result, Fault) else result & ((1 << 64) - 1)

    def add(self, address: int, addend: int) -> Fault | int:
        """Add to the eight bytes at an address; 0."""
        return self.step(image.ADD, 0, address, addend)

    def gather(self, count: int) -> Fault | int:
        """Replace the first ``count`` addresses in the scratch memory by what is there."""
        self._registers.rcx = count
        return self.step(image.GATHER, 0, 0, image.SCRATCH)

    def _finish(self) -> Fault | int:
        while True:
            ptrace.resume(self.pid)
            status = self._wait()
            number, event = os.WSTOPSIG(status), status >> 16
            if event in (ptrace.EVENT_FORK, ptrace.EVENT_CLONE):
                self.nursery.born(ptrace.event_message(self.pid))
            elif event:
                continue
            elif number == signal.SIGTRAP:
                break
            elif number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE):
                info = ptrace.signal_info(self.pid)
                return Fault(number, info.code, info.address)
            # Any other signal is from outside, and never delivered.
        ptrace.read_registers(self.pid, self._registers)
        rax = self._registers.rax
        return rax - (1 << 64) if rax >> 63 else rax

    def _wait(self) -> int:
        try:
            _, status = os.waitpid(self.pid, ptrace.WALL)
        except ChildProcessError:
            self.alive = False
            raise Gone(f"somebody else reaped process {self.pid}") from None
        if os.WIFSTOPPED(status):
            return status
        self.alive = False
        self.nursery.forget(self)
        raise Gone(self.nursery.cause(status))

    def syscall(self, number: int, *arguments: int) -> int:
        """The result of a system call, -errno for an error."""
        result = self.step(image.SYSCALL, number, *arguments)
        if isinstance(result, Fault):
            raise CannotJudge(f"a system call of the subject ended in signal {result.signal}")
        return result

    def fork(self) -> Subject:
        """A child, ready for its first step.  Raises CannotJudge if there can be none."""
        # A child of ours, not of the subject: we reap it, and no SIGCHLD disturbs its parent.
        flags = _CLONE_PARENT | signal.SIGCHLD
        pid = self.syscall(_CLONE, flags, 0, 0, 0, 0)
        if pid < 0:
            raise CannotJudge(f"fork() of a subject: {os.strerror(-pid)}")
        child = self.nursery.child(pid)
        child.begin()
        child._finish()  # it stands before the int3: now the page of code is there
        child.touch_scratch()
        return child

    def touch_scratch(self) -> None:
        """Later accesses to the scratch memory shall not fault."""
        for page in range(self.nursery.scratch.pages):
            self.step(image.ADD, 0, image.SCRATCH + page * PAGE, 0)

    def exit(self) -> None:
        """End it by exit_group(), and reap it."""
        registers = self._registers
        registers.rip, registers.rax, registers.orig_rax = (
            image.SYSCALL, _EXIT_GROUP, _NO_SYSCALL,
        )  # fmt: skip
        registers.rdi = 0
        ptrace.write_registers(self.pid, registers)
        ptrace.resume(self.pid)
        self._reap()

    def kill(self) -> None:
        """End it and reap it, in whatever state it is."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                self._reap()

    def _reap(self) -> None:
        while True:
            _, status, usage = os.wait4(self.pid, ptrace.WALL)
            if not os.WIFSTOPPED(status):
                break
            with contextlib.suppress(ProcessLookupError):
                ptrace.resume(self.pid)
        self.alive = False
        self.lifetime_faults = usage.ru_minflt, usage.ru_majflt
        self.nursery.forget(self)


class Nursery:
    """Makes subjects.  To be used by one thread, and closed."""

    def __init__(self, scratch_pages: int, timeout: float, cpu: int | None) -> None:
        self.timeout = timeout
        self.late = False
        self.subjects: dict[int, Subject] = {}
        self.scratch = Scratch(scratch_pages)
        self._deadline: float | None = None
        self._closed = threading.Event()
        self._watch: threading.Thread | None = None
        self._first: Subject | None = None
        self._group = 0
        try:
            self._first = self._start(cpu)
        except BaseException:
            self.close()
            raise
        self._watch = threading.Thread(target=self._watchdog, daemon=True)
        self._watch.start()

    def _start(self, cpu: int | None) -> Subject:
        pid = self._group = _spawn(image.image(), self.scratch.file)
        try:
            if cpu is not None:
                os.sched_setaffinity(pid, {cpu})
            ptrace.seize(pid)
            ptrace.interrupt(pid)
        except OSError as error:
            raise CannotJudge(f"ptrace(PTRACE_SEIZE): {error.strerror}") from None
        first = self.child(pid)
        first.begin()
        read_write = PROT_READ | PROT_WRITE
        size = self.scratch.pages * PAGE
        placed = first.syscall(
            _MMAP, image.SCRATCH, size, read_write, MAP_SHARED | MAP_FIXED, 0, 0
        )
        if placed != image.SCRATCH:
            raise CannotJudge(f"mmap() of the subject: {os.strerror(-placed)}")
        # Nothing else stays: no stack, no vDSO, no file but those that a program opens.
        behind = image.SCRATCH + size
        first.syscall(_MUNMAP, behind, _TOP - behind)
        if first.syscall(_CLOSE_RANGE, 0, 0xFFFF_FFFF, 0):
            for file in range(256):  # before Linux 5.9
                first.syscall(_CLOSE, file)
        return first

    def child(self, pid: int) -> Subject:
        """The subject of a pid; it is known from the moment on when its parent told of it."""
        if pid not in self.subjects:
            self.born(pid)
        return self.subjects[pid]

    def born(self, pid: int) -> None:
        self.subjects[pid] = Subject(self, pid)

    def forget(self, subject: Subject) -> None:
        self.subjects.pop(subject.pid, None)

    def cause(self, status: int) -> str:
        """Why did a subject end?"""
        if self.late:
            return f"a subject was killed: it took more than {self.timeout:g} s"
        if os.WIFSIGNALED(status):
            name = signal.Signals(os.WTERMSIG(status)).name
            return f"a subject was killed from outside, by {name}"
        return f"a subject ended with status {os.WEXITSTATUS(status)}"

    def death(self) -> str:
        """Of which death does nobody know yet?  "" if all live."""
        for _ in range(100):
            for subject in list(self.subjects.values()):
                pid, status = os.waitpid(subject.pid, ptrace.WALL | os.WNOHANG)
                if pid and not os.WIFSTOPPED(status):
                    subject.alive = False
                    self.forget(subject)
                    return self.cause(status)
            time.sleep(0.01)  # it was sent a signal, and has not come to its end
        return ""

    def subject(self) -> Subject:
        """A process that has nothing mapped but its code and the scratch memory."""
        assert self._first is not None
        self.late = False
        self._deadline = time.monotonic() + self.timeout
        return self._first.fork()

    def clear(self) -> None:
        """End all subjects of a program."""
        self._deadline = None
        for subject in list(self.subjects.values()):
            if subject is not self._first:
                subject.kill()

    @property
    def usable(self) -> bool:
        return not self._closed.is_set() and self._first is not None and self._first.alive

    def _watchdog(self) -> None:
        """Whoever waits for a subject that hangs is woken by its death."""
        while not self._closed.wait(min(0.2, self.timeout / 4)):
            deadline = self._deadline
            if deadline is not None and time.monotonic() > deadline:
                self.late = True
                for pid in list(self.subjects):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """Leave no process, no file and no thread behind.  A second time it does nothing."""
        if self._closed.is_set():
            return
        self._closed.set()
        if self._watch is not None:
            self._watch.join()
        if self._group:
            # All are of the group of the first, also those that nobody has heard of yet.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._group, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                while True:
                    os.waitpid(-self._group, ptrace.WALL)
        self.subjects.clear()
        self.scratch.close()


@contextlib.contextmanager
def interrupted_later() -> Generator[None]:
    """Ctrl-C is felt at the end: in the middle of it processes would be lost."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    came: list[FrameType | None] = []
    signal.signal(signal.SIGINT, lambda _, frame: came.append(frame))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            before(signal.SIGINT, came[0])


def _spawn(content: bytes, file: int) -> int:
    """Run an ELF file that has no name; ``file`` is its standard input, and its only one."""
    program = _executable()
    try:
        os.write(program, content)
        path = f"/proc/self/fd/{program}"
        # A file that is open for writing cannot be run.
        reading = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(program)
    try:
        actions = [
            (os.POSIX_SPAWN_DUP2, file, 0),
            (os.POSIX_SPAWN_CLOSE, 1),
            (os.POSIX_SPAWN_CLOSE, 2),
        ]
        # In a group of its own no Ctrl-C of the terminal reaches it.
        return os.posix_spawn(
            f"/proc/self/fd/{reading}", ["pagerace-subject"], {}, file_actions=actions,
            setpgroup=0,
        )  # fmt: skip
    except OSError as error:
        raise CannotJudge(f"a subject cannot be started: {error.strerror}") from None
    finally:
        os.close(reading)


def _executable() -> int:
    """An empty file that can be run."""
    for flags in (os.MFD_CLOEXEC | _MFD_EXEC, os.MFD_CLOEXEC):
        try:
            return os.memfd_create("pagerace-subject", flags)
        except OSError as error:
            # Before 6.3 the kernel does not know the flag, as all files could be run.
            if error.errno != errno.EINVAL:
                raise CannotJudge(f"memfd_create(): {error.strerror}") from None
    raise CannotJudge("memfd_create(): Invalid argument")
