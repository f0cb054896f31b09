"""What is counted of faults, natively, on a machine of four levels."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator

import pytest

from pagerace.compiler.running import Running
from pagerace.lang import s64, u32
from pagerace.machine.counters import Counting, counters
from pagerace.machine.memory import Machine, ulong
from pagerace.machine.tables import PteTables
from pagerace.mm import syscalls
from pagerace.mm.errno import ENOMEM
from pagerace.mm.fault import user_load, user_store
from pagerace.mm.fault_around import FaultAround
from pagerace.mm.lockdep import LockClass
from pagerace.mm.mm_types import Mm, Vma, mms
from pagerace.mm.mman import (
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_PRIVATE,
    MAP_SHARED,
    PROT_READ,
    PROT_WRITE,
)
from pagerace.mm.tlb import switch_mm

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("llvmlite") is None, reason="llvmlite is not installed"
)

CONFIG = [
    Machine(
        levels=4, entries=512, pages=1 << 36, file_pages=64, frames=4096, tables=64, uppers=64,
        cpus=2, prot_none=True, full_size=True, address_bits=40, frame_bits=32,
        version_bits=64, count_bits=32,
    ),
    Mm(vmas=16, mms=4, files=4), Vma(flags=True), PteTables(come_and_go=True),
    Counting(on=True), FaultAround(map_pages=True),
]  # fmt: skip
RW = PROT_READ | PROT_WRITE
START = 1 << 20


def load(process: u32, address: ulong) -> bool:
    switch_mm(mms[process])
    return user_load(mms[process], address)


def store(process: u32, address: ulong) -> bool:
    switch_mm(mms[process])
    return user_store(mms[process], address)


def create() -> s64:
    """A process, once all is up."""
    syscalls.boot()
    if syscalls.sys_process_create() < 0:
        return -ENOMEM
    return syscalls.sys_file_create(16, 3)


FUNCTIONS = [
    create, load, store, syscalls.sys_mmap, syscalls.sys_munmap, syscalls.sys_fork,
    syscalls.sys_exit,
]  # fmt: skip


class Kernel:
    def __init__(self) -> None:
        self.running = Running(FUNCTIONS, CONFIG)

    def __call__(self, function: Callable[..., object], *arguments: int) -> int:
        return self.running.call(function, *arguments)

    def mmap(self, flags: int, file: int = -1) -> None:
        found = self(syscalls.sys_mmap, 0, START, 16, RW, flags | MAP_FIXED, file, 0)
        assert found == START

    def faults(self) -> dict[str, int]:
        """Those that there were, by the rest of their names."""
        names = [name for name in vars(type(counters))["__annotations__"] if "fault" in name]
        names += ["around_mapped", "around_used", "around_unused"]
        found = {n.removeprefix("faults_"): self.running.get(counters, n) for n in names}
        return {name: number for name, number in found.items() if number}


@pytest.fixture(scope="module")
def compiled() -> Kernel:
    return Kernel()


@pytest.fixture
def kernel(compiled: Kernel) -> Iterator[Kernel]:
    compiled.running.reset()
    assert compiled(create) == 0
    yield compiled


def test_faults_of_anonymous_memory(kernel: Kernel) -> None:
    kernel.mmap(MAP_PRIVATE | MAP_ANONYMOUS)
    assert kernel(load, 0, START)
    assert kernel.faults() == {"faults": 1, "zero_page": 1}
    assert kernel(store, 0, START)
    assert kernel(store, 0, START + 1)
    assert kernel.faults() == {"faults": 3, "zero_page": 1, "cow": 1, "anonymous": 1}
    child = kernel(syscalls.sys_fork, 0)
    assert kernel(store, child, START)
    assert kernel(store, 0, START)
    found = kernel.faults()
    assert (found["cow"], found["reused"], found["faults"]) == (2, 1, 5)
    assert not kernel(load, 0, START + 16)
    assert kernel.faults()["sigsegv"] == 1


def test_faults_of_a_file(kernel: Kernel) -> None:
    kernel.mmap(MAP_SHARED, 0)
    for page in range(16):
        assert kernel(load, 0, START + page)
    assert kernel.faults() == {"faults": 16, "major": 16, "read_file": 16}
    assert kernel(store, 0, START)
    assert kernel.faults()["write_shared"] == 1
    assert kernel(syscalls.sys_munmap, 0, START, 16) == 0
    kernel.mmap(MAP_SHARED, 0)
    assert kernel(load, 0, START + 3)
    assert kernel(load, 0, START + 4)
    assert kernel(store, 0, START + 5)
    found = kernel.faults()
    assert (found["around"], found["around_mapped"], found["around_used"]) == (1, 15, 2)
    assert (found["faults"], found["write_shared"]) == (19, 2)
    assert kernel(syscalls.sys_munmap, 0, START, 16) == 0
    assert kernel.faults()["around_unused"] == 13


def test_no_disk_is_waited_for_where_there_is_none(kernel: Kernel) -> None:
    kernel.mmap(MAP_SHARED | MAP_ANONYMOUS)
    assert kernel(store, 0, START)
    found = kernel.faults()
    assert (found["faults"], found["write_shared"], found.get("major")) == (1, 1, None)


def test_locks_and_locked_instructions(kernel: Kernel) -> None:
    kernel.mmap(MAP_PRIVATE | MAP_ANONYMOUS)
    before = [kernel.running.get(counters, "locks", lock.value) for lock in LockClass]
    assert kernel(store, 0, START)
    after = [kernel.running.get(counters, "locks", lock.value) for lock in LockClass]
    taken = {
        lock.name: b - a for lock, a, b in zip(LockClass, before, after, strict=True) if b != a
    }
    assert (taken["MMAP_LOCK"], taken["PAGE_TABLE_LOCK"]) == (1, 1)
    assert taken["PMD_LOCK"] == 3  # a PUD, a PMD, a table of PTEs
    assert kernel.running.get(counters, "atomics") > 0
