"""The PTEs of a walk, and their lock: T5-B4 and T5-B5.

Until v5.4 a callback got PTEs that anybody else could change, and had to take the lock itself,
or to be content with reading.  Linux kernel commit ace88f1018b8 (in v5.5) takes it.  As it
was first posted it
gave back the PTE before the one that it had come to.
"""

from __future__ import annotations

from pagerace.lang import HOLDS, drop, mutant, thread, violates
from pagerace.mm import pagewalk_ops
from pagerace.mm.pgtable_generic import pte_offset_map_lock, pte_unmap_unlock
from pagerace.mm.spinlock import spin_lock, spin_unlock
from pagerace.protocols._callbacks import FAILS_AT_ONCE, WRITE_PROTECT
from pagerace.protocols._walked import (
    Mapped,
    Walk,
    an_error_is_the_last_word,
    handled_as_ptes,
    walk,
    what_is_mapped_is_in_use,
    zap,
)
from pagerace.protocols.t5_walk import ONE_PMD, actions

error_exit = actions.replace(
    title="v4 2/9 unlocks the PTE before the one at which it stopped: there is none",
    commit="ace88f1018b8",
    kernel="mm/pagewalk.c: walk_pte_range()",
    threads=[thread(walk, FAILS_AT_ONCE, cpu=0)],
    always=[],
    sometimes=[],
    config=[pagewalk_ops.UNLOCK_BEFORE, Walk(first=Mapped.PTES, rest=Mapped.PTES)],
    expect=violates("index-out-of-range"),
    mutants={},
)

error_exit_v5_5 = error_exit.replace(
    title="v5.5 unlocks the PTE at which it stopped",
    always=[an_error_is_the_last_word],
    config=[pagewalk_ops.V5_5],
    expect=HOLDS,
)

unlocked = actions.replace(
    title="PTEs without their lock: what is zapped is written back",
    kernel="mm/pagewalk.c: walk_pte_range()",
    commit="ace88f1018b8",
    threads=[thread(walk, WRITE_PROTECT, cpu=0), thread(zap, cpu=1)],
    always=[what_is_mapped_is_in_use],
    sometimes=[],
    config=[
        pagewalk_ops.V5_4,
        ONE_PMD.replace(cpus=2),
        Walk(first=Mapped.PTES),
    ],
    expect=violates(what_is_mapped_is_in_use),
    mutants={},
)

unlocked_v5_5 = unlocked.replace(
    title="PTEs with their lock",
    sometimes=[handled_as_ptes],
    config=[pagewalk_ops.V5_5],
    expect=HOLDS,
    mutants={
        "no_lock": mutant(
            drop(pte_offset_map_lock, spin_lock),
            drop(pte_unmap_unlock, spin_unlock),
            killed_by=what_is_mapped_is_in_use,
        ),
    },
)
