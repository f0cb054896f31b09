"""huge_memory.py: entries above the PTEs that map pages, how they are locked and split."""

from __future__ import annotations

import pytest

from pagerace.lang.structures import Config
from pagerace.machine.cpu import cpus
from pagerace.machine.memory import Machine
from pagerace.machine.tables import (
    pfn_pmd,
    pfn_pud,
    pmd_t,
    pud_leaf,
    pud_trans_huge,
    set_pmd,
)
from pagerace.machine.tlb import load
from pagerace.mm.huge_memory import (
    pmd_trans_huge_lock,
    pud_trans_huge_lock,
    split_huge_pmd,
    split_huge_pud,
)
from pagerace.mm.mm_types import mms, vm_area_struct
from pagerace.mm.mmap import vma_lookup
from pagerace.mm.pgalloc import p4d_alloc, pmd_alloc_at, pud_alloc
from pagerace.mm.pgtable_levels import HPAGE_PMD_NR, HPAGE_PUD_NR, pgd_offset
from pagerace.mm.spinlock import spin_unlock
from tests.mm.processes import machine, mmap, run

# Huge pages are of four pages, and of eight.
HUGE: tuple[Config, ...] = (
    Machine(
        pages=16, address_bits=6, frames=31, frame_bits=5, version_bits=32, cpus=1,
        levels=3, entries=2, tables=8, uppers=9, prot_none=True,
        huge_pages=True, huge_puds=True,
    ),
)  # fmt: skip


def a_vma(start: int, pages: int) -> vm_area_struct:
    mmap(start, pages)
    vma = vma_lookup(mms[0], start)
    assert vma is not None
    return vma


def pud_of(address: int) -> pmd_t:
    pgd = pgd_offset(mms[0], address)
    assert pgd is not None
    p4d = p4d_alloc(mms[0], pgd, address)
    assert p4d is not None
    pud = pud_alloc(mms[0], p4d, address)
    assert pud is not None
    return pud


def test_what_a_pud_maps_is_loaded_and_split() -> None:
    with machine(*HUGE):
        vma = a_vma(8, 8)
        pud = pud_of(9)
        set_pmd(pud, pfn_pud(16, True))
        assert pud_leaf(pud.entry.value)
        assert pud_trans_huge(pud.entry.value)
        assert (HPAGE_PMD_NR(), HPAGE_PUD_NR()) == (4, 8)
        run(0)
        assert load(13)
        assert cpus[0].tlb[13].pfn == 16 + 13 - 8
        split_huge_pud(vma, pud, 13)
        assert not pud_leaf(pud.entry.value)
        assert not cpus[0].tlb[13].present
        assert not load(13)
        split_huge_pud(vma, pud, 13)  # and nothing is left to split


def test_what_is_no_leaf_is_not_locked() -> None:
    with machine(*HUGE):
        vma = a_vma(8, 8)
        lock = mms[0].page_table_lock
        pmd = pmd_alloc_at(mms[0], 8)
        assert pmd is not None
        assert pmd_trans_huge_lock(pmd, vma) is None
        assert pud_trans_huge_lock(pud_of(8), vma) is None
        set_pmd(pmd, pfn_pmd(16, True))
        assert pmd_trans_huge_lock(pmd, vma) is lock
        spin_unlock(lock)
        set_pmd(pmd_of_huge := pud_of(0), pfn_pud(16, True))
        assert pud_trans_huge_lock(pmd_of_huge, vma) is lock
        spin_unlock(lock)


@pytest.mark.parametrize("puds", [False, True])
def test_a_machine_without_huge_pages_splits_nothing(puds: bool) -> None:
    with machine(Machine.replace(HUGE[0], huge_pages=False, huge_puds=puds)):
        vma = a_vma(8, 8)
        pmd = pmd_alloc_at(mms[0], 8)
        assert pmd is not None
        split_huge_pmd(vma, pmd, 9)
        split_huge_pud(vma, pud_of(8), 9)
        assert pmd_trans_huge_lock(pmd, vma) is None
