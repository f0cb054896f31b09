"""What the checks want to know of a walk: what was said of each page, and when.

No kernel keeps such notes.  They are made where Notes.walk is set, of one walk, and are no
part of a state where it is not.

A page is done with when the walk has said of it: there is nothing (a hole); its callback at
the level of the huge page has answered that it goes on behind it; or its callback for PTEs
was called.  handled() is for callbacks that know better: what they do not do is not done.
"""

from __future__ import annotations

from enum import Enum

from pagerace.lang import Array, Struct, array, atomic, s32, trace, u2, u4
from pagerace.machine.memory import PAGE_SIZE, Machine, ulong
from pagerace.machine.tables import pmd_none, pmd_pfn, pmd_t, pmd_trans_huge, pmdval_t
from pagerace.mm.mm_types import ptdescs
from pagerace.mm.notes import Notes
from pagerace.mm.spinlock import spin_is_locked

MORE_THAN_ONCE = 2
AGAINS_MAX = 3


class Said(Enum):
    """The last that a walk has said of a page."""

    NOTHING = 0
    HOLE = 1
    HUGE = 2
    PTE = 3


class walk_notes(Struct):
    """``reports[i]``: how often the walk has said something of page i that it does not take
    back; MORE_THAN_ONCE is enough to know.  ``said[i]``: what.  ``outside``: of a page that it
    was not asked about.

    ``own``: the callback at work has called handled().  ``huge``: the entry that it was
    given was huge since.  ``closed[i]``: it answered CONTINUE; ``below``: a callback for PTEs
    was called all the same.

    ``agains``: how often the walk began an entry again; AGAINS_MAX is enough to know.
    ``changes``: of entries above the PTEs.  ``needless``: it split a huge page with no
    callback for PTEs, or against the word of the other.

    ``leaf``: a callback got a PTE where no table is linked; ``unlocked``: without the lock of
    that table.
    ``error``: what a callback ended the walk with.  ``late``: something was said after that.
    ``ended``: the walk has come to its end; ``wrong_error``: or did not return ``error``.
    """

    reports: Array[u2] = array(lambda: Machine.pages)
    said: Array[Said] = array(lambda: Machine.pages)
    closed: Array[bool] = array(lambda: Machine.pages)
    below: bool
    own: bool
    huge: bool
    outside: bool
    agains: u2
    changes: u4
    needless: bool
    leaf: bool
    unlocked: bool
    late: bool
    ended: bool
    wrong_error: bool
    error: s32


class walk_range(Struct):
    """``start`` to ``end`` - 1: what the walk was asked about."""

    start: ulong
    end: ulong


walked = walk_notes()
asked = walk_range()


def handled(addr: ulong, next: ulong) -> None:
    """For a callback: it does its work now, for the pages ``addr`` to ``next`` - 1.

    A callback that never calls this is taken to have worked where its answer says so.
    """
    if Notes.walk:
        with atomic():
            walked.own = True
            trace("handled: pages {} to {}", addr, next - PAGE_SIZE)
            note_report(addr, next, Said.HUGE if next - addr > 1 else Said.PTE)


def note_report(addr: ulong, next: ulong, what: Said) -> None:
    """Count what is final.  In an atomic step."""
    if walked.error != 0:
        walked.late = True
    for page in range(Machine.pages):
        if addr <= page and page < next:
            walked.reports[page] = min(walked.reports[page] + 1, MORE_THAN_ONCE)
            walked.said[page] = what
            if page < asked.start or page >= asked.end:
                walked.outside = True


def note_walk_hole(addr: ulong, next: ulong) -> None:
    """The walk finds nothing from ``addr`` to ``next`` - 1, pte_hole or not."""
    if Notes.walk:
        with atomic():
            trace("a hole: pages {} to {}", addr, next - PAGE_SIZE)
            note_report(addr, next, Said.HOLE)


def note_walk_call(pmd: pmd_t) -> None:
    """pmd_entry, or its like above, is called."""
    if Notes.walk:
        with atomic():
            if walked.error != 0:
                walked.late = True
            walked.own = False
            walked.huge = pmd_trans_huge(pmd.entry.value)


def note_walk_answer(addr: ulong, next: ulong, pmd: pmd_t, done: bool, err: s32) -> None:
    """It has answered.  ``done``: and the walk goes on behind the entry.

    That is a report if it was huge at some time during the call: of a table nobody has said
    anything, and what was none comes again as a hole, or never.
    """
    if Notes.walk:
        with atomic():
            if err != 0:
                walked.error = err
            elif done:
                if walked.own:
                    trace("CONTINUE")
                elif walked.huge or pmd_trans_huge(pmd.entry.value):
                    trace("handled as huge: pages {} to {}", addr, next - PAGE_SIZE)
                    note_report(addr, next, Said.HUGE)
                else:
                    trace("passed over: pages {} to {}", addr, next - PAGE_SIZE)
                for page in range(Machine.pages):
                    if addr <= page and page < next:
                        walked.closed[page] = True
            walked.own = False
            walked.huge = False


def note_walk_pte(addr: ulong, pmd: pmd_t) -> None:
    """pte_entry is called."""
    if Notes.walk:
        with atomic():
            if walked.error != 0:
                walked.late = True
            walked.own = False
            if walked.closed[addr]:
                walked.below = True
            value = pmd.entry.value
            if pmd_none(value) or pmd_trans_huge(value):
                walked.leaf = True
            elif not spin_is_locked(ptdescs[pmd_pfn(value)].ptl):
                walked.unlocked = True


def note_walk_pte_done(addr: ulong, err: s32) -> None:
    """It has returned."""
    if Notes.walk:
        with atomic():
            if err != 0:
                walked.error = err
            elif not walked.own:
                trace("handled as a PTE: page {}", addr)
                note_report(addr, addr + PAGE_SIZE, Said.PTE)
            walked.own = False


def note_walk_again() -> None:
    """The walk begins an entry again."""
    if Notes.walk:
        with atomic():
            trace("again")
            walked.agains = min(walked.agains + 1, AGAINS_MAX)


def note_walk_split(addr: ulong, pmd: pmd_t, wanted: bool) -> None:
    """The walk splits, if the entry is huge.  ``wanted``: a callback is there for PTEs."""
    if Notes.walk:
        with atomic():
            if pmd_trans_huge(pmd.entry.value) and (walked.closed[addr] or not wanted):
                walked.needless = True


def note_set_pmd(value: pmdval_t) -> None:
    """Somebody is about to write an entry above the PTEs."""
    if Notes.walk and pmd_trans_huge(value):
        walked.huge = True
    if Notes.changes:
        walked.changes += 1


def note_walk_end(err: s32) -> None:
    """The walk returns ``err``."""
    if Notes.walk:
        with atomic():
            if err != walked.error:
                walked.wrong_error = True
            if err == 0:
                trace("the walk is over")
                walked.ended = True
