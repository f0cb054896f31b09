"""Lock classes and what each task holds: kernel/locking/lockdep.c.

A check finds by itself in which order the classes are taken.  An order and its reverse,
though in executions that have nothing to do with each other, are a lock-order inversion.
"""

from __future__ import annotations

from enum import IntEnum

from pagerace.lang import Struct, bug_on, lock_order, u8, u16
from pagerace.machine.counters import Counting, counters
from pagerace.mm.sched import tasks


class LockClass(IntEnum):
    """All classes, in the order at the top of mm/rmap.c: the outermost first."""

    MMAP_LOCK = 0
    FOLIO_LOCK = 1
    I_MMAP_RWSEM = 2
    PAGE_TABLE_LOCK = 3
    PAGE_TABLE_LOCK_NESTED = 4  # a second one, SINGLE_DEPTH_NESTING
    PMD_LOCK = 5  # pmd_lock(); PTLs are taken inside
    XFS_MMAPLOCK = 6  # inside mmap_lock; folio locks are taken inside
    ANON_VMA_RWSEM = 7
    TABLE_LOCK = 8  # proposals: inside all but PMD_LOCK and PTLs
    TABLE_LOCK_NESTED = 9  # a second one, which is only tried for


class lockdep_map(Struct):
    """Tells lockdep which class a lock is of."""

    key: LockClass


def lock_acquire(key: LockClass) -> None:
    """lock_acquire(): note the order, before the wait.  A try never waits: see below."""
    task = tasks.current
    lock_order(key, task.held_locks)
    lock_acquired(key)


def lock_acquired(key: LockClass) -> None:
    """Note that the task holds a lock of this class: all there is to a trylock."""
    task = tasks.current
    bit = u16(1) << key
    bug_on(task.held_locks & bit != 0, "recursive-locking")
    task.held_locks |= bit
    if Counting.on:
        counters.locks[u8(key)] += 1


def lock_release(key: LockClass) -> None:
    """lock_release(): only who holds a lock may release it."""
    task = tasks.current
    bit = u16(1) << key
    bug_on(task.held_locks & bit == 0, "unlock-by-non-owner")
    task.held_locks &= ~bit


def lockdep_assert_held(key: LockClass) -> None:
    """lockdep_assert_held(): the task holds a lock of this class."""
    assert tasks.current.held_locks & u16(1) << key != 0, "a lock is not held"
