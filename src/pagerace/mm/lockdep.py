"""Lock classes and what each task holds: kernel/locking/lockdep.c.

The numbers follow the order at the top of mm/rmap.c: a lock with a higher number is
taken inside one with a lower number.  The check finds the order by itself; the numbers
are only names.
"""

from __future__ import annotations

from pagerace.lang import Struct, bug_on, lock_order, u3, u8
from pagerace.mm.sched import tasks

MMAP_LOCK = 0
FOLIO_LOCK = 1
I_MMAP_RWSEM = 2
PAGE_TABLE_LOCK = 3


class lockdep_map(Struct):
    """Tells lockdep which class a lock is of."""

    key: u3


def lock_acquire(key: u3) -> None:
    """lock_acquire(): note the order, before the wait.  A try never waits: see below."""
    task = tasks.current
    lock_order(key, task.held_locks)
    lock_acquired(key)


def lock_acquired(key: u3) -> None:
    """Note that the task holds a lock of this class: all there is to a trylock."""
    task = tasks.current
    bit = u8(1) << key
    bug_on(task.held_locks & bit != 0, "recursive-locking")
    task.held_locks |= bit


def lock_release(key: u3) -> None:
    """lock_release(): only who holds a lock may release it."""
    task = tasks.current
    bit = u8(1) << key
    bug_on(task.held_locks & bit == 0, "unlock-by-non-owner")
    task.held_locks &= ~bit
