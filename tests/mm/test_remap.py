"""mremap(), madvise() and msync(): what they answer, and which mappings there are then.

Each expectation is what Linux 6.18 does with the same calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from pagerace.mm import syscalls
from pagerace.mm.errno import EFAULT, EINVAL, ENOMEM
from pagerace.mm.mman import (
    MADV_DONTFORK,
    MADV_DONTNEED,
    MADV_FREE,
    MADV_POPULATE_READ,
    MADV_POPULATE_WRITE,
    MADV_RANDOM,
    MADV_WIPEONFORK,
    MAP_FIXED,
    MAP_SHARED,
    MREMAP_DONTUNMAP,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
    MS_ASYNC,
    MS_SYNC,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
)
from tests.mm.processes import RW, load, machine, mapped, mmap, nothing_is_left, pte, store

MAY = MREMAP_MAYMOVE
FIXED = MREMAP_MAYMOVE | MREMAP_FIXED
KEEP = MREMAP_MAYMOVE | MREMAP_DONTUNMAP


@dataclass(frozen=True)
class Case:
    """``before``: mappings as (start, pages, rights), and pages that are stored to."""

    before: tuple[tuple[int, int, int], ...]
    stored: tuple[int, ...]
    call: Callable[[], int]
    result: int
    after: str


def remap(addr: int, old: int, new: int, flags: int, to: int = 0) -> Callable[[], int]:
    return lambda: syscalls.sys_mremap(0, addr, old, new, flags, to)


def advise(start: int, pages: int, advice: int) -> Callable[[], int]:
    return lambda: syscalls.sys_madvise(0, start, pages, advice)


def sync(start: int, pages: int, flags: int) -> Callable[[], int]:
    return lambda: syscalls.sys_msync(0, start, pages, flags)


TWO = ((2, 2, RW),)
FOUR = ((2, 4, RW),)
HOLE = ((2, 2, RW), (5, 2, RW))
CASES = {
    "move": Case(TWO, (2,), remap(2, 2, 2, FIXED, 8), 8, "8-10 rw-p"),
    "middle": Case(
        ((2, 3, RW),), (3,), remap(3, 1, 1, FIXED, 8), 8, "2-3 rw-p, 4-5 rw-p, 8-9 rw-p"
    ),
    "grow": Case(TWO, (), remap(2, 2, 4, 0), 2, "2-6 rw-p"),
    "no room": Case(
        ((2, 2, RW), (5, 1, RW)), (), remap(2, 2, 4, 0), -ENOMEM, "2-4 rw-p, 5-6 rw-p"
    ),
    "grow and merge": Case(((2, 2, RW), (5, 1, RW)), (), remap(2, 2, 3, 0), 2, "2-6 rw-p"),
    "shrink": Case(FOUR, (), remap(2, 4, 1, 0), 2, "2-3 rw-p"),
    "dontunmap": Case(FOUR, (2,), remap(2, 4, 4, KEEP | FIXED, 8), 8, "2-6 rw-p, 8-12 rw-p"),
    "dontunmap of a part": Case(
        FOUR, (3,), remap(3, 2, 2, KEEP, 8), 8, "2-6 rw-p, 8-10 rw-p"
    ),
    "two mappings": Case(
        ((2, 2, RW), (5, 1, PROT_READ)), (), remap(2, 4, 4, FIXED, 8), 8,
        "8-10 rw-p, 11-12 r--p",
    ),
    "hole first": Case(((3, 2, RW),), (), remap(2, 4, 4, FIXED, 8), -EFAULT, "3-5 rw-p"),
    "hole last": Case(TWO, (), remap(2, 4, 4, FIXED, 8), 8, "8-10 rw-p"),
    "nothing": Case((), (), remap(2, 4, 4, FIXED, 8), -EFAULT, ""),
    "nothing, in place": Case((), (), remap(2, 1, 2, MAY), -EFAULT, ""),
    "to no page": Case(TWO, (), remap(2, 2, 0, MAY), -EINVAL, "2-4 rw-p"),
    "fixed, but not to move": Case(
        TWO, (), remap(2, 2, 2, MREMAP_FIXED, 8), -EINVAL, "2-4 rw-p"
    ),
    "unknown flag": Case(TWO, (), remap(2, 2, 2, 8), -EINVAL, "2-4 rw-p"),
    "onto itself": Case(TWO, (), remap(2, 2, 2, FIXED, 3), -EINVAL, "2-4 rw-p"),
    "dontunmap and grow": Case(TWO, (), remap(2, 2, 3, KEEP, 8), -EINVAL, "2-4 rw-p"),
    "less than there is": Case(TWO, (), remap(2, 3, 2, FIXED, 8), 8, "8-10 rw-p"),
    "more than there is": Case(TWO, (), remap(2, 3, 4, MAY), -EFAULT, "2-4 rw-p"),
    "copy of private memory": Case(TWO, (), remap(2, 0, 2, MAY), -EINVAL, "2-4 rw-p"),
    "beside others": Case(
        ((2, 2, RW), (4, 1, PROT_READ)), (2,), remap(2, 1, 1, FIXED, 5), 5,
        "3-4 rw-p, 4-5 r--p, 5-6 rw-p",
    ),
    "no page yet": Case(
        ((2, 2, RW), (8, 2, RW)), (), remap(2, 2, 2, FIXED, 10), 10, "8-12 rw-p"
    ),
    "pages of another place": Case(
        ((2, 2, RW), (8, 2, RW)), (2,), remap(2, 2, 2, FIXED, 10), 10, "8-10 rw-p, 10-12 rw-p"
    ),
    "behind itself": Case(FOUR, (2,), remap(4, 2, 2, FIXED, 6), 6, "2-4 rw-p, 6-8 rw-p"),
    "shrink and move": Case(FOUR, (2,), remap(2, 4, 2, FIXED, 8), 8, "8-10 rw-p"),
    "dontneed": Case(HOLE, (2, 5), advise(2, 5, MADV_DONTNEED), -ENOMEM, "2-4 rw-p, 5-7 rw-p"),
    "no such advice": Case(TWO, (), advise(2, 2, 77), -EINVAL, "2-4 rw-p"),
    "advice for no page": Case(TWO, (), advise(2, 0, MADV_DONTNEED), 0, "2-4 rw-p"),
    "advice for what is not mapped": Case(
        TWO, (), advise(0, 1, MADV_DONTNEED), -ENOMEM, "2-4 rw-p"
    ),
    "free": Case(TWO, (2,), advise(2, 2, MADV_FREE), 0, "2-4 rw-p"),
    "random": Case(FOUR, (), advise(3, 1, MADV_RANDOM), 0, "2-3 rw-p, 3-4 rw-p, 4-6 rw-p"),
    "dontfork": Case(FOUR, (), advise(3, 1, MADV_DONTFORK), 0, "2-3 rw-p, 3-4 rw-p, 4-6 rw-p"),
    "populate": Case(
        ((2, 4, PROT_READ),), (), advise(2, 2, MADV_POPULATE_READ), 0, "2-6 r--p"
    ),
    "populate, no right": Case(
        ((2, 4, PROT_READ),), (), advise(2, 2, MADV_POPULATE_WRITE), -EINVAL, "2-6 r--p"
    ),
    "populate, a hole": Case(
        ((2, 4, PROT_READ),), (), advise(5, 3, MADV_POPULATE_READ), -ENOMEM, "2-6 r--p"
    ),
    "populate what nobody may touch": Case(
        ((2, 4, PROT_NONE),), (), advise(2, 2, MADV_POPULATE_READ), -EINVAL, "2-6 ---p"
    ),
    "populate what may only be written": Case(
        ((2, 4, PROT_WRITE),), (), advise(2, 2, MADV_POPULATE_READ), -EINVAL, "2-6 -w-p"
    ),
    "sync": Case(HOLE, (), sync(2, 2, MS_SYNC), 0, "2-4 rw-p, 5-7 rw-p"),
    "sync, a hole": Case(HOLE, (), sync(2, 5, MS_SYNC), -ENOMEM, "2-4 rw-p, 5-7 rw-p"),
    "sync, a hole last": Case(HOLE, (), sync(2, 3, MS_ASYNC), -ENOMEM, "2-4 rw-p, 5-7 rw-p"),
    "sync, a hole first": Case(HOLE, (), sync(4, 2, MS_SYNC), -ENOMEM, "2-4 rw-p, 5-7 rw-p"),
    "sync both ways": Case(
        HOLE, (), sync(2, 2, MS_SYNC | MS_ASYNC), -EINVAL, "2-4 rw-p, 5-7 rw-p"
    ),
    "sync, unknown flag": Case(HOLE, (), sync(2, 2, 8), -EINVAL, "2-4 rw-p, 5-7 rw-p"),
    "sync no page": Case(HOLE, (), sync(8, 0, MS_SYNC), 0, "2-4 rw-p, 5-7 rw-p"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_private_memory(name: str) -> None:
    case = CASES[name]
    with machine():
        for start, pages, rights in case.before:
            mmap(start, pages, rights)
        for page in case.stored:
            assert store(0, page)
        assert case.call() == case.result
        assert mapped() == case.after
        assert syscalls.sys_exit(0) == 0
        assert nothing_is_left()


def test_pages_move_with_their_content() -> None:
    with machine():
        mmap(2, 4)
        for page in (2, 3, 3, 5):
            store(0, page)
        assert syscalls.sys_mremap(0, 2, 4, 4, KEEP | FIXED, 9) == 9
        assert [load(0, page) for page in range(9, 13)] == [1, 2, 0, 1]
        assert [load(0, page) for page in range(2, 6)] == [0, 0, 0, 0]


def test_what_stays_without_a_page_is_not_copied_by_fork() -> None:
    with machine():
        mmap(2, 2)
        store(0, 2)
        assert syscalls.sys_mremap(0, 2, 2, 2, KEEP | FIXED, 9) == 9
        assert load(0, 2) == 0
        assert syscalls.sys_fork(0) == 1
        assert not pte(1, 2).present and pte(1, 9).present


def test_what_is_not_needed_is_zero_and_what_is_free_stays() -> None:
    with machine():
        mmap(2, 2)
        store(0, 2)
        store(0, 3)
        assert syscalls.sys_madvise(0, 2, 1, MADV_DONTNEED) == 0
        assert syscalls.sys_madvise(0, 3, 1, MADV_FREE) == 0
        assert [load(0, 2), load(0, 3)] == [0, 1]


def test_advice_for_a_file() -> None:
    with machine():
        file = syscalls.sys_memfd_create(4)
        assert syscalls.sys_mmap(0, 2, 4, RW, MAP_SHARED | MAP_FIXED, file, 0) == 2
        assert syscalls.sys_madvise(0, 2, 2, MADV_FREE) == -EINVAL
        assert syscalls.sys_madvise(0, 2, 2, MADV_WIPEONFORK) == -EINVAL
        assert syscalls.sys_mremap(0, 3, 2, 2, FIXED, 8) == 8
        assert mapped() == "2-3 rw-s 0:0, 5-6 rw-s 3:0, 8-10 rw-s 1:0"
        assert syscalls.sys_mremap(0, 2, 0, 2, FIXED, 11) == 11
        assert mapped() == "2-3 rw-s 0:0, 5-6 rw-s 3:0, 8-10 rw-s 1:0, 11-13 rw-s 0:0"
