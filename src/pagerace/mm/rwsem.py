"""Reader-writer semaphores: kernel/locking/rwsem.c, without the queue and its fairness."""

from __future__ import annotations

from pagerace.lang import Struct, atomic, wait_until
from pagerace.machine.memory import nr_t
from pagerace.mm.lockdep import (
    LockClass,
    lock_acquire,
    lock_acquired,
    lock_release,
    lockdep_map,
)
from pagerace.mm.sched import might_sleep


class rw_semaphore(Struct):
    """Many readers or one writer.  A waiter sleeps."""

    readers: nr_t
    writer: bool
    dep_map: lockdep_map


def init_rwsem(sem: rw_semaphore, key: LockClass) -> None:
    """init_rwsem(): ``key`` is the class of the lock."""
    sem.dep_map.key = key


def down_read(sem: rw_semaphore) -> None:
    """down_read()."""
    might_sleep()
    lock_acquire(sem.dep_map.key)
    with atomic():
        wait_until(not sem.writer)
        sem.readers += 1


def down_read_trylock(sem: rw_semaphore, subclass: LockClass) -> bool:
    """down_read_trylock(): False where there is a writer.  ``subclass``: for lockdep.

    What is never waited for can be taken in any order, and once more.
    """
    with atomic():
        free = not sem.writer
        if free:
            sem.readers += 1
    if free:
        lock_acquired(subclass)
    return free


def up_read_nested(sem: rw_semaphore, subclass: LockClass) -> None:
    """up_read() of what down_read_trylock() took."""
    lock_release(subclass)
    with atomic():
        sem.readers -= 1


def up_read(sem: rw_semaphore) -> None:
    """up_read()."""
    lock_release(sem.dep_map.key)
    with atomic():
        sem.readers -= 1


def down_write(sem: rw_semaphore) -> None:
    """down_write()."""
    might_sleep()
    lock_acquire(sem.dep_map.key)
    with atomic():
        wait_until(not sem.writer and sem.readers == 0)
        sem.writer = True


def down_write_trylock(sem: rw_semaphore) -> bool:
    """down_write_trylock(): False if it would have to wait."""
    with atomic():
        taken = not sem.writer and sem.readers == 0
        if taken:
            sem.writer = True
    if taken:
        lock_acquired(sem.dep_map.key)
    return taken


def up_write(sem: rw_semaphore) -> None:
    """up_write()."""
    lock_release(sem.dep_map.key)
    sem.writer = False


def downgrade_write(sem: rw_semaphore) -> None:
    """downgrade_write(): from the writer to one of the readers, never letting go."""
    with atomic():
        sem.writer = False
        sem.readers = 1
