"""Callbacks for walks that tell what they were called for, and whom to ask."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pagerace.lang import s32
from pagerace.lang.structures import Config
from pagerace.machine.memory import Machine, ulong
from pagerace.machine.pgtable import pte_present, pte_slot, pte_t, ptep_get
from pagerace.machine.tables import (
    pfn_pmd,
    pmd_t,
    set_pmd,
)
from pagerace.mm import pagewalk_ops, table_walk
from pagerace.mm.mm_types import mem_map, mm_struct, mms, pmd_ptdesc
from pagerace.mm.mmap_lock import (
    mmap_read_lock,
    mmap_read_unlock,
)
from pagerace.mm.pagewalk import (
    walk_page_range,
)
from pagerace.mm.pagewalk_ops import (
    PGWALK_WRLOCK,
    Pagewalk,
    mm_walk,
    mm_walk_ops,
)
from pagerace.mm.pgalloc import pmd_alloc_at
from pagerace.mm.pgtable_levels import find_pmd
from pagerace.mm.spinlock import spin_is_locked

VERSIONS = [name for name, value in vars(pagewalk_ops).items() if isinstance(value, Pagewalk)]
ALL_PAGES = set(range(16))

told: list[tuple[str, int, int]] = []
answers: dict[Any, Any] = {}


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


def config(name: str) -> tuple[Config, ...]:
    """The walker of that name, and the tables that go with it."""
    tables = (table_walk.V6_5,) if name in ("V6_5", "V6_19") else ()
    return (getattr(pagewalk_ops, name), *tables)


HUGE: dict[str, Any] = {"huge_pages": True, "huge_puds": True, "frames": 31}


def make_huge(addr: int) -> pmd_t:
    pmd = pmd_alloc_at(mms[0], addr)
    assert pmd is not None
    set_pmd(pmd, pfn_pmd(8, False))
    mem_map[8]._refcount.counter = 2  # pyright: ignore[reportPrivateUsage]
    mem_map[8]._mapcount.counter = 1  # pyright: ignore[reportPrivateUsage]
    return pmd
