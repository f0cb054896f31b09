"""References to a table that each CPU counts alone, and a zap that has them counted.

Qi Zheng, 29 April 2022: nobody knows how many there are until the counter has one place for
all CPUs, and each CPU knows that it has: mm/percpu_ref.py.
"""
# pyright: strict, reportPrivateUsage=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import agent, drop, force, mutant, protocol, thread
from pagerace.machine.entry import Colours
from pagerace.machine.memory import Machine
from pagerace.machine.tables import PteTables
from pagerace.mm.anon import Anon
from pagerace.mm.pte_refcount import try_to_free_user_pte
from pagerace.mm.rcu_callbacks import rcu_barrier, rcu_core
from pagerace.mm.rcupdate import synchronize_rcu
from pagerace.mm.table_variants import with_window
from pagerace.protocols._table_claims import no_table_is_there, tables_are_counted
from pagerace.protocols._table_walkers import Tables, dontneed_and_wait, read_table, setup


def read_and_wait() -> None:
    """Thread: somebody looks into the table, and may be who drops the last reference to it."""
    read_table()
    rcu_barrier()


read = protocol(
    title="a walker's reference is counted by its CPU, and a zap asks for the sum",
    kernel="lib/percpu-refcount.c: percpu_ref_switch_to_atomic_rcu()",
    commit="6375e95f381e",
    threads=[
        thread(dontneed_and_wait, cpu=0), thread(read_and_wait, cpu=1), agent(rcu_core, cpu=0)
    ],
    setup=setup,
    at_end=[tables_are_counted],
    sometimes=[no_table_is_there],
    config=[
        *with_window("percpu-ref", 4096),
        Machine(cpus=2, pages=1, frames=3, tables=2),
        PteTables(come_and_go=True, nr_ptes=True, rcu_free=True),
        Anon(private=True),
        Colours(tables=True),
        Tables(anonymous=True, mapped_pages=1, running=False),
    ],
    mutants={
        "no_grace_period": mutant(
            drop(try_to_free_user_pte, synchronize_rcu), killed_by="counter-below-zero"
        ),
    },
)
asked_twice = read.replace(
    title="of two who ask for the sum one does",
    threads=[
        thread(dontneed_and_wait, cpu=0),
        thread(dontneed_and_wait, cpu=1),
        agent(rcu_core, cpu=0),
    ],
    mutants={
        "both_do": mutant(
            force(try_to_free_user_pte, "not percpu_ref_is_dying(ref_of(table))", True),
            killed_by="double-free",
        ),
    },
)
