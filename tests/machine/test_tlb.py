from __future__ import annotations

import pytest

from pagerace.lang.flow import WouldBlock
from pagerace.machine.cpu import cpus, tlb_entry
from pagerace.machine.memory import frames
from pagerace.machine.pgtable import page_table, pte_t
from pagerace.machine.tables import page_tables
from pagerace.machine.tlb import Access, invlpg, store, tlb_evict, tlb_fill, try_store
from tests.machine.tables import run_on

WRITABLE = pte_t(present=True, writable=True, pfn=0)


def table(pte: pte_t) -> page_table:
    """CPU 0 runs on a table with this entry for page 0."""
    tables = page_tables[0]
    tables.pte[0].value = pte
    run_on(cpus[0], tables)
    frames.alloc()
    return tables


def test_a_store_fills_then_sets_the_dirty_bit_then_stores() -> None:
    tables = table(WRITABLE)
    cpu = cpus[0]
    assert try_store(cpu, 0, 1) is Access.AGAIN
    assert cpu.tlb[0] == tlb_entry(present=True, writable=True, dirty=False, pfn=0)
    assert tables.pte[0].value == WRITABLE.replace(accessed=True)
    assert try_store(cpu, 0, 1) is Access.AGAIN
    assert cpu.tlb[0].dirty
    assert tables.pte[0].value == WRITABLE.replace(accessed=True, dirty=True)
    assert frames[0].content == 0
    assert try_store(cpu, 0, 1) is Access.DONE
    assert frames[0].content == 1


def test_a_store_through_a_dirty_entry_does_not_look_at_memory() -> None:
    tables = table(WRITABLE.replace(dirty=True))
    assert store(0, 1)
    tables.pte[0].value = pte_t()
    assert store(0, 1)
    assert frames[0].content == 2


def test_a_dirty_pte_gives_a_dirty_entry() -> None:
    table(WRITABLE.replace(dirty=True))
    assert try_store(cpus[0], 0, 1) is Access.AGAIN
    assert try_store(cpus[0], 0, 1) is Access.DONE


@pytest.mark.parametrize(
    "pte", [pte_t(), WRITABLE.replace(writable=False)], ids=["gone", "read-only"]
)
def test_the_dirty_bit_is_refused_where_the_pte_has_changed(pte: pte_t) -> None:
    tables = table(WRITABLE)
    try_store(cpus[0], 0, 1)
    tables.pte[0].value = pte
    assert try_store(cpus[0], 0, 1) is Access.FAULT
    assert tables.pte[0].value == pte  # T4-S11: a cleared PTE stays cleared
    assert cpus[0].tlb[0] == tlb_entry()
    assert frames[0].content == 0


@pytest.mark.parametrize(
    "pte", [pte_t(), WRITABLE.replace(writable=False)], ids=["gone", "read-only"]
)
def test_a_store_that_finds_no_writable_pte_faults(pte: pte_t) -> None:
    table(pte)
    assert not store(0, 1)
    assert cpus[0].tlb[0] == tlb_entry()


def test_a_fault_removes_the_read_only_entry_that_it_came_from() -> None:
    table(WRITABLE)
    cpus[0].tlb[0] = tlb_entry(present=True, pfn=0)
    assert try_store(cpus[0], 0, 1) is Access.FAULT
    assert cpus[0].tlb[0] == tlb_entry()


def test_a_cpu_without_tables_faults() -> None:
    assert not store(0, 1)


def test_each_cpu_has_a_tlb_of_its_own() -> None:
    table(WRITABLE)
    store(0, 1)
    assert cpus[0].tlb[0].present
    assert not cpus[1].tlb[0].present
    invlpg(cpus[0], 0)
    assert not cpus[0].tlb[0].present


@pytest.mark.parametrize("writable", [True, False])
@pytest.mark.parametrize("dirty", [True, False])
def test_a_fill_ahead_copies_any_present_pte_and_makes_it_young(
    writable: bool, dirty: bool
) -> None:
    was = WRITABLE.replace(writable=writable, dirty=dirty)
    tables = table(was)
    with pytest.raises(WouldBlock):
        tlb_fill()  # and waits for the entry to go
    assert cpus[0].tlb[0] == tlb_entry(present=True, writable=writable, dirty=dirty, pfn=0)
    assert tables.pte[0].value == was.replace(accessed=True)


def test_a_fill_ahead_finds_nothing_where_nothing_is_mapped() -> None:
    with pytest.raises(WouldBlock):
        tlb_fill()
    table(pte_t())
    with pytest.raises(WouldBlock):
        tlb_fill()
    assert cpus[0].tlb[0] == tlb_entry()


def test_eviction_takes_an_entry_and_waits_for_the_next() -> None:
    cpus[0].tlb[0] = tlb_entry(present=True, pfn=0)
    with pytest.raises(WouldBlock):
        tlb_evict()
    assert cpus[0].tlb[0] == tlb_entry()
