"""mremap() moves entries, or a whole table, while others look for them there.

A walk by the rmap meets one VMA after the other.  Where it has been at the new one before
the entry came there, and comes to the old one when it has left, it sees none (T2-S12).  Since
v6.6 khugepaged takes a table away without mmap_lock, and mremap() took none for one (T2-B6).
"""

from __future__ import annotations

from pagerace.lang import HOLDS, drop, force, mutant, protocol, thread, violates
from pagerace.machine.memory import Machine
from pagerace.machine.tables import PteTables
from pagerace.mm import mremap, table_walk
from pagerace.mm.mm_types import Mm
from pagerace.mm.mremap import (
    drop_rmap_locks,
    move_normal_pmd,
    move_page_tables,
    move_whole_table,
    take_rmap_locks,
)
from pagerace.protocols._moved_table import (
    Moved,
    a_walk_misses_no_mapping,
    move,
    only_tables_are_moved,
    retract,
    setup,
    the_page_is_moved,
    the_table_is_moved,
    write_protect,
)

by_entries = protocol(
    title="a walk by the rmap sees an entry where it was, or where it is",
    kernel="mm/mremap.c: move_page_tables()",
    commit="eb66ae030829",
    threads=[thread(move, cpu=0), thread(write_protect, cpu=1)],
    setup=setup,
    always=[a_walk_misses_no_mapping],
    sometimes=[the_page_is_moved],
    config=[
        Machine(cpus=2, pages=2, entries=2, frames=1, tables=3),
        PteTables(come_and_go=True, nr_ptes=True),
        Mm(vmas=2),
        Moved(new_vma_first=True),
    ],
    mutants={
        "no_rmap_locks": mutant(
            drop(move_page_tables, take_rmap_locks),
            drop(move_page_tables, drop_rmap_locks),
            killed_by=a_walk_misses_no_mapping,
        ),
    },
)

by_table = by_entries.replace(
    title="a walk by the rmap sees a table where it was, or where it is",
    kernel="mm/mremap.c: move_normal_pmd()",
    config=[mremap.V6_12, Moved(new_vma_first=True, new_table=False)],
    mutants={
        "no_rmap_locks": mutant(
            drop(move_whole_table, take_rmap_locks),
            drop(move_whole_table, drop_rmap_locks),
            killed_by=a_walk_misses_no_mapping,
        ),
    },
)

v6_6 = by_table.replace(
    title="mremap() moves a table that khugepaged has taken away: frame 0 becomes one",
    commit="1d65b771bc08",
    threads=[thread(move, cpu=0), thread(retract, cpu=1)],
    always=[only_tables_are_moved],
    sometimes=[],
    config=[mremap.V6_6, table_walk.V6_5, Moved(mapped=False, new_table=False)],
    expect=violates(only_tables_are_moved),
    mutants={},
)

v6_12 = v6_6.replace(
    title="mremap() looks under the lock of the PMD entry whether it still has a table",
    sometimes=[the_table_is_moved],
    config=[mremap.V6_12],
    expect=HOLDS,
    mutants={
        "not_looked_at_again": mutant(
            force(
                move_normal_pmd,
                "Mremap.pmd_recheck and (not pmd_present(pmd) or pmd_leaf(pmd))",
                False,
            ),
            killed_by=only_tables_are_moved,
        ),
    },
)
