"""khugepaged takes tables of a file away: who may be in them, and what was forgotten.

A huge page is in the page cache.  retract_page_tables() takes the empty tables away where it
is to be mapped, collapse_pte_mapped_thp() one whose entries map its small pages.  Whoever
has mmap_lock is kept out, or finds no table since v6.6.  Until three commits others were in
such tables: GUP-fast (T2-B3), walks by the rmap (T2-B4), and devices (T2-B5).
"""
# pyright: strict, reportPrivateUsage=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import HOLDS, agent, drop, force, mutant, protocol, thread, violates
from pagerace.machine.arch import Arch
from pagerace.machine.device import Device, device_walks
from pagerace.machine.memory import Machine
from pagerace.machine.tables import PteTables
from pagerace.machine.tlbi import receive_tlbi
from pagerace.mm import khugepaged
from pagerace.mm.khugepaged import (
    collapse_and_free_pmd,
    collapse_with_write_lock,
    invalidate_end,
)
from pagerace.mm.mmu_notifier import MmuNotifier, mmu_notifier_invalidate_range_end
from pagerace.mm.rcu_callbacks import rcu_core
from pagerace.mm.rcupdate import Rcu, __call_rcu
from pagerace.mm.table_free import tlb_remove_table_sync_one
from pagerace.mm.tlb import sysvec_call_function
from pagerace.protocols._table_claims import (
    no_table_is_there,
    tables_are_counted,
)
from pagerace.protocols._table_walkers import (
    Tables,
    collapse_mapped,
    gup_fast,
    retract,
    retract_and_wait,
    setup,
    unmap_file,
)

BROADCAST = agent(receive_tlbi, cpu=1)
INTERRUPTS = agent(sysvec_call_function, cpu=1)
HUGE = Machine(cpus=2, frames=1, tables=1, huge_pages=True)

before_2ba99c5e0881 = protocol(
    title="a table is freed while GUP-fast is in it: no CPU was waited for",
    kernel="mm/khugepaged.c: collapse_and_free_pmd()",
    commit="2ba99c5e0881",
    threads=[thread(retract, cpu=0), thread(gup_fast, cpu=1), BROADCAST],
    setup=setup,
    at_end=[tables_are_counted],
    config=[
        khugepaged.BEFORE_2BA99C5E0881,
        HUGE.replace(arch=Arch.ARM64),
        PteTables(come_and_go=True, nr_ptes=True),
        Tables(mapped_pages=0),
    ],
    expect=violates("use-after-free"),
)

v6_5 = before_2ba99c5e0881.replace(
    title="an interrupt to all CPUs comes before the table is freed",
    threads=[*before_2ba99c5e0881.threads, INTERRUPTS],
    sometimes=[no_table_is_there],
    config=[khugepaged.V6_5],
    expect=HOLDS,
    mutants={
        "not_interrupted": mutant(
            drop(collapse_and_free_pmd, tlb_remove_table_sync_one), killed_by="use-after-free"
        ),
    },
)

v6_6 = v6_5.replace(
    title="the table is freed by RCU, for which GUP-fast is a reader",
    commit="1d65b771bc08",
    threads=[
        thread(retract_and_wait, cpu=0), thread(gup_fast, cpu=1), BROADCAST,
        agent(rcu_core, cpu=0),
    ],
    config=[khugepaged.V6_6, Rcu(callbacks=True)],
    mutants={
        "no_grace_period": mutant(
            force(__call_rcu, "not rcu_is_quiescent(cpu)", False), killed_by="use-after-free"
        ),
    },
)  # fmt: skip

before_8d3c106e19e8 = before_2ba99c5e0881.replace(
    title="a table is freed under a walk by the rmap, which has no mmap_lock",
    kernel="mm/khugepaged.c: collapse_pte_mapped_thp()",
    commit="8d3c106e19e8",
    threads=[thread(collapse_mapped, cpu=0), thread(unmap_file, cpu=1), INTERRUPTS],
    config=[khugepaged.BEFORE_8D3C106E19E8, HUGE],
)

rmap_locked = before_8d3c106e19e8.replace(
    title="who takes a table away has the lock of the rmap, too",
    sometimes=[no_table_is_there],
    config=[khugepaged.V6_5],
    expect=HOLDS,
    mutants={
        "no_rmap_lock": mutant(
            force(collapse_with_write_lock, "Khugepaged.rmap_lock", False),
            killed_by="use-after-free",
        ),
    },
)

before_f268f6cf875f = before_2ba99c5e0881.replace(
    title="a table is freed, and nobody has told the device that walks it",
    commit="f268f6cf875f",
    threads=[thread(retract, cpu=0), agent(device_walks, cpu=1), INTERRUPTS],
    config=[
        khugepaged.BEFORE_F268F6CF875F,
        HUGE,
        Tables(mapped_pages=1),
        Device(present=True),
        MmuNotifier(on=True),
    ],
)

notified = before_f268f6cf875f.replace(
    title="the device forgets the table before it is freed",
    sometimes=[no_table_is_there],
    config=[khugepaged.V6_5],
    expect=HOLDS,
    mutants={
        "not_told": mutant(
            drop(invalidate_end, mmu_notifier_invalidate_range_end),
            killed_by="use-after-free",
        ),
    },
)
