"""A walk over memory of a file, from which khugepaged takes a table away meanwhile.

The end of collapse_file(): the huge page is in the page cache, and locked.  An empty table of
PTEs is where it is to be mapped.  From v6.6 on retract_page_tables() needs no mmap_lock.
Before, it tries for it, and leaves the table alone while a walk is under way.
"""

from __future__ import annotations

from pagerace.lang import Config
from pagerace.machine.memory import Machine
from pagerace.machine.tables import PteTables
from pagerace.mm.mm_types import PageCache
from pagerace.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from pagerace.mm.notes import Notes
from pagerace.mm.pagewalk import walk_page_range
from pagerace.mm.pagewalk_ops import mm_walk_ops
from pagerace.mm.walk_notes import asked
from pagerace.protocols import _file_fault
from pagerace.protocols._file_fault import File, mm

# Two pages, which one PMD entry covers; a table may be gone, and another come.
MACHINE: list[Config] = [
    Machine(cpus=2, pages=2, frames=4, tables=3, huge_pages=True),
    PageCache(large=True),
    PteTables(come_and_go=True, rcu_free=True),
    Notes(walk=True),
    File(huge=True, table=True, collapsing=True),
]


def setup() -> None:
    """That of the faults of a file; the walk is asked about all of it."""
    _file_fault.setup()
    asked.start = 0
    asked.end = Machine.pages


def walk_file(ops: mm_walk_ops) -> None:
    """Thread: the walk, as its users in mm/ and fs/proc/ begin it."""
    mmap_read_lock(mm)
    walk_page_range(mm, asked.start, asked.end, ops)
    mmap_read_unlock(mm)
