"""Tables that nobody points to any more, and who may still walk them."""

from __future__ import annotations

import pytest

from pagerace.compiler.program import compile_protocol
from pagerace.lang import agent, drop, force, protocol, thread
from pagerace.lang.protocol import Edit, Protocol
from pagerace.lang.structures import Config, KernelPythonError
from pagerace.machine.arch import Arch
from pagerace.machine.cpu import cpus
from pagerace.machine.entry import Colours, pte_t
from pagerace.machine.memory import Machine
from pagerace.machine.pgtable import pfn_pte, set_pte
from pagerace.machine.tables import (
    PteTables,
    page_tables,
    pmd_page_vaddr,
    pmdp_get,
    table_entry,
)
from pagerace.mm.khugepaged_anon import put_table_back
from pagerace.mm.mm_types import mm_struct, page_ptdesc
from pagerace.mm.mmu_gather import MmuGather, tlb_remove_table_free, tlb_remove_table_one
from pagerace.mm.pgalloc import (
    __pte_alloc_one,
    pmdp_collapse_flush,
    pt_rcu_heads,
    pte_free,
    pte_free_defer,
    reuse_freed_tables,
)
from pagerace.mm.pgtable_levels import init_page_table_locks
from pagerace.mm.rcu_callbacks import rcu_barrier, rcu_core
from pagerace.mm.rcupdate import Rcu, __call_rcu, quiescent_since, synchronize_rcu
from pagerace.mm.sched import tasks
from pagerace.mm.spinlock import spin_lock, spin_trylock, spin_unlock
from pagerace.mm.table_free import tlb_remove_table_sync_one
from pagerace.mm.tlb import sysvec_call_function
from pagerace.protocols._lockless_pmd import gup_fast, replace_table, setup, the_pmd
from pagerace.protocols._shared_file import mm as lockless_mm
from pagerace.search import check
from tests.kernel import fresh_machine

# arm64 broadcasts its flushes: nothing but RCU, or an interrupt, waits for the walker.
MACHINE = Machine(arch=Arch.ARM64, cpus=3, frames=2, tables=3)
NO_RCU = PteTables(come_and_go=True)
BY_RCU = PteTables(come_and_go=True, rcu_free=True)
BATCHES = [
    (BY_RCU, Rcu()),
    (BY_RCU, Rcu(callbacks=True)),
    (BY_RCU, Rcu(callbacks=True), MmuGather(table_oom=True)),
    (BY_RCU, Rcu(), MmuGather(table_oom=True, one_by_rcu=True)),
    (BY_RCU, Rcu(callbacks=True), MmuGather(table_oom=True, one_by_rcu=True)),
]


@pytest.fixture(autouse=True)
def interrupts() -> None:
    """In these checks agents answer interrupts: the machine is as it is."""


def replace_and_wait() -> None:
    """Thread: munmap(), a fault, and the end of all grace periods."""
    replace_table()
    rcu_barrier()


def all_freed() -> bool:
    """At the end: there are a table of another mm, and the one that came last."""
    count = 0
    for table in page_tables:
        if page_tables.allocated(table):
            count += 1
    return count == Machine.frames


def freeing(*config: Config, edits: tuple[Edit, ...] = ()) -> Protocol:
    """GUP-fast on CPU 2, while its table goes and another comes."""
    return protocol(
        threads=[
            thread(replace_and_wait, cpu=0), thread(gup_fast, cpu=2),
            agent(sysvec_call_function, cpu=1), agent(sysvec_call_function, cpu=2),
            *([agent(rcu_core, cpu=1)] if Rcu(callbacks=True) in config else []),
        ],
        setup=setup,
        at_end=[all_freed],
        config=[MACHINE, *config],
    ).replace(edits=edits)  # fmt: skip


@pytest.mark.parametrize("config", BATCHES, ids=range(len(BATCHES)))
def test_a_table_outlives_who_walks_it_and_goes_then(config: tuple[Config, ...]) -> None:
    assert check(compile_protocol(freeing(*config))).verdict == "holds"


MISTAKES: dict[str, tuple[tuple[Config, ...], tuple[Edit, ...]]] = {
    "the flush waits for nobody": ((NO_RCU,), ()),
    "no grace period": (BATCHES[0], (drop(tlb_remove_table_free, synchronize_rcu),)),
    "nobody is waited for": (
        BATCHES[1], (force(__call_rcu, "not rcu_is_quiescent(cpu)", False),),
    ),
    "no interrupt": (BATCHES[2], (drop(tlb_remove_table_one, tlb_remove_table_sync_one),)),
    "no grace period for one": (BATCHES[3], (drop(tlb_remove_table_one, synchronize_rcu),)),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_who_does_not_wait_frees_it_under_the_walker(name: str) -> None:
    config, edits = MISTAKES[name]
    found = check(compile_protocol(freeing(*config, edits=edits)))
    assert found.verdict == "violated"
    assert found.violation is not None
    assert found.violation.slug == "use-after-free"


def test_call_rcu_waits_for_those_alone_who_were_there() -> None:
    with fresh_machine(BY_RCU, Machine(tables=2), Rcu(callbacks=True)):
        own = mm_struct()
        table = page_tables.alloc()
        assert table is not None
        cpus[1].interrupts_off = True
        pte_free_defer(own, table)
        head = pt_rcu_heads[0]
        assert (head.queued, head.waiting) == (True, 2)
        cpus[2].interrupts_off = True  # a later reader
        assert quiescent_since(head) == 0
        cpus[1].interrupts_off = False
        assert quiescent_since(head) == 2
        assert page_tables.allocated(table)
        with pytest.raises(KernelPythonError, match="double-free"):
            pte_free_defer(own, table)


# -- colours ----------------------------------------------------------------------------


def test_a_store_into_a_table_that_nobody_finds_is_reported() -> None:
    with fresh_machine(NO_RCU, Machine(tables=2, frames=2), Colours(tables=True)):
        setup()
        lockless_mm.cpu_bitmap = 0
        pmd = the_pmd()
        table = pmd_page_vaddr(pmdp_get(pmd))
        pmdp_collapse_flush(lockless_mm, 0, pmd)
        set_pte(table.pte[0], pte_t())  # an entry that goes
        with pytest.raises(KernelPythonError, match="detached-table"):
            set_pte(table.pte[0], pfn_pte(1, False))
        put_table_back(lockless_mm, pmd, table_entry(page_tables.index(table)))
        set_pte(table.pte[0], pfn_pte(1, False))


def test_the_lock_of_a_table_goes_with_it() -> None:
    with fresh_machine(NO_RCU, Colours(tables=True)):
        init_page_table_locks(lockless_mm)
        table = __pte_alloc_one(lockless_mm)
        assert table is not None
        ptl = page_ptdesc(table).ptl
        spin_lock(ptl)
        pte_free(lockless_mm, table)
        for use in (spin_unlock, spin_trylock, spin_lock):
            with pytest.raises(KernelPythonError, match="use-after-free"):
                use(ptl)
            tasks.current.held_locks = 0
        assert __pte_alloc_one(lockless_mm) is table
        tasks.current.held_locks = 0
        ptl.locked = False
        spin_lock(ptl)


def test_whoever_takes_data_for_a_table_is_told() -> None:
    """The frame of the table that munmap() freed is data by then, and GUP-fast reads it."""
    edit = drop(tlb_remove_table_free, synchronize_rcu)
    config = (*BATCHES[0], Colours(tables=True), MACHINE.replace(tables=2))
    reused = freeing(*config, edits=(edit,))
    reused = reused.replace(threads=[*reused.threads, agent(reuse_freed_tables, cpu=0)])
    found = check(compile_protocol(reused)).violation
    assert found is not None
    assert found.slug == "use-after-free"
