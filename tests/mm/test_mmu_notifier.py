"""mmu_notifier.py: who takes a translation away tells a device that has it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pagerace.lang.flow import WouldBlock
from pagerace.machine.cpu import tlb_entry
from pagerace.machine.device import Device, device, look_into_table, remember_table
from pagerace.mm.madvise import madvise_dontneed
from pagerace.mm.mmap import munmap
from pagerace.mm.mmu_notifier import (
    MmuNotifier,
    mmu_interval_read_begin,
    mmu_interval_read_retry,
    mmu_notifier_invalidate_range,
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
    mmu_notifier_register,
)
from pagerace.mm.rmap import folio_mkclean
from pagerace.protocols._shared_file import Start
from tests.kernel import fresh_machine
from tests.mm.files import map_file, mm, page

LISTENS = [Device(present=True), MmuNotifier(on=True)]


def mkclean() -> None:
    page().PG_locked = True
    folio_mkclean(page())


TAKE_AWAY: dict[str, Callable[[], None]] = {
    "MADV_DONTNEED": lambda: madvise_dontneed(mm, 0),
    "munmap()": lambda: munmap(mm, 0),
    "writeback": mkclean,
}


@pytest.mark.parametrize("name", TAKE_AWAY)
def test_the_device_forgets(name: str) -> None:
    with fresh_machine(*LISTENS):
        map_file(Start.STORED)
        mmu_notifier_register(mm)
        remember_table(0)
        look_into_table(0)
        assert device.tlb[0].present
        assert device.table[0].present
        TAKE_AWAY[name]()
        assert not device.tlb[0].present
        assert not device.table[0].present
        assert mm.active_invalidate_ranges == 0
        assert mm.invalidate_seq == 2


def test_nobody_listens() -> None:
    map_file(Start.STORED)
    device.tlb[0] = tlb_entry(present=True)
    madvise_dontneed(mm, 0)
    assert device.tlb[0].present
    assert mm.invalidate_seq == 0


def test_whoever_looked_before_looks_again() -> None:
    with fresh_machine(*LISTENS):
        seq = mmu_interval_read_begin(mm)
        assert not mmu_interval_read_retry(mm, seq)
        mmu_notifier_invalidate_range_start(mm, 0, 1)
        mmu_notifier_invalidate_range_start(mm, 0, 1)
        assert mmu_interval_read_retry(mm, seq)
        mmu_notifier_invalidate_range(mm, 0, 1)
        mmu_notifier_invalidate_range_end(mm, 0, 1)
        with pytest.raises(WouldBlock):
            mmu_interval_read_begin(mm)
        mmu_notifier_invalidate_range_end(mm, 0, 1)
        assert mmu_interval_read_retry(mm, seq)
        assert not mmu_interval_read_retry(mm, mmu_interval_read_begin(mm))
