"""What may pmd_entry answer, so that each page is handled once and only once?

It comes back with one of three things to say: a huge page is handled; the entry is
unstable, and has to be looked at again; it is a table, and what is below is for pte_entry.
Linux kernel commit 3afc423632a1 (in v5.6) gave it three words.  Before, and in the proposals of
October 2019, two of the three share one: then a page is handled twice, or never.
"""

from __future__ import annotations

from pagerace.lang import force, mutant, protocol, thread, violates
from pagerace.machine.memory import Machine
from pagerace.mm import pagewalk_ops, table_walk
from pagerace.mm.anon import Anon
from pagerace.mm.mm_types import PageCache
from pagerace.mm.notes import Notes
from pagerace.mm.pagewalk_tables import walk_below_pmd
from pagerace.mm.pgalloc import PteTables
from pagerace.protocols._callbacks import (
    ACTION,
    FALLBACK,
    KIRILL,
    LOCKED,
    LOCKED_AND_SLEEPS,
    POSITIVE,
    RETRY,
    UNSTABLE_IS_DONE,
    ZERO,
)
from pagerace.protocols._walked import (
    an_entry_is_begun_again,
    continue_is_the_last_word,
    fault_at,
    handled_as_huge,
    handled_as_ptes,
    handled_at_least_once,
    handled_at_most_once,
    no_needless_split,
    ptes_are_in_a_table,
    ptes_come_with_their_lock,
    said_to_be_a_hole,
    setup,
    split,
    walk,
    zap,
)

BESIDE = [thread(fault_at, 0, cpu=1), thread(zap, cpu=2), thread(split, cpu=3)]
ONCE = [handled_at_most_once, handled_at_least_once]
SEEN = [handled_as_huge, handled_as_ptes, said_to_be_a_hole]

v5_6 = protocol(
    title="pmd_entry answers in walk->action: SUBTREE, CONTINUE or AGAIN",
    kernel="mm/pagewalk.c: walk_pmd_range()",
    commit="3afc423632a1",
    threads=[thread(walk, ACTION, cpu=0), *BESIDE],
    setup=setup,
    always=[
        *ONCE,
        continue_is_the_last_word,
        no_needless_split,
        ptes_are_in_a_table,
        ptes_come_with_their_lock,
    ],
    sometimes=[*SEEN, an_entry_is_begun_again],
    config=[
        pagewalk_ops.V5_6,
        Machine(cpus=4, pages=2, frames=4, tables=2, huge_pages=True),
        Anon(private=True),
        PageCache(large=True),
        PteTables(come_and_go=True),
        Notes(walk=True),
    ],
)

v6_5 = v5_6.replace(
    title="the walker answers AGAIN itself where there is no table to map",
    kernel="mm/pagewalk.c: walk_pte_range()",
    commit="be872f83bf57",
    config=[pagewalk_ops.V6_5, table_walk.V6_5],
)

v5_4 = v5_6.replace(
    title="0 means that the walk goes on, down to what was handled",
    commit="",
    threads=[thread(walk, ZERO, cpu=0)],
    always=ONCE,
    sometimes=[],
    config=[pagewalk_ops.V5_4, Machine(cpus=1, pages=2, frames=4, tables=2, huge_pages=True)],
    expect=violates(handled_at_most_once),
)

thomas = v5_6.replace(
    title="PAGE_WALK_FALLBACK goes down or looks again, and 0 goes on",
    commit="",
    threads=[thread(walk, FALLBACK, cpu=0), *BESIDE],
    always=[*ONCE, ptes_are_in_a_table],
    config=[pagewalk_ops.V4_FALLBACK],
    mutants={
        "no_unstable_test": mutant(
            force(
                walk_below_pmd,
                "Pagewalk.unstable_test and not tables_vanish() and pmd_trans_unstable(pmd)",
                False,
            ),
            killed_by=ptes_are_in_a_table,
        ),
    },
)

unstable_is_done = thomas.replace(
    title="0 for an entry that is unstable: it is handled never",
    threads=[thread(walk, UNSTABLE_IS_DONE, cpu=0), *BESIDE],
    always=ONCE,
    sometimes=[],
    mutants={},
    expect=violates(handled_at_least_once),
)

linus = thomas.replace(
    title="0 means split and do the PTEs: a huge page is handled twice",
    threads=[thread(walk, ZERO, cpu=0)],
    always=ONCE,
    sometimes=[],
    config=[pagewalk_ops.LINUS_ZERO],
    mutants={},
    expect=violates(handled_at_most_once),
)

retry = thomas.replace(
    title="0 for what is handled and for a table: it is split between, and handled twice",
    threads=[thread(walk, RETRY, cpu=0), *BESIDE],
    always=ONCE,
    sometimes=[],
    config=[pagewalk_ops.RETRY],
    mutants={},
    expect=violates(handled_at_most_once),
)

linus_positive = thomas.replace(
    title="more than 0 means handled, and 0 goes down",
    threads=[thread(walk, POSITIVE, cpu=0), *BESIDE],
    config=[pagewalk_ops.POSITIVE_HANDLED],
    mutants={},
)

kirill = thomas.replace(
    title="-EAGAIN means that the entry is to be looked at again",
    threads=[thread(walk, KIRILL, cpu=0), *BESIDE],
    config=[pagewalk_ops.KIRILL_EAGAIN],
    mutants={},
)

locked = thomas.replace(
    title="the walker takes the lock of a huge page, and pmd_entry is called of those only",
    threads=[thread(walk, LOCKED, cpu=0), *BESIDE],
    config=[pagewalk_ops.LOCKED_PMD],
    mutants={},
)

locked_and_sleeps = locked.replace(
    title="the lock around pmd_entry: who has much to do must not sleep",
    threads=[thread(walk, LOCKED_AND_SLEEPS, cpu=0)],
    always=[],
    sometimes=[],
    config=[Machine(cpus=1, pages=2, frames=4, tables=2, huge_pages=True)],
    expect=violates("sleeping-while-atomic"),
)
