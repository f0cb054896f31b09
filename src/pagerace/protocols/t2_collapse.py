"""khugepaged copies what GUP-fast has just pinned (T2-B2): small anonymous pages.

The PMD entry is cleared first.  Where the flush that follows interrupts all CPUs, nobody is
in the table any more when the references are counted.  Where it does not, GUP-fast is told
apart by its second look: who has pinned a page looks whether the way to it still is there.
"""

from __future__ import annotations

from pagerace.lang import HOLDS, agent, drop, force, mutant, protocol, thread, violates
from pagerace.machine.arch import Arch
from pagerace.machine.entry import Watch
from pagerace.machine.memory import Machine
from pagerace.machine.tables import PteTables
from pagerace.machine.tlbi import receive_tlbi
from pagerace.mm import gup
from pagerace.mm.anon import Anon
from pagerace.mm.gup import gup_pte_range
from pagerace.mm.khugepaged import Khugepaged
from pagerace.mm.khugepaged_anon import __collapse_huge_page_isolate
from pagerace.mm.pgalloc import pmdp_collapse_flush
from pagerace.mm.tlb import flush_tlb_mm_range, sysvec_call_function
from pagerace.protocols._table_claims import (
    a_huge_page_is_mapped,
    a_pin_is_of_what_is_mapped,
    a_table_goes_before_another_comes,
    tables_are_counted,
)
from pagerace.protocols._table_walkers import (
    Tables,
    collapse,
    gup_fast_and_keep,
    setup,
)

THREADS = [thread(collapse, cpu=0), thread(gup_fast_and_keep, cpu=1)]

v6_0 = protocol(
    title="GUP-fast gives a page that the process does not see any more: it was copied",
    kernel="mm/gup.c: gup_pte_range()",
    commit="70cbc3cc78a9",
    threads=[*THREADS, agent(receive_tlbi, cpu=1)],
    setup=setup,
    at_end=[a_pin_is_of_what_is_mapped],
    config=[
        gup.V6_0,
        Khugepaged(sync_one=False),
        Machine(arch=Arch.ARM64, cpus=2, frames=3, tables=1, huge_pages=True),
        PteTables(come_and_go=True, nr_ptes=True),
        Anon(private=True),
        Tables(anonymous=True),
    ],
    expect=violates(a_pin_is_of_what_is_mapped),
)

v6_1 = v6_0.replace(
    title="GUP-fast looks at the PMD entry again when it has the page",
    always=[a_table_goes_before_another_comes],
    at_end=[a_pin_is_of_what_is_mapped, tables_are_counted],
    sometimes=[a_huge_page_is_mapped],
    config=[gup.V6_1, Watch(tables=True)],
    expect=HOLDS,
    mutants={
        "no_second_look": mutant(
            force(gup_pte_range, "Gup.pmd_recheck and pmd_changed(pmd, entry)", False),
            killed_by=a_pin_is_of_what_is_mapped,
        ),
        "references_not_counted": mutant(
            force(__collapse_huge_page_isolate, "not is_refcount_suitable(page)", False),
            killed_by=a_pin_is_of_what_is_mapped,
        ),
    },
)

v6_0_by_ipi = v6_0.replace(
    title="a flush that interrupts GUP-fast comes before references are counted",
    threads=[*THREADS, agent(sysvec_call_function, cpu=1)],
    config=[Machine(cpus=2, frames=3, tables=1, huge_pages=True)],
    sometimes=[a_huge_page_is_mapped],
    expect=HOLDS,
    mutants={
        "no_flush": mutant(
            drop(pmdp_collapse_flush, flush_tlb_mm_range),
            killed_by=a_pin_is_of_what_is_mapped,
        ),
    },
)
