"""What must hold of a gather, from the notes that are made of it (mm/notes.py)."""

from __future__ import annotations

from pagerace.lang import u3
from pagerace.machine.cpu import cpus
from pagerace.machine.memory import Machine
from pagerace.machine.pgtable import pte_present
from pagerace.mm.mm_inline import mm_tlb_flush_nested
from pagerace.mm.mm_types import mem_map
from pagerace.mm.notes import notes
from pagerace.mm.page_flags import folio_mapcount
from pagerace.protocols._dirty_tracking import ptes_of
from pagerace.protocols._shared_file import mm, pte_at, ptl_is_held, returned


def mapcount_covers_delayed() -> bool:
    """T4-S4, the count: the PTEs and the delayed entries together never exceed it."""
    for pfn in range(Machine.frames):
        if folio_mapcount(mem_map[pfn]) < ptes_of(pfn) + notes.delayed[pfn]:
            return False
    return True


def delayed_removed_under_ptl() -> bool:
    """T4-S4, the moment: while nobody holds the PTL, no rmap waits to be removed."""
    if ptl_is_held():
        return True
    for pfn in range(Machine.frames):
        if notes.delayed[pfn] != 0:
            return False
    return True


def delayed_removed_once() -> bool:
    """T4-S4, at the end: each delayed rmap was removed, and none of them twice."""
    for pfn in range(Machine.frames):
        if folio_mapcount(mem_map[pfn]) != ptes_of(pfn) or notes.delayed[pfn] != 0:
            return False
    return True


def two_batches_at_most() -> bool:
    """T4-S7: at most two batches contain delayed entries."""
    batches: u3 = 0
    for entries in notes.in_batch:
        if entries != 0:
            batches += 1
    return batches <= 2


def unmapped_at_the_end() -> bool:
    """T4-P2: zap finishes, which the search looks at by itself, and has cleared it all."""
    for address in range(Machine.pages):
        if pte_present(pte_at(address)):
            return False
    return True


def zap_breaks_advance() -> bool:
    """T4-P2, word for word: a zap that stops before its end has cleared something."""
    return not notes.idle_break


def no_remap_before_flush() -> bool:
    """T4-B6, its condition: no entry is present again before what it was is flushed."""
    for address in range(Machine.pages):
        if notes.unflushed[address] and pte_present(pte_at(address)):
            return False
    return True


def nothing_left_behind_madvise() -> bool:
    """Once madvise(MADV_DONTNEED) has returned, no TLB has what was dropped.

    Only where nobody touches the pages again.
    """
    for cpu in cpus:
        for address in range(Machine.pages):
            if returned.dontneed and cpu.tlb[address].present:
                return False
    return True


def somebody_else_has_cleared() -> bool:
    """Sometimes: two gather, and a TLB has an entry that is no PTE any more."""
    stale = False
    for cpu in cpus:
        for address in range(Machine.pages):
            if cpu.tlb[address].present and not pte_present(pte_at(address)):
                stale = True
    return stale and mm_tlb_flush_nested(mm)


def a_delayed_rmap_waits() -> bool:
    """Sometimes: a page is queued and has its rmap yet."""
    return notes.delayed[0] != 0


def two_batches_wait() -> bool:
    """Sometimes: two batches contain delayed entries."""
    return notes.in_batch[0] != 0 and notes.in_batch[1] != 0
