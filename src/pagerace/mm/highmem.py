"""Page tables in high memory: CONFIG_HIGHPTE of x86, include/linux/highmem.h.

The kernel has no address for such a table, but while pte_offset_map() has mapped it: until
pte_unmap().  What a table is mapped by is a slot; to read through one that has been given
back is a use after free here, and an oops there.
"""

from __future__ import annotations

from pagerace.lang import Config, Pool, Struct, per_thread, pool
from pagerace.machine.memory import Machine
from pagerace.machine.pgtable import page_table


class HighPte(Config):
    """``on``: CONFIG_HIGHPTE, and each table of PTEs is in high memory."""

    on: bool = False


class kmap_slot(Struct):
    """An address at which one page of high memory can be mapped."""

    page: page_table | None = None


class kmap_ctrl(Struct):
    """struct kmap_ctrl of include/linux/sched.h: what a task has mapped last."""

    slot: kmap_slot | None = None


# A CPU does not sleep while it has one.
kmap_slots: Pool[kmap_slot] = pool(kmap_slot, lambda: Machine.cpus)
kmap_ctrls = per_thread(kmap_ctrl)


def kmap_atomic(table: page_table) -> None:
    """kmap_atomic(), of a table, where it is in high memory."""
    if HighPte.on:
        slot = kmap_slots.alloc()
        assert slot is not None, "a CPU has mapped two pages of high memory"
        slot.page = table
        kmap_ctrls.current.slot = slot


def kunmap_atomic() -> None:
    """kunmap_atomic(): who has kept the address must not use it any more."""
    if HighPte.on:
        slot = kmap_ctrls.current.slot
        if slot is not None:
            kmap_slots.free(slot)


def mapped_table(table: page_table) -> page_table:
    """The table, by way of the address at which it was mapped."""
    if HighPte.on:
        slot = kmap_ctrls.current.slot
        if slot is not None and slot.page is not None:
            return slot.page
    return table
