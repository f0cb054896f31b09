"""mincore.py: mapped pages, cached pages, huge ones, and what is not mapped."""

from __future__ import annotations

import pytest

from pagerace.machine.memory import ulong
from pagerace.mm import syscalls
from pagerace.mm.errno import EINVAL, ENOMEM
from pagerace.mm.mincore import mincore_all
from pagerace.mm.mm_types import mms
from pagerace.mm.mman import MAP_FIXED, MAP_PRIVATE, MAP_SHARED, VM_HUGETLB
from pagerace.mm.mmap import vma_lookup
from pagerace.mm.pagewalk_ops import WALKERS
from pagerace.mm.sched import tasks
from tests.mm.processes import RW, load, machine, mmap, store
from tests.mm.walkers import HUGE, make_huge, sizes


def mincore(start: int, pages: int) -> list[int] | int:
    """The vector, or the error."""
    result = int(syscalls.sys_mincore(0, ulong(start), ulong(pages)))
    assert tasks.current.held_locks == 0
    if result < 0:
        return result
    return [int(present) for present in list(mincore_all.current.vec)[:pages]]


@pytest.mark.parametrize("name", ["v5.6", "v6.5", "v6.19"])
@pytest.mark.parametrize("levels", [2, 3, 5])
def test_anonymous_memory_is_there_where_it_was_touched(name: str, levels: int) -> None:
    with machine(sizes(levels), *WALKERS[name]):
        mmap(2, 8)
        assert store(0, 3) and store(0, 8)
        assert load(0, 5) == 0
        assert mincore(2, 8) == [0, 1, 0, 1, 0, 0, 1, 0]
        assert mincore(3, 1) == [1]


@pytest.mark.parametrize("kind", [MAP_SHARED, MAP_PRIVATE])
def test_a_page_of_a_file_is_there_where_it_is_cached(kind: int) -> None:
    with machine(sizes(3)):
        file = int(syscalls.sys_file_create(ulong(6), 3))
        assert syscalls.sys_mmap(0, 0, 8, RW, kind | MAP_FIXED, file, 1) == 0
        assert syscalls.sys_pwrite(file, ulong(2), 5) > 0
        assert syscalls.sys_pwrite(file, ulong(4), 5) > 0
        assert mincore(0, 8) == [0, 1, 0, 1, 0, 0, 0, 0]
        load(0, 3)
        assert mincore(0, 8) == [0, 1, 0, 1, 0, 0, 0, 0]


def test_what_is_not_mapped_is_an_error() -> None:
    with machine(sizes(3)):
        mmap(2, 2)
        mmap(4, 2, RW, MAP_PRIVATE | MAP_FIXED | 0x20)
        assert mincore(2, 4) == [0, 0, 0, 0]
        assert mincore(2, 5) == -ENOMEM
        assert mincore(0, 3) == -ENOMEM
        assert mincore(0, 0) == []
        assert mincore(14, 60) in (-ENOMEM, -EINVAL)


def test_a_huge_page_is_there() -> None:
    with machine(sizes(3, **HUGE)):
        mmap(0, 8)
        make_huge(4)
        assert mincore(2, 5) == [0, 0, 1, 1, 1]


def test_hugetlb() -> None:
    with machine(sizes(3, **HUGE)):
        mmap(0, 8)
        make_huge(0)
        vma = vma_lookup(mms[0], ulong(0))
        assert vma is not None
        vma.vm_flags |= VM_HUGETLB
        assert mincore(0, 8) == [1, 1, 1, 1, 0, 0, 0, 0]
