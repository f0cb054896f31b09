"""page_writeback.py, pagemap.py and sync.py."""

from __future__ import annotations

import pytest

from pagerace.lang.flow import WouldBlock
from pagerace.machine.memory import disk
from pagerace.machine.pgtable import pte_dirty, pte_write
from pagerace.mm.bug import warned
from pagerace.mm.page_flags import folio_ref_count
from pagerace.mm.page_writeback import (
    folio_clear_dirty_for_io,
    folio_mark_dirty,
    set_page_dirty,
)
from pagerace.mm.pagemap import (
    folio_end_writeback,
    folio_lock,
    folio_start_writeback,
    folio_trylock,
    folio_unlock,
    folio_wait_writeback,
    lock_page,
    unlock_page,
)
from pagerace.mm.rmap import page_remove_rmap
from pagerace.mm.sync import vfs_fsync
from pagerace.protocols._shared_file import Start
from tests.mm.files import PAGE, content, map_file, mapping, page, pte, tlb, vma


def test_fsync_writes_what_is_dirty_and_protects_it() -> None:
    map_file(Start.STORED)
    vfs_fsync(mapping)
    assert disk.block[PAGE] == content() == 1
    assert not page().PG_dirty
    assert not page().PG_writeback
    assert not page().PG_locked
    assert not pte_write(pte())
    assert not pte_dirty(pte())
    assert not tlb(2).present
    assert folio_ref_count(page()) == 2


def test_fsync_leaves_a_clean_page_alone(interrupts: list[int]) -> None:
    map_file(Start.READ)
    vfs_fsync(mapping)
    assert interrupts == []
    assert folio_ref_count(page()) == 2


def test_a_dirty_pte_makes_the_folio_dirty_before_it_is_written() -> None:
    map_file(Start.STORED)
    page().PG_dirty = False
    folio_lock(page())
    assert folio_clear_dirty_for_io(page())
    assert not page().PG_dirty


def test_a_clean_folio_need_not_be_written() -> None:
    map_file(Start.READ)
    folio_lock(page())
    assert not folio_clear_dirty_for_io(page())


def test_marking_dirty_tells_whether_it_was_clean() -> None:
    map_file(Start.READ)
    folio_lock(page())
    assert set_page_dirty(page())
    assert not folio_mark_dirty(page())
    assert not warned.ext4_dirty_folio


def test_ext4_warns_of_a_clean_unlocked_folio() -> None:
    map_file(Start.READ)
    folio_mark_dirty(page())
    assert warned.ext4_dirty_folio
    assert not warned.dirtied_unmapped


def test_a_folio_that_is_neither_locked_nor_mapped_is_noted() -> None:
    map_file(Start.STORED)
    page_remove_rmap(page(), vma())
    folio_mark_dirty(page())
    assert warned.dirtied_unmapped
    assert not warned.ext4_dirty_folio


def test_a_folio_of_no_file_is_marked_without_a_warning() -> None:
    map_file(Start.READ)
    page().mapping = None
    assert folio_mark_dirty(page())
    assert page().PG_dirty
    assert not warned.ext4_dirty_folio


def test_the_folio_lock_is_one_for_all() -> None:
    map_file(Start.READ)
    lock_page(page())
    assert not folio_trylock(page())
    unlock_page(page())
    assert folio_trylock(page())
    folio_unlock(page())
    page().PG_locked = True  # another task
    with pytest.raises(WouldBlock):
        folio_lock(page())


def test_writeback_begins_once_ends_once_and_is_waited_for() -> None:
    map_file(Start.READ)
    folio_wait_writeback(page())
    folio_start_writeback(page())
    with pytest.raises(WouldBlock):
        folio_wait_writeback(page())
    with pytest.raises(AssertionError):
        folio_start_writeback(page())
    folio_end_writeback(page())
    with pytest.raises(AssertionError):
        folio_end_writeback(page())
