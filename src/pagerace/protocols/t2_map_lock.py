"""Tables vanish under mmap_lock for reading: what pte_offset_map_lock() has to do (T2-B8).

Since v6.6 khugepaged takes a table away without mmap_lock.  Who has found the PMD entry
maps the table in an RCU section, locks it, and looks whether the entry still points to it:
who takes it away does so with its lock held.
"""
# pyright: strict, reportPrivateUsage=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import HOLDS, agent, drop, force, mutant, protocol, thread, violates
from pagerace.machine.entry import Colours, Watch
from pagerace.machine.memory import Machine
from pagerace.machine.tables import PteTables
from pagerace.mm import table_walk
from pagerace.mm.notes import Notes
from pagerace.mm.pgtable_generic import ___pte_offset_map, __pte_offset_map_lock, pte_unmap
from pagerace.mm.rcu_callbacks import rcu_core
from pagerace.mm.rcupdate import Rcu, rcu_read_lock, rcu_read_unlock
from pagerace.protocols._table_claims import (
    a_round_was_in_vain,
    no_table_is_there,
    rounds_are_changes,
    tables_are_counted,
)
from pagerace.protocols._table_walkers import (
    Tables,
    lock_table,
    read_table,
    retract_and_alloc,
    retract_and_wait,
    setup,
)

NO_READER = [
    drop(___pte_offset_map, rcu_read_lock),
    drop(___pte_offset_map, rcu_read_unlock),
    drop(pte_unmap, rcu_read_unlock),
]

classic = protocol(
    title="a walker of v6.4 finds a table for sure, and khugepaged of v6.6 takes it away",
    kernel="mm/pgtable-generic.c: __pte_offset_map_lock()",
    commit="1d65b771bc08",
    threads=[
        thread(retract_and_wait, cpu=0), thread(lock_table, cpu=1), agent(rcu_core, cpu=0)
    ],
    setup=setup,
    at_end=[tables_are_counted],
    config=[
        table_walk.V5_11,
        Machine(cpus=2, frames=1, tables=2),
        PteTables(come_and_go=True, nr_ptes=True),
        Rcu(callbacks=True),
        Tables(mapped_pages=0, running=False),
    ],
    expect=violates("use-after-free"),
)

v6_5 = classic.replace(
    title="pte_offset_map_lock() looks at the PMD entry again, and RCU keeps the table",
    commit="0d940a9b270b",
    sometimes=[no_table_is_there],
    config=[table_walk.V6_5, Colours(tables=True)],
    expect=HOLDS,
    mutants={
        "no_reader": mutant(*NO_READER, killed_by="use-after-free"),
    },
)

rounds = v6_5.replace(
    title="pte_offset_map_lock() begins again once for each change of the PMD entry",
    threads=[
        thread(retract_and_alloc, cpu=0), thread(lock_table, cpu=1), agent(rcu_core, cpu=0)
    ],
    always=[rounds_are_changes],
    sometimes=[a_round_was_in_vain],
    config=[Notes(rounds=True), Watch(changes=True, tables=True)],
    mutants={
        "always_again": mutant(
            force(
                __pte_offset_map_lock, "pmd_same(map.pmdval, pmdp_get_lockless(pmd))", False
            ),
            killed_by=rounds_are_changes,
        ),
    },
)

lockless = v6_5.replace(
    title="who reads a table without its lock is an RCU reader",
    commit="a349d72fd9ef",
    threads=[
        thread(retract_and_wait, cpu=0), thread(read_table, cpu=1), agent(rcu_core, cpu=0)
    ],
    mutants={
        "no_reader": mutant(*NO_READER, killed_by="use-after-free"),
    },
)
