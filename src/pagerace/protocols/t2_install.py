"""A table that two faults bring and that khugepaged takes away: what changes a PMD entry.

Two faults look without a lock whether there is a table.  What decides is the entry under its
lock (PML).  Since v6.6 khugepaged takes a table away while faults go on.
"""

from __future__ import annotations

from pagerace.lang import drop, force, mutant, protocol, thread
from pagerace.machine.entry import Watch
from pagerace.machine.memory import Machine
from pagerace.machine.tables import PteTables
from pagerace.mm.khugepaged import retract_page_table
from pagerace.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from pagerace.mm.notes import Notes
from pagerace.mm.pgalloc import __pte_alloc, mm_dec_nr_ptes, pmd_install, pte_free
from pagerace.mm.pgtable import pmd_lock
from pagerace.mm.spinlock import spin_lock, spin_unlock
from pagerace.protocols._table_claims import (
    a_table_goes_before_another_comes,
    no_table_is_there,
    tables_are_counted,
    tables_are_installed_under_mmap_lock,
)
from pagerace.protocols._table_walkers import (
    Tables,
    alloc_table,
    retract,
    setup,
)

v6_6 = protocol(
    title="two faults bring a table while khugepaged takes one away",
    kernel="mm/memory.c: pmd_install()",
    commit="1d65b771bc08",
    threads=[
        thread(alloc_table, cpu=0, name="fault0"),
        thread(alloc_table, cpu=1, name="fault1"),
        thread(retract, cpu=0),
    ],
    setup=setup,
    always=[a_table_goes_before_another_comes, tables_are_installed_under_mmap_lock],
    at_end=[tables_are_counted],
    sometimes=[no_table_is_there],
    config=[
        Machine(cpus=2, frames=2, tables=3),
        PteTables(come_and_go=True, nr_ptes=True),
        Tables(mapped_pages=0, running=False),
        Watch(tables=True),
        Notes(installs=True),
    ],
    mutants={
        "not_looked_at_again": mutant(
            force(pmd_install, "pmd_none(pmdp_get(pmd))", True),
            killed_by=a_table_goes_before_another_comes,
        ),
        "no_locks": mutant(
            drop(pmd_lock, spin_lock),
            drop(pmd_install, spin_unlock),
            drop(retract_page_table, spin_lock),
            drop(retract_page_table, spin_unlock),
            killed_by=a_table_goes_before_another_comes,
        ),
        "spare_table_kept": mutant(drop(__pte_alloc, pte_free), killed_by=tables_are_counted),
        "not_counted": mutant(
            drop(retract_page_table, mm_dec_nr_ptes), killed_by=tables_are_counted
        ),
        "no_mmap_lock": mutant(
            drop(alloc_table, mmap_read_lock),
            drop(alloc_table, mmap_read_unlock),
            killed_by=tables_are_installed_under_mmap_lock,
        ),
    },
)
