"""VMAs that are split and merged, and what mmap(), munmap() and mprotect() answer.

Each expectation is what Linux 6.18 does with the same calls.
"""

from __future__ import annotations

import pytest

from pagerace.mm import syscalls
from pagerace.mm.errno import EACCES, EBADF, EEXIST, EINVAL, ENOMEM
from pagerace.mm.mm_types import Mm
from pagerace.mm.mman import (
    FMODE_READ,
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MAP_PRIVATE,
    MAP_SHARED,
    MAP_SHARED_VALIDATE,
    PROT_NONE,
    PROT_READ,
)
from tests.mm.processes import ANONYMOUS, RW, machine, mapped, mmap, nothing_is_left, store


def test_neighbours_are_merged() -> None:
    with machine():
        mmap(2, 2)
        mmap(6, 2)
        assert mapped() == "2-4 rw-p, 6-8 rw-p"
        mmap(4, 2)
        assert mapped() == "2-8 rw-p"


def test_other_rights_are_another_mapping() -> None:
    with machine():
        mmap(2, 2)
        mmap(4, 2, PROT_READ)
        assert mapped() == "2-4 rw-p, 4-6 r--p"


def test_unmapping_the_middle_splits() -> None:
    with machine():
        mmap(2, 6)
        assert syscalls.sys_munmap(0, 4, 1) == 0
        assert mapped() == "2-4 rw-p, 5-8 rw-p"
        assert syscalls.sys_munmap(0, 0, 16) == 0
        assert mapped() == ""
        assert syscalls.sys_munmap(0, 0, 16) == 0


def test_mprotect_splits_and_merges() -> None:
    with machine():
        mmap(2, 6)
        assert syscalls.sys_mprotect(0, 4, 2, PROT_READ) == 0
        assert mapped() == "2-4 rw-p, 4-6 r--p, 6-8 rw-p"
        assert syscalls.sys_mprotect(0, 2, 2, PROT_READ) == 0
        assert mapped() == "2-6 r--p, 6-8 rw-p"
        assert syscalls.sys_mprotect(0, 4, 2, RW) == 0
        assert mapped() == "2-4 r--p, 4-8 rw-p"
        assert syscalls.sys_mprotect(0, 2, 2, RW) == 0
        assert mapped() == "2-8 rw-p"


def test_what_was_never_written_to_is_not_accounted_for() -> None:
    """VM_ACCOUNT stays with pages, so that the two halves are not alike."""
    with machine():
        mmap(2, 2)
        store(0, 2)
        assert syscalls.sys_mprotect(0, 2, 2, PROT_READ) == 0
        mmap(4, 2, PROT_READ)
        assert mapped() == "2-4 r--p, 4-6 r--p"


def test_pages_of_two_anon_vmas_keep_them_apart() -> None:
    with machine():
        mmap(2, 2)
        mmap(5, 2)
        store(0, 2)
        store(0, 5)
        mmap(4, 1)
        assert mapped() == "2-5 rw-p, 5-7 rw-p"


def test_a_neighbours_anon_vma_is_taken() -> None:
    with machine():
        mmap(2, 4)
        assert syscalls.sys_mprotect(0, 4, 2, PROT_READ) == 0
        store(0, 2)
        assert syscalls.sys_mprotect(0, 4, 2, RW) == 0
        assert mapped() == "2-6 rw-p"
        assert syscalls.sys_exit(0) == 0
        assert nothing_is_left()


def test_a_file_is_merged_where_it_goes_on() -> None:
    with machine():
        file = syscalls.sys_file_create(6, 3)
        flags = MAP_SHARED | MAP_FIXED
        assert syscalls.sys_mmap(0, 2, 2, RW, flags, file, 1) == 2
        assert syscalls.sys_mmap(0, 4, 2, RW, flags, file, 3) == 4
        assert mapped() == "2-6 rw-s 1:0"
        assert syscalls.sys_mmap(0, 6, 2, RW, flags, file, 3) == 6
        assert mapped() == "2-6 rw-s 1:0, 6-8 rw-s 3:0"
        assert syscalls.sys_munmap(0, 3, 1) == 0
        assert mapped() == "2-3 rw-s 1:0, 4-6 rw-s 3:0, 6-8 rw-s 3:0"


def test_shared_anonymous_memory_is_a_file_of_its_own() -> None:
    with machine():
        mmap(2, 2, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED)
        mmap(4, 2, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED)
        assert mapped() == "2-4 rw-s 0:0, 4-6 rw-s 0:1"
        assert syscalls.sys_munmap(0, 2, 1) == 0
        assert mapped() == "3-4 rw-s 1:0, 4-6 rw-s 0:1"


def test_the_highest_gap_is_taken() -> None:
    with machine():
        mmap(14, 1)
        flags = MAP_PRIVATE | MAP_ANONYMOUS
        assert syscalls.sys_mmap(0, 0, 2, PROT_READ, flags, -1, 0) == 12
        assert syscalls.sys_mmap(0, 4, 2, PROT_READ, flags, -1, 0) == 4
        assert syscalls.sys_mmap(0, 5, 2, PROT_READ, flags, -1, 0) == 10
        assert syscalls.sys_mmap(0, 0, 7, PROT_READ, flags, -1, 0) == -ENOMEM


@pytest.mark.parametrize(
    ("addr", "len", "prot", "flags", "file", "expected"),
    [
        (2, 0, RW, ANONYMOUS, -1, -EINVAL),
        (2, 15, RW, ANONYMOUS, -1, -ENOMEM),
        (2, 17, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, -ENOMEM),
        (2, 1, RW, MAP_ANONYMOUS | MAP_FIXED, -1, -EINVAL),
        (2, 1, RW, MAP_ANONYMOUS | MAP_SHARED_VALIDATE | MAP_FIXED, -1, -EINVAL),
        (2, 1, RW, MAP_PRIVATE | MAP_FIXED, -1, -EBADF),
        (2, 1, RW, MAP_SHARED | MAP_FIXED, 0, -EACCES),
        (2, 1, PROT_READ, MAP_SHARED | MAP_FIXED, 0, 2),
        (2, 1, RW, MAP_PRIVATE | MAP_FIXED, 0, 2),
        (2, 1, RW, ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 2),
        (7, 2, RW, ANONYMOUS | MAP_FIXED_NOREPLACE, -1, -EEXIST),
    ],
)
def test_mmap(addr: int, len: int, prot: int, flags: int, file: int, expected: int) -> None:
    with machine():
        syscalls.sys_file_create(4, FMODE_READ)
        mmap(8, 2)
        assert syscalls.sys_mmap(0, addr, len, prot, flags, file, 0) == expected


def test_errors_of_munmap_and_mprotect() -> None:
    with machine():
        mmap(2, 2)
        mmap(5, 2)
        assert syscalls.sys_munmap(0, 2, 0) == -EINVAL
        assert syscalls.sys_munmap(0, 17, 1) == -EINVAL
        assert syscalls.sys_munmap(0, 4, 13) == -EINVAL
        assert syscalls.sys_mprotect(0, 2, 0, PROT_READ) == 0
        assert syscalls.sys_mprotect(0, 2, 1, 0x40) == -EINVAL
        assert syscalls.sys_mprotect(0, 4, 1, PROT_READ) == -ENOMEM
        assert syscalls.sys_mprotect(0, 3, 3, PROT_READ) == -ENOMEM
        assert mapped() == "2-3 rw-p, 3-4 r--p, 5-7 rw-p"


def test_no_right_that_the_file_does_not_give() -> None:
    with machine():
        file = syscalls.sys_file_create(4, FMODE_READ)
        assert syscalls.sys_mmap(0, 2, 2, PROT_NONE, MAP_SHARED | MAP_FIXED, file, 0) == 2
        assert syscalls.sys_mprotect(0, 2, 2, RW) == -EACCES
        assert syscalls.sys_mprotect(0, 2, 2, PROT_READ) == 0


def test_there_are_only_so_many() -> None:
    """sysctl_max_map_count: one more than it may be mapped, and none split."""
    with machine(Mm(vmas=9, mms=1, files=1)):
        for page in range(0, 14, 2):
            mmap(page, 1)
        mmap(13, 1, PROT_READ)
        mmap(11, 1, PROT_READ)
        assert syscalls.sys_mmap(0, 9, 1, RW, ANONYMOUS, -1, 0) == -ENOMEM
        assert syscalls.sys_munmap(0, 13, 1) == 0
        mmap(12, 2)
        assert syscalls.sys_mprotect(0, 13, 1, PROT_READ) == -ENOMEM
