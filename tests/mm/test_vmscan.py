"""vmscan.py, page_alloc.py and swap.py."""

from __future__ import annotations

import pytest

from pagerace.lang.structures import KernelPythonError
from pagerace.machine.memory import frames
from pagerace.mm.mmap import munmap
from pagerace.mm.page_alloc import alloc_page
from pagerace.mm.page_flags import folio_ref_count
from pagerace.mm.swap import get_page, put_page
from pagerace.mm.sync import vfs_fsync
from pagerace.mm.vmscan import shrink_inactive_list
from pagerace.protocols._shared_file import Start
from tests.mm.files import PAGE, map_file, mapping, mm, page


def is_cached() -> bool:
    cached = mapping.i_pages[PAGE] is page()
    assert frames.allocated(frames[PAGE]) == cached
    return cached


def test_a_clean_unmapped_page_is_reclaimed() -> None:
    map_file(Start.READ)
    munmap(mm, PAGE)
    shrink_inactive_list(mapping)
    assert not is_cached()
    assert page().mapping is None
    shrink_inactive_list(mapping)


def test_a_mapped_page_stays() -> None:
    map_file(Start.READ)
    shrink_inactive_list(mapping)
    assert is_cached()
    assert folio_ref_count(page()) == 2


def test_a_dirty_page_stays_until_it_is_written() -> None:
    map_file(Start.STORED)
    munmap(mm, PAGE)
    shrink_inactive_list(mapping)
    assert is_cached()
    vfs_fsync(mapping)
    shrink_inactive_list(mapping)
    assert not is_cached()


def test_a_page_that_somebody_refers_to_stays() -> None:
    map_file(Start.READ)
    munmap(mm, PAGE)
    get_page(page())
    shrink_inactive_list(mapping)
    assert is_cached()
    put_page(page())
    shrink_inactive_list(mapping)
    assert not is_cached()


@pytest.mark.parametrize("flag", ["PG_locked", "PG_writeback"])
def test_a_busy_page_stays(flag: str) -> None:
    map_file(Start.READ)
    munmap(mm, PAGE)
    setattr(page(), flag, True)
    shrink_inactive_list(mapping)
    assert is_cached()
    assert folio_ref_count(page()) == 1


def test_memory_ends() -> None:
    first = alloc_page()
    assert first is page()
    assert alloc_page() is None
    put_page(page())
    assert alloc_page() is first


def test_freeing_a_page_that_is_still_mapped_is_reported() -> None:
    map_file(Start.READ)
    put_page(page())
    with pytest.raises(KernelPythonError, match="bad-page-state"):
        put_page(page())


@pytest.mark.parametrize("flag", ["PG_locked", "PG_writeback"])
def test_freeing_a_busy_page_is_reported(flag: str) -> None:
    alloc_page()
    setattr(page(), flag, True)
    with pytest.raises(KernelPythonError, match="bad-page-state"):
        put_page(page())


def test_a_page_is_allocated_clean() -> None:
    alloc_page()
    page().PG_dirty = True
    put_page(page())
    alloc_page()
    assert not page().PG_dirty


def test_one_reference_too_many_is_reported() -> None:
    map_file(Start.READ)
    munmap(mm, PAGE)
    shrink_inactive_list(mapping)
    with pytest.raises(KernelPythonError, match="counter-below-zero"):
        put_page(page())
