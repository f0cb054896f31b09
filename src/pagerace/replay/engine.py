"""Traces on a simulated kernel: its processes, its CPUs, and what they are fed.

Everything that takes time is native code without Python's lock: several replays can run in
threads of one process.
"""

from __future__ import annotations

import ctypes
import math
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pagerace.compiler.running import Running
from pagerace.lang.structures import Config, bound
from pagerace.machine.arch import Arch
from pagerace.machine.counters import Counting
from pagerace.machine.memory import Machine
from pagerace.machine.tables import PteTables
from pagerace.machine.tlb_sets import Tlb
from pagerace.mm import syscalls, table_walk
from pagerace.mm.fault_around import V5_10, V5_12, V6_6, V6_7, V6_18, V6_19, FaultAround
from pagerace.mm.lruvec import Watermarks, contig_page_data, free_pages_in_the_beginning
from pagerace.mm.mm_types import Mm, Reclaim, Vma, mappings
from pagerace.mm.mmu_gather import MmuGather
from pagerace.mm.readahead import Readahead
from pagerace.replay import accesses, costs, counts
from pagerace.replay.accesses import PAGE_SHIFT, Cached, Files, Stop, progress
from pagerace.replay.calls import MADV, MAP, MREMAP
from pagerace.replay.costs import Operation, Walks
from pagerace.replay.events import Batch, Call, Event
from pagerace.replay.events import Mapping as Mapped
from pagerace.replay.options import Option, choice, option

PAGE = 1 << PAGE_SHIFT
FRAMES = 1 << 24  # where no memory is given: 64 GiB
FRAMES_MIN = 256
FILES = 4096
PROCESSES = 64
TABLES_MIN = 65_536
VMAS = 65_530  # DEFAULT_MAX_MAP_COUNT
FILE_PAGES = 1 << 24
FMODE_READ_WRITE = 3

_TLB = {
    "l1_sets": "sets of the first-level data TLB",
    "l1_ways": "ways of each of them",
    "l1i_sets": "sets of the first-level TLB of instructions",
    "l1i_ways": "ways of each of them",
    "l2_sets": "sets of the second-level TLB",
    "l2_ways": "ways of each of them",
    "pde": "entries of the cache of PMD entries",
    "pdpte": "entries of the cache of PUD entries",
    "pml4e": "entries of the cache of entries of the fourth level",
    "pml5e": "entries of the cache of entries of the fifth level",
}
_SETS = tuple(1 << n for n in range(12))
_WAYS = (1, 2, 4, 8, 16)  # a tree has one bit for each but one, in 16


def _allowed(name: str) -> Sequence[int]:
    """What a parameter of the TLBs can be."""
    if name.endswith("sets"):
        return _SETS
    if name == "l2_ways":
        return range(1, 65)
    return _WAYS if name.endswith("ways") else range(257)



KERNELS = {
    "v5.10": V5_10, "v5.12": V5_12, "v6.6": V6_6, "v6.7": V6_7, "v6.18": V6_18, "v6.19": V6_19,
}  # fmt: skip
KERNEL = "v6.18"
TABLES = {"v5.11": table_walk.V5_11, "v6.5": table_walk.V6_5}
KERNEL_OF_TABLES = "v6.5"

OPTIONS: dict[str, Option] = {
    "kernel": choice(FaultAround, "how faults of files are served", KERNELS, KERNEL),
    "tables": choice(
        table_walk.TableWalk, "how tables of PTEs are walked", TABLES, KERNEL_OF_TABLES
    ),
    "fault_around_bytes": option(
        FaultAround, "fault_around_bytes", "how much of a file a read fault maps; 4096: a page",
        tuple(4096 << n for n in range(10)), default=V5_12.fault_around_bytes,
    ),
    "readahead": option(
        Readahead, "mmap", "a fault whose page is not there reads those around it", default=True
    ),
    "ra_pages": option(
        Readahead, "ra_pages", "how many", tuple(1 << n for n in range(1, 11))
    ),
    "page_cache": option(Files, "page_cache", "warm: files have been read before"),
    "prefault": option(FaultAround, "prefault", "which PTEs fault-around makes old"),
    "levels": option(Machine, "levels", "levels of page tables", (4, 5), default=4),
    **{
        name: option(Tlb, name, help, _allowed(name)) for name, help in _TLB.items()
    },
}

_ZAPPING = tuple(
    MADV[name] for name in ("MADV_DONTNEED", "MADV_FREE", "MADV_REMOVE", "MADV_DONTNEED_LOCKED")
)

# Of the flags of an mmap(), those that matter when it is known where it went.
_KEPT = sum(
    MAP[name] for name in ("MAP_SHARED", "MAP_PRIVATE", "MAP_NORESERVE", "MAP_POPULATE")
)

FUNCTIONS: tuple[Callable[..., Any], ...] = (
    free_pages_in_the_beginning, syscalls.boot, syscalls.sys_process_create,
    syscalls.sys_file_create, syscalls.sys_mmap, syscalls.sys_munmap, syscalls.sys_mprotect,
    syscalls.sys_mremap, syscalls.sys_madvise, syscalls.sys_msync,
    syscalls.sys_fork, syscalls.sys_exit, accesses.read_ahead_of_time,
    accesses.replay_records, accesses.switch_to,
    accesses.switch_away, accesses.make_room,
)  # fmt: skip


class NoMemory(Exception):
    """The simulated machine has no memory left that could be freed."""


def machine(memory: int | None = None, cpus: int = 1, levels: int = 4) -> list[Config]:
    """A machine of full size.  ``memory``: bytes of it, if little enough to matter."""
    frames = FRAMES if memory is None else max(memory >> PAGE_SHIFT, FRAMES_MIN)
    pages = 1 << 9 * levels
    low, high = watermarks(frames)
    tables = max(TABLES_MIN, frames >> 4)
    return [
        Machine(
            arch=Arch.X86_64, cpus=cpus, levels=levels, entries=512, tables=tables,
            uppers=TABLES_MIN, pages=pages, file_pages=FILE_PAGES, blocks=FILE_PAGES * FILES,
            frames=frames,
            huge_pages=True, full_size=True, address_bits=9 * levels + 1,
            frame_bits=max(frames, tables).bit_length() + 1, version_bits=0, count_bits=32,
        ),
        PteTables(come_and_go=True),
        MmuGather(bundle=510, batches=20, table_batch=510),
        Mm(vmas=VMAS, mms=PROCESSES, files=FILES),
        Vma(flags=True),
        Reclaim(lists=True),
        Watermarks(low=low, high=high),
        KERNELS[KERNEL],
        TABLES[KERNEL_OF_TABLES],
        Readahead(mmap=True),
        Counting(on=True),
    ]  # fmt: skip


def watermarks(frames: int) -> tuple[int, int]:
    """WMARK_LOW and WMARK_HIGH, as setup_per_zone_wmarks() of mm/page_alloc.c has them.

    calculate_min_free_kbytes(): the square root of 16 times the KiB there are, 128 to 262144;
    between the marks lie a quarter of it, or a thousandth of memory if that is more.
    """
    kilobytes = frames * (PAGE >> 10)
    least = min(max(math.isqrt(kilobytes * 16), 128), 262_144) // (PAGE >> 10)
    least = min(least, frames // 8)
    apart = max(least // 4, frames // 1000, 16)
    return least + apart, least + 2 * apart


class Replay:
    """One simulated machine and its kernel, fed with the events of traces.

    ``unmapped(process, address, kind)`` is asked for an access that hits no mapping; what it
    returns is done first, and then the access is tried once more.  Processes and threads have
    the numbers of the trace; a thread gets the next CPU when it first appears.
    Raises NativeUnavailable, and NoMemory from ``feed``.
    """

    def __init__(
        self,
        options: Mapping[str, Any] | None = None,
        *,
        memory: int | None = None,
        cpus: int = 1,
        unmapped: Callable[[int, int, int], Sequence[Mapped | Call]] = lambda *_: (),
        interpret: bool = False,
        hurry: bool = False,
        config: Sequence[Config] | None = None,
    ) -> None:
        options = dict(options or {})
        if config is None:
            config = machine(memory, cpus, options.pop("levels", 4))
        self.config = _with_options(config, options)
        self._warm = any(
            isinstance(item, Files) and item.page_cache is Cached.WARM for item in self.config
        )
        self._charges = any(isinstance(item, Walks) and item.costs for item in self.config)
        self._tables_at_end: int | None = None
        self.cpus, self.unmapped = cpus, unmapped
        functions = (*FUNCTIONS, costs.charge) if self._charges else FUNCTIONS
        self.kernel = kernel = Running(functions, self.config, interpret=interpret, hurry=hurry)
        kernel.call(free_pages_in_the_beginning)
        kernel.call(syscalls.boot)
        self._free_at_first = kernel.get(contig_page_data, "nr_free_pages")
        self._processes: dict[int, int] = {}  # number in the trace -> in the kernel
        self._cpu_of: dict[tuple[int, int], int] = {}
        self._loaded: list[int | None] = [None] * cpus
        self._files: dict[str, tuple[int, int]] = {}  # path -> (number, pages)
        self._breaks: dict[int, int] = {}
        self._segv = self._sigbus = self._calls = self._differ = 0

    # -- what is fed ------------------------------------------------------------

    def feed(self, event: Event) -> None:
        """Do what the event says.  Raises KernelStopped if mm/ finds a mistake of its own."""
        if isinstance(event, Batch):
            self._batch(event)
        elif isinstance(event, Call):
            self._call(event)
        else:
            self._map(event)

    def _batch(self, batch: Batch) -> None:
        process = self._process(batch.process)
        self._run_on(self._cpu(batch.process, batch.thread), process)
        records = batch.records
        if records.readonly:
            records = memoryview(array("Q", records))
        address = ctypes.addressof(ctypes.c_char.from_buffer(records))
        done, count = 0, len(records)
        asked = -1
        while True:
            left = count - done
            done += self.kernel.call(
                accesses.replay_records, address + 8 * done, left, process
            )
            if done == count:
                return
            stop = list(Stop)[self.kernel.get(progress, "stop")]
            if stop is Stop.NO_MEMORY:
                raise NoMemory(_no_memory(self.kernel))
            record = records[done]
            if stop is Stop.SEGV and asked != done:
                asked = done
                if self._ask(batch.process, record):
                    continue
            self._segv += stop is Stop.SEGV
            self._sigbus += stop is Stop.SIGBUS
            done += 1
            if done == count:
                return

    def _ask(self, process: int, record: int) -> bool:
        """Has whoever knows of mappings one for this access?"""
        page = self.kernel.get(progress, "page") << PAGE_SHIFT
        address = max(record >> accesses.ADDRESS_SHIFT, page)
        found = self.unmapped(process, address, record & accesses.KIND)
        for event in found:
            self.feed(event)
        self._run_on_again()
        return bool(found)

    # -- processes and CPUs -----------------------------------------------------

    def _process(self, number: int) -> int:
        if number not in self._processes:
            made = self.kernel.call(syscalls.sys_process_create)
            if made < 0:
                raise NoMemory(f"more than {PROCESSES} processes at once")
            self._processes[number] = made
        return self._processes[number]

    def _cpu(self, process: int, thread: int) -> int:
        known = self._cpu_of.get((process, thread))
        if known is None:
            known = self._cpu_of[process, thread] = len(self._cpu_of) % self.cpus
        return known

    def _run_on(self, cpu: int, process: int) -> None:
        self._now = cpu, process
        self.kernel.processor = cpu
        if self._loaded[cpu] != process:
            self.kernel.call(accesses.switch_to, process)
            self._loaded[cpu] = process

    def _run_on_again(self) -> None:
        self._run_on(*self._now)

    # -- system calls -----------------------------------------------------------

    def _call(self, call: Call) -> None:
        if call.name == "thread":
            return
        process = self._process(call.process)
        self._run_on(self._cpu(call.process, call.thread), process)
        if call.result < 0 and call.name != "exit":
            return  # what failed there did nothing
        self.kernel.call(accesses.make_room)
        handler = _CALLS.get(call.name)
        if handler is not None:
            self._calls += 1
            operation = _operation(call, self._breaks.get(call.process, 0))
            self._differ += handler(self, process, call) != 0
            self._charge(operation)

    def _charge(self, operation: Operation) -> None:
        if self._charges:
            self.kernel.call(costs.charge, operation)

    def _mmap(self, process: int, call: Call) -> int:
        _, length, prot, flags, _, offset = call.arguments
        return self._map_at(process, call.result, length, prot, flags, offset, call.path)

    def _map(self, event: Mapped) -> None:
        length = event.end - event.start
        process = self._process(event.process)
        self._map_at(
            process, event.start, length, event.prot, event.flags, event.offset, event.path
        )
        self._charge(Operation.MAP)

    def _map_at(
        self, process: int, start: int, length: int, prot: int, flags: int, offset: int,
        path: str,
    ) -> int:  # fmt: skip
        anonymous = flags & MAP["MAP_ANONYMOUS"] or not path
        pages = _pages(length)
        kept = flags & _KEPT
        kept |= MAP["MAP_FIXED"] | (MAP["MAP_ANONYMOUS"] if anonymous else 0)
        file = -1 if anonymous else self._file(path, (offset >> PAGE_SHIFT) + pages)
        result = self.kernel.call(
            syscalls.sys_mmap, process, start >> PAGE_SHIFT, pages, prot & 7, kept, file,
            0 if anonymous else offset >> PAGE_SHIFT,
        )  # fmt: skip
        return result if result < 0 else 0

    def _file(self, path: str, pages: int) -> int:
        """The number of a file that has at least so many pages."""
        known = self._files.get(path)
        if known is None:
            number = self.kernel.call(syscalls.sys_file_create, pages, FMODE_READ_WRITE)
            if number < 0:
                raise NoMemory(f"more than {FILES} files")
            size = 0
        else:
            number, size = known
        if pages > size:
            self.kernel.set((mappings, number), "i_size", pages)
            self._files[path] = number, pages
            if self._warm:
                self.kernel.call(accesses.read_ahead_of_time, number, size, pages)
        return number

    def _munmap(self, process: int, call: Call) -> int:
        start, length = call.arguments[:2]
        return self.kernel.call(
            syscalls.sys_munmap, process, start >> PAGE_SHIFT, _pages(length)
        )

    def _mprotect(self, process: int, call: Call) -> int:
        start, length, prot = call.arguments[:3]
        return self.kernel.call(
            syscalls.sys_mprotect, process, start >> PAGE_SHIFT, _pages(length), prot & 7
        )

    def _mremap(self, process: int, call: Call) -> int:
        """To where it went in the trace."""
        old, old_length, length, flags, _ = call.arguments[:5]
        kept = flags & MREMAP["MREMAP_DONTUNMAP"]
        if call.result != old:
            kept |= MREMAP["MREMAP_MAYMOVE"] | MREMAP["MREMAP_FIXED"]
        result = self.kernel.call(
            syscalls.sys_mremap, process, old >> PAGE_SHIFT, _pages(old_length),
            _pages(length), kept, call.result >> PAGE_SHIFT,
        )  # fmt: skip
        return int(result != call.result >> PAGE_SHIFT)

    def _madvise(self, process: int, call: Call) -> int:
        start, length, advice = call.arguments[:3]
        return self.kernel.call(
            syscalls.sys_madvise, process, start >> PAGE_SHIFT, _pages(length), advice
        )

    def _msync(self, process: int, call: Call) -> int:
        start, length, flags = call.arguments[:3]
        return self.kernel.call(
            syscalls.sys_msync, process, start >> PAGE_SHIFT, _pages(length), flags
        )

    def _brk(self, process: int, call: Call) -> int:
        """The heap grows and shrinks as an anonymous mapping does."""
        after = -(-call.result // PAGE) * PAGE
        before = self._breaks.get(call.process, after)
        self._breaks[call.process] = after
        if after > before:
            flags = MAP["MAP_PRIVATE"] | MAP["MAP_ANONYMOUS"]
            return self._map_at(process, before, after - before, 3, flags, 0, "")
        if after < before:
            return self.kernel.call(
                syscalls.sys_munmap, process, after >> PAGE_SHIFT, before - after >> PAGE_SHIFT
            )
        return 0

    def _fork(self, process: int, call: Call) -> int:
        child = self.kernel.call(syscalls.sys_fork, process)
        if child < 0:
            return child
        self._processes[call.result] = child
        if call.process in self._breaks:
            self._breaks[call.result] = self._breaks[call.process]
        return 0

    def _exit(self, process: int, call: Call) -> int:
        self._tables_at_end = counts.tables_of(self.kernel)
        for cpu, loaded in enumerate(self._loaded):
            if loaded == process:
                self.kernel.processor = cpu
                self.kernel.call(accesses.switch_away)
                self._loaded[cpu] = None
        del self._processes[call.process]
        self._breaks.pop(call.process, None)
        return self.kernel.call(syscalls.sys_exit, process)

    # -- what was counted -------------------------------------------------------

    def counts(self) -> dict[str, int | dict[str, int]]:
        """By name; see counts.py."""
        kernel = self.kernel
        free = kernel.get(contig_page_data, "nr_free_pages")
        own = counts.of_accesses(kernel)
        with bound(*self.config):
            others = counts.of_machine(kernel) | counts.of_reclaim(kernel)
        found = counts.Counts(
            **own, faults_segv=self._segv, faults_sigbus=self._sigbus, calls_made=self._calls,
            calls_differ=self._differ, frames_used=self._free_at_first - free,
            resident_bytes=kernel.bytes, others=others,
        )  # fmt: skip
        return found.by_name()

    def costs(self) -> counts.Costs:
        """By operation; with ``Walks.costs`` only."""
        return counts.of_costs(self.kernel, self._tables_at_end)

    def close(self) -> None:
        """Give the memory back."""
        self.kernel.close()


_CALLS: dict[str, Callable[[Replay, int, Call], int]] = {
    "mmap": Replay._mmap, "munmap": Replay._munmap, "mprotect": Replay._mprotect,
    "mremap": Replay._mremap, "madvise": Replay._madvise, "msync": Replay._msync,
    "brk": Replay._brk, "fork": Replay._fork, "exit": Replay._exit,
}  # fmt: skip


def _operation(call: Call, brk: int) -> Operation:
    """What a system call costs is charged to; ``brk``: the end of the heap before it."""
    if call.name == "exit":
        return Operation.EXIT
    zaps = call.name == "madvise" and call.arguments[2] in _ZAPPING
    if call.name == "munmap" or zaps or (call.name == "brk" and call.result < brk):
        return Operation.UNMAP
    return Operation.MAP if call.name in ("mmap", "brk") else Operation.OTHER


def _pages(length: int) -> int:
    return -(-length // PAGE)


def _no_memory(kernel: Running) -> str:
    free = kernel.get(contig_page_data, "nr_free_pages")
    return f"{free} pages are free, and nothing can be evicted (there is no swap)"


def _with_options(config: Sequence[Config], options: Mapping[str, Any]) -> list[Config]:
    found = {type(item): item for item in config}
    for name in sorted(options, key=lambda name: OPTIONS[name].field):  # "" is all of them
        known, value = OPTIONS[name], options[name]
        base = found.get(known.config) or known.config()
        found[known.config] = base.replace(**{known.field: value}) if known.field else value
    return list(found.values())
