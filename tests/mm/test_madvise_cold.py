"""madvise_cold.py: what becomes old, what is flushed, what leaves memory."""

from __future__ import annotations

from pagerace.lang.structures import Config
from pagerace.machine.memory import ulong
from pagerace.machine.tables import pmd_leaf, pmd_mkyoung, pmdp_get, set_pmd
from pagerace.mm import syscalls
from pagerace.mm.errno import EINVAL
from pagerace.mm.lruvec import (
    LRU_ACTIVE_FILE,
    LRU_INACTIVE_FILE,
    contig_page_data,
    lruvec_add_folio,
    lruvec_del_folio,
)
from pagerace.mm.mincore import mincore_all
from pagerace.mm.mm_types import Reclaim, mappings, mms
from pagerace.mm.mman import (
    MADV_COLD,
    MADV_PAGEOUT,
    MAP_FIXED,
    MAP_PRIVATE,
    MAP_SHARED,
    VM_LOCKED,
)
from pagerace.mm.mmap import vma_lookup
from pagerace.mm.pagewalk_ops import WALKERS
from pagerace.mm.sched import tasks
from tests.mm.processes import ANONYMOUS, RW, load, machine, mmap, pte, run, store
from tests.mm.walkers import HUGE, make_huge, sizes

LISTS: tuple[Config, ...] = (Reclaim(lists=True),)


def madvise(start: int, pages: int, advice: int) -> int:
    run(0)
    result = int(syscalls.sys_madvise(0, ulong(start), ulong(pages), advice))
    assert tasks.current.held_locks == 0
    return result


def young(pages: range) -> list[bool]:
    return [bool(pte(0, page).accessed) for page in pages]


def test_used_pages_become_old_and_are_flushed(interrupts: list[int]) -> None:
    for name in ("v5.6", "v6.5"):
        with machine(sizes(3), *WALKERS[name]):
            mmap(0, 8)
            for page in (1, 2, 5):
                assert store(0, page)
            assert madvise(2, 6, MADV_COLD) == 0
            assert young(range(1, 6)) == [True, False, False, False, False]
            assert pte(0, 2).dirty and pte(0, 2).writable
            assert load(0, 2) == 1 and young(range(2, 3)) == [True]  # no TLB had it any more


def test_what_others_map_too_stays_young() -> None:
    with machine(sizes(3, tables=32, uppers=32)):
        mmap(0, 4)
        assert store(0, 1)
        assert syscalls.sys_fork(0) == 1
        assert madvise(0, 4, MADV_COLD) == 0
        assert young(range(1, 2)) == [True]


def test_locked_memory_is_refused() -> None:
    with machine(sizes(3)):
        mmap(0, 4)
        vma = vma_lookup(mms[0], ulong(0))
        assert vma is not None
        vma.vm_flags |= VM_LOCKED
        assert madvise(0, 4, MADV_COLD) == -EINVAL
        assert madvise(0, 4, MADV_PAGEOUT) == -EINVAL


def test_a_huge_page_becomes_old_whole_or_is_split() -> None:
    with machine(sizes(3, **HUGE)):
        mmap(0, 8, RW, ANONYMOUS)
        pmd = make_huge(4)
        set_pmd(pmd, pmd_mkyoung(pmdp_get(pmd)))
        assert madvise(4, 4, MADV_COLD) == 0
        assert pmd_leaf(pmdp_get(pmd)) and not pmdp_get(pmd).accessed
        assert madvise(5, 2, MADV_COLD) == 0
        assert not pmd_leaf(pmdp_get(pmd))


def map_file(flags: int = MAP_SHARED) -> None:
    assert syscalls.sys_file_create(ulong(4), 3) == 0
    for index in range(4):
        assert syscalls.sys_pwrite(0, ulong(index), 7) > 0
    assert syscalls.sys_fsync(0) == 0
    assert syscalls.sys_mmap(0, 0, 4, RW, flags | MAP_FIXED, 0, 0) == 0


def cached() -> list[bool]:
    assert syscalls.sys_mincore(0, ulong(0), ulong(4)) == 0
    return [bool(present) for present in list(mincore_all.current.vec)[:4]]


def test_pages_of_files_go_to_the_inactive_list() -> None:
    with machine(sizes(3), *LISTS):
        map_file()
        load(0, 1)
        folio = mappings[0].i_pages[1]
        assert folio is not None
        lruvec_del_folio(folio)
        folio.PG_active = True
        folio.PG_referenced = True
        lruvec_add_folio(folio)
        assert contig_page_data.lists[LRU_ACTIVE_FILE].first is folio
        assert madvise(0, 4, MADV_COLD) == 0
        assert not folio.PG_active and not folio.PG_referenced
        assert contig_page_data.lists[LRU_INACTIVE_FILE].first is folio


def test_clean_pages_of_files_leave_memory_at_once() -> None:
    with machine(sizes(3), *LISTS):
        map_file()
        load(0, 1)
        load(0, 2)
        assert store(0, 3)
        assert cached() == [True] * 4
        assert madvise(0, 4, MADV_PAGEOUT) == 0
        assert cached() == [True, False, False, True]  # not mapped; clean; clean; dirty
        assert load(0, 1) == 7


def test_anonymous_memory_has_nowhere_to_go() -> None:
    with machine(sizes(3), *LISTS):
        mmap(0, 4, RW, MAP_PRIVATE | MAP_FIXED | 0x20)
        assert store(0, 1)
        assert madvise(0, 4, MADV_PAGEOUT) == 0
        assert pte(0, 1).present and pte(0, 1).accessed
