"""mremap() beside truncation, writeback and a store through a stale entry: T4-B8.

Until Linux kernel commit eb66ae030829 ("mremap: properly flush TLB before releasing the
page") move_ptes() flushed under the old PTL if it had moved a dirty entry, and else when it
held neither PTL.  Between the two, who finds the entry at its new address can free the page,
and flushes the new address only.

What the search finds.  The clean entry is enough: the page is free while a TLB has it at the
old address (T4-S5).  Of a dirty entry and two PTLs, where the new one was dropped before the
flush, no execution is bad: a walk that comes to the new VMA has been at the old one before,
and waits there for the old PTL; and where the order is the other one, i_mmap_rwsem is held
for writing (need_rmap_locks).  Without that lock writeback misses the entry on its way: the
page is clean and can be stored to (T4-S8), though the dirty bit in the entry keeps the store.
"""

from __future__ import annotations

from pagerace.lang import agent, drop, mutant, protocol, swap, thread, violates
from pagerace.machine.memory import Machine
from pagerace.machine.pgtable import set_pte
from pagerace.machine.tlb import tlb_evict, tlb_fill
from pagerace.mm.mm_types import Mm
from pagerace.mm.mremap import (
    BEFORE_EB66AE030829,
    Mremap,
    drop_rmap_locks,
    move_page_tables,
    move_ptes,
    take_rmap_locks,
)
from pagerace.mm.pgtable_generic import pte_unmap_unlock
from pagerace.mm.tlb import flush_tlb_mm_range, sysvec_call_function
from pagerace.protocols._dirty_tracking import no_store_behind_mkclean, ptl_covers_every_flush
from pagerace.protocols._moved_file import (
    Moved,
    between_the_ptls,
    every_store_survives,
    mapcount_counts_ptes,
    move,
    no_lost_write,
    setup,
    translation_outlives_no_page,
    user,
)
from pagerace.protocols._shared_file import Start, Work, truncate, writeback

HARDWARE = [
    *(agent(f, cpu=cpu) for cpu in (0, 2) for f in (sysvec_call_function, tlb_fill)),
    agent(tlb_evict, cpu=2),
]
ONE_TABLE = Machine(pages=2, frames=1)
TWO_TABLES = Machine(pages=2, frames=1, levels=2, entries=2)
NO_RMAP_LOCKS = [
    drop(move_page_tables, take_rmap_locks),
    drop(move_page_tables, drop_rmap_locks),
]

truncated = protocol(
    title="mremap() of a clean page: its old translation is gone before the page can be",
    kernel="mm/mremap.c: move_ptes()",
    commit="eb66ae030829",
    threads=[thread(move, cpu=0), thread(truncate, cpu=1), thread(user, cpu=2), *HARDWARE],
    setup=setup,
    always=[translation_outlives_no_page, mapcount_counts_ptes],
    config=[ONE_TABLE, Mm(vmas=2), Work(start=Start.UNNOTIFIED, stores=1), Mremap(), Moved()],
    mutants={
        "no_flush": mutant(
            drop(move_ptes, flush_tlb_mm_range), killed_by=translation_outlives_no_page
        ),
        "entry_not_set": mutant(drop(move_ptes, set_pte), killed_by=mapcount_counts_ptes),
    },
)

before_eb66ae030829 = truncated.replace(
    title="mremap() of a clean page: the page is freed while a TLB has it where it was",
    always=[translation_outlives_no_page],
    config=[BEFORE_EB66AE030829],
    expect=violates(translation_outlives_no_page),
    mutants={},
)

truncated_dirty = truncated.replace(
    title="mremap() of a dirty page to another table: flushed before either PTL is dropped",
    always=[translation_outlives_no_page, ptl_covers_every_flush, mapcount_counts_ptes],
    config=[TWO_TABLES, Work(stores=1)],
    mutants={
        "ptl_before_flush": mutant(
            swap(move_ptes, flush_tlb_mm_range, pte_unmap_unlock),
            killed_by=ptl_covers_every_flush,
        ),
    },
)

dirty_before_eb66ae030829 = truncated_dirty.replace(
    title="mremap() of a dirty page to another table: flushed before the old PTL is dropped",
    always=[translation_outlives_no_page],
    sometimes=[between_the_ptls],
    config=[BEFORE_EB66AE030829],
    mutants={
        "no_flush": mutant(
            drop(move_ptes, flush_tlb_mm_range), killed_by=translation_outlives_no_page
        ),
    },
)

written = truncated_dirty.replace(
    title="mremap() beside writeback: no store is lost",
    threads=[thread(move, cpu=0), thread(writeback, cpu=1), thread(user, cpu=2), *HARDWARE],
    always=[
        ptl_covers_every_flush,
        mapcount_counts_ptes,
        no_store_behind_mkclean,
        no_lost_write,
    ],
    at_end=[every_store_survives],
    config=[ONE_TABLE, Moved(new_vma_first=True)],
    mutants={
        "no_rmap_locks": mutant(*NO_RMAP_LOCKS, killed_by=no_store_behind_mkclean),
    },
)

written_old_vma_first = written.replace(
    title="mremap() without rmap locks: nothing is missed where walks meet the old VMA first",
    always=[no_store_behind_mkclean, no_lost_write],
    config=[Moved()],
    edits=NO_RMAP_LOCKS,
    mutants={},
)

missed = written.replace(
    title="mremap() without rmap locks: the missed entry's dirty bit keeps the store",
    always=[no_lost_write],
    at_end=[],
    edits=NO_RMAP_LOCKS,
    mutants={
        "no_flush": mutant(drop(move_ptes, flush_tlb_mm_range), killed_by=no_lost_write),
    },
)

missed_to_the_end = missed.replace(
    title="mremap() without rmap locks: the store is there in the end",
    always=[],
    at_end=[every_store_survives],
    mutants={
        "no_flush": mutant(drop(move_ptes, flush_tlb_mm_range), killed_by=every_store_survives),
    },
)
