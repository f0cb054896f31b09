"""Reclaim: mm/vmscan.c.

Without LRU lists the pages of one file are tried, with may_unmap = 0: mapped folios are left
alone.  With Reclaim.lists it is kswapd's reclaim of pages of files; there is no swap.
"""
# pyright: strict, reportPrivateUsage=false, reportUnusedFunction=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from enum import Enum

from pagerace.lang import Struct, per_thread, u32, u64
from pagerace.mm.filemap import __filemap_remove_folio
from pagerace.mm.lruvec import (
    LRU_ACTIVE_FILE,
    LRU_INACTIVE_FILE,
    Watermarks,
    contig_page_data,
    lruvec_add_folio,
    lruvec_del_folio,
)
from pagerace.mm.mm_types import Reclaim, address_space, folio
from pagerace.mm.mman import VM_EXEC
from pagerace.mm.page_alloc import free_unref_page
from pagerace.mm.page_flags import (
    folio_get,
    folio_mapped,
    folio_ref_freeze,
    folio_ref_unfreeze,
    folio_test_dirty,
    folio_test_writeback,
)
from pagerace.mm.page_writeback import folio_clear_dirty_for_io, writepage
from pagerace.mm.pagemap import filemap_get_folio, folio_trylock, folio_unlock
from pagerace.mm.rmap import folio_referenced, folio_referenced_by, try_to_unmap
from pagerace.mm.swap import folio_put
from pagerace.mm.workingset import workingset_activation, workingset_eviction

PAGE_SHIFT = 12
SWAP_CLUSTER_MAX = 32
DEF_PRIORITY = 12


class scan_control(Struct):
    """struct scan_control: ``ignore_references``: it is of no interest who used a page."""

    ignore_references: bool


class folio_list(Struct):
    """LIST_HEAD(folio_list): folios that somebody has isolated, by ``lru_next``."""

    first: folio | None = None


scan_controls = per_thread(scan_control)


def reclaim_pages(isolated: folio_list) -> None:
    """reclaim_pages(): what can be freed is, and the rest goes back to its list."""
    if Reclaim.lists:
        scan_controls.current.ignore_references = True
        folio = isolated.first
        while folio is not None:
            following = folio.lru_next
            if not shrink_folio_list(folio):
                lruvec_add_folio(folio)  # folio_putback_lru()
                folio_put(folio)
            folio = following
        scan_controls.current.ignore_references = False


def shrink_inactive_list(mapping: address_space) -> None:
    """shrink_inactive_list(): try every folio, of one file, that could be isolated.

    isolate_lru_folios() takes a reference; putback_inactive_pages() drops it.
    """
    for index in range(len(mapping.i_pages)):
        folio = filemap_get_folio(mapping, index)
        if folio is not None and not shrink_folio_list(folio):
            folio_put(folio)


def shrink_folio_list(folio: folio) -> bool:
    """shrink_folio_list(), for one folio: True if it was freed, reference and all."""
    if not folio_trylock(folio):
        return False
    if Reclaim.lists and not make_freeable(folio):
        folio_unlock(folio)
        return False
    if folio_mapped(folio) or folio_test_writeback(folio) or folio_test_dirty(folio):
        folio_unlock(folio)
        return False
    mapping = folio.mapping
    if mapping is None or not __remove_mapping(mapping, folio):
        folio_unlock(folio)
        return False
    folio_unlock(folio)
    free_unref_page(folio)
    return True


def __remove_mapping(mapping: address_space, folio: folio) -> bool:
    """__remove_mapping(): out of the page cache if nobody else has a reference.

    The references are that of the page cache and that of the caller.  Whoever dirties
    the folio has a reference meanwhile, and so the flag is looked at after the freeze.
    """
    if not folio_ref_freeze(folio, 2):
        return False
    if folio_test_dirty(folio):
        folio_ref_unfreeze(folio, 2)
        return False
    workingset_eviction(mapping, folio)
    __filemap_remove_folio(folio)
    return True


def make_freeable(folio: folio) -> bool:
    """The middle of shrink_folio_list(): unmapped and clean, unless it is worth keeping.

    Dirty pages are written at once by who reclaims; Linux leaves that to the flusher.
    """
    mapping = folio.mapping
    if mapping is None or mapping.shmem or folio_test_writeback(folio):
        return False
    references = folio_references.RECLAIM
    if not scan_controls.current.ignore_references:
        references = folio_check_references(folio)
    if references is folio_references.ACTIVATE:
        folio.PG_active = True
        contig_page_data.pgactivate += 1
        workingset_activation(folio)
        return False
    if references is folio_references.KEEP:
        return False
    if folio_mapped(folio):
        try_to_unmap(folio)
        if folio_mapped(folio):
            return False
    if folio_test_dirty(folio):
        if references is folio_references.RECLAIM_CLEAN:
            return False
        if scan_controls.current.ignore_references:
            return False  # no kswapd: only that writes pages of files
        if not pageout(folio):
            return False
    return True


def pageout(folio: folio) -> bool:
    """pageout(): False if it could not be locked again when it was on the disk."""
    if not folio_clear_dirty_for_io(folio):
        return True
    writepage(folio)
    return folio_trylock(folio)


class folio_references(Enum):
    """enum folio_references: what the bits of a folio and of its PTEs say."""

    RECLAIM = 0
    RECLAIM_CLEAN = 1
    KEEP = 2
    ACTIVATE = 3


def folio_check_references(folio: folio) -> folio_references:
    """folio_check_references(): a page that is used once gets one more round."""
    referenced_ptes = folio_referenced(folio)
    referenced_folio = folio.PG_referenced
    folio.PG_referenced = False
    if referenced_ptes != 0:
        folio.PG_referenced = True
        if referenced_folio or referenced_ptes > 1:
            return folio_references.ACTIVATE
        if folio_referenced_by(VM_EXEC):
            return folio_references.ACTIVATE
        return folio_references.KEEP
    if referenced_folio:
        return folio_references.RECLAIM_CLEAN
    return folio_references.RECLAIM


def inactive_is_low() -> bool:
    """inactive_is_low(), of pages of files: below 1 GiB half of them are inactive.

    Above, the inactive ones are one of sqrt(10 * GiB) + 1.
    """
    inactive = contig_page_data.lists[LRU_INACTIVE_FILE].nr
    active = contig_page_data.lists[LRU_ACTIVE_FILE].nr
    gb = (u64(inactive) + active) >> (30 - PAGE_SHIFT)
    inactive_ratio: u64 = 1
    if gb != 0:
        inactive_ratio = int_sqrt(10 * gb)
    return inactive * inactive_ratio < active


def int_sqrt(x: u64) -> u64:
    """int_sqrt() of lib/math/int_sqrt.c; ``x`` is small here."""
    root: u64 = 0
    while (root + 1) * (root + 1) <= x:
        root += 1
    return root


def shrink_active_list(nr_to_scan: u32) -> None:
    """shrink_active_list(): make pages inactive, the longest unused first.

    Executable ones that were used stay.
    """
    node = contig_page_data
    for _ in range(nr_to_scan):
        folio = node.lists[LRU_ACTIVE_FILE].last
        if folio is None:
            return
        lruvec_del_folio(folio)
        if folio_referenced(folio) != 0 and folio_referenced_by(VM_EXEC):
            node.pgrotated += 1
        else:
            folio.PG_active = False
            folio.PG_workingset = True
            node.pgdeactivate += 1
        lruvec_add_folio(folio)


def shrink_list(lru: u32, nr_to_scan: u32, may_deactivate: bool) -> u32:
    """shrink_list(), with that part of shrink_inactive_list() that goes through a list.

    One folio after the other, where the kernel isolates SWAP_CLUSTER_MAX at a time.
    """
    if lru == LRU_ACTIVE_FILE:
        if may_deactivate:
            shrink_active_list(nr_to_scan)
        return 0
    node = contig_page_data
    nr_reclaimed: u32 = 0
    for _ in range(nr_to_scan):
        folio = node.lists[LRU_INACTIVE_FILE].last
        if folio is None:
            break
        lruvec_del_folio(folio)
        folio_get(folio)  # isolate_lru_folios()
        node.pgscan += 1
        if shrink_folio_list(folio):
            nr_reclaimed += 1
        else:
            lruvec_add_folio(folio)  # move_folios_to_lru()
            folio_put(folio)
    node.pgsteal += nr_reclaimed
    return nr_reclaimed


def shrink_lruvec(priority: u32, nr_to_reclaim: u32) -> u32:
    """shrink_lruvec(): a part of both lists, SWAP_CLUSTER_MAX at a time.

    get_scan_count() has only lists of files to choose from, and takes ``size >> priority``.
    """
    node = contig_page_data
    may_deactivate = node.refaults != node.workingset_activate or inactive_is_low()
    inactive = node.lists[LRU_INACTIVE_FILE].nr >> priority
    active = node.lists[LRU_ACTIVE_FILE].nr >> priority
    if priority == 0 or inactive == 0:
        inactive = max(inactive, SWAP_CLUSTER_MAX)
    nr_reclaimed: u32 = 0
    while inactive != 0 or active != 0:
        if inactive != 0:
            now = min(inactive, SWAP_CLUSTER_MAX)
            inactive -= now
            nr_reclaimed += shrink_list(LRU_INACTIVE_FILE, now, may_deactivate)
        if active != 0:
            now = min(active, SWAP_CLUSTER_MAX)
            active -= now
            shrink_list(LRU_ACTIVE_FILE, now, may_deactivate)
        if nr_reclaimed >= nr_to_reclaim:
            break
    if inactive_is_low():
        shrink_active_list(SWAP_CLUSTER_MAX)
    return nr_reclaimed


def balance_pgdat() -> bool:
    """balance_pgdat(), what kswapd does when it is woken: False if nothing can be freed.

    It goes on until WMARK_HIGH is reached, and harder where little came of it.
    """
    node = contig_page_data
    priority: u32 = DEF_PRIORITY
    while node.nr_free_pages < Watermarks.high:
        nr_to_reclaim = max(u32(Watermarks.high - node.nr_free_pages), SWAP_CLUSTER_MAX)
        if shrink_lruvec(priority, nr_to_reclaim) < nr_to_reclaim:
            if priority == 0:
                return node.nr_free_pages >= Watermarks.low
            priority -= 1
    node.refaults = node.workingset_activate
    return True
