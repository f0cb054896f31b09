"""anon.py: what faults map in anonymous memory, and what a zap makes of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pagerace.machine.memory import Machine, frames
from pagerace.machine.pgtable import pfn_pte, pte_mkyoung, pte_none, pte_t
from pagerace.machine.tables import page_tables
from pagerace.mm import anon
from pagerace.mm.anon import Anon, mk_anon_pte
from pagerace.mm.fault import do_user_addr_fault, user_load, user_store
from pagerace.mm.madvise import madvise_dontneed
from pagerace.mm.mm_types import FAULT_FLAG_WRITE, mem_map
from pagerace.mm.page_flags import folio_mapcount, folio_ref_count
from pagerace.mm.sched import tasks
from pagerace.protocols._lockless_anon import setup
from pagerace.protocols._shared_file import mm
from tests.kernel import fresh_machine

FIRST, NEW = 2, 3
ZERO = pte_mkyoung(pfn_pte(1, False))


@pytest.fixture(autouse=True)
def _anonymous() -> Iterator[None]:
    with fresh_machine(Machine(cpus=4, frames=4), Anon(private=True, zero_pfn=1)):
        setup()
        yield


def pte() -> pte_t:
    return page_tables[0].pte[0].value


def test_a_load_maps_the_zero_page_and_a_store_copies_it(interrupts: list[int]) -> None:
    madvise_dontneed(mm, 0)
    assert pte_none(pte())
    assert not frames.allocated(frames[FIRST])
    assert user_load(mm, 0)
    assert pte() == ZERO
    interrupts.clear()
    assert user_store(mm, 0)
    assert pte() == mk_anon_pte(mem_map[FIRST])
    assert interrupts == [1, 2, 3]
    assert folio_mapcount(mem_map[FIRST]) == folio_ref_count(mem_map[FIRST]) == 1
    assert frames[FIRST].content == 1
    assert tasks.current.held_locks == 0


def test_a_store_maps_a_page_of_its_own() -> None:
    madvise_dontneed(mm, 0)
    frames[FIRST].content = 5
    assert user_store(mm, 0)
    assert pte() == mk_anon_pte(mem_map[FIRST])
    assert frames[FIRST].content == 1


def test_the_zero_page_is_neither_counted_nor_freed() -> None:
    madvise_dontneed(mm, 0)
    before = folio_ref_count(mem_map[1])
    user_load(mm, 0)
    madvise_dontneed(mm, 0)
    assert pte_none(pte())
    assert folio_ref_count(mem_map[1]) == before
    assert folio_mapcount(mem_map[1]) == 0


def test_a_dirty_anonymous_page_is_not_marked_dirty() -> None:
    assert pte().dirty
    madvise_dontneed(mm, 0)
    assert not mem_map[FIRST].PG_dirty


def test_who_comes_second_gives_the_page_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault finds an entry once it has the lock."""
    madvise_dontneed(mm, 0)
    real = anon.pte_offset_map_lock

    def map_meanwhile(*args: object) -> object:
        slot = real(*args)  # pyright: ignore
        slot.value = ZERO
        return slot

    monkeypatch.setattr(anon, "pte_offset_map_lock", map_meanwhile)
    assert do_user_addr_fault(mm, 0, FAULT_FLAG_WRITE)
    assert pte() == ZERO
    assert not frames.allocated(frames[FIRST])
    assert not frames.allocated(frames[NEW])
