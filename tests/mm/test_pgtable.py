from __future__ import annotations

from pagerace.machine.pgtable import pte_mkdirty, pte_none, pte_wrprotect
from pagerace.mm.pgtable import (
    pte_lockptr,
    ptep_clear_flush,
    ptep_get_and_clear_full,
    ptep_set_access_flags,
)
from pagerace.mm.pgtable_generic import pte_maps, pte_offset_map_lock, pte_unmap_unlock
from pagerace.mm.spinlock import spin_is_locked
from pagerace.protocols._shared_file import Start
from tests.mm.files import PAGE, entry, map_file, mm, pmd, pte, ptl, tlb, vma


def test_the_lock_of_a_table_is_taken_and_dropped() -> None:
    map_file(Start.STORED)
    assert pte_lockptr(mm, pmd()) is ptl()
    map = pte_maps.current
    assert pte_offset_map_lock(mm, pmd(), PAGE, map) is entry()
    assert map.ptl is ptl()
    assert spin_is_locked(ptl())
    pte_unmap_unlock(map)
    assert not spin_is_locked(ptl())


def test_clear_flush_leaves_no_translation(interrupts: list[int]) -> None:
    map_file(Start.STORED)
    was = pte()
    assert ptep_clear_flush(vma(), PAGE, entry()) == was
    assert pte_none(pte())
    assert not tlb(2).present
    assert interrupts == [2]


def test_an_entry_that_was_none_needs_no_flush(interrupts: list[int]) -> None:
    map_file(Start.STORED)
    ptep_clear_flush(vma(), PAGE, entry())
    ptep_clear_flush(vma(), PAGE, entry())
    assert interrupts == [2]


def test_clearing_gives_what_was_there() -> None:
    for full in (False, True):
        map_file(Start.STORED)
        was = pte()
        assert ptep_get_and_clear_full(mm, PAGE, entry(), full) == was
        assert pte_none(pte())


def test_access_flags_are_stored_only_if_they_change_for_a_write() -> None:
    map_file(Start.READ)
    more = pte_mkdirty(pte())
    assert ptep_set_access_flags(vma(), PAGE, entry(), more, False)
    assert pte() != more
    assert ptep_set_access_flags(vma(), PAGE, entry(), more, True)
    assert pte() == more
    assert not ptep_set_access_flags(vma(), PAGE, entry(), more, True)
    assert pte_wrprotect(pte()) == pte()
