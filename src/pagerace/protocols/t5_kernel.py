"""A walk over the kernel's own tables, where no VMA is: T5-B6.

Who dumps page tables (ptdump) wants a walk that knows no VMA.  Linux kernel commit ace88f1018b8
(in v5.5) takes the lock of each table of PTEs, and those of the kernel have none.  Linux kernel
commit 3afc423632a1 (in v5.6) has mm_walk.no_vma, and takes none there.  The tables are those of
an mm here; that their locks are none is the property.
"""

from __future__ import annotations

from pagerace.lang import HOLDS, force, mutant, protocol, thread, violates
from pagerace.machine.memory import Machine
from pagerace.mm import pagewalk_ops
from pagerace.mm.anon import Anon
from pagerace.mm.mm_types import PageCache
from pagerace.mm.notes import Notes
from pagerace.mm.pagewalk_pte import walk_pte_range
from pagerace.mm.pgalloc import PteTables
from pagerace.protocols._callbacks import PTES
from pagerace.protocols._walked import (
    Mapped,
    Walk,
    handled_as_ptes,
    kernel_tables_are_not_locked,
    setup,
    walk_kernel,
    what_is_mapped_is_no_hole,
)

v5_5 = protocol(
    title="a walk without a VMA finds nothing, wherever the kernel has mapped pages",
    kernel="mm/pagewalk.c: walk_pmd_range()",
    commit="ace88f1018b8",
    threads=[thread(walk_kernel, PTES, cpu=0)],
    setup=setup,
    always=[what_is_mapped_is_no_hole, kernel_tables_are_not_locked],
    config=[
        pagewalk_ops.V5_5,
        Machine(cpus=1, pages=2, frames=4, tables=2, huge_pages=True),
        Anon(private=True),
        PageCache(large=True),
        PteTables(come_and_go=True),
        Notes(walk=True),
        Walk(first=Mapped.PTES),
    ],
    expect=violates(what_is_mapped_is_no_hole),
)

v5_6 = v5_5.replace(
    title="a walk without a VMA takes no lock of PTEs",
    kernel="mm/pagewalk.c: walk_pte_range()",
    commit="3afc423632a1",
    sometimes=[handled_as_ptes],
    config=[pagewalk_ops.V5_6],
    expect=HOLDS,
    mutants={
        "locked": mutant(
            force(walk_pte_range, "Pagewalk.no_vma and walk.no_vma", False),
            killed_by=kernel_tables_are_not_locked,
        ),
    },
)
