"""Locks that are a signed counter, which were proposed for tables of PTEs in November 2021.

Above zero the counter is the number of reds, who walk; below zero that of blues, who take
tables away.  Any number of one colour can have it.  Matthew Wilcox wants a bit besides, by
which the other colour is let in; Jason Gunthorpe makes do with two atomic operations of the
kernel, and no one waits: who walks finds no table for the moment, and who would take tables
away lets them stay.
"""

from __future__ import annotations

from pagerace.lang import atomic, wait_until
from pagerace.mm.atomic import count_atomic
from pagerace.mm.lockdep import LockClass, lock_acquire, lock_acquired, lock_release
from pagerace.mm.mm_types import table_lock
from pagerace.mm.sched import preempt_disable, preempt_enable
from pagerace.mm.table_walk import TableWalk


def red_lock(lock: table_lock) -> None:
    """Become one of the reds; blues that wait come first."""
    preempt_disable()
    lock_acquire(LockClass.TABLE_LOCK)
    count_atomic()
    with atomic():
        wait_until(lock.count >= 0 and not lock.waits)
        lock.count += 1


def red_trylock(lock: table_lock) -> bool:
    """The same, if nobody has to be waited for."""
    count_atomic()
    with atomic():
        free = lock.count >= 0 and not lock.waits
        if free:
            lock.count += 1
    if free:
        preempt_disable()
        lock_acquired(LockClass.TABLE_LOCK_NESTED)
    return free


def red_unlock(lock: table_lock, nested: bool) -> None:
    """``nested``: it was red_trylock() that took it."""
    lock_release(LockClass.TABLE_LOCK_NESTED if nested else LockClass.TABLE_LOCK)
    count_down(lock)
    preempt_enable()


def blue_lock(lock: table_lock) -> None:
    """Become the one blue there is here; reds that come meanwhile wait, where it is fair."""
    preempt_disable()
    lock_acquire(LockClass.TABLE_LOCK)
    count_atomic()
    if TableWalk.fair:
        with atomic():
            wait_until(not lock.waits)
            lock.waits = True
    with atomic():
        wait_until(lock.count == 0)
        lock.count -= 1
        lock.waits = False


def blue_unlock(lock: table_lock) -> None:
    """Give it back."""
    lock_release(LockClass.TABLE_LOCK)
    count_up(lock)
    preempt_enable()


def atomic_inc_unless_negative(lock: table_lock) -> bool:
    """atomic_inc_unless_negative() of include/linux/atomic.h: False where it is negative."""
    count_atomic()
    with atomic():
        done = lock.count >= 0
        if done:
            lock.count += 1
    return done


def atomic_dec_unless_positive(lock: table_lock) -> bool:
    """atomic_dec_unless_positive() of include/linux/atomic.h: False where it is positive."""
    count_atomic()
    with atomic():
        done = lock.count <= 0
        if done:
            lock.count -= 1
    return done


def count_down(lock: table_lock) -> None:
    """atomic_dec(): one red less."""
    count_atomic()
    with atomic():
        lock.count -= 1


def count_up(lock: table_lock) -> None:
    """atomic_inc(): one blue less."""
    count_atomic()
    with atomic():
        lock.count += 1
