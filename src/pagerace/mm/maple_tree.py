"""The VMAs of an mm in the order of their addresses: lib/maple_tree.c, with Vma.flags.

Here they are an array, which is searched by halves.  Whoever changes it holds mmap_lock for
writing, and who reads it holds it at least for reading: each of these is one step.
"""

from __future__ import annotations

from pagerace.lang import atomic
from pagerace.machine.memory import ulong
from pagerace.mm.mm_types import mm_struct, slot_t, vm_area_struct


def mas_find_slot(mm: mm_struct, addr: ulong) -> slot_t:
    """Where the first VMA is that ends behind an address; ``map_count``: there is none."""
    with atomic():
        low: slot_t = 0
        high: slot_t = mm.map_count
        while low < high:
            middle = low + (high - low) // 2
            vma = mm.mm_mt[middle]
            if vma is not None and vma.vm_end <= addr:
                low = middle + 1
            else:
                high = middle
    return low


def mas_find(mm: mm_struct, addr: ulong) -> vm_area_struct | None:
    """mas_find(), vma_find(): the first VMA that ends behind an address."""
    slot = mas_find_slot(mm, addr)
    if slot < mm.map_count:
        return mm.mm_mt[slot]
    return None


def mas_prev(mm: mm_struct, addr: ulong) -> vm_area_struct | None:
    """mas_prev(): the last VMA that begins before what mas_find() gives."""
    slot = mas_find_slot(mm, addr)
    if slot > 0:
        return mm.mm_mt[slot - 1]
    return None


def mas_next(mm: mm_struct, vma: vm_area_struct) -> vm_area_struct | None:
    """mas_next(): the VMA behind this one."""
    return mas_find(mm, vma.vm_end)


def mas_store(mm: mm_struct, vma: vm_area_struct) -> None:
    """vma_iter_store_new(): one VMA more.  The caller knows that there is room."""
    with atomic():
        slot: slot_t = mm.map_count
        while slot > 0:
            before = mm.mm_mt[slot - 1]
            if before is not None and before.vm_start < vma.vm_start:
                break
            mm.mm_mt[slot] = before
            slot -= 1
        mm.mm_mt[slot] = vma
        mm.map_count += 1


def mas_erase(mm: mm_struct, first: slot_t, number: slot_t) -> None:
    """vma_iter_clear(): the VMAs in ``number`` slots, from ``first`` on, are gone."""
    with atomic():
        slot: slot_t = first
        while slot + number < mm.map_count:
            mm.mm_mt[slot] = mm.mm_mt[slot + number]
            slot += 1
        while slot < mm.map_count:
            mm.mm_mt[slot] = None
            slot += 1
        mm.map_count -= number
