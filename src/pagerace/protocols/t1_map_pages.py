"""filemap_map_pages() of v5.12 and later: with a table at hand, or without one.

filemap_map_pmd() settles the PMD entry before the PTL is taken: a huge page that is mapped,
or one that can be, or the table that do_fault_around() has allocated.  That one was thought
to be there wherever the entry is none; but the entry can become none meanwhile.  Linux
kernel commit 9aa1345d66b8 ("mm: fix oops when filemap_map_pmd() without prealloc_pte") (in
v6.7) looks; before, NULL became the table.
"""

from __future__ import annotations

from pagerace.lang import HOLDS, protocol, thread, violates
from pagerace.machine.memory import Machine
from pagerace.mm.fault_around import V5_12, V6_6, V6_7, V6_18
from pagerace.mm.mm_types import PageCache
from pagerace.mm.pgalloc import PteTables
from pagerace.mm.table_walk import V6_5
from pagerace.protocols._file_fault import (
    FAULTS,
    WINDOW,
    File,
    collapse,
    dontneed,
    setup,
    split,
    truncate,
)
from pagerace.protocols._mapped_pages import (
    huge_page_is_mapped,
    neighbour_is_mapped,
    no_table_is_lost,
    nothing_is_mapped,
    page_is_the_right_one,
    references_balance,
)

HUGE = [
    Machine(cpus=3, pages=2, frames=2, tables=3, huge_pages=True),
    PageCache(large=True),
    File(huge=True),
]

v5_12 = protocol(
    title="filemap_map_pages() maps small pages beside truncation",
    kernel="mm/filemap.c: filemap_map_pages()",
    commit="f9ce0be71d1f",
    threads=[*FAULTS, thread(truncate, cpu=2)],
    setup=setup,
    always=[page_is_the_right_one],
    at_end=[references_balance, no_table_is_lost, nothing_is_mapped],
    sometimes=[neighbour_is_mapped],
    config=[
        V5_12.replace(fault_around_bytes=WINDOW),
        Machine(cpus=3, pages=2, frames=2, tables=3),
        PteTables(come_and_go=True),
    ],
)

v5_12_zapped = v5_12.replace(
    title="filemap_map_pages() maps small pages beside MADV_DONTNEED",
    threads=[*FAULTS, thread(dontneed, cpu=2)],
    at_end=[references_balance, no_table_is_lost],
)

v5_12_huge = v5_12.replace(
    title="filemap_map_pages() maps a huge page beside MADV_DONTNEED",
    threads=[*FAULTS, thread(dontneed, cpu=2)],
    at_end=[references_balance, no_table_is_lost],
    sometimes=[huge_page_is_mapped],
    config=HUGE,
)

v5_12_split = v5_12_huge.replace(
    title="filemap_map_pmd() installs NULL: a huge page was mapped, and split",
    kernel="mm/filemap.c: filemap_map_pmd()",
    commit="9aa1345d66b8",
    threads=[*FAULTS, thread(split, cpu=2)],
    at_end=[],
    sometimes=[],
    expect=violates("null-dereference"),
)

v6_6 = v5_12_split.replace(
    title="filemap_map_pmd() installs NULL: khugepaged has taken the table away",
    threads=[FAULTS[0], thread(collapse, cpu=1), thread(split, cpu=2)],
    config=[
        V6_6.replace(fault_around_bytes=WINDOW),
        V6_5,
        PteTables(come_and_go=True, rcu_free=True),
        File(huge=True, table=True, collapsing=True),
    ],
)

v6_7 = v6_6.replace(
    title="filemap_map_pmd() installs no table where there is none at hand",
    always=[page_is_the_right_one],
    at_end=[references_balance, no_table_is_lost],
    sometimes=[neighbour_is_mapped, huge_page_is_mapped],
    config=[V6_7.replace(fault_around_bytes=WINDOW)],
    expect=HOLDS,
)

v6_7_split = v6_7.replace(
    title="filemap_map_pmd() installs no table where a huge page was mapped, and split",
    threads=[*FAULTS, thread(split, cpu=2)],
    config=[File(huge=True)],
)

v6_18 = v6_7.replace(
    title="large folios are mapped whole, beside khugepaged and a split",
    kernel="mm/filemap.c: filemap_map_folio_range()",
    config=[V6_18.replace(fault_around_bytes=WINDOW)],
)
