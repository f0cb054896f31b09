"""The end of a page table: the part of mm/mmu_gather.c that knows of no gather."""
# pyright: strict, reportPrivateUsage=false, reportUnusedFunction=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import BitStruct, u3
from pagerace.machine.memory import Machine, pfn_t
from pagerace.machine.tables import page_tables, upper_tables
from pagerace.mm.cpumask import cpumask_all
from pagerace.mm.mm_types import mm_struct
from pagerace.mm.pgalloc import pmd_free, pt_rcu_heads, pte_free
from pagerace.mm.rcupdate import rcu_head
from pagerace.mm.sched import Sched, preempt_disable, preempt_enable
from pagerace.mm.smp import csd_lock_wait, smp_call_function
from pagerace.mm.tlb import take_interrupts


class encoded_table(BitStruct):
    """What a ``void *`` of a table batch points to: a table of PTEs, level 1, or one above."""

    number: pfn_t = 0
    level: u3 = 0


def head_of(table: encoded_table) -> rcu_head:
    """``pt_rcu_head`` of its struct ptdesc."""
    if table.level == 1:
        return pt_rcu_heads[table.number]
    return pt_rcu_heads[len(page_tables) + table.number]


def __tlb_remove_table(mm: mm_struct, table: encoded_table) -> None:
    """__tlb_remove_table(): free it."""
    if table.level == 1:
        pte_free(mm, page_tables[table.number])
    else:
        pmd_free(mm, upper_tables[table.number], table.level)


def tlb_remove_table_sync_one() -> None:
    """tlb_remove_table_sync_one(): each CPU has had its interrupts on at least once."""
    if not Sched.smp:
        return
    preempt_disable()
    smp_call_function()
    if Machine.full_size:
        take_interrupts(cpumask_all())
    csd_lock_wait()
    preempt_enable()
