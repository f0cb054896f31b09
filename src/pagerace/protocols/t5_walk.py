"""What the walker owes to its callbacks, whatever they answer: T5-S2 to S7, S9, P1 and P2.

One walk over two pages of one PMD entry, or over four of two; where nothing goes on beside
it, one execution is all there is, and the mutants are wrong in it.
"""

from __future__ import annotations

from pagerace.lang import drop, force, mutant, protocol, thread
from pagerace.machine.memory import Machine
from pagerace.mm import pagewalk_ops
from pagerace.mm.anon import Anon
from pagerace.mm.mm_types import PageCache
from pagerace.mm.notes import Notes
from pagerace.mm.pagewalk_tables import (
    addr_end,
    reset_action,
    walk_below_pmd,
    walk_pmd,
)
from pagerace.mm.pgalloc import PteTables
from pagerace.mm.pgtable_generic import pte_offset_map_lock, pte_unmap_unlock
from pagerace.mm.spinlock import spin_lock, spin_unlock
from pagerace.protocols._callbacks import (
    FAILS,
    HUGE_ONLY,
    LEAVES_TABLES,
    PTES,
    WHOLE_TABLE,
)
from pagerace.protocols._walked import (
    Mapped,
    Walk,
    an_error_is_the_last_word,
    continue_is_the_last_word,
    handled_as_huge,
    handled_as_ptes,
    handled_at_least_once,
    handled_at_most_once,
    keeps_to_its_range,
    no_needless_split,
    ptes_are_in_a_table,
    ptes_come_with_their_lock,
    setup,
    walk,
    what_is_mapped_is_no_hole,
)

ONE_PMD = Machine(cpus=1, pages=2, frames=4, tables=2, huge_pages=True)
TWO_PMDS = Machine(
    cpus=1, entries=2, pages=4, frames=6, frame_bits=3, tables=3, huge_pages=True
)
ONCE = [handled_at_most_once, handled_at_least_once]

actions = protocol(
    title="what one entry is answered is forgotten at the next",
    kernel="mm/pagewalk.c: walk_pmd_range()",
    commit="3afc423632a1",
    threads=[thread(walk, LEAVES_TABLES, cpu=0)],
    setup=setup,
    always=[*ONCE, no_needless_split],
    sometimes=[handled_as_huge, handled_as_ptes],
    config=[
        pagewalk_ops.V5_6,
        TWO_PMDS,
        Anon(private=True),
        PageCache(large=True),
        PteTables(come_and_go=True),
        Notes(walk=True),
        Walk(first=Mapped.HUGE, rest=Mapped.PTES),
    ],
    mutants={
        "not_forgotten": mutant(
            drop(walk_pmd, reset_action), killed_by=handled_at_least_once
        ),
        "nothing_is_heard": mutant(
            force(walk_pmd, "answer is not Next.DOWN", False), killed_by=no_needless_split
        ),
    },
)

huge_only = actions.replace(
    title="who has no pte_entry gets no huge page split",
    threads=[thread(walk, HUGE_ONLY, cpu=0)],
    always=[no_needless_split],
    sometimes=[handled_as_huge],
    config=[Walk(first=Mapped.HUGE, rest=Mapped.HUGE)],
    mutants={
        "split_for_nobody": mutant(
            force(walk_pmd, "answer is not Next.DOWN", False),
            force(walk_pmd, "ops.pte_entry is not None or ops.install_pte is not None", True),
            force(walk_below_pmd, "ops.pte_entry is None and pmd_leaf(pmdp_get(pmd))", False),
            killed_by=no_needless_split,
        ),
    },
)

whole_table = actions.replace(
    title="pmd_entry walks the PTEs itself, and pte_entry never sees them",
    threads=[thread(walk, WHOLE_TABLE, cpu=0)],
    always=[continue_is_the_last_word, *ONCE],
    sometimes=[],
    config=[Walk(first=Mapped.PTES, rest=Mapped.PTES)],
    mutants={
        "nothing_is_heard": mutant(
            force(walk_pmd, "answer is not Next.DOWN", False),
            killed_by=continue_is_the_last_word,
        ),
    },
)

errors = actions.replace(
    title="after an error nothing is called, and the walk returns it",
    threads=[thread(walk, FAILS, cpu=0)],
    always=[an_error_is_the_last_word],
    sometimes=[],
    config=[Walk(first=Mapped.PTES, rest=Mapped.PTES)],
    mutants={
        "next_table": mutant(
            force(walk_below_pmd, "walk.err != 0", False), killed_by=an_error_is_the_last_word
        ),
    },
)

part = actions.replace(
    title="of the range that was asked for, and of nothing else, something is said",
    threads=[thread(walk, PTES, cpu=0)],
    always=[
        keeps_to_its_range,
        *ONCE,
        what_is_mapped_is_no_hole,
        ptes_are_in_a_table,
        ptes_come_with_their_lock,
    ],
    sometimes=[handled_as_ptes],
    config=[Walk(first=Mapped.PTES, rest=Mapped.PTES, inner=True)],
    mutants={
        "to_the_end_of_the_table": mutant(
            force(addr_end, "ulong(boundary - 1) < ulong(end - 1)", True),
            killed_by=keeps_to_its_range,
        ),
        "again_after_the_ptes": mutant(
            force(walk_below_pmd, "asks_again(walk)", True), killed_by=handled_at_most_once
        ),
        "no_lock": mutant(
            drop(pte_offset_map_lock, spin_lock),
            drop(pte_unmap_unlock, spin_unlock),
            killed_by=ptes_come_with_their_lock,
        ),
        "not_there": mutant(
            force(walk_pmd, "no_entry(pmd, walk)", True), killed_by=what_is_mapped_is_no_hole
        ),
    },
)
