"""A device that reads the page tables of a process itself: an IOMMU with shared virtual memory.

It has a TLB of its own and remembers the table that it has found last.  No interrupt and no
INVLPG reaches it: it forgets when the kernel tells it (mm/mmu_notifier.py), and else never.

TRUSTED.
"""

from __future__ import annotations

from pagerace.lang import Array, Config, Struct, array, atomic, choose, wait_until
from pagerace.machine.cpu import tlb_entry
from pagerace.machine.entry import load_entry_whole
from pagerace.machine.memory import Machine, frames, pfn_t, ulong
from pagerace.machine.pgtable import pte_offset_kernel, ptrs_per_pte
from pagerace.machine.tables import (
    find_table,
    known_table,
    page_tables,
    tables_to_know,
    upper_table,
)
from pagerace.machine.walker import is_valid, may_store


class Device(Config):
    """``present``: there is one."""

    present: bool = False


class device_t(Struct):
    """``pgd``: the top table that it walks; None: nothing.  ``table[i]``: the i-th
    table of PTEs.  ``tlb[a]`` translates virtual page a."""

    pgd: upper_table | None = None
    table: Array[known_table] = array(
        lambda: tables_to_know() if Device.present else 1
    )
    tlb: Array[tlb_entry] = array(lambda: Machine.pages if Device.present else 1)


device = device_t()


def device_walks() -> None:
    """Agent: the device looks for a table, looks into one, or accesses a page, at any time.

    Each is a step of its own: between two of them a CPU can do what it likes.
    """
    while True:
        with atomic():
            address: ulong = choose(Machine.pages)
            what = choose(3)
            if what == 0:
                remember_table(address)
            elif what == 1:
                look_into_table(address)
            else:
                wait_until(device.tlb[address].present)
                access_frame(device.tlb[address].pfn)


def remember_table(address: ulong) -> None:
    """It reads the entries above the PTEs, and remembers the table to which they lead."""
    index = address // ptrs_per_pte()
    top = device.pgd
    wait_until(top is not None and not device.table[index].present)
    if top is not None:
        known = find_table(top, address)
        wait_until(known.present)
        device.table[index] = known


def look_into_table(address: ulong) -> None:
    """It reads the PTE in the table that it remembers, whatever that is by now."""
    known = device.table[address // ptrs_per_pte()]
    wait_until(known.present and not device.tlb[address].present)
    pte = load_entry_whole(pte_offset_kernel(page_tables[known.number], address))
    wait_until(is_valid(pte))
    device.tlb[address] = tlb_entry(present=True, writable=may_store(pte), pfn=pte.pfn)


def access_frame(pfn: pfn_t) -> None:
    """It reads the page: one that is not in use is not its own any more."""
    frames[pfn].content = frames[pfn].content


def device_forgets(start: ulong, end: ulong) -> None:
    """It is told to forget these pages, and every table."""
    with atomic():
        for address in range(start, end):
            device.tlb[address] = tlb_entry()
        for index in range(len(device.table)):
            device.table[index] = known_table()
