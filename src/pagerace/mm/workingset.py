"""Pages that come back soon after they went: mm/workingset.c.

What is evicted leaves the age of the list where it was, its shadow.  How much the list has
aged until it comes back is how many more pages there would have to be to keep it.
"""

from __future__ import annotations

from pagerace.lang import u32
from pagerace.mm.lruvec import LRU_ACTIVE_FILE, contig_page_data
from pagerace.mm.mm_types import Reclaim, address_space, folio


def workingset_age_nonresident(nr_pages: u32) -> None:
    """workingset_age_nonresident(): the list moves on."""
    contig_page_data.nonresident_age += nr_pages


def workingset_eviction(mapping: address_space, folio: folio) -> None:
    """workingset_eviction(): leave a shadow, which is 0 only where nothing ever was."""
    if Reclaim.lists:
        age = u32(contig_page_data.nonresident_age) << 2
        workingset: u32 = 0
        if folio.PG_workingset:
            workingset = 2
        mapping.shadows[folio.index] = age | workingset | 1
        workingset_age_nonresident(1)


def workingset_refault(mapping: address_space, folio: folio) -> None:
    """workingset_refault(): a page with a shadow may be worth more than active ones."""
    if Reclaim.lists:
        shadow = mapping.shadows[folio.index]
        if shadow == 0:
            return
        mapping.shadows[folio.index] = 0
        node = contig_page_data
        node.workingset_refault += 1
        distance = u32((u32(node.nonresident_age) << 2) - (shadow & ~u32(3))) >> 2
        if distance > node.lists[LRU_ACTIVE_FILE].nr:
            return
        folio.PG_active = True
        workingset_age_nonresident(1)
        node.workingset_activate += 1
        if shadow & 2 != 0:
            folio.PG_workingset = True


def workingset_activation(folio: folio) -> None:
    """workingset_activation(): what becomes active makes the others older."""
    workingset_age_nonresident(1)
