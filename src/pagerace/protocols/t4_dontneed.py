"""MADV_DONTNEED, which faults run beside: is what it zapped flushed before they go on?

zap_pte_range() flushes before it drops the PTL only where a dirty page was zapped.  Else a
fault can put a new entry where a TLB still has the old one: a present entry becomes none
and present again without a flush in between.  Peter Zijlstra proposed in October 2022 that
MADV_DONTNEED always flush under the PTL; it was not merged.
"""

from __future__ import annotations

from pagerace.lang import drop, force, mutant, protocol, thread, violates
from pagerace.mm.madvise import Madvise
from pagerace.mm.memory import zap_pte_range
from pagerace.mm.mmu_gather import V6_2, tlb_flush_mmu_tlbonly
from pagerace.protocols._dirty_tracking import ptl_covers_every_flush
from pagerace.protocols._shared_file import Start, Work, dontneed, setup, user
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
