"""fork() and mprotect() beside a store of another thread: T3-S6, with no pins.

fork() takes the right to write from the parent's PTEs while other threads run, and flushes
once, when all are done.  A store through a stale entry goes to the page that the child has,
too: it must have happened before fork() returned.  So it is of mprotect(PROT_READ): the flush
comes when change_pte_range() is done with all, before mmap_lock is given up.
"""

from __future__ import annotations

from pagerace.lang import agent, drop, force, mutant, protocol, swap, thread
from pagerace.machine.memory import Machine
from pagerace.machine.tlb import tlb_evict, tlb_fill
from pagerace.mm.cow import do_wp_private
from pagerace.mm.file_fault import do_cow_fault, finish_fault
from pagerace.mm.filemap import filemap_fault
from pagerace.mm.fork import copy_present_pte, dup_mmap
from pagerace.mm.mm_types import Mm, Vma
from pagerace.mm.mmu_gather import tlb_finish_mmu
from pagerace.mm.mprotect import mprotect_range, prot_commit_flush_pte
from pagerace.mm.pagemap import unlock_page
from pagerace.mm.pgtable import ptep_set_wrprotect
from pagerace.mm.tlb import flush_tlb_mm_range, sysvec_call_function
from pagerace.mm.truncate import truncate_pagecache, unmap_mapping_range
from pagerace.protocols._process import (
    child_sees_no_store,
    copied_while_it_is_cut,
    fork,
    no_store_gets_through,
    nothing_behind_the_end,
    parent_has_copied,
    protect,
    setup,
    setup_file,
    store,
    truncate,
)

HARDWARE = [
    agent(sysvec_call_function, cpu=0),
    agent(sysvec_call_function, cpu=1),
    agent(tlb_fill, cpu=1),
    agent(tlb_evict, cpu=1),
]

fork_beside_store = protocol(
    title="the child of fork() sees no store that its parent makes later",
    kernel="mm/memory.c: copy_page_range(), do_wp_page()",
    commit="6c287605fd56",
    threads=[thread(fork, cpu=0), thread(store, cpu=1), *HARDWARE],
    setup=setup,
    always=[child_sees_no_store],
    sometimes=[parent_has_copied],
    config=[
        Machine(cpus=2, pages=1, frames=4, tables=2, uppers=2),
        Mm(vmas=2, mms=2),
        Vma(flags=True),
    ],
    mutants={
        "no_flush": mutant(drop(dup_mmap, flush_tlb_mm_range), killed_by=child_sees_no_store),
        "not_write_protected": mutant(
            drop(copy_present_pte, ptep_set_wrprotect), killed_by=child_sees_no_store
        ),
        "still_exclusive": mutant(
            force(
                do_wp_private, "page.PG_anon_exclusive or wp_can_reuse_anon_folio(page)", True
            ),
            killed_by=child_sees_no_store,
        ),
    },
)

mprotect_beside_store = protocol(
    title="no store gets through once mprotect(PROT_READ) has returned",
    kernel="mm/mprotect.c: change_pte_range()",
    threads=[thread(protect, cpu=0), thread(store, cpu=1), *HARDWARE],
    setup=setup,
    always=[no_store_gets_through],
    config=[
        Machine(cpus=2, pages=1, frames=3, tables=2, uppers=2, prot_none=True),
        Mm(vmas=2, mms=2),
        Vma(flags=True),
    ],
    mutants={
        "no_flush": mutant(
            force(prot_commit_flush_pte, "pte_needs_flush(oldpte, ptent)", False),
            killed_by=no_store_gets_through,
        ),
        "no_flush_at_the_end": mutant(
            drop(mprotect_range, tlb_finish_mmu), killed_by=no_store_gets_through
        ),
        "write_given_back": mutant(
            force(
                prot_commit_flush_pte,
                "upgrade and not pte_write(ptent) and can_change_pte_writable(vma, ptent)",
                True,
            ),
            killed_by=no_store_gets_through,
        ),
    },
)

truncate_beside_store = protocol(
    title="ftruncate() leaves no private copy of a page that it has cut off",
    kernel="mm/truncate.c: truncate_pagecache()",
    threads=[thread(truncate, cpu=0), thread(store, cpu=1), *HARDWARE],
    setup=setup_file,
    always=[nothing_behind_the_end],
    sometimes=[copied_while_it_is_cut],
    config=[
        Machine(cpus=2, pages=1, frames=4, tables=1, uppers=1),
        Mm(vmas=2),
        Vma(flags=True),
    ],
    mutants={
        "unmapped_once": mutant(
            drop(truncate_pagecache, unmap_mapping_range, which=1),
            killed_by=nothing_behind_the_end,
        ),
        "length_not_looked_at": mutant(
            force(filemap_fault, "index >= i_size_read(mapping)", False),
            killed_by=nothing_behind_the_end,
        ),
        "unlocked_before_it_is_mapped": mutant(
            swap(do_cow_fault, finish_fault, unlock_page), killed_by=nothing_behind_the_end
        ),
    },
)
