"""A walk that begins an entry again: for a reason, and not for ever: T5-P1, P2 and B8.

AGAIN is for what changed while it was looked at.  Who says it of what never changes goes round
for ever, with mmap_lock held.
"""

from __future__ import annotations

from pagerace.lang import force, mutant, thread, violates
from pagerace.mm.notes import Notes
from pagerace.mm.pagewalk_tables import walk_below_pmd
from pagerace.protocols._callbacks import ACTION, AGAIN_FOR_A_TABLE, PTES, action
from pagerace.protocols._walked import (
    Mapped,
    Walk,
    an_entry_is_begun_again,
    begins_again_for_a_reason,
    begins_again_once,
    fault_at,
    walk,
    zap,
)
from pagerace.protocols.t5_walk import ONE_PMD, actions

alone = actions.replace(
    title="where nothing interferes, no entry is begun more than once more",
    threads=[thread(walk, PTES, cpu=0)],
    always=[begins_again_once],
    sometimes=[],
    config=[ONE_PMD, Walk(first=Mapped.PTES)],
    mutants={
        "always_unstable": mutant(
            force(
                walk_below_pmd,
                "Pagewalk.unstable_test and not tables_vanish() and pmd_trans_unstable(pmd)",
                True,
            ),
            killed_by=begins_again_once,
        ),
    },
)

reasons = actions.replace(
    title="an entry is begun again if it has changed",
    threads=[thread(walk, ACTION, cpu=0), thread(fault_at, 0, cpu=1), thread(zap, cpu=2)],
    always=[begins_again_for_a_reason],
    sometimes=[an_entry_is_begun_again],
    config=[ONE_PMD.replace(cpus=3), Walk(first=Mapped.HUGE), Notes(walk=True, changes=True)],
    mutants={
        "for_no_reason": mutant(
            force(action, "is_unstable(pmd)", True), killed_by=begins_again_for_a_reason
        ),
    },
)

no_progress = actions.replace(
    title="AGAIN for what never changes: the walk never ends, with mmap_lock held",
    threads=[thread(walk, AGAIN_FOR_A_TABLE, cpu=0), thread(fault_at, 0, cpu=1)],
    always=[],
    sometimes=[],
    config=[ONE_PMD.replace(cpus=2), Walk(first=Mapped.NOTHING)],
    expect=violates("livelock"),
    mutants={},
)
