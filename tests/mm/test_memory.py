"""memory.py, filemap.py, fault.py, mmap.py, mmap_lock.py and madvise.py."""

from __future__ import annotations

import pytest

from pagerace.lang.flow import WouldBlock
from pagerace.machine.memory import disk, frames
from pagerace.machine.pgtable import (
    pte_dirty,
    pte_mkyoung,
    pte_none,
    pte_t,
    pte_write,
    pte_wrprotect,
)
from pagerace.mm.fault import user_store
from pagerace.mm.madvise import madvise_dontneed
from pagerace.mm.memory import finish_mkwrite_fault, handle_mm_fault
from pagerace.mm.mm_types import (
    FAULT_FLAG_WRITE,
    VM_FAULT_NOPAGE,
    linear_page_index,
    vm_area_cachep,
    vm_fault,
    vma_address,
)
from pagerace.mm.mmap import find_vma, munmap
from pagerace.mm.mmap_lock import mmap_read_lock, mmap_write_lock, mmap_write_unlock
from pagerace.mm.page_flags import folio_mapped, folio_ref_count
from pagerace.mm.pgtable_levels import load_new_mm_cr3
from pagerace.mm.sched import tasks
from pagerace.mm.sync import vfs_fsync
from pagerace.mm.vmscan import shrink_inactive_list
from pagerace.protocols._shared_file import Start
from tests.mm.files import PAGE, content, entry, map_file, mapping, mm, page, pmd, pte, vma


def fault(orig_pte: pte_t) -> vm_fault:
    vmf = vm_fault()
    vmf.vma, vmf.address, vmf.orig_pte = vma(), PAGE, orig_pte
    vmf.pmd, vmf.pte, vmf.page = pmd(), entry(), page()
    vmf.flags = FAULT_FLAG_WRITE
    return vmf


def nothing_is_held() -> None:
    assert tasks.current.held_locks == 0
    assert tasks.current.preempt_count == 0
    assert mm.mmap_lock.readers == 0
    assert not mm.mmap_lock.writer
    assert not page().PG_locked


def test_a_store_to_a_read_only_page_tells_the_file_system() -> None:
    map_file(Start.READ)
    assert user_store(mm, PAGE)
    assert content() == 1
    assert page().PG_dirty
    assert pte_write(pte())
    assert pte_dirty(pte())
    assert folio_ref_count(page()) == 2
    nothing_is_held()


def test_a_store_after_fsync_makes_the_page_dirty_again() -> None:
    map_file(Start.STORED)
    vfs_fsync(mapping)
    assert user_store(mm, PAGE)
    assert page().PG_dirty
    assert (content(), disk.block[PAGE]) == (2, 1)


def test_munmap_leaves_a_dirty_page_and_no_mapping() -> None:
    map_file(Start.STORED)
    munmap(mm, PAGE)
    assert pte_none(pte())
    assert page().PG_dirty
    assert not folio_mapped(page())
    assert folio_ref_count(page()) == 1
    assert find_vma(mm, PAGE) is None
    assert mapping.i_mmap[0] is None
    nothing_is_held()


def test_munmap_frees_the_vma_once() -> None:
    map_file(Start.READ)
    munmap(mm, PAGE)
    assert not vm_area_cachep.allocated(vma())
    munmap(mm, PAGE)
    madvise_dontneed(mm, PAGE)
    nothing_is_held()


def test_a_store_to_what_is_unmapped_is_killed_by_a_signal() -> None:
    map_file(Start.STORED)
    munmap(mm, PAGE)
    load_new_mm_cr3(0, mm)
    assert not user_store(mm, PAGE)
    assert content() == 1
    nothing_is_held()


def test_dontneed_lets_the_page_come_back() -> None:
    map_file(Start.STORED)
    madvise_dontneed(mm, PAGE)
    assert pte_none(pte())
    assert find_vma(mm, PAGE) is vma()
    assert user_store(mm, PAGE)
    assert content() == 2
    assert folio_mapped(page())
    assert folio_ref_count(page()) == 2
    nothing_is_held()


def test_a_reclaimed_page_comes_back_from_disk() -> None:
    map_file(Start.STORED)
    madvise_dontneed(mm, PAGE)
    vfs_fsync(mapping)
    shrink_inactive_list(mapping)
    assert mapping.i_pages[PAGE] is None
    frames[PAGE].content = 7
    assert user_store(mm, PAGE)
    assert content() == 2
    assert mapping.i_pages[PAGE] is page()
    assert folio_ref_count(page()) == 2
    nothing_is_held()


def test_a_write_fault_gives_up_if_the_pte_has_changed() -> None:
    map_file(Start.READ)
    vmf = fault(pte())
    entry().value = pte_t()
    assert finish_mkwrite_fault(vmf) == VM_FAULT_NOPAGE
    assert pte_none(pte())
    nothing_is_held()


def test_a_page_that_left_the_file_is_faulted_again() -> None:
    map_file(Start.READ)
    page().mapping = None
    assert handle_mm_fault(fault(pte_t())) == VM_FAULT_NOPAGE
    assert pte() == pte_wrprotect(pte())
    assert folio_ref_count(page()) == 2
    nothing_is_held()


def test_a_fault_on_a_writable_pte_only_sets_its_flags() -> None:
    map_file(Start.UNNOTIFIED)
    assert handle_mm_fault(fault(pte_t())) == 0
    assert pte_dirty(pte())
    assert pte_mkyoung(pte()) == pte()
    assert not page().PG_dirty
    nothing_is_held()


def test_munmap_waits_for_faults_that_are_under_way() -> None:
    map_file(Start.STORED)
    mm.mmap_lock.readers = 1
    with pytest.raises(WouldBlock):
        munmap(mm, PAGE)


def test_mmap_lock() -> None:
    map_file(Start.READ)
    mmap_write_lock(mm)
    mmap_write_unlock(mm)
    mmap_read_lock(mm)
    assert mm.mmap_lock.readers == 1


def test_pages_and_addresses() -> None:
    map_file(Start.READ)
    vma().vm_start, vma().vm_pgoff = 2, 1
    assert linear_page_index(vma(), 3) == 2
    page().index = 2
    assert vma_address(page(), vma()) == 3
