"""walker.py, tlbi.py, ipte.py, vcpu.py and tables.py: what differs between machines."""

from __future__ import annotations

import pytest

from pagerace.lang.flow import WouldBlock, choosing
from pagerace.machine.arch import Arch
from pagerace.machine.cpu import cpus, has_tables, runs, steal_time, tlb_entry
from pagerace.machine.ipte import idte, ipte, ipte_local
from pagerace.machine.memory import Machine, frames
from pagerace.machine.pgtable import (
    page_table,
    pfn_pte,
    pte_dirty,
    pte_mkclean,
    pte_mkdirty,
    pte_mkwrite,
    pte_mkyoung,
    pte_t,
    pte_wrprotect,
)
from pagerace.machine.tables import page_tables, set_pmd, table_entry, upper_tables, walk
from pagerace.machine.tlb import Access, store, tlb_fill, try_store
from pagerace.machine.tlbi import dsb_ish, receive_tlbi, tlbi_vale1is
from pagerace.machine.vcpu import host, kvm_steal_time_set_preempted, record_steal_time
from pagerace.machine.walker import is_marked_dirty, is_valid, may_store
from tests.kernel import fresh_machine
from tests.machine.tables import run_on

ENTRY = tlb_entry(present=True, writable=True, dirty=True, pfn=0)
FAULTING = [Arch.ARM64, Arch.S390]
EVERY = [*FAULTING, Arch.ARM64_AFDBM, Arch.X86_64]


def table(pte: pte_t) -> page_table:
    """CPU 0 runs on a table with this entry for page 0."""
    tables = page_tables[0]
    tables.pte[0].value = pte
    run_on(cpus[0], tables)
    frames.alloc()
    return tables


@pytest.mark.parametrize("arch", EVERY)
def test_helpers_agree_with_the_walker(arch: Arch) -> None:
    with fresh_machine(Machine(arch=arch)):
        clean = pte_mkyoung(pfn_pte(0, True))
        dirty = pte_mkdirty(clean)
        assert not pte_dirty(clean)
        assert pte_dirty(dirty)
        assert may_store(dirty) and is_marked_dirty(dirty)
        assert not is_marked_dirty(clean)
        assert may_store(clean) == (arch not in FAULTING)
        assert pte_mkclean(dirty) == clean
        protected = pte_wrprotect(dirty)
        assert pte_dirty(protected)
        assert not may_store(protected)
        assert may_store(pte_mkwrite(protected))
        assert is_valid(pfn_pte(0, True)) == (arch not in FAULTING)


def test_arm64_moves_what_the_hardware_marked_to_software() -> None:
    with fresh_machine(Machine(arch=Arch.ARM64_AFDBM)):
        marked = pte_mkyoung(pfn_pte(0, True)).replace(read_only=False)
        assert not marked.dirty
        assert pte_dirty(marked)
        assert pte_wrprotect(marked).dirty


@pytest.mark.parametrize("arch", FAULTING)
def test_a_machine_that_marks_nothing_faults_instead(arch: Arch) -> None:
    with fresh_machine(Machine(arch=arch)):
        for pte in (pfn_pte(0, True), pte_mkyoung(pfn_pte(0, True))):
            tables = table(pte)
            assert not store(0, 1)
            assert tables.pte[0].value == pte
        table(pte_mkdirty(pte_mkyoung(pfn_pte(0, True))))
        assert store(0, 1)


def test_arm64_hardware_clears_read_only_at_the_first_store() -> None:
    with fresh_machine(Machine(arch=Arch.ARM64_AFDBM)):
        tables = table(pfn_pte(0, True))
        assert store(0, 1)
        assert tables.pte[0].value == pfn_pte(0, True).replace(accessed=True, read_only=False)


def test_an_old_entry_is_not_cached_where_nothing_makes_it_young() -> None:
    with fresh_machine(Machine(arch=Arch.ARM64)):
        table(pte_mkdirty(pfn_pte(0, True)))
        with pytest.raises(WouldBlock):
            tlb_fill()
        assert not cpus[0].tlb[0].present


@pytest.mark.parametrize("arch", EVERY)
def test_a_fault_removes_its_entry_on_x86_only(arch: Arch) -> None:
    with fresh_machine(Machine(arch=arch)):
        table(pfn_pte(0, True))
        cpus[0].tlb[0] = tlb_entry(present=True, pfn=0)
        assert try_store(cpus[0], 0, 1) is Access.FAULT
        assert cpus[0].tlb[0].present == (arch is not Arch.X86_64)


def test_a_broadcast_is_done_when_the_last_cpu_has_forgotten() -> None:
    for cpu in cpus:
        cpu.cr3 = upper_tables[0]
        cpu.tlb[0] = ENTRY
    cpus[1].cr3 = None
    tlbi_vale1is(0)
    assert [bool(cpu.tlb[0].present) for cpu in cpus] == [False, True, True]
    with pytest.raises(WouldBlock):
        dsb_ish()
    assert [bool(any(cpu.invalidate)) for cpu in cpus] == [False, False, True]
    cpus[2].invalidate[0] = False
    dsb_ish()


def test_a_cpu_forgets_with_interrupts_off_too() -> None:
    cpus[0].tlb[0] = ENTRY
    cpus[0].interrupts_off = True
    cpus[0].invalidate[2] = True  # by CPU 2; this test is CPU 0
    with choosing(lambda n: n - 1), pytest.raises(WouldBlock):
        receive_tlbi()
    assert not cpus[0].tlb[0].present
    assert not cpus[0].invalidate[2]


def test_ipte_invalidates_the_entry_and_purges_all() -> None:
    with fresh_machine(Machine(arch=Arch.S390)):
        for cpu in cpus:
            cpu.cr3 = upper_tables[0]
            cpu.tlb[0] = ENTRY
        tables = table(pte_mkdirty(pte_mkyoung(pfn_pte(0, True))))
        ipte_local(0, tables.pte[0])
        assert [bool(cpu.tlb[0].present) for cpu in cpus] == [False, True, True]
        assert not is_valid(tables.pte[0].value)
        ipte(0, tables.pte[0])
        assert [bool(cpu.tlb[0].present) for cpu in cpus] == [False] * 3
        cpus[1].tlb[0] = ENTRY
        idte()
        assert not cpus[1].tlb[0].present


def test_a_preempted_vcpu_executes_nothing_and_flushes_if_it_is_asked() -> None:
    with fresh_machine(Machine(paravirtual=True)):
        table(pte_mkdirty(pfn_pte(0, True)))
        cpus[0].tlb[0] = ENTRY
        kvm_steal_time_set_preempted(cpus[0])
        assert not runs(cpus[0])
        with pytest.raises(WouldBlock):
            store(0, 1)
        record_steal_time(cpus[0])
        assert runs(cpus[0])
        assert cpus[0].tlb[0].present  # nobody has asked
        kvm_steal_time_set_preempted(cpus[0])
        cpus[0].steal = steal_time(preempted=True, flush_tlb=True)
        record_steal_time(cpus[0])
        assert not cpus[0].tlb[0].present
        assert cpus[0].steal == steal_time()
        cpus[0].steal = steal_time(preempted=True)
        with pytest.raises(WouldBlock):
            host()


def test_a_walk_ends_where_a_level_is_missing() -> None:
    with fresh_machine(Machine(levels=4)):
        tables, top = page_tables[0], upper_tables[0]
        assert len(upper_tables) == 3
        assert walk(top, 0) is None
        set_pmd(top.entry[0], table_entry(1))
        assert walk(top, 0) is None
        set_pmd(upper_tables[1].entry[0], table_entry(2))
        assert walk(top, 0) is None
        set_pmd(upper_tables[2].entry[0], table_entry(0))
        assert walk(top, 0) is tables.pte[0]
        assert not has_tables(cpus[0])
        cpus[0].cr3 = top
        assert has_tables(cpus[0])
        tables.pte[0].value = pte_mkdirty(pfn_pte(0, True))
        frames.alloc()
        assert store(0, 1)


def test_an_address_chooses_an_entry_at_each_level() -> None:
    with fresh_machine(Machine(levels=3, entries=2, pages=8)):
        assert len(upper_tables) == 3
        leaves = list(page_tables)
        assert all(len(leaf.pte) == 2 for leaf in leaves)
        for half in range(2):
            set_pmd(upper_tables[0].entry[half], table_entry(1 + half))
            for quarter in range(2):
                below = upper_tables[1 + half].entry[quarter]
                set_pmd(below, table_entry(2 * half + quarter))
        for page in range(8):
            assert walk(upper_tables[0], page) is leaves[page // 2].pte[page % 2]
