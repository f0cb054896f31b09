"""MADV_DONTNEED takes the table away that it has emptied (v6.14): T2-B7 and T2-B9.

A zap that is interrupted lets go of the PTL, and what it has zapped can be mapped again before
it comes to the end.  As merged, it believed what it had seen, and freed a table with an entry.
"""
# pyright: strict, reportPrivateUsage=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import HOLDS, agent, drop, force, mutant, protocol, thread, violates
from pagerace.machine.entry import Colours
from pagerace.machine.memory import Machine
from pagerace.machine.tables import PteTables
from pagerace.mm import table_walk
from pagerace.mm.anon import Anon
from pagerace.mm.memory import zap_pte_range
from pagerace.mm.mmu_gather import MmuGather
from pagerace.mm.pgtable_generic import __pte_offset_map_lock
from pagerace.mm.pt_reclaim import (
    forbid_direct_reclaim,
    try_get_and_clear_pmd,
    try_to_free_pte,
)
from pagerace.mm.rcu_callbacks import rcu_core
from pagerace.mm.rcupdate import Rcu
from pagerace.protocols._table_claims import (
    each_page_is_mapped_as_it_counts,
    no_table_is_there,
    tables_are_counted,
    the_fault_has_mapped,
)
from pagerace.protocols._table_walkers import (
    Tables,
    dontneed_and_wait,
    setup,
    write_fault,
)

v6_14_first = protocol(
    title="MADV_DONTNEED frees a table that a fault has mapped a page in",
    kernel="mm/memory.c: zap_pte_range()",
    commit="6375e95f381e",
    threads=[
        thread(dontneed_and_wait, cpu=0), thread(write_fault, cpu=1), agent(rcu_core, cpu=0)
    ],
    setup=setup,
    at_end=[each_page_is_mapped_as_it_counts],
    config=[
        table_walk.V6_14_FIRST,
        Machine(cpus=2, pages=2, frames=4, tables=2),
        PteTables(come_and_go=True, nr_ptes=True, rcu_free=True),
        MmuGather(bundle=1, batches=1),
        Rcu(callbacks=True),
        Anon(private=True),
        Tables(anonymous=True, mapped_pages=2, running=False),
    ],
    expect=violates(each_page_is_mapped_as_it_counts),
)

v6_14 = v6_14_first.replace(
    title="MADV_DONTNEED that let go of the PTL looks again before it frees a table",
    at_end=[each_page_is_mapped_as_it_counts, tables_are_counted],
    sometimes=[no_table_is_there, the_fault_has_mapped],
    config=[table_walk.V6_14, Colours(tables=True)],
    expect=HOLDS,
    mutants={
        "goes_on_as_it_was": mutant(
            drop(zap_pte_range, forbid_direct_reclaim),
            killed_by=each_page_is_mapped_as_it_counts,
        ),
        "not_looked_at_again": mutant(
            force(try_to_free_pte, "not is_empty(map, addr)", False),
            killed_by=each_page_is_mapped_as_it_counts,
        ),
        "fault_does_not_look_again": mutant(
            force(
                __pte_offset_map_lock, "pmd_same(map.pmdval, pmdp_get_lockless(pmd))", True
            ),
            killed_by="detached-table",
        ),
    },
)

blocking = v6_14.replace(
    title="who has a PTL waits for the lock of the PMD entry, against the order of the two",
    threads=[
        thread(dontneed_and_wait, cpu=0),
        thread(dontneed_and_wait, cpu=1, name="other"),
        agent(rcu_core, cpu=0),
    ],
    sometimes=[],
    config=[table_walk.V6_14.replace(pml_trylock=False), Colours()],
    expect=violates("lock-order-inversion"),
    mutants={},
)

tried = blocking.replace(
    title="where the lock of the PMD entry is not to be had, the table stays",
    at_end=[tables_are_counted],
    sometimes=[no_table_is_there],
    config=[table_walk.V6_14],
    expect=HOLDS,
    mutants={
        "taken_all_the_same": mutant(
            force(try_get_and_clear_pmd, "not spin_trylock(pml)", False),
            killed_by="unlock-by-non-owner",
        ),
    },
)
