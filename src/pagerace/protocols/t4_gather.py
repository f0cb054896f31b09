"""The gather of v6.2: its batches, and that a zap comes to its end.

tlb_flush_rmaps() looks at the local and at the active batch only.  That is enough because
tlb_next_batch() begins no third one while rmaps are delayed (T4-S7).

zap_pte_range() stops early where a batch is full, or where another task is to run.  What the
search finds of T4-P2, "each break advances addr, or frees batch room": the first kind does.
The second need not: need_resched() is asked before the first entry is cleared, and then
nothing was done.  The zap ends all the same, because cond_resched() answers the request
before the next round; it is that call, and not the break, that T4-P2 rests on.
"""

from __future__ import annotations

from pagerace.lang import agent, drop, force, mutant, protocol, thread, violates
from pagerace.machine.memory import Machine
from pagerace.machine.tlb import tlb_fill
from pagerace.mm.memory import unmap_page_range, unmap_vmas, zap_pte_range
from pagerace.mm.mmu_gather import (
    V6_2,
    MmuGather,
    tlb_flush_mmu,
    tlb_flush_rmap_batch,
    tlb_flush_rmaps,
    tlb_next_batch,
)
from pagerace.mm.notes import Notes
from pagerace.mm.sched import Sched, cond_resched, scheduler_tick
from pagerace.mm.tlb import sysvec_call_function
from pagerace.protocols._dirty_tracking import a_stale_entry_is_dirty
from pagerace.protocols._gather import (
    delayed_removed_once,
    delayed_removed_under_ptl,
    mapcount_covers_delayed,
    two_batches_at_most,
    two_batches_wait,
    unmapped_at_the_end,
    zap_breaks_advance,
)
from pagerace.protocols._shared_file import setup, unmap
from pagerace.protocols.t4_lost_write import FLUSHING

HARDWARE = [agent(sysvec_call_function, cpu=2), agent(tlb_fill, cpu=2)]

batches = protocol(
    title="each delayed rmap is in one of two batches, and is removed once",
    kernel="mm/mmu_gather.c: tlb_flush_rmaps(), tlb_next_batch()",
    commit="5df397dec7c4",
    threads=[thread(unmap, cpu=0), *HARDWARE],
    setup=setup,
    always=[two_batches_at_most, mapcount_covers_delayed, delayed_removed_under_ptl],
    at_end=[delayed_removed_once],
    sometimes=[two_batches_wait],
    config=[
        V6_2,
        Machine(pages=3, frames=3),
        MmuGather(bundle=1, batches=3),
        Notes(delayed=True),
    ],
    mutants={
        "batches_without_limit": mutant(
            force(tlb_next_batch, "tlb.delayed_rmap and tlb.active != 0", False),
            killed_by=two_batches_at_most,
        ),
        "local_batch_only": mutant(
            drop(tlb_flush_rmaps, tlb_flush_rmap_batch, which=1),
            killed_by=delayed_removed_under_ptl,
        ),
        "active_batch_only": mutant(
            drop(tlb_flush_rmaps, tlb_flush_rmap_batch, which=0),
            killed_by=delayed_removed_under_ptl,
        ),
        "flag_not_looked_at": mutant(
            force(tlb_flush_rmap_batch, "enc.delay_rmap", False),
            killed_by=delayed_removed_under_ptl,
        ),
    },
)

one_batch = batches.replace(
    title="the local batch is walked once, and where it is the active one too",
    sometimes=[],
    config=[Machine(pages=1, frames=1), MmuGather(bundle=2, batches=2)],
    mutants={
        "local_batch_twice": mutant(
            force(tlb_flush_rmaps, "tlb.active != 0", True),
            killed_by=mapcount_covers_delayed,
        ),
    },
)

full_batches = batches.replace(
    title="a zap that stops where its batches are full has advanced, and finishes",
    kernel="mm/memory.c: zap_pte_range()",
    always=[zap_breaks_advance],
    at_end=[unmapped_at_the_end],
    sometimes=[a_stale_entry_is_dirty],
    config=[MmuGather(bundle=1, batches=2), Notes(breaks=True), Sched(ticks=False)],
    mutants={
        "no_room_made": mutant(
            drop(zap_pte_range, tlb_flush_mmu), killed_by="index-out-of-range"
        ),
        "nothing_done": mutant(
            force(zap_pte_range, "need_resched()", True), killed_by=zap_breaks_advance
        ),
        "nothing_zapped": mutant(
            drop(unmap_vmas, unmap_page_range), killed_by=unmapped_at_the_end
        ),
    },
)

resched = full_batches.replace(
    title="a zap that gives way whenever another task is to run finishes",
    threads=[thread(unmap, cpu=0), agent(scheduler_tick, cpu=0), *HARDWARE],
    always=FLUSHING,
    config=[Machine(pages=2, frames=2), Notes(), Sched(ticks=True)],
    mutants={
        "request_not_answered": mutant(drop(zap_pte_range, cond_resched), killed_by="livelock"),
    },
)

resched_in_vain = resched.replace(
    title="a zap that gives way to another task may have done nothing yet",
    always=[zap_breaks_advance],
    at_end=[],
    config=[Notes(breaks=True)],
    expect=violates(zap_breaks_advance),
    mutants={},
)
