"""What was proposed in December 2020 for alloc_set_pte(), and how review changed it.

Linus Torvalds: allocate the table first, as for any fault, and take the PTL where it is
dropped.  That is correct; but, as Kirill Shutemov objected, a huge page finds a table then,
and is never again mapped by the PMD entry.  So the table is kept at hand until the page
cache has been looked at; Kirill's versions on the way to that had the errors below.
"""

from __future__ import annotations

from pagerace.lang import force, mutant, thread, violates
from pagerace.machine.memory import Machine
from pagerace.mm.fault_around import (
    KIRILL,
    KIRILL_ADDRESS_LOST,
    KIRILL_CHANGED_IS_SUCCESS,
    KIRILL_HUGE_KEPT,
    KIRILL_RET_RANDOM,
    LINUS,
    V5_12,
    V6_19,
)
from pagerace.mm.filemap_map import Xfs, filemap_map_pmd
from pagerace.mm.mm_types import PageCache
from pagerace.mm.table_walk import V6_5
from pagerace.protocols import t1_map_pages
from pagerace.protocols._file_fault import FAULTS, WINDOW, File, xfs_truncate
from pagerace.protocols._mapped_pages import (
    huge_page_is_mapped,
    no_table_is_lost,
    page_is_the_right_one,
    references_balance,
)

HUGE = [
    Machine(cpus=2, pages=2, frames=2, tables=2, huge_pages=True),
    PageCache(large=True),
    File(huge=True),
]

linus = t1_map_pages.v5_12.replace(
    title="a table before the page cache is looked at: small pages are mapped as before",
    kernel="mm/memory.c: do_fault_around()",
    config=[LINUS.replace(fault_around_bytes=WINDOW)],
)

linus_huge = linus.replace(
    title="a table before the page cache is looked at: a huge page is mapped by PTEs",
    threads=FAULTS,
    always=[],
    at_end=[huge_page_is_mapped],
    sometimes=[],
    config=[*HUGE],
    expect=violates(huge_page_is_mapped),
)

v5_12_huge = linus.replace(
    title="a table at hand, not installed: a huge page is mapped by the PMD entry",
    threads=FAULTS,
    at_end=[huge_page_is_mapped, references_balance, no_table_is_lost],
    sometimes=[],
    config=[V5_12.replace(fault_around_bytes=WINDOW), *HUGE],
    mutants={
        "not_by_the_pmd_entry": mutant(
            force(filemap_map_pmd, "folio_test_pmd_mappable(folio)", False),
            killed_by=huge_page_is_mapped,
        ),
    },
)

kirill = linus.replace(
    title="vmf->address goes from page to page, and comes back",
    config=[KIRILL.replace(fault_around_bytes=WINDOW)],
)

kirill_huge = v5_12_huge.replace(
    title="vmf->address goes from page to page, of a huge page",
    config=[KIRILL.replace(fault_around_bytes=WINDOW)],
    mutants={},
)

kirill_address_lost = kirill.replace(
    title="vmf->address is left at the window's start: the right page at the wrong address",
    threads=FAULTS,
    always=[page_is_the_right_one],
    at_end=[],
    sometimes=[],
    config=[KIRILL_ADDRESS_LOST.replace(fault_around_bytes=WINDOW), File(cached=0)],
    expect=violates(page_is_the_right_one),
)

kirill_huge_kept = kirill_huge.replace(
    title="a huge page that is mapped already stays locked and referenced",
    always=[],
    at_end=[references_balance],
    config=[KIRILL_HUGE_KEPT.replace(fault_around_bytes=WINDOW)],
    expect=violates(references_balance),
)

kirill_ret_random = kirill_address_lost.replace(
    title="finish_fault() gives back what was on the stack: a reference is dropped",
    always=[],
    at_end=[references_balance],
    config=[KIRILL_RET_RANDOM.replace(fault_around_bytes=WINDOW)],
    expect=violates(references_balance),
)

kirill_changed_is_success = kirill_ret_random.replace(
    title="finish_fault() says that it mapped what somebody else has: a reference is lost",
    config=[KIRILL_CHANGED_IS_SUCCESS.replace(fault_around_bytes=WINDOW)],
)

xfs = linus.replace(
    title="xfs_filemap_map_pages() holds the XFS_MMAPLOCK against truncation",
    kernel="fs/xfs/xfs_file.c: xfs_filemap_map_pages()",
    threads=[*FAULTS, thread(xfs_truncate, cpu=2)],
    config=[V5_12.replace(fault_around_bytes=WINDOW), Xfs(mmaplock=True)],
)

xfs_unlocked = xfs.replace(
    title="->map_pages() of XFS does not need the XFS_MMAPLOCK: folio locks are enough",
    config=[Xfs(mmaplock=True, map_pages=False)],
)

xfs_v6_19 = xfs.replace(
    title="RCU is entered around ->map_pages(): one that takes the XFS_MMAPLOCK may sleep",
    at_end=[],
    sometimes=[],
    config=[V6_19.replace(fault_around_bytes=WINDOW), V6_5],
    expect=violates("sleeping-while-atomic"),
)
