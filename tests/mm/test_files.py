"""Files that are mapped, read, written and cut, and memory that is copied on write."""

from __future__ import annotations

import pytest

from pagerace.machine.memory import disk, file_pages
from pagerace.mm import syscalls
from pagerace.mm.errno import EBADF, EFBIG, EINVAL
from pagerace.mm.mm_types import mappings
from pagerace.mm.mman import (
    FMODE_READ,
    MADV_DONTNEED,
    MADV_WIPEONFORK,
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_POPULATE,
    MAP_PRIVATE,
    MAP_SHARED,
    MS_SYNC,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
)
from pagerace.mm.read_write import user_buffer
from tests.mm.processes import (
    RW,
    SIGNAL,
    load,
    machine,
    mmap,
    nothing_is_left,
    pte,
    references,
    store,
)

PRIVATE = MAP_PRIVATE | MAP_FIXED
SHARED = MAP_SHARED | MAP_FIXED


def file_of(*contents: int, memfd: bool = False) -> int:
    """A file whose pages hold these."""
    make = syscalls.sys_memfd_create if memfd else lambda n: syscalls.sys_file_create(n, 3)
    file = int(make(len(contents)))
    for index, content in enumerate(contents):
        assert syscalls.sys_pwrite(file, index, content) == 8
    return file


def read(file: int, index: int) -> int | None:
    """What read() finds; None at the end."""
    return int(user_buffer.value) if syscalls.sys_pread(file, index) == 8 else None


def fork() -> int:
    child = int(syscalls.sys_fork(0))
    assert child > 0
    return child


def everything_goes(*processes: int) -> bool:
    for process in processes:
        assert syscalls.sys_exit(process) == 0
    return nothing_is_left()


@pytest.mark.parametrize("memfd", [False, True])
def test_a_private_mapping_is_copied_on_write(memfd: bool) -> None:
    with machine():
        file = file_of(7, 8, 9, memfd=memfd)
        assert syscalls.sys_mmap(0, 2, 3, RW, PRIVATE, file, 0) == 2
        assert load(0, 2) == 7
        assert not pte(0, 2).writable
        assert store(0, 2)
        assert store(0, 3)
        assert [load(0, page) for page in (2, 3, 4)] == [8, 9, 9]
        assert [read(file, index) for index in range(4)] == [7, 8, 9, None]
        assert syscalls.sys_madvise(0, 2, 3, MADV_DONTNEED) == 0
        assert [load(0, page) for page in (2, 3, 4)] == [7, 8, 9]
        assert everything_goes(0)


@pytest.mark.parametrize("memfd", [False, True])
def test_a_shared_mapping_is_the_file(memfd: bool) -> None:
    with machine():
        file = file_of(7, 8, memfd=memfd)
        assert syscalls.sys_mmap(0, 2, 2, RW, SHARED, file, 0) == 2
        child = fork()
        assert store(0, 2)
        assert store(child, 2)
        assert load(child, 3) == 8
        assert pte(child, 3).writable == memfd
        assert syscalls.sys_pwrite(file, 1, 30) == 8
        assert [load(0, 2), load(0, 3), read(file, 0)] == [9, 30, 9]
        assert everything_goes(0, child)


def test_msync_brings_a_part_to_the_disk() -> None:
    with machine():
        file = file_of(1, 2)
        assert syscalls.sys_mmap(0, 2, 2, RW, SHARED, file, 0) == 2
        store(0, 2)
        store(0, 3)
        assert syscalls.sys_msync(0, 3, 1, MS_SYNC) == 0
        block = file * file_pages()
        assert [int(disk.block[block]), int(disk.block[block + 1])] == [0, 3]
        assert pte(0, 2).dirty and pte(0, 2).writable
        assert not pte(0, 3).dirty and not pte(0, 3).writable
        assert syscalls.sys_fsync(file) == 0
        assert int(disk.block[block]) == 2


@pytest.mark.parametrize("memfd", [False, True])
def test_behind_the_end_is_a_signal(memfd: bool) -> None:
    with machine():
        file = file_of(7, 8, 9, memfd=memfd)
        assert syscalls.sys_mmap(0, 2, 4, RW, PRIVATE, file, 0) == 2
        assert syscalls.sys_mmap(0, 8, 4, RW, SHARED, file, 0) == 8
        for page in (2, 4, 8, 10):
            assert store(0, page)
        assert load(0, 5) == SIGNAL
        assert syscalls.sys_ftruncate(file, 1) == 0
        assert [bool(pte(0, page).present) for page in (2, 4, 8, 10)] == [True, False] * 2
        assert [load(0, page) for page in (2, 3, 4)] == [8, SIGNAL, SIGNAL]
        assert [load(0, page) for page in (8, 9, 10)] == [8, SIGNAL, SIGNAL]
        assert syscalls.sys_ftruncate(file, 3) == 0
        assert [load(0, page) for page in (2, 3, 4)] == [8, 0, 0]
        assert [read(file, index) for index in range(4)] == [8, 0, 0, None]
        assert everything_goes(0)


def test_a_write_makes_a_file_longer() -> None:
    with machine():
        file = file_of(7)
        assert syscalls.sys_pwrite(file, 3, 5) == 8
        assert [read(file, index) for index in range(5)] == [7, 0, 0, 5, None]
        assert syscalls.sys_pwrite(file, 16, 5) == -EFBIG
        assert syscalls.sys_ftruncate(file, 17) == -EFBIG
        closed = int(syscalls.sys_file_create(1, FMODE_READ))
        assert syscalls.sys_pwrite(closed, 0, 5) == -EBADF
        assert syscalls.sys_ftruncate(closed, 0) == -EINVAL


def test_a_memfd_goes_with_its_last_mapping() -> None:
    with machine():
        file = file_of(7, memfd=True)
        assert syscalls.sys_mmap(0, 2, 1, RW, SHARED, file, 0) == 2
        assert syscalls.sys_close(file) == 0
        assert load(0, 2) == 7
        assert mappings.allocated(mappings[file])
        assert syscalls.sys_munmap(0, 2, 1) == 0
        assert not mappings.allocated(mappings[file])
        assert references() == {}


def test_a_page_is_copied_once_and_then_used_again() -> None:
    with machine():
        mmap(2, 2)
        assert load(0, 2) == 0
        assert store(0, 2)
        frame = pte(0, 2).pfn
        assert not load(0, 3) and pte(0, 3).pfn == 0
        child = fork()
        assert not pte(0, 2).writable and not pte(child, 2).writable
        assert store(0, 2)
        assert [load(0, 2), load(child, 2)] == [2, 1]
        assert store(child, 2)
        assert pte(child, 2).pfn == frame and references()[int(frame)] == (1, 1)
        assert everything_goes(child, 0)


def test_what_has_no_page_of_its_own_is_not_copied_by_fork() -> None:
    with machine():
        file = file_of(7)
        mmap(2, 2)
        assert syscalls.sys_mmap(0, 6, 1, RW, SHARED, file, 0) == 6
        assert load(0, 2) == 0
        assert store(0, 6)
        child = fork()
        assert not pte(child, 2).present and not pte(child, 6).present
        assert store(0, 3)
        other = fork()
        assert pte(other, 2).present and pte(other, 3).present
        assert everything_goes(child, 0, other)


def test_a_child_of_its_own_mind() -> None:
    with machine():
        mmap(2, 1)
        store(0, 2)
        assert syscalls.sys_madvise(0, 2, 1, MADV_WIPEONFORK) == 0
        child = fork()
        assert [load(child, 2), load(0, 2)] == [0, 1]
        assert syscalls.sys_exit(0) == 0
        assert store(child, 2)
        assert everything_goes(child)


def test_rights_come_and_go() -> None:
    with machine():
        mmap(2, 1)
        assert store(0, 2)
        assert syscalls.sys_mprotect(0, 2, 1, PROT_NONE) == 0
        assert (load(0, 2), store(0, 2)) == (SIGNAL, False)
        assert syscalls.sys_mprotect(0, 2, 1, PROT_READ) == 0
        assert (load(0, 2), store(0, 2)) == (1, False)
        assert syscalls.sys_mprotect(0, 2, 1, RW) == 0
        assert pte(0, 2).writable  # can_change_pte_writable(): it is exclusive
        assert store(0, 2) and load(0, 2) == 2
        assert syscalls.sys_mprotect(0, 2, 1, PROT_WRITE) == 0
        assert load(0, 2) == 2
        assert load(0, 3) == SIGNAL


def test_a_shared_page_that_is_clean_stays_read_only() -> None:
    with machine():
        file = file_of(7, 8)
        assert syscalls.sys_mmap(0, 2, 2, RW, SHARED, file, 0) == 2
        assert store(0, 2) and load(0, 3) == 8
        assert syscalls.sys_mprotect(0, 2, 2, PROT_READ) == 0
        assert syscalls.sys_mprotect(0, 2, 2, RW) == 0
        assert pte(0, 2).writable and not pte(0, 3).writable


def test_populate_brings_pages_at_once() -> None:
    with machine():
        flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE
        assert syscalls.sys_mmap(0, 2, 2, RW, flags, -1, 0) == 2
        assert pte(0, 2).writable and pte(0, 3).dirty
        assert syscalls.sys_mmap(0, 6, 1, PROT_READ, flags, -1, 0) == 6
        assert pte(0, 6).pfn == 0 and pte(0, 6).present


def test_the_heap() -> None:
    with machine():
        assert syscalls.sys_brk(0, 0) == 0
        assert syscalls.sys_brk(0, 3) == 3
        assert store(0, 2)
        mmap(5, 1)
        assert syscalls.sys_brk(0, 6) == 3
        assert syscalls.sys_brk(0, 1) == 1
        assert load(0, 2) == SIGNAL
