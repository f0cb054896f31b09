"""rmap.py and page_vma_mapped.py."""

from __future__ import annotations

import pytest

from pagerace.lang.flow import WouldBlock
from pagerace.machine.pgtable import pte_mkclean, pte_t, pte_wrprotect
from pagerace.mm.page_flags import folio_mapcount, folio_mapped
from pagerace.mm.page_vma_mapped import PVMW_SYNC, page_vma_mapped_walk, walks
from pagerace.mm.pagemap import folio_lock
from pagerace.mm.rmap import folio_mkclean, page_add_file_rmap, page_remove_rmap
from pagerace.mm.sched import tasks
from pagerace.mm.spinlock import spin_is_locked
from pagerace.protocols._shared_file import Start
from tests.mm.files import PAGE, entry, map_file, page, pte, ptl, tlb, vma


def test_the_mapcount_counts_mappings() -> None:
    map_file(Start.READ)
    page_add_file_rmap(page(), vma())
    assert folio_mapcount(page()) == 2
    page_remove_rmap(page(), vma())
    page_remove_rmap(page(), vma())
    assert not folio_mapped(page())


def test_mkclean_cleans_protects_and_flushes(interrupts: list[int]) -> None:
    map_file(Start.STORED)
    was = pte()
    folio_lock(page())
    assert folio_mkclean(page()) == 1
    assert pte() == pte_mkclean(pte_wrprotect(was))
    assert not tlb(2).present
    assert interrupts == [2]
    assert tasks.current.preempt_count == 0


def test_mkclean_leaves_a_clean_read_only_entry_alone(interrupts: list[int]) -> None:
    map_file(Start.READ)
    folio_lock(page())
    assert folio_mkclean(page()) == 0
    assert interrupts == []


def test_mkclean_wants_the_folio_locked() -> None:
    map_file(Start.STORED)
    with pytest.raises(AssertionError):
        folio_mkclean(page())


def test_mkclean_waits_for_a_zapper() -> None:
    map_file(Start.STORED)
    entry().value = pte_t()
    ptl().locked = True
    folio_lock(page())
    with pytest.raises(WouldBlock):
        folio_mkclean(page())


def test_mkclean_waits_for_nobody_where_the_rmap_is_gone() -> None:
    map_file(Start.STORED)
    page_remove_rmap(page(), vma())
    ptl().locked = True
    folio_lock(page())
    assert folio_mkclean(page()) == 0


def test_a_walk_holds_the_ptl_at_its_entry_and_drops_it_at_the_end() -> None:
    map_file(Start.READ)
    pvmw = walks.current
    pvmw.pfn, pvmw.vma, pvmw.address, pvmw.flags = 0, vma(), PAGE, PVMW_SYNC
    assert page_vma_mapped_walk(pvmw)
    assert spin_is_locked(ptl())
    assert pvmw.pte is entry()
    assert not page_vma_mapped_walk(pvmw)
    assert not spin_is_locked(ptl())


@pytest.mark.parametrize("flags", [0, PVMW_SYNC])
def test_a_walk_finds_nothing_where_the_page_is_not(flags: int) -> None:
    map_file(Start.READ)
    entry().value = pte_t()
    pvmw = walks.current
    pvmw.pfn, pvmw.vma, pvmw.address, pvmw.flags = 0, vma(), PAGE, flags
    assert not page_vma_mapped_walk(pvmw)
    assert not spin_is_locked(ptl())
    assert pvmw.ptl is None
