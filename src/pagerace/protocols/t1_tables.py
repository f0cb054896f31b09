"""Tables and entries while two faults fill them: which step needs which lock.

A PMD entry becomes a table under its lock, if it is none then; a PTE is set under the PTL,
if it is none then.  All else a fault does is a guess that is looked at again there.
"""

from __future__ import annotations

from pagerace.lang import drop, force, mutant, protocol, thread
from pagerace.machine.memory import Machine
from pagerace.mm.fault_around import V5_12
from pagerace.mm.filemap_map import filemap_map_order0_folio
from pagerace.mm.pgalloc import PteTables, __pte_alloc_one, clear_page, pmd_install, pte_free
from pagerace.mm.pgtable_generic import pte_offset_map_lock, pte_unmap_unlock
from pagerace.mm.spinlock import spin_lock, spin_unlock
from pagerace.mm.swap import folio_put
from pagerace.protocols._fault_rules import map_around
from pagerace.protocols._file_fault import WINDOW, File, setup
from pagerace.protocols._mapped_pages import (
    neighbour_is_mapped,
    no_table_is_lost,
    references_balance,
)
from pagerace.protocols._table_rules import (
    a_marker_stays,
    a_new_table_is_empty,
    a_table_is_linked_once,
    entries_change_under_their_ptl,
    setup_dirty_tables,
    setup_marker,
)

AROUND = [thread(map_around, 0, cpu=0), thread(map_around, 1, cpu=1)]

v5_12 = protocol(
    title="two faults bring a table each, and one is linked",
    kernel="mm/memory.c: pmd_install()",
    commit="f9ce0be71d1f",
    threads=AROUND,
    setup=setup,
    always=[a_table_is_linked_once, entries_change_under_their_ptl],
    at_end=[no_table_is_lost, references_balance],
    sometimes=[neighbour_is_mapped],
    config=[
        V5_12.replace(fault_around_bytes=WINDOW),
        Machine(cpus=2, pages=2, frames=2, tables=2),
        PteTables(come_and_go=True, nr_ptes=True),
    ],
    mutants={
        "not_looked_at_again": mutant(
            force(pmd_install, "pmd_none(pmdp_get(pmd))", True),
            killed_by=a_table_is_linked_once,
        ),
        "spare_table_kept": mutant(drop(map_around, pte_free), killed_by=no_table_is_lost),
        "entry_not_looked_at": mutant(
            force(filemap_map_order0_folio, "not pte_none(ptep_get(vmf.pte))", False),
            killed_by=entries_change_under_their_ptl,
        ),
        "reference_kept": mutant(
            drop(filemap_map_order0_folio, folio_put), killed_by=references_balance
        ),
        "no_ptl": mutant(
            drop(pte_offset_map_lock, spin_lock),
            drop(pte_unmap_unlock, spin_unlock),
            killed_by=entries_change_under_their_ptl,
        ),
    },
)

new_table = v5_12.replace(
    title="a table is empty before anybody can reach it",
    kernel="include/asm-generic/pgalloc.h: __pte_alloc_one()",
    setup=setup_dirty_tables,
    always=[a_new_table_is_empty],
    at_end=[],
    config=[Machine(cpus=2, pages=2, frames=3, tables=2)],
    mutants={
        "not_cleared": mutant(
            drop(__pte_alloc_one, clear_page), killed_by=a_new_table_is_empty
        ),
    },
)

marker = v5_12.replace(
    title="fault-around leaves a marker where it is",
    kernel="mm/filemap.c: filemap_map_pages()",
    setup=setup_marker,
    threads=[thread(map_around, 0, cpu=0), thread(map_around, 0, cpu=1)],
    always=[a_marker_stays],
    at_end=[],
    sometimes=[],
    config=[File(table=True)],
    mutants={
        "entry_not_looked_at": mutant(
            force(filemap_map_order0_folio, "not pte_none(ptep_get(vmf.pte))", False),
            killed_by=a_marker_stays,
        ),
    },
)
