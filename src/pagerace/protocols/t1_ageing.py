"""Old or young: what fault-around says of pages that nobody has touched.

Reclaim takes an accessed flag for a use.  If all that fault-around maps is young, pages look
used that nobody wanted; if all is old, the very access that faulted has the hardware set the
flag, by a locked access of its own.  Linux kernel commit 5c0a85fad949 made all old, and was
reverted by commit 315d09bf30c2.  Since commit 46bdb4277f98 (in v5.12) the architecture says
whether it wants the neighbours old.
"""

from __future__ import annotations

from pagerace.lang import HOLDS, drop, force, mutant, protocol, thread, violates
from pagerace.machine.arch import Arch
from pagerace.machine.memory import Machine
from pagerace.machine.pgtable import pte_present
from pagerace.mm.fault_around import ALL_OLD, V5_10, V5_12, WILL_V1, created_old
from pagerace.mm.file_fault import look_at_slot
from pagerace.mm.pgalloc import PteTables
from pagerace.mm.pgtable import ptep_set_access_flags
from pagerace.protocols._file_fault import WINDOW, fault_at, load_at, pte_at, setup
from pagerace.protocols._mapped_pages import neighbour_is_mapped, references_balance

X86 = Machine(cpus=1, pages=2, frames=2, tables=2)
ARM64 = Machine(arch=Arch.ARM64, cpus=1, pages=2, frames=2, tables=2)
ARM64_AFDBM = Machine(arch=Arch.ARM64_AFDBM, cpus=1, pages=2, frames=2, tables=2)


def untouched_is_old() -> bool:
    """T1-B4: page 1, which nobody touches, is not young."""
    return not pte_at(1).accessed


def faulted_is_young() -> bool:
    """T1-S8: the entry of page 0, which faults, is never old, not even for a moment."""
    return not pte_present(pte_at(0)) or pte_at(0).accessed


def faulted_is_mapped_young() -> bool:
    """At the end of the fault, before the access is tried again."""
    return pte_present(pte_at(0)) and pte_at(0).accessed


v5_12 = protocol(
    title="arm64 with the hardware flag: neighbours are old, and what faulted is young",
    kernel="mm/memory.c: do_set_pte()",
    commit="46bdb4277f98",
    threads=[thread(fault_at, 0, cpu=0)],
    setup=setup,
    always=[untouched_is_old, faulted_is_young],
    at_end=[faulted_is_mapped_young, references_balance],
    sometimes=[neighbour_is_mapped],
    config=[
        V5_12.replace(fault_around_bytes=WINDOW),
        ARM64_AFDBM,
        PteTables(come_and_go=True),
    ],
    mutants={
        "faulting_entry_old": mutant(
            force(created_old, "prefault", True), killed_by=faulted_is_young
        ),
        "neighbours_young": mutant(
            force(created_old, "arch_wants_old_prefaulted_pte()", False),
            killed_by=untouched_is_old,
        ),
    },
)

v5_12_x86 = v5_12.replace(
    title="x86: all is young, for a walker that sets the flag is what it wants to be spared",
    always=[faulted_is_young],
    config=[X86],
    mutants={},
)

v5_10 = v5_12.replace(
    title="alloc_set_pte() makes young what nobody has touched",
    commit="5c0a85fad949",
    always=[untouched_is_old],
    config=[V5_10.replace(fault_around_bytes=WINDOW), X86],
    expect=violates(untouched_is_old),
    mutants={},
)

all_old = v5_10.replace(
    title="all that is faulted around is old: so is the page that is accessed next",
    commit="315d09bf30c2",
    always=[faulted_is_young],
    config=[ALL_OLD.replace(fault_around_bytes=WINDOW)],
    expect=violates(faulted_is_young),
)

all_old_neighbours = all_old.replace(
    title="all that is faulted around is old: nothing untouched looks used",
    threads=[thread(load_at, 0, cpu=0)],
    always=[untouched_is_old],
    at_end=[faulted_is_mapped_young],
    expect=HOLDS,
)

will_v1 = v5_12.replace(
    title="all old, then what faulted is made young: right in the end",
    always=[untouched_is_old],
    config=[WILL_V1.replace(fault_around_bytes=WINDOW)],
    mutants={
        "not_made_young": mutant(
            drop(look_at_slot, ptep_set_access_flags), killed_by=faulted_is_mapped_young
        ),
    },
)

will_v1_twice = will_v1.replace(
    title="all old, then what faulted is made young: one more update on the hottest path",
    always=[faulted_is_young],
    at_end=[],
    sometimes=[],
    expect=violates(faulted_is_young),
    mutants={},
)
