"""Walkers other than faults and GUP-fast, beside a zap that frees the table (T2-B1).

The slow path of GUP has a table locked while it looks at an entry; hmm_range_fault() reads
entries without that lock, as semi-locked walks do.  Neither may come to a table that is free.
"""

from __future__ import annotations

from pagerace.lang import HOLDS, drop, mutant, protocol, thread, violates
from pagerace.machine.memory import Machine
from pagerace.machine.tables import PteTables
from pagerace.mm.anon import Anon
from pagerace.mm.gup import page_lists
from pagerace.mm.gup_slow import get_user_pages_unlocked
from pagerace.mm.hmm import hmm_range_fault, hmm_ranges
from pagerace.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from pagerace.mm.mmu_notifier import mmu_interval_read_begin
from pagerace.mm.pgtable_generic import ___pte_offset_map, pte_unmap
from pagerace.mm.rcupdate import rcu_read_lock, rcu_read_unlock
from pagerace.mm.swap import put_page
from pagerace.mm.table_variants import with_window
from pagerace.protocols._file_fault import mm
from pagerace.protocols._table_claims import no_table_is_there, tables_are_counted
from pagerace.protocols._table_walkers import Tables, dontneed, setup


def gup() -> None:
    """Thread: get_user_pages_unlocked() of page 0, and put what it got."""
    pages = page_lists.current
    if get_user_pages_unlocked(mm, 0, 1, 0, pages) != 0:
        page = pages.page[0]
        if page is not None:
            put_page(page)
            pages.page[0] = None
    pages.nr = 0


def look_for_device() -> None:
    """Thread: a device wants to know what page 0 is, and has nothing faulted in."""
    wanted = hmm_ranges.current
    mmap_read_lock(mm)
    wanted.mm = mm
    wanted.start = 0
    wanted.end = 1
    wanted.notifier_seq = mmu_interval_read_begin(mm)
    hmm_range_fault(wanted)
    mmap_read_unlock(mm)


gup_naive = protocol(
    title="a zap frees the table at once, and GUP locks it",
    kernel="mm/gup.c: follow_page_pte()",
    commit="0d940a9b270b",
    threads=[thread(dontneed, cpu=0), thread(gup, cpu=1)],
    setup=setup,
    at_end=[tables_are_counted],
    config=[
        *with_window("naive", 4096),
        Machine(cpus=2, pages=1, frames=3, tables=2),
        PteTables(come_and_go=True, nr_ptes=True, rcu_free=True),
        Anon(private=True),
        Tables(anonymous=True, mapped_pages=1, running=False),
    ],
    expect=violates("use-after-free"),
)
gup_v6_14 = gup_naive.replace(
    title="a zap frees the table after a grace period, and GUP looks at the PMD entry again",
    commit="6375e95f381e",
    sometimes=[no_table_is_there],
    config=with_window("v6.14", 4096),
    expect=HOLDS,
)
hmm_naive = gup_naive.replace(
    title="a zap frees the table at once, and hmm_range_fault() reads it",
    kernel="mm/hmm.c: hmm_vma_walk_pmd()",
    threads=[thread(dontneed, cpu=0), thread(look_for_device, cpu=1)],
)
hmm_v6_14 = hmm_naive.replace(
    title="a zap frees the table after a grace period, and hmm_range_fault() is an RCU reader",
    commit="6375e95f381e",
    sometimes=[no_table_is_there],
    config=with_window("v6.14", 4096),
    expect=HOLDS,
    mutants={
        "no_reader": mutant(
            drop(___pte_offset_map, rcu_read_lock),
            drop(___pte_offset_map, rcu_read_unlock),
            drop(pte_unmap, rcu_read_unlock),
            killed_by="use-after-free",
        ),
    },
)
