"""mremap() moves entries, or a whole table, while others look for them there.

A walk by the rmap meets one VMA after the other.  Where it has been at the new one before
the entry came there, and comes to the old one when it has left, it sees none (T2-S12).
"""

from __future__ import annotations

from pagerace.lang import drop, mutant, protocol, thread
from pagerace.machine.memory import Machine
from pagerace.machine.tables import PteTables
from pagerace.mm.mm_types import Mm
from pagerace.mm.mremap import drop_rmap_locks, move_page_tables, take_rmap_locks
from pagerace.protocols._moved_table import (
    Moved,
    a_walk_misses_no_mapping,
    move,
    setup,
    the_page_is_moved,
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
