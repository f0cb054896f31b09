"""munmap() frees tables that others walk: who is kept out, and by what.

Faults and all others that hold mmap_lock do not find the VMA any more; a walk by the rmap
finds it no more once unlink_file_vma() has returned.  What is left is who walks without a
lock, with its interrupts off, and the hardware.  They are waited for: by an interrupt that
such a CPU takes later, or by RCU where no interrupt is sent.
"""

# pyright: strict, reportPrivateUsage=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import HOLDS, agent, drop, force, mutant, protocol, swap, thread, violates
from pagerace.machine.arch import Arch
from pagerace.machine.irq import local_irq_disable, local_irq_save
from pagerace.machine.memory import Machine
from pagerace.machine.tables import PteTables
from pagerace.machine.tlbi import receive_tlbi
from pagerace.mm.mmap import unmap_region
from pagerace.mm.mmu_gather import (
    MmuGather,
    call_rcu_batch,
    pte_free_tlb,
    tlb_remove_table_free,
    tlb_remove_table_one,
    tlb_table_flush,
    tlb_table_invalidate,
)
from pagerace.mm.pgalloc import mm_dec_nr_ptes
from pagerace.mm.pgtable_free import free_pgtables, free_pte_range
from pagerace.mm.rcu_callbacks import rcu_core
from pagerace.mm.rcupdate import Rcu, __call_rcu
from pagerace.mm.table_free import tlb_remove_table_sync_one
from pagerace.mm.tlb import sysvec_call_function
from pagerace.mm.vma import unlink_file_vma
from pagerace.protocols._table_claims import (
    tables_are_counted,
)
from pagerace.protocols._table_walkers import (
    gup_fast,
    setup,
    unmap,
    unmap_and_wait,
    write_protect,
)

BROADCAST = [
    thread(unmap, cpu=0), thread(gup_fast, cpu=1), agent(receive_tlbi, cpu=1)
]  # fmt: skip

by_ipi = protocol(
    title="GUP-fast holds off the interrupt after which the table is freed",
    kernel="mm/mmu_gather.c: tlb_table_flush()",
    threads=[
        thread(unmap, cpu=0), thread(gup_fast, cpu=1), agent(sysvec_call_function, cpu=1)
    ],
    setup=setup,
    at_end=[tables_are_counted],
    config=[
        Machine(cpus=2, frames=2, tables=1),
        PteTables(come_and_go=True, nr_ptes=True),
    ],
    mutants={
        "interrupts_on": mutant(
            drop(local_irq_save, local_irq_disable), killed_by="use-after-free"
        ),
        "free_before_flush": mutant(
            swap(tlb_table_flush, tlb_table_invalidate, tlb_remove_table_free),
            killed_by="use-after-free",
        ),
        "not_counted": mutant(
            drop(free_pte_range, mm_dec_nr_ptes), killed_by=tables_are_counted
        ),
        "never_freed": mutant(
            drop(free_pte_range, pte_free_tlb), killed_by=tables_are_counted
        ),
    },
)  # fmt: skip

no_ipi = by_ipi.replace(
    title="arm64 interrupts nobody to invalidate a TLB: GUP-fast reads a table that is free",
    config=[Machine(arch=Arch.ARM64, cpus=2, frames=2, tables=1)],
    threads=BROADCAST,
    expect=violates("use-after-free"),
    mutants={},
)

by_rcu = no_ipi.replace(
    title="interrupts off are an RCU reader: a grace period before a table is free",
    commit="718b13861d22",
    threads=[
        thread(unmap_and_wait, cpu=0), *BROADCAST[1:], agent(rcu_core, cpu=0)
    ],
    config=[
        PteTables(come_and_go=True, nr_ptes=True, rcu_free=True), Rcu(callbacks=True)
    ],
    expect=HOLDS,
    mutants={
        "interrupts_on": mutant(
            drop(local_irq_save, local_irq_disable), killed_by="use-after-free"
        ),
        "no_grace_period": mutant(
            force(__call_rcu, "not rcu_is_quiescent(cpu)", False), killed_by="use-after-free"
        ),
        "never_freed": mutant(
            drop(call_rcu_batch, __call_rcu), killed_by=tables_are_counted
        ),
    },
)

one_by_ipi = by_rcu.replace(
    title="no memory for a batch: all CPUs are interrupted before one table is freed",
    kernel="mm/mmu_gather.c: tlb_remove_table_one()",
    threads=[*by_rcu.threads, agent(sysvec_call_function, cpu=1)],
    config=[MmuGather(table_oom=True)],
    mutants={
        "not_interrupted": mutant(
            drop(tlb_remove_table_one, tlb_remove_table_sync_one), killed_by="use-after-free"
        ),
    },
)

one_by_rcu = by_rcu.replace(
    title="no memory for a batch: a grace period for one table, and nobody waits for it",
    kernel="mm/mmu_gather.c: tlb_remove_table_one()",
    commit="4817f70c25b6",
    config=[MmuGather(table_oom=True, one_by_rcu=True)],
    mutants={
        "no_grace_period": mutant(
            force(__call_rcu, "not rcu_is_quiescent(cpu)", False), killed_by="use-after-free"
        ),
    },
)

by_rmap = by_ipi.replace(
    title="a walk by the rmap finds the VMA no more when its table goes",
    kernel="mm/memory.c: free_pgtables()",
    threads=[
        thread(unmap, cpu=0), thread(write_protect, cpu=1), agent(sysvec_call_function, cpu=1)
    ],
    mutants={
        "unlinked_after_it": mutant(
            swap(unmap_region, unlink_file_vma, free_pgtables), killed_by="use-after-free"
        ),
    },
)  # fmt: skip
