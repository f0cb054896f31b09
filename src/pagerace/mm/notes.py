"""What the checks want to know of a gather, which is private to the thread that has it.

No kernel keeps such notes.  Each kind is made only where a protocol asks for it, and is
no part of a state where none does.
"""

from __future__ import annotations

from pagerace.lang import Array, Config, Struct, array, atomic, u2, u8
from pagerace.machine.memory import Machine, count_t, nr_t, pfn_t, ulong
from pagerace.mm.lockdep import LockClass
from pagerace.mm.sched import tasks

ROUNDS_MAX = 3
BATCHES_MAX = 4  # MmuGather.batches may not be more where delayed rmaps are noted


class Notes(Config):
    """``delayed``: rmaps that wait for a flush.  ``breaks``: whether a zap that stopped
    had got anywhere.  ``unflushed``: cleared addresses whose flush is to come.
    ``walk``: what a walk has said of each page (mm/walk_notes.py); ``changes``: and how
    often entries above the PTEs were written.
    ``installs``: whether who installs a table has mmap_lock.  ``rounds``: how often who
    locks a table had to begin again."""

    delayed: bool = False
    breaks: bool = False
    unflushed: bool = False
    walk: bool = False
    changes: bool = False
    installs: bool = False
    rounds: bool = False


class gather_notes(Struct):
    """``delayed[pfn]`` and ``in_batch[b]`` count queued pages that still have their rmap.

    ``idle_break``: zap_pte_range() has dropped the PTL without having cleared an entry.
    ``unlocked_install``: a table was installed by a task that did not hold mmap_lock.
    ``again``: rounds of __pte_offset_map_lock() in vain, up to ROUNDS_MAX.
    """

    delayed: Array[count_t] = array(lambda: Machine.frames)
    in_batch: Array[count_t] = array(BATCHES_MAX)
    idle_break: bool
    unflushed: Array[bool] = array(lambda: Machine.pages)
    unlocked_install: bool
    again: u2


notes = gather_notes()


def note_delayed(pfn: pfn_t, batch: nr_t) -> None:
    """A page was queued and its rmap kept."""
    if Notes.delayed:
        with atomic():
            notes.delayed[pfn] += 1
            notes.in_batch[batch] += 1


def note_undelayed(pfn: pfn_t, batch: nr_t) -> None:
    """Its rmap goes now.  Twice for one page is an error of its own: it wraps."""
    if Notes.delayed:
        with atomic():
            notes.delayed[pfn] -= 1
            notes.in_batch[batch] -= 1


def note_break(addr: ulong, start: ulong) -> None:
    """zap_pte_range() stops at ``addr``; this time it began at ``start``."""
    if Notes.breaks and addr == start:
        notes.idle_break = True


def note_cleared(address: ulong) -> None:
    """A PTE was cleared, and TLBs may have it yet."""
    if Notes.unflushed:
        notes.unflushed[address] = True


def note_flushed(start: ulong, end: ulong) -> None:
    """No TLB has these addresses as they were."""
    if Notes.unflushed:
        with atomic():
            for address in range(start, end):
                notes.unflushed[address] = False


def note_install() -> None:
    """A table of PTEs is about to be linked."""
    if Notes.installs and tasks.current.held_locks & (u8(1) << LockClass.MMAP_LOCK) == 0:
        notes.unlocked_install = True


def note_round() -> None:
    """A table was exchanged before it was locked."""
    if Notes.rounds:
        with atomic():
            notes.again = min(notes.again + 1, ROUNDS_MAX)
