"""huge_anon.py: anonymous huge pages, of four small ones, from the first store to exit()."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pagerace.lang.structures import Config
from pagerace.machine.cpu import cpus
from pagerace.machine.entry import pte_t
from pagerace.machine.memory import Machine, frames
from pagerace.machine.tables import pmdp_get
from pagerace.mm import mprotect, syscalls
from pagerace.mm.huge_zero import huge_zero
from pagerace.mm.mm_types import PageCache, Thp, folio, mem_map, mms, page_to_pfn
from pagerace.mm.mman import (
    MADV_DONTNEED,
    MADV_FREE,
    MADV_HUGEPAGE,
    MADV_NOHUGEPAGE,
    MADV_POPULATE_READ,
    MADV_POPULATE_WRITE,
    MAP_FIXED,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
)
from pagerace.mm.page_alloc import free_area
from pagerace.mm.pgtable import mm_find_pmd
from pagerace.mm.table_walk import V6_14
from tests.mm.processes import RW, SIGNAL, load, machine, mmap, nothing_is_left, pte, store

# Pages 4 to 7 are a huge page, 8 to 11, and 12 to 15.
SIZES = Machine(
    pages=16, address_bits=6, frames=31, frame_bits=5, version_bits=32, cpus=1, count_bits=6,
    levels=3, entries=2, tables=12, uppers=9, prot_none=True, huge_pages=True,
)  # fmt: skip
HUGE: tuple[Config, ...] = (
    SIZES, PageCache(large=True), Thp(anonymous=True, set_aside=4), mprotect.V6_18
)  # fmt: skip


@pytest.fixture(autouse=True)
def _huge() -> Iterator[None]:
    with machine(*HUGE):
        mmap(3, 10)
        assert advise(3, 10, MADV_HUGEPAGE) == 0
        yield


def advise(start: int, pages: int, advice: int, process: int = 0) -> int:
    return syscalls.sys_madvise(process, start, pages, advice)


def pmd(process: int, page: int) -> pte_t:
    """The PMD entry of a page."""
    found = mm_find_pmd(mms[process], page)
    return pte_t() if found is None else pmdp_get(found)


def is_huge(page: int, process: int = 0) -> bool:
    return bool(pmd(process, page).huge)


def of(page: int, process: int = 0) -> folio:
    """The first page of the folio that has it."""
    number = (pmd if is_huge(page, process) else pte)(process, page).pfn
    head = mem_map[number].compound_head
    return mem_map[number] if head is None else head


def counts(head: folio) -> tuple[int, int, int]:
    """References; entries that map it; entries of a PMD among them."""
    return (
        int(head._refcount.counter),  # pyright: ignore[reportPrivateUsage]
        int(head._large_mapcount),  # pyright: ignore[reportPrivateUsage]
        int(head._entire_mapcount.counter),  # pyright: ignore[reportPrivateUsage]
    )


def test_a_store_brings_all_of_a_huge_page() -> None:
    assert store(0, 5)
    entry = pmd(0, 5)
    assert (entry.huge, entry.present, entry.writable, entry.dirty) == (True,) * 4
    assert cpus[0].tlb[5].pfn == entry.pfn + 1
    assert (load(0, 4), load(0, 5)) == (0, 1)
    assert counts(of(5)) == (1, 1, 1)
    assert of(5).PG_anon_exclusive


def test_a_part_of_one_is_no_place_for_it() -> None:
    assert store(0, 12)  # the VMA ends behind page 12
    assert store(0, 3)
    assert not is_huge(12)
    assert not is_huge(3)


def test_who_did_not_ask_gets_none() -> None:
    assert advise(4, 4, MADV_NOHUGEPAGE) == 0
    assert store(0, 5)
    assert not is_huge(5)


def test_a_table_is_in_its_way() -> None:
    assert advise(4, 4, MADV_NOHUGEPAGE) == 0
    assert store(0, 5)
    assert advise(4, 4, MADV_DONTNEED) == 0
    assert advise(4, 4, MADV_HUGEPAGE) == 0
    assert store(0, 6)
    assert not is_huge(6)


def test_no_huge_page_is_free() -> None:
    while free_area.first is not None:
        free_area.first = free_area.first.lru_next
    for number in range(0, 31, 2):  # and none comes one after another
        if frames.allocated(frames[number]) is False:
            frames._allocated[number] = True  # pyright: ignore[reportPrivateUsage]
    assert store(0, 5)
    assert not is_huge(5)
    assert load(0, 5) == 1


def test_a_load_shares_the_huge_page_of_zeros() -> None:
    assert load(0, 5) == 0
    assert load(0, 9) == 0
    zero = huge_zero.page
    assert zero is not None
    assert pmd(0, 5).pfn == pmd(0, 9).pfn == page_to_pfn(zero)
    assert not pmd(0, 5).writable
    assert store(0, 9)
    assert (is_huge(9), load(0, 9), load(0, 5)) == (True, 1, 0)
    assert of(9) is not zero


def test_the_huge_page_of_zeros_is_split_into_small_ones() -> None:
    assert load(0, 5) == 0
    assert advise(6, 1, MADV_DONTNEED) == 0
    assert [pte(0, page).pfn for page in range(4, 8)] == [0, 0, 0, 0]
    assert [pte(0, page).present for page in range(4, 8)] == [True, True, False, True]


def test_a_split_keeps_everything() -> None:
    assert store(0, 5)
    first = pmd(0, 5).pfn
    assert syscalls.sys_munmap(0, 7, 1) == 0
    assert not is_huge(5)
    assert [pte(0, page).pfn for page in range(4, 7)] == [first, first + 1, first + 2]
    assert all(pte(0, page).dirty and pte(0, page).writable for page in range(4, 7))
    assert counts(of(5)) == (3, 3, 0)
    assert all(mem_map[first + n].PG_anon_exclusive for n in range(4))
    assert of(5).PG_dirty
    assert (load(0, 5), load(0, 7)) == (1, SIGNAL)


@pytest.mark.parametrize("pages", [2, 4])
def test_rights_of_a_part_and_of_all(pages: int) -> None:
    assert store(0, 5)
    assert syscalls.sys_mprotect(0, 4, pages, PROT_READ) == 0
    assert is_huge(5) is (pages == 4)
    assert not store(0, 5)
    assert load(0, 5) == 1
    assert store(0, 6) is (pages == 2)
    assert syscalls.sys_mprotect(0, 4, pages, PROT_NONE) == 0
    assert load(0, 4) == SIGNAL
    assert syscalls.sys_mprotect(0, 4, pages, RW) == 0
    assert is_huge(5) is (pages == 4)
    assert (pmd if pages == 4 else pte)(0, 5).writable  # it is exclusive: no fault
    assert store(0, 5)
    assert load(0, 5) == 2


def test_fork_shares_it_and_a_store_splits_it() -> None:
    assert store(0, 5)
    assert syscalls.sys_fork(0) == 1
    head = of(5)
    assert (is_huge(5, 0), is_huge(5, 1), of(5, 1) is head) == (True, True, True)
    assert (pmd(0, 5).writable, pmd(1, 5).writable) == (False, False)
    assert (counts(head), head.PG_anon_exclusive) == ((2, 2, 2), False)
    assert store(1, 5)
    assert (is_huge(5, 0), is_huge(5, 1)) == (True, False)
    assert counts(head) == (4, 4, 1)
    assert (load(0, 5), load(1, 5), load(1, 6)) == (1, 2, 0)


def test_who_is_left_alone_writes_to_it() -> None:
    assert store(0, 5)
    head = of(5)
    assert syscalls.sys_fork(0) == 1
    assert syscalls.sys_exit(1) == 0
    assert store(0, 6)
    assert (is_huge(6), of(6) is head, head.PG_anon_exclusive) == (True, True, True)


def test_who_is_left_alone_with_parts_writes_to_them() -> None:
    assert store(0, 5)
    head = of(5)
    assert syscalls.sys_munmap(0, 7, 1) == 0
    assert syscalls.sys_fork(0) == 1
    assert store(1, 4)  # a copy: two have it
    assert of(4, 1) is not head
    assert syscalls.sys_exit(1) == 0
    assert store(0, 6)
    assert (of(6) is head, counts(head)) == (True, (3, 3, 0))
    assert syscalls.sys_munmap(0, 4, 2) == 0
    assert syscalls.sys_fork(0) == 1
    assert syscalls.sys_exit(1) == 0
    assert store(0, 6)  # the last page of it: the rest had better be freed
    assert of(6) is not head


@pytest.mark.parametrize("to", [8, 9])
def test_it_moves_whole_to_where_a_huge_page_can_be(to: int) -> None:
    assert store(0, 5)
    head = of(5)
    flags = MREMAP_MAYMOVE | MREMAP_FIXED
    assert syscalls.sys_mremap(0, 4, 4, 4, flags, to) == to
    assert is_huge(to + 1) is (to == 8)
    assert of(to + 1) is head
    assert (load(0, to + 1), load(0, 5)) == (1, SIGNAL)


def test_madv_free_of_all_and_of_a_part() -> None:
    assert store(0, 5)
    assert advise(4, 4, MADV_FREE) == 0
    assert (is_huge(5), pmd(0, 5).dirty, pmd(0, 5).accessed) == (True, False, False)
    assert store(0, 5)
    assert advise(6, 1, MADV_FREE) == 0
    assert not is_huge(5)
    assert [pte(0, page).pfn == 0 for page in range(4, 8)] == [True, False, True, True]
    assert (of(5).order, load(0, 5), load(0, 7)) == (0, 2, 0)


def test_madv_free_leaves_alone_what_others_have() -> None:
    assert store(0, 5)
    assert syscalls.sys_fork(0) == 1
    assert advise(6, 1, MADV_FREE) == 0
    assert is_huge(5)
    assert counts(of(5)) == (2, 2, 2)


def test_rights_of_a_batch() -> None:
    assert store(0, 5)
    assert advise(4, 4, MADV_FREE) == 0
    assert syscalls.sys_mprotect(0, 7, 1, PROT_READ) == 0
    assert store(0, 5)
    assert [pte(0, page).dirty for page in range(4, 8)] == [False, True, False, False]
    assert syscalls.sys_mprotect(0, 4, 3, PROT_READ) == 0
    assert [pte(0, page).dirty for page in range(4, 8)] == [True, True, True, False]
    assert [pte(0, page).accessed for page in range(4, 8)] == [True, True, True, False]
    assert [pte(0, page).pfn - pte(0, 4).pfn for page in range(4, 8)] == [0, 1, 2, 3]
    assert not any(pte(0, page).writable for page in range(4, 8))
    assert not store(0, 5)


def test_a_batch_ends_where_the_right_to_write_does() -> None:
    assert store(0, 5)
    assert advise(4, 4, MADV_FREE) == 0
    assert syscalls.sys_mprotect(0, 7, 1, PROT_READ) == 0
    assert syscalls.sys_fork(0) == 1
    assert syscalls.sys_exit(1) == 0
    head = of(4)
    assert store(0, 5)
    assert of(5) is head
    assert [pte(0, page).writable for page in range(4, 7)] == [False, True, False]
    assert syscalls.sys_mprotect(0, 4, 3, PROT_NONE) == 0
    assert [pte(0, page).dirty for page in range(4, 7)] == [False, True, False]


def test_one_page_of_a_batch_is_exclusive() -> None:
    assert store(0, 5)
    assert syscalls.sys_mprotect(0, 7, 1, PROT_READ) == 0
    assert syscalls.sys_fork(0) == 1
    assert syscalls.sys_exit(1) == 0
    assert store(0, 5)
    assert of(5) is of(4)
    assert syscalls.sys_mprotect(0, 4, 3, PROT_READ) == 0
    assert syscalls.sys_mprotect(0, 4, 3, PROT_READ | PROT_WRITE) == 0
    assert [pte(0, page).writable for page in range(4, 7)] == [False, True, False]


def test_populating() -> None:
    assert advise(4, 8, MADV_POPULATE_READ) == 0
    assert is_huge(4)
    assert not pmd(0, 4).writable
    assert advise(4, 8, MADV_POPULATE_WRITE) == 0
    assert pmd(0, 4).writable
    assert is_huge(8)


def test_a_boundary_of_a_vma_splits_it() -> None:
    assert store(0, 5)
    assert advise(6, 4, MADV_NOHUGEPAGE) == 0
    assert not is_huge(5)
    assert store(0, 9)
    assert not is_huge(9)


def test_all_comes_back() -> None:
    free = int(free_area.nr_free)
    assert store(0, 5)
    assert load(0, 9) == 0
    assert syscalls.sys_fork(0) == 1
    assert store(1, 4)
    assert syscalls.sys_exit(0) == 0
    assert store(1, 6)
    assert syscalls.sys_exit(1) == 0
    assert nothing_is_left()
    assert free_area.nr_free == free - 1  # that of zeros stays
    taken = [n for n in range(len(mem_map)) if frames.allocated(frames[n])]
    assert len(taken) == 1 + 4 * 4


def test_whoever_asks_for_all_gets_them() -> None:
    with machine(SIZES, PageCache(large=True), Thp(anonymous=True, always=True)):
        mmap(0, 16)
        assert store(0, 1)
        assert is_huge(1)
        mmap(0, 4, RW, MAP_FIXED | 0x22)
        assert not is_huge(1)
        assert nothing_is_left() is False


@pytest.mark.parametrize("part", [1, 2])
def test_an_empty_table_gives_way(part: int) -> None:
    with machine(*HUGE, V6_14):
        mmap(3, 10)
        assert advise(3, 10, MADV_HUGEPAGE) == 0
        assert store(0, 5)
        assert advise(6, part, MADV_DONTNEED) == 0
        assert not is_huge(5)
        assert advise(4, 4, MADV_DONTNEED) == 0
        assert store(0, 5)
        assert is_huge(5)
