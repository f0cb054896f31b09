"""One CPU and preemption: is the rule of v6.2 enough where nothing is remote?

Without CONFIG_SMP tlb_delay_rmap() is False: the header says that one CPU does not need it.
zap_pte_range() forces a flush for a dirty page only where the rmap is delayed.  So a kernel
that is preemptible and not SMP drops the PTL, which is to say it can be preempted, while its
own TLB still has the dirty entry, and the page has no rmap.

What the search finds (KERNEL.md had it as derived, not verified).  The store is lost: the
zapper is preempted behind pte_unmap_unlock(), writeback finds the page unmapped and writes it
out, and a thread of the same mm, for which no switch flushes, stores through the stale entry.
Who writes the file out is a kernel thread, or one of the same mm: a switch to another mm may
flush.  v6.0 did not lose it: there the flush was forced by the dirty bit, under the PTL, and
one CPU needs no more.  To force it again is enough; the rmap need not be delayed.
"""

from __future__ import annotations

from pagerace.lang import HOLDS, agent, drop, mutant, protocol, thread, violates
from pagerace.machine.memory import Machine
from pagerace.machine.tlb import tlb_evict, tlb_fill
from pagerace.mm.memory import zap_pte_range
from pagerace.mm.mmu_gather import V6_0, V6_2, Force, MmuGather, tlb_flush_mmu_tlbonly
from pagerace.mm.sched import (
    Sched,
    preempt_disable,
    preempt_enable,
    preempt_schedule_irq,
    schedulable,
)
from pagerace.mm.spinlock import spin_lock, spin_unlock
from pagerace.protocols._dirty_tracking import (
    a_page_is_reclaimed,
    a_stale_entry_is_dirty,
    every_store_survives,
    fsync_keeps_its_promise,
    no_lost_write,
    ptl_covers_the_flush,
)
from pagerace.protocols._shared_file import Work, dontneed, setup, unmap, user, writeback

ONE_CPU = [
    agent(preempt_schedule_irq, cpu=0),
    agent(tlb_fill, cpu=0),
    agent(tlb_evict, cpu=0),
]

v6_0 = protocol(
    title="one CPU, preemptible: v6.0 flushes under the PTL and loses no store",
    kernel="mm/memory.c: zap_pte_range()",
    commit="1cf35d47712d",
    threads=[thread(unmap, cpu=0), thread(writeback, cpu=0), thread(user, cpu=0), *ONE_CPU],
    setup=setup,
    schedulable=schedulable,
    always=[ptl_covers_the_flush, no_lost_write, fsync_keeps_its_promise],
    at_end=[every_store_survives],
    sometimes=[a_stale_entry_is_dirty, a_page_is_reclaimed],
    config=[V6_0, Machine(cpus=1), Work(stores=1), Sched(smp=False, tasks=3)],
    mutants={
        "no_flush": mutant(
            drop(zap_pte_range, tlb_flush_mmu_tlbonly), killed_by=ptl_covers_the_flush
        ),
        "preemptible_under_spinlocks": mutant(
            drop(spin_lock, preempt_disable),
            drop(spin_unlock, preempt_enable),
            killed_by="assert",
        ),
    },
)

v6_2 = v6_0.replace(
    title="one CPU, preemptible: v6.2 forces no flush, and a store is lost",
    commit="5df397dec7c4",
    always=[no_lost_write],
    config=[V6_2],
    expect=violates(no_lost_write),
    mutants={},
)

v6_2_dontneed = v6_2.replace(
    title="one CPU, preemptible: MADV_DONTNEED of v6.2 loses the store as well",
    threads=[thread(dontneed, cpu=0), thread(writeback, cpu=0), thread(user, cpu=0), *ONE_CPU],
)

v6_2_to_the_end = v6_2.replace(
    title="one CPU, preemptible: the store that v6.2 loses stays lost",
    always=[],
    expect=violates(every_store_survives),
)

v6_2_forced = v6_0.replace(
    title="one CPU, preemptible: v6.2 with a flush for each dirty page loses no store",
    commit="5df397dec7c4",
    config=[MmuGather(force=Force.DIRTY)],
    expect=HOLDS,
    mutants={},
)
