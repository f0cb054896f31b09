"""Reads of a PMD entry in two halves, on x86 PAE, without a lock.

Until v6.1 pmd_read_atomic() read the low half, then the high half, and did not look again:
the low half of one entry and the high half of another, or of none, point to a table that
never was.  Linux kernel commit 024d232ae4fc ("mm: Fix pmd_read_atomic()") (in v6.2) reads it
as ptep_get_lockless() reads a PTE.  That is enough as long as nobody can put an entry where
another was without having interrupted the reader.
"""

from __future__ import annotations

from pagerace.lang import HOLDS, agent, drop, force, mutant, protocol, swap, thread, violates
from pagerace.machine.arch import Arch
from pagerace.machine.entry import Watch
from pagerace.machine.irq import local_irq_disable, local_irq_save
from pagerace.machine.memory import Machine
from pagerace.machine.pae import (
    Pae,
    exchange_low,
    native_get_and_clear,
    native_pte_clear,
    store_high,
    store_low,
)
from pagerace.machine.vcpu import host
from pagerace.mm import gup, pgtable_lockless
from pagerace.mm.mmu_gather import (
    tlb_remove_table_free,
    tlb_table_flush,
    tlb_table_invalidate,
)
from pagerace.mm.pgalloc import PteTables, pmdp_collapse_flush
from pagerace.mm.pgtable_lockless import pmdp_get_lockless, ptep_get_lockless
from pagerace.mm.rcupdate import synchronize_rcu
from pagerace.mm.tlb import flush_tlb_mm_range, sysvec_call_function
from pagerace.protocols._lockless_pmd import (
    collapse,
    entry_goes_while_it_is_read,
    gup_fast,
    replace_table,
    setup,
    walk,
    walker_sees_no_half,
)
from pagerace.protocols._lockless_read import no_torn_read, no_wrong_page

HARDWARE = [agent(sysvec_call_function, cpu=2)]
PAE = Machine(arch=Arch.X86_PAE, frames=2, tables=2)

v6_1 = protocol(
    title="pmd_read_atomic() points to a table that never was",
    kernel="arch/x86/include/asm/pgtable-3level.h: pmd_read_atomic()",
    commit="024d232ae4fc",
    threads=[thread(replace_table, cpu=0), thread(walk, cpu=2), *HARDWARE],
    setup=setup,
    always=[no_torn_read],
    config=[
        pgtable_lockless.V6_1,
        PAE,
        Pae(low_pfn_bits=0),
        PteTables(come_and_go=True),
        Watch(entries=True),
    ],
    expect=violates(no_torn_read),
)

v6_2 = v6_1.replace(
    title="pmdp_get_lockless() points to a table that was there, and is there still",
    always=[no_torn_read, walker_sees_no_half],
    sometimes=[entry_goes_while_it_is_read],
    config=[pgtable_lockless.V6_2],
    expect=HOLDS,
    mutants={
        "no_second_look": mutant(
            force(ptep_get_lockless, "low_changed(ptep, low)", False), killed_by=no_torn_read
        ),
        "not_at_this_level": mutant(
            force(pmdp_get_lockless, "Lockless.pmd_loop", False), killed_by=no_torn_read
        ),
        "interrupts_on": mutant(
            drop(local_irq_save, local_irq_disable), killed_by="use-after-free"
        ),
        "free_before_flush": mutant(
            swap(tlb_table_flush, tlb_table_invalidate, tlb_remove_table_free),
            killed_by="use-after-free",
        ),
        "clear_high_half_first": mutant(
            swap(native_pte_clear, store_high, store_low), killed_by=walker_sees_no_half
        ),
    },
)

v6_1_collapse = v6_1.replace(
    title="pmd_read_atomic() points to a table that never was, beside khugepaged",
    threads=[thread(collapse, cpu=0), thread(walk, cpu=2), *HARDWARE],
    config=[Pae(low_pfn_bits=0, xchg64=False)],
)

v6_2_collapse_halves = v6_2.replace(
    title="khugepaged may take an entry away half by half, low half first",
    commit="d4a72e7fe61a",
    threads=v6_1_collapse.threads,
    config=[Pae(low_pfn_bits=0, xchg64=False)],
    mutants={
        "no_flush": mutant(
            drop(pmdp_collapse_flush, flush_tlb_mm_range), killed_by=no_torn_read
        ),
        "clear_high_half_first": mutant(
            swap(native_get_and_clear, exchange_low, store_high),
            killed_by=walker_sees_no_half,
        ),
    },
)

v6_2_collapse = v6_2_collapse_halves.replace(
    title="khugepaged takes an entry away whole, by cmpxchg8b",
    config=[Pae(low_pfn_bits=0)],
    mutants={},
)

v6_1_collapse_whole = v6_1_collapse.replace(
    title="pmd_read_atomic() is torn also by who takes the entry away whole",
    config=[Pae(low_pfn_bits=0)],
)

paravirtual = v6_2.replace(
    title="no interrupt to a preempted vCPU: the table is freed under the reader",
    threads=[*v6_2.threads, agent(host, cpu=2)],
    always=[],
    sometimes=[],
    config=[PAE.replace(paravirtual=True)],
    expect=violates("use-after-free"),
    mutants={},
)

paravirtual_rcu = paravirtual.replace(
    title="no interrupt to a preempted vCPU, but a grace period before the table is freed",
    config=[PteTables(come_and_go=True, rcu_free=True)],
    expect=HOLDS,
    mutants={
        "no_grace_period": mutant(
            drop(tlb_remove_table_free, synchronize_rcu), killed_by="use-after-free"
        ),
    },
)

paravirtual_collapse = paravirtual.replace(
    title="no interrupt to a preempted vCPU: pmdp_get_lockless() is torn again",
    threads=[*v6_1_collapse.threads, agent(host, cpu=2)],
    always=[no_torn_read],
    expect=violates(no_torn_read),
)

gup_v6_0 = v6_1.replace(
    title="GUP-fast gives a page of another mm, out of a table that never was",
    kernel="mm/gup.c: gup_pmd_range()",
    commit="1180e732c985",
    threads=[thread(collapse, cpu=0), thread(gup_fast, cpu=2), *HARDWARE],
    always=[no_wrong_page],
    config=[gup.V6_0, Watch()],
    expect=violates(no_wrong_page),
)

gup_v6_1 = gup_v6_0.replace(
    title="GUP-fast finds by its second look at the PMD that it was torn",
    commit="70cbc3cc78a9",
    config=[gup.V6_1],
    expect=HOLDS,
    mutants={
        "no_second_look": mutant(
            force(gup.gup_pte_range, "Gup.pmd_recheck and pmd_changed(pmd, entry)", False),
            killed_by=no_wrong_page,
        ),
    },
)

gup_v6_2 = gup_v6_1.replace(
    title="GUP-fast reads the PMD without tearing",
    commit="1180e732c985",
    config=[pgtable_lockless.V6_2, gup.V6_0],
    mutants={
        "not_at_this_level": mutant(
            force(pmdp_get_lockless, "Lockless.pmd_loop", False), killed_by=no_wrong_page
        ),
    },
)
