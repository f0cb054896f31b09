"""The slow path of GUP and hmm_range_fault(): what they find, and what they bring."""

from __future__ import annotations

import pytest

from pagerace.mm import syscalls
from pagerace.mm.errno import EBUSY, EFAULT
from pagerace.mm.gup import FOLL_WRITE, page_lists
from pagerace.mm.gup_slow import get_user_pages_unlocked
from pagerace.mm.hmm import hmm_pfn_t, hmm_range, hmm_range_fault, hmm_ranges
from pagerace.mm.mm_types import mem_map, mms
from pagerace.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from pagerace.mm.mmu_notifier import mmu_interval_read_begin
from pagerace.mm.table_variants import with_window
from tests.mm.processes import load, machine, mmap, pte, store

NAMES = ["v5.11", "v6.5", "mm-rwsem", "red-blue"]


def ask(start: int, end: int, fault: bool = True) -> hmm_range:
    wanted = hmm_ranges.current
    wanted.mm = mms[0]
    wanted.start, wanted.end, wanted.fault = start, end, fault
    wanted.notifier_seq = mmu_interval_read_begin(mms[0])
    return wanted


def answer(wanted: hmm_range) -> int:
    mmap_read_lock(mms[0])
    ret = hmm_range_fault(wanted)
    mmap_read_unlock(mms[0])
    return ret


@pytest.mark.parametrize("name", NAMES)
def test_gup_faults_in_what_is_not_there(name: str) -> None:
    with machine(*with_window(name, 4096)):
        mmap(0, 4)
        store(0, 0)
        pages = page_lists.current
        assert get_user_pages_unlocked(mms[0], 0, 2, FOLL_WRITE, pages) == 2
        for page in range(2):
            got = pages.page[page]
            assert got is mem_map[pte(0, page).pfn]
            assert got is not None and got._refcount.counter == 2  # pyright: ignore


def test_gup_reads_the_zero_page() -> None:
    with machine():
        mmap(0, 1)
        assert get_user_pages_unlocked(mms[0], 0, 1, 0, page_lists.current) == 1
        assert page_lists.current.page[0] is mem_map[0]


def test_gup_stops_where_nothing_is_mapped() -> None:
    with machine():
        mmap(0, 1)
        store(0, 0)
        assert get_user_pages_unlocked(mms[0], 0, 3, 0, page_lists.current) == 1


@pytest.mark.parametrize("name", NAMES)
def test_hmm_faults_in_what_is_not_there(name: str) -> None:
    with machine(*with_window(name, 4096)):
        mmap(0, 4)
        store(0, 1)
        wanted = ask(0, 4)
        assert answer(wanted) == 0
        assert wanted.hmm_pfns[1] == hmm_pfn_t(valid=True, write=True, pfn=pte(0, 1).pfn)
        assert wanted.hmm_pfns[3] == hmm_pfn_t(valid=True, pfn=0)  # the zero page


def test_hmm_leaves_holes_that_nobody_asks_for() -> None:
    with machine():
        mmap(0, 4)
        store(0, 1)
        wanted = ask(0, 4, fault=False)
        assert answer(wanted) == 0
        assert [bool(pfn.valid) for pfn in wanted.hmm_pfns][:4] == [False, True, False, False]
        assert load(0, 0) == 0


def test_hmm_has_nothing_outside_mappings() -> None:
    with machine():
        mmap(0, 2)
        assert answer(ask(0, 4)) == -EFAULT


def test_an_invalidation_makes_hmm_begin_anew() -> None:
    with machine():
        mmap(0, 2)
        wanted = ask(0, 2)
        mms[0].invalidate_seq += 2
        assert answer(wanted) == -EBUSY
        assert syscalls.sys_munmap(0, 0, 2) == 0
