"""pagewalk.py and its parts: who is called for what, on all levels, by all walkers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pagerace.lang import s32
from pagerace.lang.structures import Config, KernelPythonError
from pagerace.machine.memory import Machine, ulong
from pagerace.machine.pgtable import pte_present, pte_slot, pte_t, ptep_get
from pagerace.machine.tables import (
    pfn_pmd,
    pfn_pud,
    pmd_leaf,
    pmd_none,
    pmd_t,
    pmdp_get,
    set_pmd,
)
from pagerace.mm import pagewalk_ops
from pagerace.mm.errno import EAGAIN, EINVAL
from pagerace.mm.lockdep import LockClass
from pagerace.mm.mm_types import Vma, mem_map, mm_struct, mms, pmd_ptdesc
from pagerace.mm.mman import VM_HUGETLB, VM_PFNMAP
from pagerace.mm.mmap import vma_lookup
from pagerace.mm.mmap_lock import (
    mmap_read_lock,
    mmap_read_unlock,
    mmap_write_lock,
    mmap_write_unlock,
)
from pagerace.mm.pagewalk import (
    walk_page_mapping,
    walk_page_range,
    walk_page_range_novma,
    walk_page_range_vma,
    walk_page_vma,
)
from pagerace.mm.pagewalk_ops import (
    ACTION_AGAIN,
    ACTION_CONTINUE,
    PAGE_WALK_FALLBACK,
    PAGE_WALK_HANDLED,
    PAGE_WALK_RETRY,
    PGWALK_WRLOCK,
    Pagewalk,
    mm_walk,
    mm_walk_ops,
)
from pagerace.mm.pagewalk_tables import addr_end
from pagerace.mm.pgalloc import p4d_alloc, pmd_alloc_at, pud_alloc
from pagerace.mm.pgtable_levels import find_pmd, pgd_offset
from pagerace.mm.rwsem import down_read, up_read
from pagerace.mm.sched import tasks
from pagerace.mm.spinlock import spin_is_locked
from pagerace.protocols._shared_file import Start, mapping
from tests.mm.files import map_file
from tests.mm.files import mm as file_mm
from tests.mm.processes import machine, mmap, store

VERSIONS = [name for name, value in vars(pagewalk_ops).items() if isinstance(value, Pagewalk)]
ALL_PAGES = set(range(16))

told: list[tuple[str, int, int]] = []
answers: dict[str, Any] = {}


def note(what: str, addr: int, next: int) -> s32:
    told.append((what, int(addr), int(next)))
    return answers.get(what, 0)


def pgd_entry(pgd: pmd_t, addr: ulong, next: ulong, walk: mm_walk) -> s32:
    return note("pgd", addr, next)


def p4d_entry(p4d: pmd_t, addr: ulong, next: ulong, walk: mm_walk) -> s32:
    return note("p4d", addr, next)


def pud_entry(pud: pmd_t, addr: ulong, next: ulong, walk: mm_walk) -> s32:
    if "pud action" in answers:
        walk.action = answers["pud action"]
    return note("pud", addr, next)


def pmd_entry(pmd: pmd_t, addr: ulong, next: ulong, walk: mm_walk) -> s32:
    actions = answers.get("actions")
    if actions:
        walk.action = actions.pop(0)
    return note("pmd", addr, next)


def pte_entry(pte: pte_slot, addr: ulong, next: ulong, walk: mm_walk) -> s32:
    if "locked" in answers:
        pmd = find_pmd(walk.mm, addr)
        assert pmd is not None
        assert spin_is_locked(pmd_ptdesc(pmd).ptl) == answers["locked"]
    note("present" if pte_present(ptep_get(pte)) else "empty", addr, next)
    return answers.get(("pte", int(addr)), 0)


def pte_hole(addr: ulong, next: ulong, depth: s32, walk: mm_walk) -> s32:
    return note(f"hole {depth}", addr, next)


def hugetlb_entry(pte: pte_slot, addr: ulong, next: ulong, walk: mm_walk) -> s32:
    return note("hugetlb", addr, next)


def test_walk(start: ulong, end: ulong, walk: mm_walk) -> s32:
    return note("test", start, end)


def pre_vma(start: ulong, end: ulong, walk: mm_walk) -> s32:
    return note("pre", start, end)


def post_vma(walk: mm_walk) -> None:
    note("post", 0, 0)


def install_pte(addr: ulong, next: ulong, walk: mm_walk) -> s32:
    walk.new_pte = pte_t(present=True, pfn=3)
    return note("install", addr, next)


test_walk.__test__ = False  # pyright: ignore[reportFunctionMemberAccess]

PTES = mm_walk_ops(pte_entry=pte_entry, pte_hole=pte_hole)
PMDS = mm_walk_ops(pmd_entry=pmd_entry, pte_hole=pte_hole)
BOTH = mm_walk_ops(pmd_entry=pmd_entry, pte_entry=pte_entry, pte_hole=pte_hole)
PUDS = mm_walk_ops(pud_entry=pud_entry, pmd_entry=pmd_entry)
UPPER = mm_walk_ops(pgd_entry=pgd_entry, p4d_entry=p4d_entry)
VMAS = mm_walk_ops(test_walk=test_walk, pre_vma=pre_vma, post_vma=post_vma, pte_entry=pte_entry)
HUGETLB = mm_walk_ops(hugetlb_entry=hugetlb_entry, pte_hole=pte_hole)
INSTALL = mm_walk_ops(install_pte=install_pte)
WRITERS = mm_walk_ops(pte_entry=pte_entry, walk_lock=PGWALK_WRLOCK)
NOBODY = mm_walk_ops()


@pytest.fixture(autouse=True)
def _nothing_told() -> None:
    told.clear()
    answers.clear()


def sizes(levels: int, **more: Any) -> Machine:
    values: dict[str, Any] = {
        "pages": 16, "address_bits": 6, "frames": 15, "frame_bits": 5, "version_bits": 32,
        "cpus": 1, "levels": levels, "entries": 2, "tables": 16, "uppers": 16,
        "prot_none": True,
    }  # fmt: skip
    return Machine(**(values | more))


@contextmanager
def locked(mm: mm_struct) -> Iterator[None]:
    mmap_read_lock(mm)
    yield
    mmap_read_unlock(mm)


def walked(ops: mm_walk_ops, start: int = 0, end: int = 16) -> int:
    with locked(mms[0]):
        return int(walk_page_range(mms[0], start, end, ops))


def config(name: str) -> Pagewalk:
    return getattr(pagewalk_ops, name)


@pytest.mark.parametrize("levels", [2, 3, 4, 5])
@pytest.mark.parametrize("name", VERSIONS)
def test_each_page_is_told_of_once(name: str, levels: int) -> None:
    with machine(sizes(levels), config(name)):
        mmap(2, 4)
        mmap(9, 4)
        assert store(0, 3) and store(0, 9) and store(0, 12)
        assert walked(PTES) == 0
        pages = [page for _, addr, next in told for page in range(addr, next)]
        assert sorted(pages) == sorted(ALL_PAGES)
        assert [addr for what, addr, _ in told if what == "present"] == [3, 9, 12]
        outside = {page for page in ALL_PAGES if not (2 <= page < 6 or 9 <= page < 13)}
        unknown = {p for what, a, n in told if what == "hole -1" for p in range(a, n)}
        assert unknown == outside


@pytest.mark.parametrize(
    ("levels", "depths"), [(2, {0}), (3, {0, 3}), (4, {0, 2, 3}), (5, {0, 1, 2, 3})]
)
def test_a_hole_has_the_depth_of_a_level_that_is_there(levels: int, depths: set[int]) -> None:
    with machine(sizes(levels)):
        mmap(0, 16)
        assert store(0, 0)
        assert walked(PTES) == 0
        assert {int(what.split()[1]) for what, _, _ in told if "hole" in what} == depths


def test_a_part_of_a_table() -> None:
    with machine(sizes(2)):
        mmap(0, 16)
        assert store(0, 4)
        assert walked(PTES, 3, 6) == 0
        assert told == [("empty", 3, 4), ("present", 4, 5), ("empty", 5, 6)]


def test_callbacks_of_the_upper_levels_are_called_where_these_are_folded() -> None:
    with machine(sizes(3)):
        mmap(0, 16)
        assert store(0, 0)
        assert walked(UPPER) == 0
        assert [what for what, _, _ in told] == ["pgd", "p4d"] * 2


@pytest.mark.parametrize(("name", "lock"), [("V5_4", False), ("V5_5", True), ("V6_5", True)])
def test_ptes_have_their_lock_from_v5_5_on(name: str, lock: bool) -> None:
    with machine(sizes(2), config(name)):
        mmap(0, 8)
        assert store(0, 1)
        answers["locked"] = lock
        assert walked(PTES) == 0
        assert tasks.current.held_locks == 0


@pytest.mark.parametrize("name", VERSIONS)
def test_an_error_ends_the_walk_and_is_returned(name: str) -> None:
    if name == "UNLOCK_BEFORE":
        pytest.skip("it has a test of its own")
    with machine(sizes(2), config(name)):
        mmap(0, 16)
        assert store(0, 1) and store(0, 9)
        answers["pte", 2] = -7
        assert walked(PTES) == -7
        assert told[-1] == ("empty", 2, 3)
        assert tasks.current.held_locks == 0


def test_the_unlock_before_the_table() -> None:
    """T5-B5: the first callback fails."""
    with machine(sizes(2), config("UNLOCK_BEFORE")):
        mmap(0, 16)
        assert store(0, 1)
        assert walked(PTES) == 0
        answers["pte", 0] = -7
        with pytest.raises(KernelPythonError, match="index -1 outside"):
            walked(PTES)


# -- huge entries -----------------------------------------------------------------

HUGE: dict[str, Any] = {"huge_pages": True, "huge_puds": True, "frames": 31}


def make_huge(addr: int) -> pmd_t:
    pmd = pmd_alloc_at(mms[0], addr)
    assert pmd is not None
    set_pmd(pmd, pfn_pmd(8, False))
    mem_map[8]._refcount.counter = 2  # pyright: ignore[reportPrivateUsage]
    mem_map[8]._mapcount.counter = 1  # pyright: ignore[reportPrivateUsage]
    return pmd


# What a pmd_entry answers that has done with a huge page, and one that sends the walk down.
DONE: dict[str, int] = {
    "V4_FALLBACK": 0, "POSITIVE_HANDLED": PAGE_WALK_HANDLED, "RETRY": 0,
    "KIRILL_EAGAIN": PAGE_WALK_HANDLED, "LOCKED_PMD": 0,
}  # fmt: skip
DOWN: dict[str, int] = {"V4_FALLBACK": PAGE_WALK_FALLBACK}


@pytest.mark.parametrize("name", DONE)
def test_what_is_done_with_is_not_split(name: str) -> None:
    with machine(sizes(3, **HUGE), config(name)):
        mmap(0, 4)
        pmd = make_huge(0)
        answers["pmd"] = DONE[name]
        assert walked(BOTH, 0, 4) == 0
        assert told == [("pmd", 0, 4)]
        assert pmd_leaf(pmdp_get(pmd))
        assert tasks.current.held_locks == 0


@pytest.mark.parametrize("name", ["V5_4", "V5_5", "LINUS_ZERO", "V5_6", "V6_5"])
def test_going_down_splits(name: str) -> None:
    with machine(sizes(3, **HUGE), config(name)):
        mmap(0, 4)
        pmd = make_huge(0)
        assert walked(BOTH, 0, 4) == 0
        assert not pmd_leaf(pmdp_get(pmd))
        assert told[0] == ("pmd", 0, 4)
        assert len([what for what, _, _ in told if what != "pmd"]) in (1, 4)


@pytest.mark.parametrize("name", VERSIONS)
def test_a_table_is_gone_down_to(name: str) -> None:
    with machine(sizes(3), config(name)):
        mmap(0, 4)
        assert store(0, 1)
        answers["pmd"] = DOWN.get(name, 0)
        assert walked(BOTH, 0, 4) == 0
        calls = [] if name == "LOCKED_PMD" else ["pmd"]
        assert [what for what, _, _ in told] == [*calls, "empty", "present", "empty", "empty"]


@pytest.mark.parametrize(
    ("name", "answer"), [("RETRY", PAGE_WALK_RETRY), ("KIRILL_EAGAIN", -EAGAIN)]
)
def test_an_entry_that_is_looked_at_again(
    name: str, answer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Once(dict[str, Any]):
        def get(self, key: Any, default: Any = None) -> Any:
            return self.pop(key, default)

    monkeypatch.setitem(globals(), "answers", Once(pmd=answer))
    with machine(sizes(3), config(name)):
        mmap(0, 4)
        assert store(0, 1)
        assert walked(BOTH, 0, 4) == 0
        assert [what for what, _, _ in told[:3]] == ["pmd", "pmd", "empty"]


def test_actions_and_none_of_them_is_the_next_entrys() -> None:
    with machine(sizes(3), config("V5_6")):
        mmap(0, 16)
        assert store(0, 1) and store(0, 5) and store(0, 9)
        answers["actions"] = [ACTION_AGAIN, ACTION_CONTINUE]
        assert walked(BOTH, 0, 12) == 0
        assert [t for t in told if t[0] == "pmd"] == [
            ("pmd", 0, 4), ("pmd", 0, 4), ("pmd", 4, 8), ("pmd", 8, 12)
        ]  # fmt: skip
        assert ("present", 1, 2) not in told
        assert ("present", 5, 6) in told and ("present", 9, 10) in told


@pytest.mark.parametrize("name", ["V5_5", "V5_6"])
def test_pud_entry_is_called_of_huge_ones_and_then_of_all(name: str) -> None:
    with machine(sizes(3, **HUGE), config(name)):
        mmap(0, 16)
        assert store(0, 1)
        pgd = pgd_offset(mms[0], 8)
        assert pgd is not None
        p4d = p4d_alloc(mms[0], pgd, 8)
        assert p4d is not None
        pud = pud_alloc(mms[0], p4d, 8)
        assert pud is not None
        set_pmd(pud, pfn_pud(16, False))
        if name == "V5_6":
            answers["pud action"] = ACTION_CONTINUE
        assert walked(PUDS) == 0
        huge = ("pud", 8, 16)
        of_pmds = [("pmd", 0, 4)]
        assert told == ([*of_pmds, huge] if name == "V5_5" else [("pud", 0, 8), huge])
        answers.clear()
        told.clear()
        if name == "V5_6":  # SUBTREE: it is split, and a file's entry is gone
            assert walked(PUDS, 8, 16) == 0
            assert told == [huge] and pmd_none(pmdp_get(pud))


# -- VMAs ---------------------------------------------------------------------------


def test_a_vma_is_tested_and_enclosed() -> None:
    with machine(sizes(2)):
        mmap(0, 2)
        mmap(4, 2)
        assert store(0, 0)
        assert walked(VMAS, 0, 6) == 0
        assert [what for what, _, _ in told] == [
            "test", "pre", "present", "empty", "post", "test", "pre", "empty", "empty", "post"
        ]  # fmt: skip


@pytest.mark.parametrize(("answer", "result"), [(1, 0), (-5, -5)])
def test_a_vma_that_is_left_out(answer: int, result: int) -> None:
    with machine(sizes(2)):
        mmap(0, 2)
        answers["test"] = answer
        assert walked(VMAS, 0, 2) == result
        assert told == [("test", 0, 2)]


def test_post_vma_is_called_after_an_error_and_pre_vma_can_make_one() -> None:
    with machine(sizes(2)):
        mmap(0, 2)
        assert store(0, 0)
        answers["pte", 0] = -3
        assert walked(VMAS, 0, 2) == -3
        assert told[-1][0] == "post"
        told.clear()
        answers["pre"] = -4
        assert walked(VMAS, 0, 2) == -4
        assert told[-1][0] == "pre"


def test_who_sees_no_struct_page() -> None:
    with machine(sizes(2)):
        mmap(0, 2)
        assert store(0, 0)
        vma = vma_lookup(mms[0], 0)
        assert vma is not None
        vma.vm_flags |= VM_PFNMAP
        assert walked(PTES, 0, 2) == 0
        assert told == [("hole -1", 0, 2)]


def test_hugetlb() -> None:
    with machine(sizes(3, **HUGE)):
        mmap(0, 8)
        make_huge(0)
        vma = vma_lookup(mms[0], 0)
        assert vma is not None
        vma.vm_flags |= VM_HUGETLB
        assert walked(HUGETLB, 0, 8) == 0
        assert told == [("hugetlb", 0, 4), ("hole -1", 4, 8)]
        told.clear()
        assert walked(PTES, 0, 8) == 0
        assert told == []


def test_one_vma() -> None:
    with machine(sizes(2)):
        mmap(2, 4)
        vma = vma_lookup(mms[0], 2)
        assert vma is not None
        assert store(0, 3)
        with locked(mms[0]):
            assert walk_page_vma(vma, PTES) == 0
            assert [addr for _, addr, _ in told] == [2, 3, 4, 5]
            told.clear()
            assert walk_page_range_vma(vma, 3, 5, PTES) == 0
            assert [addr for _, addr, _ in told] == [3, 4]
            assert walk_page_range_vma(vma, 3, 7, PTES) == -EINVAL
            assert walk_page_range_vma(vma, 1, 3, PTES) == -EINVAL
            assert walk_page_range(mms[0], 3, 3, PTES) == -EINVAL


def test_a_walk_that_knows_no_vma_takes_no_lock() -> None:
    with machine(sizes(2)):
        mmap(2, 4)
        assert store(0, 3)
        answers["locked"] = False
        assert walk_page_range_novma(mms[0], 0, 16, PTES) == 0
        assert ("present", 3, 4) in told
        assert {page for _, addr, next in told for page in range(addr, next)} == ALL_PAGES


def test_nobody_is_called() -> None:
    with machine(sizes(2)):
        mmap(2, 4)
        assert store(0, 3)
        assert walked(NOBODY) == 0
        assert told == []


@pytest.mark.parametrize("levels", [2, 5])
def test_tables_and_ptes_are_installed(levels: int) -> None:
    with machine(sizes(levels)):
        mmap(0, 4)
        assert store(0, 1)
        assert walked(INSTALL, 0, 4) == 0
        assert [addr for _, addr, _ in told] == [0, 2, 3]
        told.clear()
        assert walked(PTES, 0, 4) == 0
        assert [what for what, _, _ in told] == ["present"] * 4


def test_who_installs_splits_nothing() -> None:
    with machine(sizes(3, **HUGE)):
        mmap(0, 4)
        pmd = make_huge(0)
        assert walked(INSTALL, 0, 4) == 0
        assert told == [] and pmd_leaf(pmdp_get(pmd))


def test_locks_that_a_walk_wants() -> None:
    with machine(sizes(2)):
        mmap(0, 4)
        with pytest.raises(AssertionError, match="a lock is not held"):
            walk_page_range(mms[0], 0, 4, PTES)
        with locked(mms[0]), pytest.raises(AssertionError, match="mmap_lock for writing"):
            walk_page_range(mms[0], 0, 4, WRITERS)
        mmap_write_lock(mms[0])
        assert walk_page_range(mms[0], 0, 4, WRITERS) == 0
        mmap_write_unlock(mms[0])


def test_pages_of_a_file_wherever_they_are_mapped() -> None:
    map_file(Start.READ)
    with pytest.raises(AssertionError, match="a lock is not held"):
        walk_page_mapping(mapping, 0, 1, PTES)
    down_read(mapping.i_mmap_rwsem)
    assert walk_page_mapping(mapping, 0, 1, PTES) == 0
    pages = [addr for what, addr, _ in told if what == "present"]
    assert len(pages) == 1
    told.clear()
    assert walk_page_mapping(mapping, Machine.pages, 1, PTES) == 0
    assert told == []
    up_read(mapping.i_mmap_rwsem)
    assert tasks.current.held_locks & 1 << LockClass.I_MMAP_RWSEM == 0
    assert not Vma.flags and file_mm is not None


def test_the_end_of_the_address_space_is_0() -> None:
    with machine(sizes(2, address_bits=4)):
        assert addr_end(2, ulong(3), ulong(0)) == 8
        assert addr_end(2, ulong(9), ulong(0)) == 0
        assert addr_end(2, ulong(9), ulong(12)) == 12


def test_the_versions_are_there() -> None:
    assert {"V5_4", "V4_FALLBACK", "LINUS_ZERO", "POSITIVE_HANDLED", "RETRY"} <= set(VERSIONS)
    assert all(isinstance(config(name), Config) for name in VERSIONS)
