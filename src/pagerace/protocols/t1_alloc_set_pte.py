"""alloc_set_pte() of v5.10: does it sleep in the RCU section of filemap_map_pages()?

do_fault_around() allocates a table if it sees none.  A huge page that is mapped meanwhile
makes it see one that is no table; if that goes again, and the page cache has small pages
then, alloc_set_pte() has to allocate, in the RCU section.
"""

from __future__ import annotations

from pagerace.lang import protocol, thread, violates
from pagerace.machine.memory import Machine
from pagerace.mm.fault_around import V5_10
from pagerace.mm.mm_types import PageCache
from pagerace.mm.pgalloc import PteTables
from pagerace.protocols._file_fault import FAULTS, WINDOW, File, setup, split, truncate
from pagerace.protocols._mapped_pages import (
    neighbour_is_mapped,
    no_table_is_lost,
    nothing_is_mapped,
    page_is_the_right_one,
    references_balance,
)

TWO_PAGES = [
    Machine(cpus=3, pages=2, frames=2, tables=3),
    PteTables(come_and_go=True),
]

v5_10 = protocol(
    title="alloc_set_pte() maps small pages beside truncation, and allocates where it may",
    kernel="mm/memory.c: alloc_set_pte()",
    commit="f9ce0be71d1f",
    threads=[*FAULTS, thread(truncate, cpu=2)],
    setup=setup,
    always=[page_is_the_right_one],
    at_end=[references_balance, no_table_is_lost, nothing_is_mapped],
    sometimes=[neighbour_is_mapped],
    config=[V5_10.replace(fault_around_bytes=WINDOW), *TWO_PAGES],
)

v5_10_huge = v5_10.replace(
    title="alloc_set_pte() sleeps in the RCU section of filemap_map_pages()",
    threads=[*FAULTS, thread(split, cpu=2)],
    at_end=[],
    sometimes=[],
    config=[
        Machine(cpus=3, pages=2, frames=2, tables=3, huge_pages=True),
        File(huge=True),
        PageCache(large=True),
    ],
    expect=violates("sleeping-while-atomic"),
)
