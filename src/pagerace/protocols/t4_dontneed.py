"""MADV_DONTNEED, which faults run beside: is what it zapped flushed before they go on?

zap_pte_range() flushes before it drops the PTL only where a dirty page was zapped.  Else a
fault can put a new entry where a TLB still has the old one: a present entry becomes none
and present again without a flush in between.  Peter Zijlstra proposed in October 2022 that
MADV_DONTNEED always flush under the PTL; it was not merged.

And it runs beside itself: a second caller finds nothing to drop where the first has cleared
the entries and not flushed yet.  It may not return before that flush, and so it flushes the
whole mm itself (mm_tlb_flush_nested()).
"""

from __future__ import annotations

from pagerace.lang import agent, drop, force, mutant, protocol, swap, thread, violates
from pagerace.machine.tlb import tlb_evict, tlb_fill
from pagerace.mm.madvise import Madvise
from pagerace.mm.memory import zap_pte_range
from pagerace.mm.mm_inline import dec_tlb_flush_pending, inc_tlb_flush_pending
from pagerace.mm.mmu_gather import (
    V6_2,
    tlb_finish_mmu,
    tlb_flush_mmu,
    tlb_flush_mmu_tlbonly,
    tlb_gather_mmu,
)
from pagerace.mm.tlb import sysvec_call_function
from pagerace.protocols._dirty_tracking import ptl_covers_every_flush
from pagerace.protocols._gather import nothing_left_behind_madvise, somebody_else_has_cleared
from pagerace.protocols._shared_file import (
    Start,
    Work,
    dontneed,
    dontneed_and_return,
    setup,
    user,
)
from pagerace.protocols.t4_lost_write import FLUSHING, HARDWARE

force_flush = protocol(
    title="MADV_DONTNEED that flushes under the PTL leaves no stale entry to a fault",
    kernel="mm/memory.c: zap_pte_range()",
    threads=[thread(dontneed, cpu=0), thread(user, cpu=2), *HARDWARE],
    setup=setup,
    always=[ptl_covers_every_flush, *FLUSHING],
    config=[V6_2, Madvise(force_flush=True), Work(start=Start.UNNOTIFIED)],
    mutants={
        "flag_not_looked_at": mutant(
            force(zap_pte_range, "zap_force_flush(details)", False),
            killed_by=ptl_covers_every_flush,
        ),
        "no_flush": mutant(
            drop(zap_pte_range, tlb_flush_mmu_tlbonly), killed_by=ptl_covers_every_flush
        ),
    },
)

v6_2_clean = force_flush.replace(
    title="MADV_DONTNEED of a clean page drops the PTL before it flushes",
    commit="1cf35d47712d",
    always=[ptl_covers_every_flush],
    config=[Madvise()],
    expect=violates(ptl_covers_every_flush),
    mutants={},
)

NESTED = [
    thread(dontneed_and_return, cpu=0, name="first"),
    thread(dontneed_and_return, cpu=2, name="second"),
    *(agent(f, cpu=cpu) for cpu in (0, 2) for f in (sysvec_call_function, tlb_fill, tlb_evict)),
]

nested = force_flush.replace(
    title="of two MADV_DONTNEED none returns before what either cleared is flushed",
    kernel="mm/mmu_gather.c: tlb_finish_mmu()",
    threads=NESTED,
    always=[nothing_left_behind_madvise, *FLUSHING],
    sometimes=[somebody_else_has_cleared],
    config=[Madvise()],
    mutants={
        "nested_not_looked_at": mutant(
            force(tlb_finish_mmu, "mm_tlb_flush_nested(tlb.mm)", False),
            killed_by=nothing_left_behind_madvise,
        ),
        "not_pending_before_it_is_flushed": mutant(
            swap(tlb_finish_mmu, tlb_flush_mmu, dec_tlb_flush_pending),
            killed_by=nothing_left_behind_madvise,
        ),
        "gathers_not_counted": mutant(
            drop(tlb_gather_mmu, inc_tlb_flush_pending),
            drop(tlb_finish_mmu, dec_tlb_flush_pending),
            killed_by=nothing_left_behind_madvise,
        ),
    },
)

nested_dirty = nested.replace(
    title="of two MADV_DONTNEED of a dirty page none returns before it is flushed",
    config=[Work(start=Start.STORED)],
    sometimes=[],
    mutants={},
)
