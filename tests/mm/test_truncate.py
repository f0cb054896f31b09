"""Truncation: nothing of the file is cached or mapped afterwards, and faults fail."""

from __future__ import annotations

import pytest

from pagerace.lang.structures import KernelPythonError
from pagerace.machine.memory import frames
from pagerace.machine.pgtable import pte_none
from pagerace.mm.fault import do_user_addr_fault
from pagerace.mm.filemap import filemap_remove_folio
from pagerace.mm.mm_types import FAULT_FLAG_WRITE
from pagerace.mm.page_flags import folio_mapped
from pagerace.mm.truncate import truncate_setsize
from pagerace.protocols._shared_file import Start
from tests.mm.files import PAGE, map_file, mapping, mm, page, pte, tlb


def test_truncation_unmaps_flushes_and_frees() -> None:
    map_file(Start.STORED)
    truncate_setsize(mapping, 0)
    assert pte_none(pte())
    assert not tlb(2).present
    assert not folio_mapped(page())
    assert mapping.i_pages[PAGE] is None
    assert not frames.allocated(frames[PAGE])


def test_a_fault_behind_the_end_of_the_file_is_a_signal() -> None:
    map_file(Start.STORED)
    truncate_setsize(mapping, 0)
    assert not do_user_addr_fault(mm, PAGE, FAULT_FLAG_WRITE)


def test_a_folio_that_is_mapped_may_not_leave_the_page_cache() -> None:
    map_file(Start.STORED)
    with pytest.raises(KernelPythonError, match="bad-page-cache"):
        filemap_remove_folio(page())
