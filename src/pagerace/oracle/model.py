"""The model as a judge: the kernel functions of mm/ run programs on a machine of full size.

The same functions that ``check`` searches run here once, one call after the other, on four
levels of page tables, as native code (compiler/running.py).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from pagerace.compiler.running import KernelStopped
from pagerace.mm import syscalls
from pagerace.mm.errno import EBADF
from pagerace.mm.mman import FMODE_READ, FMODE_WRITE
from pagerace.oracle import driver
from pagerace.oracle.fault_around import USUAL
from pagerace.oracle.program import (
    ELSEWHERE,
    END_OF_FILE,
    MINCORE_MAX,
    PAGE,
    Exit,
    File,
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
    Space,
    Store,
    VmArea,
    alike,
    first_content,
)
from pagerace.oracle.program import Call as AnyCall

PRIVATE_ANONYMOUS, SHARED_ANONYMOUS = -1, -2

# What /proc/PID/smaps calls the bits of vm_flags: show_smap_vma_flags() of fs/proc/task_mmu.c.
VMFLAGS = {
    0x1: "rd", 0x2: "wr", 0x4: "ex", 0x8: "sh", 0x10: "mr", 0x20: "mw", 0x40: "me",
    0x80: "ms", 0x100: "gd", 0x2000: "lo", 0x8000: "sr", 0x10000: "rr", 0x20000: "dc",
    0x40000: "de", 0x100000: "ac", 0x200000: "nr", 0x2000000: "wf", 0x20000000: "hg",
    0x40000000: "nh",
}  # fmt: skip
SIGNALS = {
    driver.SEGV_MAPERR: ("SIGSEGV", "SEGV_MAPERR"),
    driver.SEGV_ACCERR: ("SIGSEGV", "SEGV_ACCERR"),
    driver.BUS_ADRERR: ("SIGBUS", "BUS_ADRERR"),
}


class Engine(Protocol):
    """What runs kernel Python: native code, the interpreter, or Python itself.

    ``start``: the address of the window's first page, in pages.
    """

    start: int

    def begin(self) -> None:
        """Memory as at power-on."""
        ...

    def call(self, function: Callable[..., Any], *arguments: Any) -> int:
        """One call; an ``array`` is passed as the address of its first element."""
        ...

    def content_read(self) -> int:
        """What the last pread() read."""
        ...

    def close(self) -> None: ...


class Model:
    """The judge.  ``engine``: what runs mm/; by default native code on four levels."""

    def __init__(self, engine: Engine | None = None, about: str = "") -> None:
        self._can_vary = False
        if engine is None:
            from pagerace.oracle.engine import Native

            engine = Native()
            about = about or engine.about
            self._can_vary = True
        self.engine = engine
        self._around: dict[int, Engine] = {}  # those that map another number of pages
        self._about = about or "mm/"

    def sight(self) -> Sight:
        missing: dict[str, str] = {}
        if not self._can_vary:
            missing["fault-around"] = "mm/ is compiled for 16 pages"
        return Sight(self._about, missing)

    def _engine(self, around: int | None) -> Engine:
        """What maps so many pages around a fault; each number is a program of its own."""
        if around in (None, USUAL // PAGE) or not self._can_vary:
            return self.engine
        if around not in self._around:
            from pagerace.oracle.engine import Native, mapping_around

            self._around[around] = Native(config=mapping_around(around))
        return self._around[around]

    def run(self, program: Program) -> list[Observation]:
        engine = self._engine(program.fault_around)
        engine.begin()
        run = _Run(engine, program)
        seen: list[Observation] = []
        try:
            for call in program.calls:
                seen.append(run.call(call))
        except KernelStopped as stopped:
            place = f"{Path(stopped.file).name}:{stopped.line}"
            why = f"{stopped.slug} in {stopped.function}(), {place}"
            seen.append(Observation(0, stopped=why))
        return seen

    def close(self) -> None:
        for engine in (self.engine, *self._around.values()):
            engine.close()
        self._around.clear()


class _Run:
    """One program."""

    def __init__(self, engine: Engine, program: Program) -> None:
        self.engine, self.program = engine, program
        self.call_of = engine.call
        self.start = engine.start
        self.pages = array("Q", bytes(8 * driver.PAGE_WORDS * program.window))
        # Each call makes at most two more mappings than there were.
        self.areas = array("Q", bytes(8 * driver.AREA_WORDS * (2 * len(program.calls) + 4)))
        self.call_of(syscalls.boot)
        self.processes = {0: self.system("sys_process_create")}
        self.files = [self._file(number, file) for number, file in enumerate(program.files)]

    def system(self, name: str, *arguments: int) -> int:
        """One system call of mm/."""
        return self.call_of(getattr(syscalls, name), *arguments)

    def _file(self, number: int, file: File) -> int:
        """Make a file, all of it in the page cache, and synced if it is on a disk."""
        if file.kind == "memfd":
            made = self.system("sys_memfd_create", 0)
        else:
            made = self.system("sys_file_create", 0, FMODE_READ | FMODE_WRITE)
        for index in range(file.pages):
            self.system("sys_pwrite", made, index, first_content(number, index))
        if file.kind == "file":
            self.system("sys_fsync", made)
        if not file.writable:
            self.call_of(driver.set_mode, made, FMODE_READ)
        return made

    def call(self, call: AnyCall) -> Observation:
        """Make a call, and look at everything."""
        faults, major = self.faults()
        result = _CALLS[type(call)](self, call)
        signal, code, page = "", "", -1
        if isinstance(call, Load | Store) and result:
            signal, code = SIGNALS[result]
            result, page = 0, call.page
        elif isinstance(call, Load):
            result = self._content(call)
        told = self._told() if isinstance(call, Mincore) else ()
        spaces = tuple(self._look(number) for number in sorted(self.processes))
        all_now, major_now = self.faults()
        major = major_now - major
        minor = all_now - faults - major
        return Observation(result, signal, code, page, minor, major, spaces, vector=told)

    def faults(self) -> tuple[int, int]:
        """All faults since the beginning, and the major ones."""
        return self.call_of(driver.faults_so_far), self.call_of(driver.major_faults_so_far)

    def _told(self) -> tuple[int, ...]:
        """The vector of the last mincore()."""
        answers = array("Q", bytes(8 * MINCORE_MAX))
        return tuple(answers[: self.call_of(driver.dump_mincore, answers)])

    def _content(self, call: Load) -> int:
        self._dump(call.actor, call.page, 1)
        return self.pages[1]

    def _dump(self, actor: int, first: int, count: int) -> None:
        process = self.processes[actor]
        self.call_of(driver.dump_pages, process, self.start + first, count, self.pages)

    def _look(self, actor: int) -> Space:
        self._dump(actor, 0, self.program.window)
        words, step = self.pages[: self.program.window * driver.PAGE_WORDS], driver.PAGE_WORDS
        columns = (words[column::step] for column in range(step))
        pages = {
            page: alike(*seen)
            for page, seen in enumerate(zip(*columns, strict=True))
            if seen[0]
        }
        count = self.call_of(driver.dump_areas, self.processes[actor], self.areas)
        return Space(actor, pages, tuple(self._area(i) for i in range(count)))

    def _area(self, number: int) -> VmArea:
        first = number * driver.AREA_WORDS
        words = self.areas[first : first + driver.AREA_WORDS]
        start, end, flags, offset, file = words[:5]
        perms = "".join(
            letter if flags & bit else "-" for letter, bit in (("r", 1), ("w", 2), ("x", 4))
        )
        kind = PRIVATE_ANONYMOUS
        if file:
            known = file - 1 in self.files
            kind = self.files.index(file - 1) if known else SHARED_ANONYMOUS
        return VmArea(
            start - self.start,
            end - self.start,
            perms + ("s" if flags & 0x80 else "p"),  # VM_MAYSHARE
            offset if file else 0,
            kind,
            _sizes(end - start, words[5:]),
            tuple(name for bit, name in VMFLAGS.items() if flags & bit),
        )

    # The calls.

    def number_of(self, file: int) -> int:
        """What mm/ calls a file of the program; -1: there is none."""
        return self.files[file] if 0 <= file < len(self.files) else -1

    def placed(self, actor: int, result: int, length: int) -> int:
        """Where a mapping is now; outside the window it is unmapped."""
        if result < 0:
            return result
        page = result - self.start
        if 0 <= page < self.program.window:
            return page
        self.system("sys_munmap", self.processes[actor], result, length)
        return ELSEWHERE

    def mmap(self, call: Mmap) -> int:
        process, address = self.processes[call.actor], self.start + call.address
        file = self.number_of(call.file)
        result = self.system(
            "sys_mmap", process, address, call.length, call.prot, call.flags, file, call.offset
        )
        return self.placed(call.actor, result, call.length)

    def mremap(self, call: Mremap) -> int:
        result = self.system(
            "sys_mremap", self.processes[call.actor], self.start + call.address,
            call.old_length, call.new_length, call.flags, self.start + call.new_address,
        )  # fmt: skip
        return self.placed(call.actor, result, call.new_length)

    def pwrite(self, call: Pwrite) -> int:
        file = self.number_of(call.file)
        if file < 0:
            return -EBADF
        done = self.system("sys_pwrite", file, call.index, call.value)
        return 1 if done > 0 else done

    def pread(self, call: Pread) -> int:
        file = self.number_of(call.file)
        if file < 0:
            return -EBADF
        done = self.system("sys_pread", file, call.index)
        if done == 0:
            return END_OF_FILE
        return self.engine.content_read() if done > 0 else done

    def ftruncate(self, call: Ftruncate) -> int:
        file = self.number_of(call.file)
        return -EBADF if file < 0 else self.system("sys_ftruncate", file, call.pages)

    def load(self, call: Load) -> int:
        process = self.processes[call.actor]
        return self.call_of(driver.load_page, process, self.start + call.page)

    def store(self, call: Store) -> int:
        process = self.processes[call.actor]
        return self.call_of(driver.store_page, process, self.start + call.page, call.addend)

    def fork(self, call: Fork) -> int:
        made = self.system("sys_fork", self.processes[call.actor])
        if made < 0:
            return made
        self.processes[call.child] = made
        return call.child

    def exit(self, call: Exit) -> int:
        process = self.processes.pop(call.actor)
        self.call_of(driver.leave, process)
        return self.system("sys_exit", process)


def _sizes(pages: int, words: Sequence[int]) -> dict[str, int]:
    """The lines of smaps, in kB; proportional shares are in 1 / 4096 bytes."""
    resident, pss, pss_dirty, *others = words
    names = (
        "Shared_Clean", "Shared_Dirty", "Private_Clean", "Private_Dirty", "Anonymous",
        "AnonHugePages",
    )  # fmt: skip
    sizes = {"Size": 4 * pages, "Rss": resident >> 10}
    sizes |= {"Pss": pss >> 22, "Pss_Dirty": pss_dirty >> 22}
    return sizes | {name: value >> 10 for name, value in zip(names, others, strict=False)}


def _range(name: str, *last: str) -> Callable[[_Run, Any], int]:
    """A system call on a range of pages."""

    def call(run: _Run, call: Any) -> int:
        arguments = (getattr(call, name) for name in last)
        process, function = run.processes[call.actor], getattr(syscalls, name)
        return run.call_of(function, process, run.start + call.address, call.length, *arguments)

    return call


_CALLS: dict[type, Callable[[_Run, Any], int]] = {
    Mmap: _Run.mmap,
    Munmap: _range("sys_munmap"),
    Mprotect: _range("sys_mprotect", "prot"),
    Mremap: _Run.mremap,
    Madvise: _range("sys_madvise", "advice"),
    Msync: _range("sys_msync", "flags"),
    Mincore: _range("sys_mincore"),
    Ftruncate: _Run.ftruncate,
    Pwrite: _Run.pwrite,
    Pread: _Run.pread,
    Load: _Run.load,
    Store: _Run.store,
    Fork: _Run.fork,
    Exit: _Run.exit,
}
