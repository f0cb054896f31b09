"""What the hardware remembers of the way to a table: paging-structure caches (T2-S7).

A CPU keeps entries above the PTEs.  Clearing such an entry does not clear what is kept, and
the table may be another's before the CPU looks into it.  So a table is freed behind a flush
that reaches each CPU that can have walked there.
"""
# pyright: strict, reportPrivateUsage=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import agent, drop, force, mutant, protocol, swap, thread
from pagerace.machine.arch import Arch
from pagerace.machine.memory import Machine
from pagerace.machine.tables import PagingCache, PteTables
from pagerace.machine.tlb import tlb_fill, walk_ahead
from pagerace.machine.tlbi import dsb_ish, receive_tlbi
from pagerace.mm.mmu_gather import (
    tlb_remove_table_free,
    tlb_table_flush,
    tlb_table_invalidate,
)
from pagerace.mm.tlb import __flush_tlb_range, flush_tlb_mm_range, sysvec_call_function
from pagerace.mm.tlb_lazy import LazyTlb
from pagerace.protocols._table_claims import (
    tables_are_counted,
)
from pagerace.protocols._table_walkers import (
    Tables,
    setup,
    unmap,
)

x86 = protocol(
    title="x86: INVLPG forgets the way to a table before the table is free",
    kernel="arch/x86/mm/tlb.c: flush_tlb_mm_range()",
    commit="718b13861d22",
    threads=[
        thread(unmap, cpu=0),
        agent(walk_ahead, cpu=1),
        agent(tlb_fill, cpu=1),
        agent(sysvec_call_function, cpu=1),
    ],
    setup=setup,
    at_end=[tables_are_counted],
    config=[
        Machine(cpus=2, frames=1, tables=1),
        PteTables(come_and_go=True, nr_ptes=True, rcu_free=True),
        PagingCache(on=True),
    ],
    mutants={
        "free_before_flush": mutant(
            swap(tlb_table_flush, tlb_table_invalidate, tlb_remove_table_free),
            killed_by="use-after-free",
        ),
    },
)

arm64 = x86.replace(
    title="arm64: the invalidation is not of the last level only where a table goes",
    kernel="arch/arm64/include/asm/tlbflush.h: __flush_tlb_range()",
    threads=[
        thread(unmap, cpu=0),
        agent(walk_ahead, cpu=1),
        agent(tlb_fill, cpu=1),
        agent(receive_tlbi, cpu=1),
    ],
    config=[Machine(arch=Arch.ARM64, cpus=2, frames=1, tables=1)],
    mutants={
        "last_level_only": mutant(
            force(__flush_tlb_range, "PagingCache.on and freed_tables()", False),
            killed_by="use-after-free",
        ),
        "not_waited_for": mutant(
            drop(__flush_tlb_range, dsb_ish), killed_by="use-after-free"
        ),
    },
)

lazy = x86.replace(
    title="x86: a flush for freed tables interrupts a CPU that is lazy, too",
    config=[LazyTlb(mode=True), Tables(lazy=True)],
    mutants={
        "spared": mutant(
            force(flush_tlb_mm_range, "not freed_tables()", True), killed_by="use-after-free"
        ),
    },
)
