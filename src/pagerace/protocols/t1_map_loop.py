"""What the loop of filemap_map_pages() may map, and what it owes to the fault.

It maps pages that nobody asked for.  So it looks at each under its lock: is it of this file,
has it been read, is it before the end?  And the fault has to hear of no more than is so:
"solved" where its own page is mapped, or where somebody has to look again.

T1-M9, a missing header that broke the build on one architecture, is no error of what runs,
and is not here.
"""

from __future__ import annotations

from pagerace.lang import drop, force, mutant, protocol, swap, thread
from pagerace.machine.memory import Machine
from pagerace.mm.fault_around import KIRILL, V5_10, V5_12
from pagerace.mm.file_fault import do_fault_around, fault_around_v5_10, look_at_slot
from pagerace.mm.filemap_map import filemap_map_order0_folio, filemap_map_pmd, map_pages
from pagerace.mm.filemap_next import lock_to_map, may_be_mapped
from pagerace.mm.highmem import HighPte
from pagerace.mm.mm_types import PageCache
from pagerace.mm.pagemap import folio_unlock
from pagerace.mm.pgalloc import PteTables
from pagerace.mm.set_pte import pte_unmap_unlock_of
from pagerace.mm.truncate import truncate_inode_pages, truncate_pagecache
from pagerace.protocols._fault_rules import (
    a_mapped_page_is_of_the_file,
    entries_are_of_the_vma,
    map_around,
    nothing_is_mapped_past_the_end,
    pages_are_mapped_under_their_lock,
    setup_short_file,
    setup_short_vma,
    solved_means_mapped,
    the_address_stays,
)
from pagerace.protocols._file_fault import WINDOW, File, setup, truncate
from pagerace.protocols._mapped_pages import (
    neighbour_is_mapped,
    no_table_is_lost,
    nothing_is_mapped,
    page_is_the_right_one,
    references_balance,
)

AROUND = [thread(map_around, 0, cpu=0), thread(map_around, 1, cpu=1)]
NO_LOCK = [
    force(lock_to_map, "not folio_test_uptodate(folio) or not folio_trylock(folio)", False),
    drop(lock_to_map, folio_unlock),
    drop(filemap_map_pmd, folio_unlock),
    drop(filemap_map_order0_folio, folio_unlock),
]

v5_12 = protocol(
    title="filemap_map_pages() says solved where it mapped the page of the fault",
    kernel="mm/filemap.c: filemap_map_pages()",
    commit="f9ce0be71d1f",
    threads=AROUND,
    setup=setup,
    always=[
        page_is_the_right_one,
        pages_are_mapped_under_their_lock,
        solved_means_mapped,
        the_address_stays,
    ],
    at_end=[references_balance],
    sometimes=[neighbour_is_mapped],
    config=[
        V5_12.replace(fault_around_bytes=WINDOW),
        Machine(cpus=2, pages=2, frames=2, tables=2),
        PteTables(come_and_go=True),
    ],
    mutants={
        "solved_whatever_was_mapped": mutant(
            force(filemap_map_order0_folio, "addr == address", True),
            killed_by=solved_means_mapped,
        ),
        "no_folio_lock": mutant(*NO_LOCK, killed_by=pages_are_mapped_under_their_lock),
    },
)

v5_10 = v5_12.replace(
    title="alloc_set_pte() moves vmf->address, and do_fault_around() puts it back",
    kernel="mm/memory.c: do_fault_around()",
    config=[V5_10.replace(fault_around_bytes=WINDOW), HighPte(on=True)],
    mutants={
        "unmapped_before_the_look": mutant(
            swap(fault_around_v5_10, look_at_slot, pte_unmap_unlock_of),
            killed_by="use-after-free",
        ),
    },
)

kirill = v5_12.replace(
    title="vmf->address is put back where nothing was mapped, too",
    sometimes=[],
    config=[KIRILL.replace(fault_around_bytes=WINDOW), File(cached=0)],
    mutants={
        "address_not_restored": mutant(
            force(map_pages, "FaultAround.address_restored", False),
            killed_by=the_address_stays,
        ),
    },
)

truncated = v5_12.replace(
    title="what fault-around maps is of the file, beside truncation",
    threads=[AROUND[0], thread(truncate, cpu=1)],
    always=[a_mapped_page_is_of_the_file],
    at_end=[nothing_is_mapped, references_balance],
    mutants={
        "no_folio_lock": mutant(*NO_LOCK, killed_by="bad-page-cache"),
        "pages_stay_in_the_file": mutant(
            drop(truncate_pagecache, truncate_inode_pages), killed_by=nothing_is_mapped
        ),
    },
)

short_vma = v5_12.replace(
    title="fault-around keeps within the VMA, and to what has been read",
    setup=setup_short_vma,
    threads=[thread(map_around, 0, cpu=0), thread(map_around, 0, cpu=1)],
    always=[entries_are_of_the_vma, a_mapped_page_is_of_the_file],
    sometimes=[],
    config=[
        V5_12.replace(fault_around_bytes=2 * WINDOW),
        Machine(cpus=2, pages=4, frames=4, frame_bits=3, tables=2),
        PageCache(read_later=True),
        File(cached=4),
    ],
    mutants={
        "past_the_vma": mutant(
            force(do_fault_around, "end_pgoff > vma_end", False),
            killed_by=entries_are_of_the_vma,
        ),
        "not_read_yet": mutant(
            force(lock_to_map, "not folio_test_uptodate(folio)", False),
            force(may_be_mapped, "not folio_test_uptodate(folio)", False),
            killed_by=a_mapped_page_is_of_the_file,
        ),
    },
)

short_file = short_vma.replace(
    title="fault-around keeps within the file",
    setup=setup_short_file,
    always=[nothing_is_mapped_past_the_end],
    config=[
        V5_12.replace(fault_around_bytes=WINDOW),
        Machine(cpus=2, pages=2, frames=2, tables=2),
        PageCache(),
        File(),
    ],
    mutants={
        "past_the_end_of_the_file": mutant(
            force(may_be_mapped, "xas.xa_index < i_size_read(mapping)", True),
            killed_by=nothing_is_mapped_past_the_end,
        ),
    },
)

huge_unsuitable = v5_12.replace(
    title="a huge page that the VMA has not all of is mapped by PTEs",
    kernel="mm/filemap.c: filemap_map_pmd()",
    setup=setup_short_vma,
    threads=[thread(map_around, 0, cpu=0), thread(map_around, 0, cpu=1)],
    always=[entries_are_of_the_vma, solved_means_mapped],
    at_end=[references_balance, no_table_is_lost],
    sometimes=[],
    config=[
        Machine(cpus=2, pages=2, frames=2, tables=2, huge_pages=True),
        PageCache(large=True),
        File(huge=True),
    ],
    mutants={
        "fallback_is_success": mutant(
            force(filemap_map_pmd, "do_set_pmd(vmf, folio) == 0", True),
            killed_by=solved_means_mapped,
        ),
    },
)
