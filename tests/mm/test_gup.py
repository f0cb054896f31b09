"""gup.py, pgtable_lockless.py, pgalloc.py and rcupdate.py."""

from __future__ import annotations

import pytest

from pagerace.lang.flow import WouldBlock
from pagerace.lang.structures import KernelPythonError
from pagerace.machine.arch import Arch
from pagerace.machine.cpu import cpus
from pagerace.machine.entry import pte_t
from pagerace.machine.irq import irqs_disabled, local_irq_restore, local_irq_save
from pagerace.machine.memory import Machine
from pagerace.machine.pgtable import pte_none, set_pte
from pagerace.machine.tables import page_tables, pmd_none, pmdp_get, table_entry, upper_tables
from pagerace.mm.gup import FOLL_WRITE, lockless_pages_from_mm, page_lists
from pagerace.mm.khugepaged_anon import put_table_back
from pagerace.mm.mm_types import mm_struct, pmd_t
from pagerace.mm.mmu_gather import gathers, tlb_finish_mmu, tlb_gather_mmu
from pagerace.mm.page_flags import folio_ref_count
from pagerace.mm.pgalloc import (
    PteTables,
    __pte_alloc,
    pgd_alloc,
    pmd_alloc_at,
    pmdp_collapse_flush,
)
from pagerace.mm.pgtable_free import free_pte_range
from pagerace.mm.pgtable_levels import init_page_table_locks
from pagerace.mm.pgtable_lockless import (
    V6_1,
    V6_2,
    Lockless,
    pmd_read_atomic,
    pmdp_get_lockless,
    ptep_get_lockless,
)
from pagerace.mm.rcupdate import rcu_read_lock, rcu_read_unlock, synchronize_rcu
from pagerace.mm.sched import tasks
from pagerace.protocols._shared_file import Start
from tests.kernel import fresh_machine
from tests.mm.files import PAGE, entry, map_file, mm, page

PTE = pte_t(present=True, writable=True, pfn=3)


def test_gup_fast_gets_a_reference() -> None:
    map_file(Start.READ)
    before = folio_ref_count(page())
    assert lockless_pages_from_mm(mm, PAGE, PAGE + 1, 0, page_lists.current) == 1
    assert page_lists.current.page[0] is page()
    assert folio_ref_count(page()) == before + 1
    assert not irqs_disabled()


def test_gup_fast_leaves_to_the_slow_path_what_it_may_not_have() -> None:
    map_file(Start.READ)
    before = folio_ref_count(page())
    assert lockless_pages_from_mm(mm, PAGE, PAGE + 1, FOLL_WRITE, page_lists.current) == 0
    set_pte(entry(), pte_t())
    assert lockless_pages_from_mm(mm, PAGE, PAGE + 1, 0, page_lists.current) == 0
    assert folio_ref_count(page()) == before


def test_gup_fast_takes_no_page_that_is_being_freed() -> None:
    map_file(Start.STORED)
    page()._refcount.counter = 0  # pyright: ignore[reportPrivateUsage]
    assert lockless_pages_from_mm(mm, PAGE, PAGE + 1, FOLL_WRITE, page_lists.current) == 0
    assert folio_ref_count(page()) == 0


@pytest.mark.parametrize("arch", [Arch.X86_64, Arch.X86_PAE])
@pytest.mark.parametrize("how", [V6_1, V6_2, Lockless(cmpxchg8b=True)])
def test_undisturbed_all_reads_give_the_same(arch: Arch, how: Lockless) -> None:
    with fresh_machine(Machine(arch=arch), how, PteTables(come_and_go=True)):
        pmd = upper_tables[0].entry[0]
        slot = pmd.entry
        for value in (pte_t(), PTE):
            slot.value = value
            assert ptep_get_lockless(slot) == value
            assert pmdp_get_lockless(pmd) == value
            assert pmd_read_atomic(pmd) == value


def test_pmd_read_atomic_tells_none_from_the_low_half() -> None:
    with fresh_machine(Machine(arch=Arch.X86_PAE)):
        pmd = upper_tables[0].entry[0]
        pmd.entry.value = pte_t(pfn=2)
        assert pmd_none(pmd_read_atomic(pmd))
        assert not pte_none(ptep_get_lockless(pmd.entry))


def new_mm() -> tuple[mm_struct, pmd_t]:
    """An mm with an empty top table, and its first PMD entry."""
    own = mm_struct()
    init_page_table_locks(own)
    own.pgd = pgd_alloc(own)
    pmd = pmd_alloc_at(own, 0)
    assert pmd is not None
    return own, pmd


def test_tables_come_and_go() -> None:
    with fresh_machine(Machine(frames=2, tables=2), PteTables(come_and_go=True)):
        own, pmd = new_mm()
        assert not __pte_alloc(own, pmd)
        assert pmdp_get(pmd) == table_entry(0)
        assert not __pte_alloc(own, pmd)  # there is one already
        assert not page_tables.allocated(page_tables[1])
        put_table_back(own, pmd, pmdp_collapse_flush(own, 0, pmd))
        assert pmdp_get(pmd) == table_entry(0)
        tlb_gather_mmu(gathers.current, own)
        free_pte_range(gathers.current, pmd, 0)
        tlb_finish_mmu(gathers.current)
        assert pmd_none(pmdp_get(pmd))
        assert not page_tables.allocated(page_tables[0])


def test_a_new_table_is_empty() -> None:
    with fresh_machine(PteTables(come_and_go=True)):
        own, pmd = new_mm()
        page_tables[0].pte[0].value = PTE
        assert not __pte_alloc(own, pmd)
        assert pte_none(page_tables[0].pte[0].value)


def test_a_grace_period_waits_for_readers() -> None:
    rcu_read_lock()
    rcu_read_lock()
    rcu_read_unlock()
    with pytest.raises(KernelPythonError, match="sleeping-while-atomic"):
        synchronize_rcu()
    tasks.current.preempt_count = 0  # as another task sees it
    with pytest.raises(WouldBlock):
        synchronize_rcu()
    tasks.current.preempt_count = 1
    rcu_read_unlock()
    synchronize_rcu()


def test_a_grace_period_waits_for_cpus_with_interrupts_off() -> None:
    cpus[1].interrupts_off = True
    with pytest.raises(WouldBlock):
        synchronize_rcu()


def test_more_unlocks_than_locks() -> None:
    with pytest.raises(KernelPythonError, match="counter-below-zero"):
        rcu_read_unlock()


def test_interrupts_are_restored_to_what_they_were() -> None:
    outer = local_irq_save()
    inner = local_irq_save()
    local_irq_restore(inner)
    assert irqs_disabled()
    local_irq_restore(outer)
    assert not irqs_disabled()
