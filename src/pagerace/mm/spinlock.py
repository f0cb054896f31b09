"""Spinlocks: include/linux/spinlock.h."""

from __future__ import annotations

from pagerace.lang import READ_ONCE, Struct, atomic, bug_on, smp_store_release, wait_until
from pagerace.machine.entry import Colours
from pagerace.mm.lockdep import (
    LockClass,
    lock_acquire,
    lock_acquired,
    lock_release,
    lockdep_map,
)
from pagerace.mm.sched import Sched, preempt_disable, preempt_enable


class spinlock_t(Struct):
    """A lock that its waiters spin for.  Its holder must not sleep.

    ``freed``: the memory that it is in was freed, where Colours.tables is set.
    """

    locked: bool
    dep_map: lockdep_map
    freed: bool


def look_at_lock(lock: spinlock_t) -> None:
    """Whoever takes a lock or drops it has to know that it still is one."""
    if Colours.tables:
        bug_on(lock.freed, "use-after-free")


def spin_lock_init(lock: spinlock_t, key: LockClass) -> None:
    """spin_lock_init(): ``key`` is the class of the lock."""
    lock.dep_map.key = key


def spin_lock(lock: spinlock_t) -> None:
    """spin_lock().

    Without CONFIG_SMP it is preempt_disable(), and nobody ever has to wait; the variable is
    there for CONFIG_DEBUG_SPINLOCK (include/linux/spinlock_up.h).
    """
    preempt_disable()
    lock_acquire(lock.dep_map.key)
    raw_spin_lock(lock)


def spin_lock_nested(lock: spinlock_t, subclass: LockClass) -> None:
    """spin_lock_nested(): one of the same class is held, and for lockdep it is another."""
    preempt_disable()
    lock_acquire(subclass)
    raw_spin_lock(lock)


def raw_spin_lock(lock: spinlock_t) -> None:
    """The lock itself."""
    with atomic():
        look_at_lock(lock)
        if Sched.smp:
            wait_until(not lock.locked)
        assert not lock.locked, "a spinlock is held by a task that was preempted"
        lock.locked = True


def spin_trylock(lock: spinlock_t) -> bool:
    """spin_trylock(): False if somebody has it."""
    preempt_disable()
    with atomic():
        look_at_lock(lock)
        taken = not lock.locked
        if taken:
            lock.locked = True
    if taken:
        lock_acquired(lock.dep_map.key)
    else:
        preempt_enable()
    return taken


def spin_unlock(lock: spinlock_t) -> None:
    """spin_unlock()."""
    lock_release(lock.dep_map.key)
    look_at_lock(lock)
    smp_store_release(lock.locked, False)
    preempt_enable()


def spin_unlock_nested(lock: spinlock_t, subclass: LockClass) -> None:
    """spin_unlock() of what spin_lock_nested() took."""
    lock_release(subclass)
    smp_store_release(lock.locked, False)
    preempt_enable()


def spin_is_locked(lock: spinlock_t) -> bool:
    """spin_is_locked(): by anybody."""
    return READ_ONCE(lock.locked)
