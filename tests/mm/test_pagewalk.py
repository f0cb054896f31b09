"""pagewalk.py and its parts: who is called for what, on all levels, by all walkers."""

from __future__ import annotations

from typing import Any

import pytest

from pagerace.lang.structures import KernelPythonError
from pagerace.machine.tables import (
    pfn_pud,
    pmd_leaf,
    pmd_none,
    pmdp_get,
    set_pmd,
)
from pagerace.mm.errno import EAGAIN
from pagerace.mm.mm_types import mms
from pagerace.mm.pagewalk_ops import (
    ACTION_AGAIN,
    ACTION_CONTINUE,
    PAGE_WALK_FALLBACK,
    PAGE_WALK_HANDLED,
    PAGE_WALK_RETRY,
)
from pagerace.mm.pgalloc import p4d_alloc, pud_alloc
from pagerace.mm.pgtable_levels import pgd_offset
from pagerace.mm.sched import tasks
from tests.mm import walkers
from tests.mm.processes import machine, mmap, store
from tests.mm.walkers import (
    ALL_PAGES,
    BOTH,
    HUGE,
    PTES,
    PUDS,
    UPPER,
    VERSIONS,
    answers,
    config,
    make_huge,
    sizes,
    told,
    walked,
)


@pytest.fixture(autouse=True)
def _nothing_told() -> None:
    told.clear()
    answers.clear()


@pytest.mark.parametrize("levels", [2, 3, 4, 5])
@pytest.mark.parametrize("name", VERSIONS)
def test_each_page_is_told_of_once(name: str, levels: int) -> None:
    with machine(sizes(levels), *config(name)):
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
    with machine(sizes(2), *config(name)):
        mmap(0, 8)
        assert store(0, 1)
        answers["locked"] = lock
        assert walked(PTES) == 0
        assert tasks.current.held_locks == 0


@pytest.mark.parametrize("name", VERSIONS)
def test_an_error_ends_the_walk_and_is_returned(name: str) -> None:
    if name == "UNLOCK_BEFORE":
        pytest.skip("it has a test of its own")
    with machine(sizes(2), *config(name)):
        mmap(0, 16)
        assert store(0, 1) and store(0, 9)
        answers["pte", 2] = -7
        assert walked(PTES) == -7
        assert told[-1] == ("empty", 2, 3)
        assert tasks.current.held_locks == 0


def test_the_unlock_before_the_table() -> None:
    """T5-B5: the first callback fails."""
    with machine(sizes(2), *config("UNLOCK_BEFORE")):
        mmap(0, 16)
        assert store(0, 1)
        assert walked(PTES) == 0
        answers["pte", 0] = -7
        with pytest.raises(KernelPythonError, match="index -1 outside"):
            walked(PTES)


# -- huge entries -----------------------------------------------------------------

# What a pmd_entry answers that has done with a huge page, and one that sends the walk down.
DONE: dict[str, int] = {
    "V4_FALLBACK": 0, "POSITIVE_HANDLED": PAGE_WALK_HANDLED, "RETRY": 0,
    "KIRILL_EAGAIN": PAGE_WALK_HANDLED, "LOCKED_PMD": 0,
}  # fmt: skip
DOWN: dict[str, int] = {"V4_FALLBACK": PAGE_WALK_FALLBACK}


@pytest.mark.parametrize("name", DONE)
def test_what_is_done_with_is_not_split(name: str) -> None:
    with machine(sizes(3, **HUGE), *config(name)):
        mmap(0, 4)
        pmd = make_huge(0)
        answers["pmd"] = DONE[name]
        assert walked(BOTH, 0, 4) == 0
        assert told == [("pmd", 0, 4)]
        assert pmd_leaf(pmdp_get(pmd))
        assert tasks.current.held_locks == 0


@pytest.mark.parametrize("name", ["V5_4", "V5_5", "LINUS_ZERO", "V5_6", "V6_5"])
def test_going_down_splits(name: str) -> None:
    with machine(sizes(3, **HUGE), *config(name)):
        mmap(0, 4)
        pmd = make_huge(0)
        assert walked(BOTH, 0, 4) == 0
        assert not pmd_leaf(pmdp_get(pmd))
        assert told[0] == ("pmd", 0, 4)
        assert len([what for what, _, _ in told if what != "pmd"]) in (1, 4)


@pytest.mark.parametrize("name", VERSIONS)
def test_a_table_is_gone_down_to(name: str) -> None:
    with machine(sizes(3), *config(name)):
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

    monkeypatch.setattr(walkers, "answers", Once(pmd=answer))
    with machine(sizes(3), *config(name)):
        mmap(0, 4)
        assert store(0, 1)
        assert walked(BOTH, 0, 4) == 0
        assert [what for what, _, _ in told[:3]] == ["pmd", "pmd", "empty"]


def test_actions_and_none_of_them_is_the_next_entrys() -> None:
    with machine(sizes(3), *config("V5_6")):
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
    with machine(sizes(3, **HUGE), *config(name)):
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
