"""The lost write of October 2022: zap, writeback, and a store through a stale TLB entry.

Nadav Amit's test lost writes to a shared file mapping that one thread unmapped while
another process wrote the file out.  Linux kernel commit 5df397dec7c4 ("mm: delay
page_remove_rmap() until after the TLB has been flushed") (in v6.2) settled it.  Two ways
that had been thought of before do not: see the orders at the top of mm/mmu_gather.py.
"""
# pyright: strict, reportPrivateUsage=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import agent, drop, force, mutant, protocol, swap, thread, violates
from pagerace.machine.memory import Machine
from pagerace.machine.tlb import set_dirty, tlb_evict, tlb_fill
from pagerace.mm.file_fault import fault_dirty_shared_page
from pagerace.mm.memory import finish_mkwrite_fault, zap_pte_range
from pagerace.mm.mmu_gather import (
    LATE_RMAP_UNLOCKED,
    RFC_DIRTY_IN_GATHER,
    RFC_DIRTY_IN_GATHER_RMAP_KEPT,
    V6_0,
    V6_2,
    MmuGather,
    tlb_flush_mmu,
    tlb_flush_mmu_free,
    tlb_flush_mmu_tlbonly,
    tlb_next_batch,
)
from pagerace.mm.page_writeback import (
    set_page_dirty,
)
from pagerace.mm.pagemap import unlock_page
from pagerace.mm.pgtable import ptep_get_and_clear_full
from pagerace.mm.tlb import (
    sysvec_call_function,
)
from pagerace.protocols._dirty_tracking import (
    a_page_is_reclaimed,
    a_stale_entry_is_dirty,
    dirtied_locked_or_mapped,
    every_store_survives,
    fsync_keeps_its_promise,
    mapcount_is_exact,
    no_ext4_warning,
    no_lost_write,
    no_store_behind_mkclean,
    ptl_covers_the_flush,
    reference_outlives_translations,
    rmap_outlives_translations,
)
from pagerace.protocols._lost_write_mutants import MUTANTS
from pagerace.protocols._shared_file import Start, Work, dontneed, setup, unmap, user, writeback

HARDWARE = [
    agent(sysvec_call_function, cpu=0),
    agent(sysvec_call_function, cpu=2),
    agent(tlb_fill, cpu=0),
    agent(tlb_fill, cpu=2),
    agent(tlb_evict, cpu=2),
]
FLUSHING = [
    ptl_covers_the_flush,
    rmap_outlives_translations,
    mapcount_is_exact,
    reference_outlives_translations,
    dirtied_locked_or_mapped,
    no_lost_write,
]

v6_2 = protocol(
    title="munmap() loses no store, with delayed rmap",
    kernel="mm/memory.c: zap_pte_range()",
    commit="5df397dec7c4",
    threads=[thread(unmap, cpu=0), thread(writeback, cpu=1), thread(user, cpu=2), *HARDWARE],
    setup=setup,
    always=[*FLUSHING, no_ext4_warning, no_store_behind_mkclean, fsync_keeps_its_promise],
    at_end=[every_store_survives],
    sometimes=[a_stale_entry_is_dirty, a_page_is_reclaimed],
    config=[V6_2],
    mutants=MUTANTS,
)

v6_2_dontneed = v6_2.replace(
    title="madvise(MADV_DONTNEED) loses no store, with delayed rmap",
    threads=[thread(dontneed, cpu=0), thread(writeback, cpu=1), thread(user, cpu=2), *HARDWARE],
    mutants={
        "dirty_after_folio_unlock": mutant(
            swap(fault_dirty_shared_page, set_page_dirty, unlock_page),
            killed_by=dirtied_locked_or_mapped,
        ),
        "fault_without_second_look": mutant(
            force(finish_mkwrite_fault, "not pte_same(ptep_get(pte), vmf.orig_pte)", False),
            killed_by=mapcount_is_exact,
        ),
    },
)

v6_2_unnotified = v6_2.replace(
    title="munmap() loses no store, where only the hardware sets dirty bits",
    always=FLUSHING,
    config=[Work(start=Start.UNNOTIFIED)],
    mutants={
        "no_set_page_dirty": mutant(
            drop(zap_pte_range, set_page_dirty), killed_by=no_lost_write
        ),
        "get_and_clear_in_two_steps": mutant(
            force(ptep_get_and_clear_full, "full", True), killed_by=rmap_outlives_translations
        ),
        "free_before_flush": mutant(
            swap(tlb_flush_mmu, tlb_flush_mmu_tlbonly, tlb_flush_mmu_free),
            killed_by=reference_outlives_translations,
        ),
        "walker_without_second_look": mutant(
            force(
                set_dirty,
                "not pte.present or not pte.writable or frame_of(pte, address) != entry.pfn",
                False,
            ),
            killed_by=rmap_outlives_translations,
        ),
    },
)

v6_2_batches = v6_2.replace(
    title="munmap() removes each rmap once, over several batches",
    threads=[thread(unmap, cpu=0), thread(user, cpu=2), *HARDWARE],
    sometimes=[a_stale_entry_is_dirty],
    config=[Machine(pages=3, frames=3), Work(stores=1), MmuGather(bundle=1, batches=3)],
    mutants={
        "batches_without_limit": mutant(
            force(tlb_next_batch, "tlb.delayed_rmap and tlb.active != 0", False),
            killed_by=mapcount_is_exact,
        ),
    },
)

v6_0 = v6_2.replace(
    title="munmap() removes the rmap before it flushes: a store is lost",
    always=[no_lost_write],
    config=[V6_0],
    expect=violates(no_lost_write),
    mutants={},
)

v6_0_to_the_end = v6_0.replace(
    title="munmap() removes the rmap before it flushes: the store stays lost",
    always=[],
    expect=violates(every_store_survives),
)

late_rmap_unlocked = v6_0.replace(
    title="the rmap is kept, but the PTL is dropped before the flush: a store is lost",
    config=[LATE_RMAP_UNLOCKED],
)

rfc_dirty_in_gather = v6_0.replace(
    title="the gather carries the dirty bit: set_page_dirty() of a page nobody maps",
    always=[dirtied_locked_or_mapped],
    config=[RFC_DIRTY_IN_GATHER],
    expect=violates(dirtied_locked_or_mapped),
)

rfc_ext4_warning = rfc_dirty_in_gather.replace(
    title="the gather carries the dirty bit: the warning that Nadav Amit saw",
    always=[no_ext4_warning],
    expect=violates(no_ext4_warning),
)

rfc_rmap_kept = v6_0.replace(
    title="the gather carries the dirty bit, the rmap is kept: fsync() returns too early",
    threads=v6_2_dontneed.threads,
    always=[fsync_keeps_its_promise],
    config=[RFC_DIRTY_IN_GATHER_RMAP_KEPT, Work(rounds=2)],
    expect=violates(fsync_keeps_its_promise),
)
