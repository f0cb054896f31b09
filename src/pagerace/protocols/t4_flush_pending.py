"""Proposals of October 2022 that change who looks, and not what zap_pte_range() does.

What the search finds of each (T4-S2 does not hold where no flush is forced, by design):

* folio_mkclean() never trusts folio_mapped(): v6.0 loses no store then, because the walk waits
  for the PTL, and the flush is under it.  Where the flush is not under it, or set_page_dirty()
  waits for it, the walk finds an empty entry and is none the wiser.
* folio_mkclean() asks mm_tlb_flush_pending() under the PTL, and flushes itself.  That is
  enough for MADV_DONTNEED, if it does not trust folio_mapped() or rmaps stay until the flush.
  For munmap() it is not: unlink_file_vma() comes before tlb_finish_mmu(), and between the two
  the walk does not meet the table any more.  With the flush before the unlinking it is enough.
* Each page table counts the flushes that it needs (Nadav Amit): the same, and for the same
  reason.  That it saves a flush where another table is concerned is not looked at.
* A fault flushes what is pending before it maps a page: no entry becomes present again before
  what it was is flushed (the condition of T4-B6), but the lost write needs no fault.
"""

from __future__ import annotations

from pagerace.lang import HOLDS, drop, force, mutant, swap, violates
from pagerace.mm.file_fault import finish_fault_v5_12
from pagerace.mm.memory import zap_pte_range
from pagerace.mm.mm_inline import FlushPending, Pending, pte_table_flush_end
from pagerace.mm.mmap import unlink_file_vma, unmap_region
from pagerace.mm.mmu_gather import (
    RFC_DIRTY_IN_GATHER,
    UNFORCED_FLUSH,
    UNFORCED_FLUSH_RMAP_KEPT,
    V6_0,
    V6_2,
    tlb_finish_mmu,
    tlb_flush_mmu_tlbonly,
    tlb_note_table,
)
from pagerace.mm.notes import Notes
from pagerace.mm.page_vma_mapped import map_pte
from pagerace.mm.rmap import Mkclean, folio_mkclean
from pagerace.mm.tlb import flush_tlb_mm_range, flush_tlb_page
from pagerace.protocols._dirty_tracking import (
    dirtied_locked_or_mapped,
    every_store_survives,
    fsync_keeps_its_promise,
    no_ext4_warning,
    no_lost_write,
)
from pagerace.protocols._gather import no_remap_before_flush
from pagerace.protocols._shared_file import Start, Work
from pagerace.protocols.t4_lost_write import v6_2, v6_2_dontneed

DONTNEED = v6_2_dontneed.threads
LOST = [no_lost_write]
KEPT = [no_lost_write, fsync_keeps_its_promise, dirtied_locked_or_mapped, no_ext4_warning]
TRUSTS_THE_MAPCOUNT = mutant(
    force(folio_mkclean, "Mkclean.trust_mapcount", True), killed_by=no_lost_write
)
# What munmap() would have to do: flush before rmap walks cannot find the VMA any more.
FLUSH_FIRST = [swap(unmap_region, unlink_file_vma, tlb_finish_mmu)]

never_trust_v6_0 = v6_2.replace(
    title="v6.0, but folio_mkclean() looks at what is not mapped too: no store is lost",
    kernel="mm/rmap.c: folio_mkclean()",
    commit="",
    always=KEPT,
    config=[V6_0, Mkclean(trust_mapcount=False), Work(stores=1)],
    mutants={"trusts_the_mapcount": TRUSTS_THE_MAPCOUNT},
)

never_trust_unforced = never_trust_v6_0.replace(
    title="folio_mkclean() looks, but nothing is flushed before the PTL is dropped",
    threads=DONTNEED,
    always=LOST,
    config=[UNFORCED_FLUSH],
    expect=violates(no_lost_write),
    mutants={},
)

never_trust_dirty_in_gather = never_trust_unforced.replace(
    title="folio_mkclean() looks, but the gather carries the dirty bit",
    config=[RFC_DIRTY_IN_GATHER],
)

tests_mm_dontneed = never_trust_v6_0.replace(
    title="folio_mkclean() flushes what the mm has pending: MADV_DONTNEED loses no store",
    threads=DONTNEED,
    config=[UNFORCED_FLUSH, FlushPending(mkclean=Pending.MM)],
    mutants={
        "trusts_the_mapcount": TRUSTS_THE_MAPCOUNT,
        "no_flush": mutant(drop(map_pte, flush_tlb_page), killed_by=no_lost_write),
    },
)

tests_mm_munmap = tests_mm_dontneed.replace(
    title="folio_mkclean() flushes what the mm has pending: munmap() hides the VMA before",
    threads=v6_2.threads,
    always=LOST,
    expect=violates(no_lost_write),
    mutants={},
)

tests_mm_munmap_to_the_end = tests_mm_munmap.replace(
    title="folio_mkclean() flushes what the mm has pending: munmap()'s store stays lost",
    always=[],
    expect=violates(every_store_survives),
)

tests_mm_flush_first = tests_mm_munmap.replace(
    title="folio_mkclean() flushes what the mm has pending, munmap() before it unlinks",
    always=KEPT,
    edits=FLUSH_FIRST,
    expect=HOLDS,
)

tables_dontneed = tests_mm_dontneed.replace(
    title="folio_mkclean() flushes what the table has pending: MADV_DONTNEED loses no store",
    config=[UNFORCED_FLUSH_RMAP_KEPT, Mkclean(), FlushPending(mkclean=Pending.TABLE)],
    mutants={
        "table_not_told": mutant(drop(zap_pte_range, tlb_note_table), killed_by=no_lost_write),
        "told_before_it_is_flushed": mutant(
            swap(tlb_flush_mmu_tlbonly, flush_tlb_mm_range, pte_table_flush_end),
            killed_by=no_lost_write,
        ),
    },
)

tables_rmap_removed = tables_dontneed.replace(
    title="folio_mkclean() flushes what the table has pending, but the rmap is gone",
    always=LOST,
    config=[UNFORCED_FLUSH],
    expect=violates(no_lost_write),
    mutants={},
)

tables_munmap = tables_dontneed.replace(
    title="folio_mkclean() flushes what the table has pending: munmap() hides the VMA before",
    threads=v6_2.threads,
    always=LOST,
    expect=violates(no_lost_write),
    mutants={},
)

tables_flush_first = tables_munmap.replace(
    title="folio_mkclean() flushes what the table has pending, munmap() before it unlinks",
    always=KEPT,
    edits=FLUSH_FIRST,
    expect=HOLDS,
)

fault_flushes = v6_2_dontneed.replace(
    title="a fault flushes what is pending: no entry is present again before that",
    kernel="mm/memory.c: finish_fault()",
    commit="",
    always=[no_remap_before_flush],
    sometimes=[],
    config=[
        V6_2,
        Work(start=Start.UNNOTIFIED, stores=1),
        FlushPending(fault=True),
        Notes(unflushed=True),
    ],
    mutants={
        "no_flush": mutant(
            force(finish_fault_v5_12, "mm_tlb_flush_pending(vmf.vma.vm_mm)", False),
            killed_by=no_remap_before_flush,
        ),
    },
)

fault_does_not_flush = fault_flushes.replace(
    title="a clean page is mapped again before its old entry is flushed",
    commit="5df397dec7c4",
    config=[FlushPending()],
    expect=violates(no_remap_before_flush),
    mutants={},
)

fault_flushes_v6_0 = fault_flushes.replace(
    title="a fault flushes what is pending: v6.0 loses the store all the same",
    always=LOST,
    config=[V6_0, Work(stores=1), Notes()],
    expect=violates(no_lost_write),
    mutants={},
)
