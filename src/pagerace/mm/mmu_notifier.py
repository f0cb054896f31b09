"""Telling others than CPUs what goes: mm/mmu_notifier.c, include/linux/mmu_notifier.h.

The only one who listens is a device (machine/device.py), by ->invalidate_range(), as drivers
of IOMMUs did until v6.5.  Whoever keeps translations by other means asks before it uses one
whether an invalidation came between (mmu_interval_read_retry()).
"""

from __future__ import annotations

from pagerace.lang import Config, atomic, wait_until
from pagerace.machine.device import device, device_forgets
from pagerace.machine.memory import ulong
from pagerace.mm.mm_types import mm_struct, notifier_seq_t
from pagerace.mm.sched import might_sleep


class MmuNotifier(Config):
    """``on``: somebody listens."""

    on: bool = False


def mmu_notifier_register(mm: mm_struct) -> None:
    """mmu_notifier_register(): the device walks the tables of ``mm`` from now on."""
    device.pgd = mm.pgd


def mmu_notifier_invalidate_range_start(mm: mm_struct, start: ulong, end: ulong) -> None:
    """mmu_notifier_invalidate_range_start(): the pages are about to change.  May sleep.

    mn_itree_inv_start_range(): the sequence is odd while any range is invalidated.
    """
    if MmuNotifier.on:
        might_sleep()
        with atomic():
            mm.active_invalidate_ranges += 1
            mm.invalidate_seq |= 1


def mmu_notifier_invalidate_range_end(mm: mm_struct, start: ulong, end: ulong) -> None:
    """mmu_notifier_invalidate_range_end(): they have; ->invalidate_range(), then go on."""
    if MmuNotifier.on:
        device_forgets(start, end)
        with atomic():
            mm.active_invalidate_ranges -= 1
            if mm.active_invalidate_ranges == 0:
                mm.invalidate_seq += 1


def mmu_notifier_invalidate_range(mm: mm_struct, start: ulong, end: ulong) -> None:
    """mmu_notifier_invalidate_range(): between start and end, with the TLBs of the CPUs."""
    if MmuNotifier.on:
        device_forgets(start, end)


def mmu_interval_read_begin(mm: mm_struct) -> notifier_seq_t:
    """mmu_interval_read_begin(): waits until nothing is invalidated; for the retry below."""
    might_sleep()
    wait_until(mm.invalidate_seq % 2 == 0)
    return mm.invalidate_seq


def mmu_interval_read_retry(mm: mm_struct, seq: notifier_seq_t) -> bool:
    """mmu_interval_read_retry(): has an invalidation begun since?

    Asked under the lock that the listener takes in its callback.
    """
    return mm.invalidate_seq != seq
