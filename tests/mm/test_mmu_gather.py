from __future__ import annotations

import pytest

from pagerace.machine.memory import Machine
from pagerace.machine.pgtable import pte_none, pte_t
from pagerace.mm.memory import unmap_page_range, zap_pte_range
from pagerace.mm.mm_inline import FlushPending, Pending
from pagerace.mm.mm_types import mem_map
from pagerace.mm.mmu_gather import (
    LATE_RMAP_UNLOCKED,
    RFC_DIRTY_IN_GATHER,
    RFC_DIRTY_IN_GATHER_RMAP_KEPT,
    UNFORCED_FLUSH_RMAP_KEPT,
    V6_0,
    V6_2,
    MmuGather,
    gathers,
    tlb_finish_mmu,
    tlb_flush_mmu_tlbonly,
    tlb_gather_mmu,
    tlb_remove_tlb_entry,
)
from pagerace.mm.notes import Notes, notes
from pagerace.mm.page_flags import folio_mapped, folio_ref_count
from pagerace.mm.sched import Sched, thread_infos
from pagerace.protocols._shared_file import Start
from tests.kernel import fresh_machine
from tests.mm.files import entry, map_file, mm, page, pmd, pte, tlb, vma


def zap() -> None:
    """zap_pte_range() of everything, in a gather that is not finished."""
    tlb_gather_mmu(gathers.current, mm)
    zap_pte_range(gathers.current, vma(), pmd(), 0, Machine.pages, None)


# What is done when the PTL has been dropped: dirty, flushed, rmap gone, reference gone.
AFTER_ZAP = {
    "v6.0": (V6_0, (True, True, True, True)),
    "rfc": (RFC_DIRTY_IN_GATHER, (False, False, True, False)),
    "rfc, rmap kept": (RFC_DIRTY_IN_GATHER_RMAP_KEPT, (False, False, False, False)),
    "late rmap, unlocked": (LATE_RMAP_UNLOCKED, (True, True, True, True)),
    "v6.2": (V6_2, (True, True, True, True)),
}


@pytest.mark.parametrize("name", AFTER_ZAP)
def test_what_zap_leaves_to_the_end_of_the_gather(name: str) -> None:
    variant, expected = AFTER_ZAP[name]
    with fresh_machine(variant):
        map_file(Start.STORED)
        page().PG_dirty = False
        zap()
        assert pte_none(pte())
        assert expected == (
            bool(page().PG_dirty),
            not tlb(2).present,
            not folio_mapped(page()),
            folio_ref_count(page()) == 1,
        )
        tlb_finish_mmu(gathers.current)
        assert page().PG_dirty
        assert not tlb(2).present
        assert not folio_mapped(page())
        assert folio_ref_count(page()) == 1


def test_a_clean_page_is_flushed_at_the_end(interrupts: list[int]) -> None:
    map_file(Start.UNNOTIFIED)
    zap()
    assert not folio_mapped(page())
    assert folio_ref_count(page()) == 2
    assert interrupts == []
    tlb_finish_mmu(gathers.current)
    assert interrupts == [2]
    assert folio_ref_count(page()) == 1


@pytest.mark.parametrize("bundle", [1, 2, 3])
@pytest.mark.parametrize("batches", [1, 2])
@pytest.mark.parametrize("variant", AFTER_ZAP)
def test_batches_of_any_size_let_go_of_every_page(
    variant: str, bundle: int, batches: int
) -> None:
    sizes = AFTER_ZAP[variant][0].replace(bundle=bundle, batches=batches)
    with fresh_machine(Machine(pages=3, frames=3), sizes):
        map_file(Start.STORED)
        zap()
        tlb_finish_mmu(gathers.current)
        for folio in mem_map:
            assert not folio_mapped(folio)
            assert folio_ref_count(folio) == 1
            assert folio.PG_dirty


def test_two_batches_at_most_have_delayed_rmaps(interrupts: list[int]) -> None:
    with fresh_machine(Machine(pages=3, frames=3), MmuGather(bundle=1, batches=3)):
        map_file(Start.STORED)
        zap()
        # The second batch is full and no third is begun: flush, and go on.
        assert interrupts == [2, 2]


def test_nothing_gathered_is_nothing_flushed(interrupts: list[int]) -> None:
    map_file(Start.READ)
    tlb_gather_mmu(gathers.current, mm)
    tlb_flush_mmu_tlbonly(gathers.current)
    assert interrupts == []
    assert mm.tlb_flush_pending.counter == 1
    tlb_finish_mmu(gathers.current)
    assert mm.tlb_flush_pending.counter == 0


def test_a_nested_gather_flushes_all(interrupts: list[int]) -> None:
    map_file(Start.STORED)
    tlb_gather_mmu(gathers.current, mm)
    mm.tlb_flush_pending.counter = 2  # another thread has cleared PTEs as well
    tlb_finish_mmu(gathers.current)
    assert interrupts == [2]


def test_the_range_grows_around_what_is_removed() -> None:
    with fresh_machine(Machine(pages=4)):
        gather = gathers.current
        tlb_gather_mmu(gather, mm)
        tlb_remove_tlb_entry(gather, 2)
        tlb_remove_tlb_entry(gather, 1)
        assert (gather.start, gather.end) == (1, 3)


def test_an_empty_entry_is_passed_over_though_another_task_is_to_run() -> None:
    with fresh_machine(Sched(ticks=True), Notes(breaks=True)):
        map_file(Start.STORED)
        entry().value = pte_t()
        thread_infos[0].need_resched = True
        zap()
        assert not notes.idle_break
        assert thread_infos[0].need_resched


def test_a_gather_remembers_one_table() -> None:
    with fresh_machine(
        Machine(levels=2, entries=2, pages=2, frames=2),
        UNFORCED_FLUSH_RMAP_KEPT,
        FlushPending(mkclean=Pending.TABLE),
    ):
        map_file(Start.STORED)
        tlb_gather_mmu(gathers.current, mm)
        with pytest.raises(AssertionError, match="one table"):
            unmap_page_range(gathers.current, vma(), 0, Machine.pages, None)
