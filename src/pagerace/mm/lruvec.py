"""The LRU lists of pages of files: include/linux/mmzone.h, mm_inline.h, and mm/swap.c.

Anonymous memory is on no list: there is no swap, and so nothing could come of it.
"""

from __future__ import annotations

from pagerace.lang import Array, Config, Struct, array, u32, u64
from pagerace.machine.memory import Machine
from pagerace.mm.mm_types import Reclaim, folio
from pagerace.mm.page_flags import folio_get

LRU_INACTIVE_FILE = 0
LRU_ACTIVE_FILE = 1


class lru_list(Struct):
    """``lruvec->lists[lru]`` and how long it is; ``first`` came last."""

    first: folio | None = None
    last: folio | None = None
    nr: u32


class pglist_data(Struct):
    """The one node, with its only zone and lruvec.

    ``nr_free_pages``: NR_FREE_PAGES.  ``nonresident_age``: see mm/workingset.py.
    The others count what happened: WORKINGSET_REFAULT_FILE, WORKINGSET_ACTIVATE_FILE,
    PGSCAN_KSWAPD, PGSTEAL_KSWAPD, PGACTIVATE, PGDEACTIVATE, PGROTATED of shrink_active_list().
    """

    lists: Array[lru_list] = array(2)
    nr_free_pages: u64
    nonresident_age: u64
    workingset_refault: u64
    workingset_activate: u64
    refaults: u64
    pgscan: u64
    pgsteal: u64
    pgactivate: u64
    pgdeactivate: u64
    pgrotated: u64


contig_page_data = pglist_data()


class Watermarks(Config):
    """WMARK_LOW: below it kswapd wakes; WMARK_HIGH: it sleeps again.  In pages."""

    low: int = 0
    high: int = 0


def free_pages_in_the_beginning() -> None:
    """free_area_init(): all frames are free; alone, before any is taken."""
    contig_page_data.nr_free_pages = Machine.frames


def folio_lru_list(folio: folio) -> u32:
    """folio_lru_list() of include/linux/mm_inline.h."""
    if folio.PG_active:
        return LRU_ACTIVE_FILE
    return LRU_INACTIVE_FILE


def lruvec_add_folio(folio: folio) -> None:
    """lruvec_add_folio(): at the head of its list."""
    lru = contig_page_data.lists[folio_lru_list(folio)]
    first = lru.first
    folio.lru_prev = None
    folio.lru_next = first
    if first is None:
        lru.last = folio
    else:
        first.lru_prev = folio
    lru.first = folio
    lru.nr += 1
    folio.PG_lru = True


def lruvec_del_folio(folio: folio) -> None:
    """lruvec_del_folio(): off its list."""
    lru = contig_page_data.lists[folio_lru_list(folio)]
    before = folio.lru_prev
    after = folio.lru_next
    if before is None:
        lru.first = after
    else:
        before.lru_next = after
    if after is None:
        lru.last = before
    else:
        after.lru_prev = before
    lru.nr -= 1
    folio.PG_lru = False


def folio_add_lru(folio: folio) -> None:
    """folio_add_lru() of mm/swap.c, without the batch that each CPU gathers first."""
    if Reclaim.lists:
        lruvec_add_folio(folio)


def folio_deactivate(folio: folio) -> None:
    """folio_deactivate() and lru_deactivate() of mm/swap.c: to the inactive list."""
    if folio.PG_lru and folio.PG_active:
        lruvec_del_folio(folio)
        folio.PG_active = False
        folio.PG_referenced = False
        lruvec_add_folio(folio)


def folio_isolate_lru(folio: folio) -> bool:
    """folio_isolate_lru() of mm/vmscan.c: off its list, with a reference; False: on none."""
    if not folio.PG_lru:
        return False
    folio_get(folio)
    lruvec_del_folio(folio)
    return True


def __page_cache_release(folio: folio) -> None:
    """__page_cache_release() of mm/swap.c: what is freed is on no list any more."""
    if Reclaim.lists:
        if folio.PG_lru:
            lruvec_del_folio(folio)
        folio.PG_active = False
        folio.PG_referenced = False
        folio.PG_workingset = False


def wakeup_kswapd() -> bool:
    """wakeup_kswapd(): is there so little free memory that it has work to do?"""
    return Reclaim.lists and contig_page_data.nr_free_pages < Watermarks.low
