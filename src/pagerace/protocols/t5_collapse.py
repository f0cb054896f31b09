"""A table that khugepaged takes away beside the walk: it need not stay until v6.6.

retract_page_tables() tried for mmap_lock, which walks hold, until Linux kernel commit
1d65b771bc08 (in v6.6).  So walkers had to bear with a table that is gone first: Linux kernel
commit be872f83bf57 (in v6.5).
"""
# pyright: strict, reportPrivateUsage=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import agent, force, mutant, protocol, thread, violates
from pagerace.mm import khugepaged, pagewalk_ops
from pagerace.mm.pgtable_generic import __pte_offset_map_lock
from pagerace.mm.table_variants import VARIANTS
from pagerace.mm.tlb import sysvec_call_function
from pagerace.protocols._callbacks import PTES
from pagerace.protocols._file_fault import collapse
from pagerace.protocols._walked import (
    an_entry_is_begun_again,
    handled_as_ptes,
    handled_at_least_once,
    handled_at_most_once,
    ptes_are_in_a_table,
    said_to_be_a_hole,
)
from pagerace.protocols._walked_file import MACHINE, setup, walk_file

v6_6 = protocol(
    title="a table goes under a walk, which looks again, and finds nothing",
    kernel="mm/khugepaged.c: retract_page_tables()",
    commit="1d65b771bc08",
    threads=[thread(walk_file, PTES, cpu=0), thread(collapse, cpu=1)],
    setup=setup,
    always=[ptes_are_in_a_table, handled_at_most_once, handled_at_least_once],
    sometimes=[handled_as_ptes, said_to_be_a_hole, an_entry_is_begun_again],
    config=[*MACHINE, pagewalk_ops.V6_5, *VARIANTS["v6.5"], khugepaged.V6_6],
    mutants={
        "not_looked_at_again": mutant(
            force(__pte_offset_map_lock, "pmd_same(map.pmdval, pmdp_get_lockless(pmd))", True),
            killed_by=ptes_are_in_a_table,
        ),
    },
)

v6_5 = v6_6.replace(
    title="who needs mmap_lock for writing leaves the table alone while it is walked",
    threads=[*v6_6.threads, agent(sysvec_call_function, cpu=0)],
    sometimes=[handled_as_ptes, said_to_be_a_hole],
    config=[khugepaged.V6_5],
    mutants={},
)

not_prepared = v6_6.replace(
    title="a walker that believes in tables that stay, beside who needs no mmap_lock",
    sometimes=[],
    config=[pagewalk_ops.V5_6, *VARIANTS["v5.11"]],
    expect=violates(ptes_are_in_a_table),
    mutants={},
)
