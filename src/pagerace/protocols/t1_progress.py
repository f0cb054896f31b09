"""Faults come to an end: the page is mapped, or the fault says why not.

One CPU faults while another one maps the same pages.  That the end can always be reached is
what every check looks for by itself (livelock); here it is how often an access faults, and
what a fault says.  The mutants are what review found in Kirill Shutemov's versions (T1-B5).
"""

from __future__ import annotations

from pagerace.lang import drop, force, mutant, protocol, thread
from pagerace.machine.arch import Arch
from pagerace.machine.memory import Machine
from pagerace.mm.fault_around import KIRILL, V5_10, V5_12, created_old
from pagerace.mm.file_fault import (
    __do_fault,
    do_fault_around,
    do_read_fault,
    finish_fault_v5_12,
    finish_pmd,
)
from pagerace.mm.filemap_map import filemap_map_pmd, map_pages
from pagerace.mm.memory import handle_pte_fault
from pagerace.mm.mm_types import PageCache
from pagerace.mm.pgalloc import PteTables
from pagerace.mm.pgtable import ptep_set_access_flags
from pagerace.protocols._fault_rules import (
    FAULTED,
    a_fault_maps_its_page,
    fault_noted,
    load_counted,
    map_around,
    one_fault_is_enough,
    served_or_told,
    setup_no_memory,
    two_faults_are_enough,
)
from pagerace.protocols._file_fault import WINDOW, File, setup
from pagerace.protocols._mapped_pages import (
    no_table_is_lost,
    page_is_the_right_one,
    references_balance,
)

AROUND = thread(map_around, FAULTED, cpu=1)
FAULT = [thread(fault_noted, FAULTED, cpu=0), AROUND]
LOAD = [thread(load_counted, FAULTED, cpu=0), AROUND]

kirill = protocol(
    title="what a fault does with a page that another one has mapped",
    kernel="mm/memory.c: finish_fault()",
    commit="f9ce0be71d1f",
    threads=FAULT,
    setup=setup,
    always=[page_is_the_right_one],
    at_end=[references_balance, no_table_is_lost, a_fault_maps_its_page],
    config=[
        KIRILL.replace(fault_around_bytes=WINDOW),
        Machine(cpus=2, pages=2, frames=2, tables=2),
        PteTables(come_and_go=True),
        File(cached=1),
    ],
    mutants={
        "result_not_set": mutant(
            force(finish_fault_v5_12, "FaultAround.ret_random", True),
            killed_by=references_balance,
        ),
        "changed_is_success": mutant(
            force(finish_fault_v5_12, "FaultAround.changed_is_success", True),
            killed_by=references_balance,
        ),
        "address_not_restored": mutant(
            force(map_pages, "FaultAround.address_restored", False),
            killed_by=page_is_the_right_one,
        ),
        "never_reads": mutant(
            force(do_read_fault, "ret != 0", True), killed_by=a_fault_maps_its_page
        ),
    },
)

kirill_huge = kirill.replace(
    title="what a fault does with a huge page that another one has mapped",
    kernel="mm/filemap.c: filemap_map_pmd()",
    threads=[thread(map_around, 0, cpu=0), AROUND],
    always=[],
    config=[
        Machine(cpus=2, pages=2, frames=2, tables=2, huge_pages=True),
        PageCache(large=True),
        File(huge=True),
    ],
    mutants={
        "huge_page_kept": mutant(
            force(filemap_map_pmd, "FaultAround.huge_put", False),
            killed_by=references_balance,
        ),
    },
)

no_memory = kirill.replace(
    title="there is no memory for a table, and the fault says so",
    setup=setup_no_memory,
    always=[],
    at_end=[served_or_told],
    config=[V5_12.replace(fault_around_bytes=WINDOW), File()],
    mutants={
        "nothing_said": mutant(
            force(do_fault_around, "vmf.prealloc_pte is None", True),
            force(do_fault_around, "FaultAround.alloc_set_pte", True),
            force(__do_fault, "vmf.prealloc_pte is None", False),
            force(finish_pmd, "pte_alloc(vmf.vma.vm_mm, vmf.pmd)", False),
            killed_by=served_or_told,
        ),
    },
)

v5_10_no_memory = no_memory.replace(
    title="there is no memory for a table: fault-around is left out, and then it is said",
    config=[V5_10.replace(fault_around_bytes=WINDOW)],
    mutants={},
)

v5_10 = no_memory.replace(
    title="a table is allocated before the RCU section of filemap_map_pages()",
    kernel="mm/memory.c: do_fault_around()",
    setup=setup,
    threads=[thread(map_around, 0, cpu=0), AROUND],
    at_end=[references_balance, no_table_is_lost, a_fault_maps_its_page],
    config=[V5_10.replace(fault_around_bytes=WINDOW)],
    mutants={
        "no_table_at_hand": mutant(
            force(do_fault_around, "no_table(vmf.pmd)", False),
            killed_by="sleeping-while-atomic",
        ),
    },
)

loads = kirill.replace(
    title="x86: an access faults once",
    kernel="mm/memory.c: do_set_pte()",
    commit="46bdb4277f98",
    threads=LOAD,
    always=[one_fault_is_enough],
    at_end=[a_fault_maps_its_page],
    config=[V5_12.replace(fault_around_bytes=WINDOW), File()],
    mutants={},
)

loads_arm64 = loads.replace(
    title="arm64 whose hardware marks nothing: an access faults once",
    config=[Machine(arch=Arch.ARM64, cpus=2, pages=2, frames=2, tables=2)],
    mutants={
        "all_old": mutant(
            force(created_old, "prefault and arch_wants_old_prefaulted_pte()", True),
            killed_by=one_fault_is_enough,
        ),
    },
)

loads_arm64_old = loads_arm64.replace(
    title="arm64 whose hardware marks nothing: an old entry costs one more fault",
    always=[two_faults_are_enough],
    edits=[force(created_old, "prefault and arch_wants_old_prefaulted_pte()", True)],
    mutants={
        "never_made_young": mutant(
            drop(handle_pte_fault, ptep_set_access_flags), killed_by=two_faults_are_enough
        ),
    },
)
