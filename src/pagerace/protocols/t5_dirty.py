"""Dirty tracking of a range, PTE by PTE: T5-S8 and T5-B7.

Who has no struct page that could be dirty, as graphics memory, looks at the dirty bits of PTEs:
cleans them and notes which were set.  A CPU may have a dirty entry in its TLB until the flush,
and write through it with nobody hearing of it.  A huge page is never to be split for that.
"""

from __future__ import annotations

from pagerace.lang import HOLDS, agent, drop, force, mutant, protocol, thread, violates
from pagerace.machine.memory import Machine
from pagerace.machine.tlb import tlb_evict
from pagerace.mm.anon import Anon
from pagerace.mm.mapping_dirty_helpers import (
    DirtyHelpers,
    clean_record_pte,
    set_dirty_bit,
    wp_clean_pmd_entry,
    wp_clean_post_vma,
)
from pagerace.mm.mm_types import PageCache
from pagerace.mm.pagewalk_ops import WALKERS
from pagerace.mm.pgalloc import PteTables
from pagerace.mm.tlb import flush_tlb_mm_range, sysvec_call_function
from pagerace.protocols import _shared_file, _walked
from pagerace.protocols._dirty_range import (
    clean_and_record,
    new_writes_are_seen,
    old_writes_are_recorded,
    the_huge_page_stays,
    write_protect_range,
    written_to_since,
)
from pagerace.protocols._shared_file import user

record = protocol(
    title="each write is in the bitmap, or in a dirty bit",
    kernel="mm/mapping_dirty_helpers.c: clean_record_shared_mapping_range()",
    commit="3afc423632a1",
    threads=[
        thread(clean_and_record, cpu=0),
        thread(user, cpu=2),
        agent(sysvec_call_function, cpu=0),
        agent(sysvec_call_function, cpu=2),
        agent(tlb_evict, cpu=2),
    ],
    setup=_shared_file.setup,
    always=[old_writes_are_recorded, new_writes_are_seen],
    sometimes=[written_to_since],
    config=[*WALKERS["v5.6"]],
    mutants={
        "no_flush": mutant(
            drop(wp_clean_post_vma, flush_tlb_mm_range), killed_by=new_writes_are_seen
        ),
        "not_recorded": mutant(
            drop(clean_record_pte, set_dirty_bit), killed_by=old_writes_are_recorded
        ),
    },
)

huge_v5_5 = protocol(
    title="a tracker that cannot say CONTINUE has the walker split a huge page",
    kernel="mm/mapping_dirty_helpers.c: wp_clean_pmd_entry()",
    commit="ace88f1018b8",
    threads=[thread(write_protect_range, cpu=0)],
    setup=_walked.setup,
    always=[the_huge_page_stays],
    config=[
        *WALKERS["v5.5"],
        DirtyHelpers(actions=False),
        Machine(cpus=1, pages=2, frames=4, tables=2, huge_pages=True),
        Anon(private=True),
        PageCache(large=True),
        PteTables(come_and_go=True),
    ],
    expect=violates(the_huge_page_stays),
)

huge_v5_6 = huge_v5_5.replace(
    title="a tracker says CONTINUE to a huge page, and nobody splits it",
    commit="3afc423632a1",
    config=[*WALKERS["v5.6"], DirtyHelpers(actions=True)],
    expect=HOLDS,
    mutants={
        "warns_only": mutant(
            force(wp_clean_pmd_entry, "DirtyHelpers.actions", False),
            killed_by=the_huge_page_stays,
        ),
    },
)
