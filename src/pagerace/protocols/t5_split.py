"""A huge page that is split beside the walk, and stays mapped: T5-B1 as the mail has it.

Of a huge page of anonymous memory the split leaves a table of PTEs that map its pages.  So
nobody needs to zap it, and no fault need come, for what was handled to be handled again.
"""

from __future__ import annotations

from pagerace.lang import HOLDS, force, mutant, protocol, thread, violates
from pagerace.machine.memory import Machine
from pagerace.mm import pagewalk_ops
from pagerace.mm.anon import Anon
from pagerace.mm.mm_types import PageCache, Thp
from pagerace.mm.notes import Notes
from pagerace.mm.pagewalk_tables import answer_of
from pagerace.mm.pgalloc import PteTables
from pagerace.protocols._callbacks import ACTION, RETRY
from pagerace.protocols._walked import (
    handled_as_huge,
    handled_as_ptes,
    handled_at_least_once,
    handled_at_most_once,
    setup,
    split,
    walk,
    what_is_mapped_is_no_hole,
)

retry = protocol(
    title="0 for what is handled and for a table: a split between, and handled twice",
    kernel="mm/pagewalk.c: walk_pmd_range()",
    threads=[thread(walk, RETRY, cpu=0), thread(split, cpu=1)],
    setup=setup,
    always=[handled_at_most_once, handled_at_least_once, what_is_mapped_is_no_hole],
    config=[
        pagewalk_ops.RETRY,
        Machine(cpus=2, pages=2, frames=4, tables=2, huge_pages=True),
        Anon(private=True),
        PageCache(large=True),
        Thp(anonymous=True),
        PteTables(come_and_go=True),
        Notes(walk=True),
    ],
    expect=violates(handled_at_most_once),
)

v5_6 = retry.replace(
    title="CONTINUE is heard, whatever the entry has become",
    commit="3afc423632a1",
    threads=[thread(walk, ACTION, cpu=0), thread(split, cpu=1)],
    sometimes=[handled_as_huge, handled_as_ptes],
    config=[pagewalk_ops.V5_6],
    expect=HOLDS,
    mutants={
        "nothing_is_heard": mutant(
            force(answer_of, "Pagewalk.answer is Answer.ACTION", False),
            killed_by=handled_at_most_once,
        ),
    },
)
