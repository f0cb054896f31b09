"""How PTEs change and TLBs are flushed on machines that are not plain x86."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pagerace.lang.flow import WouldBlock
from pagerace.machine.arch import Arch
from pagerace.machine.cpu import cpus, steal_time, tlb_entry
from pagerace.machine.memory import Machine
from pagerace.machine.pgtable import (
    pfn_pte,
    pte_dirty,
    pte_mkdirty,
    pte_mkyoung,
    pte_none,
    pte_t,
)
from pagerace.machine.tables import upper_tables
from pagerace.mm.fork import dup_mmap
from pagerace.mm.mmu_gather import __tlb_remove_page, gathers, tlb_delay_rmap
from pagerace.mm.page_flags import folio_ref_count
from pagerace.mm.pgtable import (
    mm_find_pmd,
    pte_entry,
    ptep_clear_flush,
    ptep_get_and_clear,
    ptep_set_access_flags,
    ptep_set_wrprotect,
)
from pagerace.mm.pgtable_arm64 import most_permissive
from pagerace.mm.pgtable_levels import pmd_addr_end
from pagerace.mm.tlb import flush_tlb_mm_range, flush_tlb_page, kvm_flush_tlb_multi
from pagerace.mm.tlb_lazy import (
    LazyTlb,
    cpu_tlbstate,
    cpus_not_lazy,
    enter_lazy_tlb,
    switch_mm_irqs_off,
)
from pagerace.protocols._shared_file import Start, setup
from tests.kernel import fresh_machine
from tests.mm.files import PAGE, entry, map_file, mm, page, pte, tlb, vma

ENTRY = tlb_entry(present=True, writable=True, dirty=True, pfn=0)


@pytest.fixture
def s390() -> Iterator[None]:
    with fresh_machine(Machine(arch=Arch.S390)):
        map_file(Start.STORED)
        yield


@pytest.fixture
def arm64() -> Iterator[None]:
    with fresh_machine(Machine(arch=Arch.ARM64_AFDBM)):
        map_file(Start.STORED)
        yield


@pytest.mark.usefixtures("s390")
def test_s390_flushes_as_it_clears(interrupts: list[int]) -> None:
    was = pte()
    assert tlb(2).present
    assert ptep_get_and_clear(mm, PAGE, entry()) == was
    assert pte_none(pte())
    assert not tlb(2).present
    assert interrupts == []


@pytest.mark.usefixtures("s390")
def test_s390_leaves_its_own_tlb_for_later_where_no_other_cpu_has_the_mm() -> None:
    mm.cpu_bitmap = 0b001
    cpus[0].tlb[PAGE] = ENTRY
    ptep_get_and_clear(mm, PAGE, entry())
    assert pte_none(pte())
    assert tlb(0).present
    assert mm.context.flush_mm
    flush_tlb_mm_range(mm, 0, 1)
    assert not tlb(0).present
    assert not mm.context.flush_mm
    cpus[0].tlb[PAGE] = ENTRY
    flush_tlb_mm_range(mm, 0, 1)  # nothing is left to flush
    flush_tlb_page(vma(), PAGE)
    assert tlb(0).present


@pytest.mark.usefixtures("s390")
def test_s390_does_not_wait_where_it_puts_something_in_place() -> None:
    mm.cpu_bitmap = 0b001
    cpus[0].tlb[PAGE] = ENTRY
    ptep_clear_flush(vma(), PAGE, entry())
    assert not tlb(0).present
    assert not mm.context.flush_mm


@pytest.mark.usefixtures("s390")
def test_s390_grants_rights_through_an_invalid_entry() -> None:
    more = pte().replace(writable=True, dirty=True, accessed=True)
    entry().value = more.replace(dirty=False)
    assert ptep_set_access_flags(vma(), PAGE, entry(), more, True)
    assert pte() == more
    assert not tlb(2).present
    assert not ptep_set_access_flags(vma(), PAGE, entry(), more, True)


@pytest.mark.usefixtures("s390")
def test_s390_gathers_no_page() -> None:
    tlb_of_unmap = gathers.current
    references = int(folio_ref_count(page()))
    assert not tlb_delay_rmap(tlb_of_unmap)
    assert not __tlb_remove_page(tlb_of_unmap, page(), False, False)
    assert folio_ref_count(page()) == references - 1
    assert tlb_of_unmap.batch[0].nr == 0


@pytest.mark.usefixtures("arm64")
def test_arm64_asks_by_broadcast_and_waits() -> None:
    with pytest.raises(WouldBlock):
        flush_tlb_page(vma(), PAGE)
    assert cpus[2].invalidate[0]
    assert not cpus[1].invalidate[0]


@pytest.mark.usefixtures("arm64")
def test_arm64_adds_rights_to_those_that_are_there() -> None:
    clean = pte_mkyoung(pfn_pte(0, True))
    dirty = pte_mkdirty(clean)
    assert most_permissive(clean, dirty) == dirty
    assert most_permissive(dirty, clean) == dirty
    entry().value = clean
    with pytest.raises(WouldBlock):  # the flush
        ptep_set_access_flags(vma(), PAGE, entry(), dirty, True)
    assert pte() == dirty
    assert not ptep_set_access_flags(vma(), PAGE, entry(), dirty, True)


@pytest.mark.parametrize("arch", [Arch.X86_64, Arch.ARM64, Arch.ARM64_AFDBM, Arch.S390])
def test_write_protection_keeps_the_dirty_bit(arch: Arch) -> None:
    with fresh_machine(Machine(arch=arch)):
        map_file(Start.STORED)
        ptep_set_wrprotect(mm, PAGE, entry())
        assert not pte().writable
        assert pte_dirty(pte())


def test_fork_protects_and_flushes(interrupts: list[int]) -> None:
    map_file(Start.STORED)
    dup_mmap(None, mm)
    assert not pte().writable
    assert not tlb(2).present
    assert interrupts == [2]


def test_a_preempted_vcpu_is_asked_and_not_interrupted(interrupts: list[int]) -> None:
    with fresh_machine(Machine(paravirtual=True)):
        map_file(Start.STORED)
        assert kvm_flush_tlb_multi(mm.cpu_bitmap) == mm.cpu_bitmap
        cpus[2].steal = steal_time(preempted=True)
        assert kvm_flush_tlb_multi(mm.cpu_bitmap) == 0b001
        assert cpus[2].steal.flush_tlb
        flush_tlb_mm_range(mm, 0, 1)
        assert interrupts == []


def test_a_lazy_cpu_is_spared_and_flushes_when_it_comes_back(interrupts: list[int]) -> None:
    with fresh_machine(LazyTlb(mode=True)):
        map_file(Start.STORED)
        assert cpus_not_lazy(mm.cpu_bitmap) == mm.cpu_bitmap
        cpu_tlbstate[2].is_lazy = True
        flush_tlb_mm_range(mm, 0, 1)
        assert interrupts == []
        assert tlb(2).present
        enter_lazy_tlb()  # CPU 0, which has just flushed
        cpus[0].tlb[PAGE] = ENTRY
        switch_mm_irqs_off(mm)
        assert not cpu_tlbstate[0].is_lazy
        assert tlb(0).present
        mm.context.tlb_gen += 1
        switch_mm_irqs_off(mm)
        assert not tlb(0).present
        assert cpu_tlbstate[0].tlb_gen == mm.context.tlb_gen


@pytest.mark.parametrize("levels", [2, 3, 4, 5])
def test_the_kernel_finds_the_table_at_each_depth(levels: int) -> None:
    with fresh_machine(Machine(levels=levels)):
        setup()
        assert mm_find_pmd(mm, PAGE) is upper_tables[levels - 2].entry[0]
        top = mm.pgd
        assert top is not None
        top.entry[0].fixed = pte_t()
        assert (mm_find_pmd(mm, PAGE) is None) == (levels > 2)


def test_a_pmd_entry_ends_where_the_next_begins() -> None:
    assert pmd_addr_end(0, 1) == 1
    with fresh_machine(Machine(levels=2, entries=2, pages=4, frames=4)):
        setup()
        assert [int(pmd_addr_end(page, 4)) for page in range(4)] == [2, 2, 4, 4]
        assert pmd_addr_end(0, 1) == 1
        first, second = mm_find_pmd(mm, 1), mm_find_pmd(mm, 2)
        assert first is upper_tables[0].entry[0]
        assert second is not None and second is not first
        assert pte_entry(second, 3).value != pte_t()
