"""Linus Torvalds' RFC of October 2022: rmaps removed as the pages are freed.

A flag in the low bits of the page pointer (TLB_ZAP_RMAP) tells free_pages_and_swap_cache()
to remove the rmap first, when the TLBs are flushed and the PTL is long dropped.

What the search finds.  No store is lost, and each rmap is removed once and after the flush
(T4-S1, S2, S3, S5, S6, S8): dropping the rmap "can then happen at any later time", as the
mail says.  T4-S4 in its stated form does not hold, by design: rmaps outlive the PTL.  It is
more than a matter of form.  Truncation waits for the PTL, finds no entry, and takes the page
out of the page cache while it is mapped: "BUG: Bad page cache".  And the references must go
after the rmaps: else, where nobody makes that check, a page is freed with a mapcount (as
long as it is in the page cache, that reference hides the wrong order).  What was merged,
tlb_flush_rmaps() under the PTL, has none of this.
"""
# pyright: strict, reportPrivateUsage=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import agent, bug_on, drop, mutant, protocol, swap, thread, violates
from pagerace.machine.memory import Machine
from pagerace.machine.tlb import tlb_evict, tlb_fill
from pagerace.mm.filemap import filemap_remove_folio
from pagerace.mm.memory import zap_pte_range
from pagerace.mm.mmu_gather import (
    RFC_RMAP_AT_FREE,
    V6_2,
    clean_and_free_pages_and_swap_cache,
    free_pages_and_swap_cache,
    tlb_batch_pages_flush,
    tlb_flush_mmu,
    tlb_flush_mmu_tlbonly,
)
from pagerace.mm.notes import Notes
from pagerace.mm.rmap import page_zap_pte_rmap
from pagerace.mm.tlb import sysvec_call_function
from pagerace.mm.truncate import truncate_cleanup_folio, unmap_mapping_range
from pagerace.protocols._dirty_tracking import (
    every_store_survives,
    fsync_keeps_its_promise,
    mapcount_is_exact,
    no_store_behind_mkclean,
    ptl_covers_the_flush,
)
from pagerace.protocols._gather import (
    a_delayed_rmap_waits,
    delayed_removed_once,
    delayed_removed_under_ptl,
    mapcount_covers_delayed,
)
from pagerace.protocols._shared_file import Work, dontneed, setup, truncate, user
from pagerace.protocols.t4_lost_write import FLUSHING, v6_2

rfc = v6_2.replace(
    title="rmaps removed when the pages are freed: no store is lost",
    commit="",
    always=[
        *[check for check in FLUSHING if check is not mapcount_is_exact],
        no_store_behind_mkclean,
        fsync_keeps_its_promise,
        mapcount_covers_delayed,
    ],
    at_end=[every_store_survives, delayed_removed_once],
    sometimes=[a_delayed_rmap_waits],
    config=[RFC_RMAP_AT_FREE, Notes(delayed=True)],
    mutants={
        "rmap_never": mutant(
            drop(clean_and_free_pages_and_swap_cache, page_zap_pte_rmap),
            killed_by=delayed_removed_once,
        ),
        "no_flush": mutant(
            drop(zap_pte_range, tlb_flush_mmu_tlbonly),
            drop(tlb_flush_mmu, tlb_flush_mmu_tlbonly),
            killed_by=ptl_covers_the_flush,
        ),
    },
)

rfc_rmap_outlives_the_ptl = rfc.replace(
    title="rmaps removed when the pages are freed: T4-S4 as it is stated does not hold",
    always=[delayed_removed_under_ptl],
    at_end=[],
    expect=violates(delayed_removed_under_ptl),
    mutants={},
)

v6_2_truncate = protocol(
    title="truncation beside MADV_DONTNEED finds no page mapped, with delayed rmap",
    kernel="mm/filemap.c: filemap_unaccount_folio()",
    commit="5df397dec7c4",
    threads=[
        thread(dontneed, cpu=0),
        thread(truncate, cpu=1),
        thread(user, cpu=2),
        *(agent(f, cpu=cpu) for cpu in (0, 2) for f in (sysvec_call_function, tlb_fill)),
        agent(tlb_evict, cpu=2),
    ],
    setup=setup,
    always=[mapcount_covers_delayed, delayed_removed_under_ptl],
    at_end=[delayed_removed_once],
    sometimes=[a_delayed_rmap_waits],
    config=[V6_2, Machine(cpus=3), Work(stores=1), Notes(delayed=True)],
    mutants={
        "unmap_once": mutant(
            drop(truncate_cleanup_folio, unmap_mapping_range), killed_by="bad-page-cache"
        ),
    },
)

rfc_truncate = v6_2_truncate.replace(
    title="rmaps removed when the pages are freed: truncation finds the page mapped",
    commit="",
    always=[],
    at_end=[],
    config=[RFC_RMAP_AT_FREE],
    expect=violates("bad-page-cache"),
    mutants={},
)

rfc_truncate_unchecked = rfc_truncate.replace(
    title="rmaps removed when the pages are freed: without that check nothing is wrong",
    at_end=[delayed_removed_once],
    edits=[drop(filemap_remove_folio, bug_on)],
    expect=rfc.expect,
    mutants={
        "put_before_rmap": mutant(
            swap(
                tlb_batch_pages_flush,
                clean_and_free_pages_and_swap_cache,
                free_pages_and_swap_cache,
            ),
            killed_by="bad-page-state",
        ),
    },
)
