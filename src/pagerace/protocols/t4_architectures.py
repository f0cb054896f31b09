"""The lost write of October 2022 on each architecture: where v6.0 loses it, v6.2 does not.

x86 is in t4_lost_write.py.  arm64 broadcasts its invalidations, and its hardware marks PTEs
dirty (FEAT_HAFDBS) or leaves that to faults.  s390 flushes in the very instruction that
takes a PTE away, so that no entry is ever stale and any order is right.  That is of an mm
that is attached to more than one CPU.  Of one that is attached to the zapper's CPU alone no
claim is made: there the flush is left for later, and nobody can use the stale entry only
because each switch of tasks flushes (finish_arch_post_lock_switch()), which is not here.
"""
# pyright: strict, reportPrivateUsage=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import HOLDS, agent, drop, force, mutant, thread, violates
from pagerace.machine.arch import Arch
from pagerace.machine.ipte import ipte
from pagerace.machine.memory import Machine
from pagerace.machine.pgtable import pte_wrprotect
from pagerace.machine.tlb import set_dirty, tlb_fill
from pagerace.machine.tlbi import dsb_ish, tlbi_vale1is
from pagerace.mm.mmu_gather import V6_0
from pagerace.mm.pgtable import (
    ptep_clear_flush,
    ptep_get_and_clear_full,
    ptep_set_access_flags,
    ptep_set_wrprotect,
)
from pagerace.mm.pgtable_arm64 import most_permissive
from pagerace.mm.pgtable_s390 import ptep_flush_direct, ptep_flush_lazy
from pagerace.mm.tlb import __flush_tlb_range, flush_tlb_page
from pagerace.protocols import t4_lost_write
from pagerace.protocols._dirty_tracking import (
    a_page_is_reclaimed,
    every_store_survives,
    no_lost_write,
    ptl_covers_the_flush,
    rmap_outlives_translations,
)
from pagerace.protocols._hardware import (
    BROADCAST,
    INTERRUPTS,
    WALKERS,
    fork,
    no_stale_entry,
    walker_makes_no_pte,
)
from pagerace.protocols._shared_file import unmap, user, writeback

THREADS = [thread(unmap, cpu=0), thread(writeback, cpu=1), thread(user, cpu=2)]
ALWAYS = [*t4_lost_write.v6_2.always, walker_makes_no_pte]
SECOND_LOOK = "not pte.present or not pte.writable or frame_of(pte, address) != entry.pfn"

arm64_v6_2 = t4_lost_write.v6_2.replace(
    title="arm64: munmap() loses no store, with broadcast invalidation",
    threads=[*THREADS, *WALKERS, *BROADCAST],
    always=ALWAYS,
    config=[Machine(arch=Arch.ARM64)],
    mutants={
        "no_broadcast": mutant(
            drop(__flush_tlb_range, tlbi_vale1is), killed_by=rmap_outlives_translations
        ),
        "broadcast_not_waited_for": mutant(
            drop(__flush_tlb_range, dsb_ish), killed_by=rmap_outlives_translations
        ),
        "mkclean_not_flushed": mutant(
            drop(ptep_clear_flush, flush_tlb_page), killed_by=ptl_covers_the_flush
        ),
    },
)

arm64_v6_0 = arm64_v6_2.replace(
    title="arm64: munmap() removes the rmap before it flushes: a store is lost",
    always=[no_lost_write],
    config=[V6_0],
    expect=violates(no_lost_write),
    mutants={},
)

arm64_faults = arm64_v6_2.replace(
    title="arm64: a fault that grants a right takes the old entry out of the TLB",
    threads=[
        thread(writeback, cpu=1),
        thread(user, cpu=2),
        agent(tlb_fill, cpu=2),
        *BROADCAST,
    ],
    sometimes=[],
    mutants={
        "access_flags_without_flush": mutant(
            drop(ptep_set_access_flags, flush_tlb_page), killed_by="livelock"
        ),
        "access_flags_without_permission": mutant(
            force(most_permissive, "pte.read_only and entry.read_only", True),
            killed_by="livelock",
        ),
    },
)

arm64_afdbm_v6_2 = t4_lost_write.v6_2_unnotified.replace(
    title="arm64 with FEAT_HAFDBS: munmap() loses no store that only hardware marks",
    threads=arm64_v6_2.threads,
    always=[*t4_lost_write.FLUSHING, walker_makes_no_pte],
    config=[Machine(arch=Arch.ARM64_AFDBM)],
    mutants={
        "walker_without_second_look": mutant(
            force(set_dirty, SECOND_LOOK, False), killed_by=rmap_outlives_translations
        ),
        "get_and_clear_in_two_steps": mutant(
            force(ptep_get_and_clear_full, "full", True), killed_by=rmap_outlives_translations
        ),
    },
)

arm64_afdbm_v6_0 = arm64_v6_0.replace(
    title="arm64 with FEAT_HAFDBS: the order of v6.0 loses a store",
    config=[Machine(arch=Arch.ARM64_AFDBM)],
)

x86_walker = t4_lost_write.v6_2_unnotified.replace(
    title="x86: the walker marks no PTE dirty that is gone",
    threads=[*THREADS, *WALKERS, *INTERRUPTS],
    always=[walker_makes_no_pte],
    mutants={
        "walker_without_second_look": mutant(
            force(set_dirty, SECOND_LOOK, False), killed_by=walker_makes_no_pte
        ),
    },
)

WRPROTECT_MUTANTS = {
    "wrprotect_in_two_steps": mutant(
        force(ptep_set_wrprotect, "not HAVE_ARCH_PTEP_SET_WRPROTECT", True),
        killed_by=no_lost_write,
    ),
}

x86_wrprotect = t4_lost_write.v6_2_unnotified.replace(
    title="x86: ptep_set_wrprotect() loses no dirty bit",
    threads=[thread(fork, cpu=0), thread(user, cpu=2), *WALKERS, *INTERRUPTS],
    always=[no_lost_write],
    sometimes=[],
    mutants=WRPROTECT_MUTANTS,
)

arm64_afdbm_wrprotect = x86_wrprotect.replace(
    title="arm64 with FEAT_HAFDBS: ptep_set_wrprotect() moves the dirty bit by cmpxchg",
    threads=[thread(fork, cpu=0), thread(user, cpu=2), *WALKERS, *BROADCAST],
    config=[Machine(arch=Arch.ARM64_AFDBM)],
    mutants=WRPROTECT_MUTANTS
    | {
        "dirty_bit_not_moved": mutant(
            force(pte_wrprotect, "pte_hw_dirty(pte)", False), killed_by=no_lost_write
        ),
    },
)

s390_v6_2 = t4_lost_write.v6_2.replace(
    title="s390: munmap() loses no store; the rmap is never delayed",
    threads=[*THREADS, *WALKERS],
    always=[*ALWAYS, no_stale_entry],
    sometimes=[a_page_is_reclaimed],
    config=[Machine(arch=Arch.S390)],
    mutants={
        "entry_not_invalidated": mutant(drop(ptep_flush_lazy, ipte), killed_by=no_stale_entry),
        "mkclean_not_invalidated": mutant(
            drop(ptep_flush_direct, ipte), killed_by=no_stale_entry
        ),
        "flush_left_for_later": mutant(
            force(ptep_flush_lazy, "attached_here_only(mm)", True),
            killed_by=no_stale_entry,
        ),
    },
)

s390_v6_0 = s390_v6_2.replace(
    title="s390: the order of v6.0 lost nothing here, for no entry is ever stale",
    always=[no_lost_write, no_stale_entry],
    at_end=[every_store_survives],
    config=[V6_0],
    expect=HOLDS,
    mutants={},
)
