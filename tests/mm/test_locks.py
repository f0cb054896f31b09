"""spinlock.py, rwsem.py, lockdep.py and sched.py: what they do and what they report."""

from __future__ import annotations

import pytest

from pagerace.lang.flow import WouldBlock
from pagerace.lang.structures import KernelPythonError
from pagerace.machine.irq import local_irq_disable
from pagerace.mm.lockdep import LockClass, lock_acquire
from pagerace.mm.rwsem import (
    down_read,
    down_write,
    downgrade_write,
    init_rwsem,
    rw_semaphore,
    up_read,
    up_write,
)
from pagerace.mm.sched import might_sleep, preempt_disable, tasks
from pagerace.mm.spinlock import (
    spin_is_locked,
    spin_lock,
    spin_lock_init,
    spin_unlock,
    spinlock_t,
)


def spinlock(key: LockClass = LockClass.PAGE_TABLE_LOCK) -> spinlock_t:
    lock = spinlock_t()
    spin_lock_init(lock, key)
    return lock


def semaphore() -> rw_semaphore:
    sem = rw_semaphore()
    init_rwsem(sem, LockClass.FOLIO_LOCK)
    return sem


def test_a_spinlock_is_held_without_sleep() -> None:
    lock = spinlock()
    spin_lock(lock)
    assert spin_is_locked(lock)
    with pytest.raises(KernelPythonError, match="sleeping-while-atomic"):
        might_sleep()
    spin_unlock(lock)
    assert not spin_is_locked(lock)
    might_sleep()


def test_a_spinlock_that_another_holds_is_waited_for() -> None:
    lock = spinlock()
    lock.locked = True
    with pytest.raises(WouldBlock):
        spin_lock(lock)


def test_an_unlock_by_a_non_owner_is_reported() -> None:
    lock = spinlock()
    lock.locked = True
    with pytest.raises(KernelPythonError, match="unlock-by-non-owner"):
        spin_unlock(lock)


def test_a_lock_that_is_taken_twice_is_reported() -> None:
    spin_lock(spinlock())
    with pytest.raises(KernelPythonError, match="recursive-locking"):
        spin_lock(spinlock())


def test_held_locks_are_one_bit_a_class() -> None:
    lock_acquire(LockClass.FOLIO_LOCK)
    spin_lock(spinlock())
    held = 1 << LockClass.FOLIO_LOCK | 1 << LockClass.PAGE_TABLE_LOCK
    assert tasks.current.held_locks == held


def test_readers_share_and_a_writer_does_not() -> None:
    sem = semaphore()
    sem.readers = 1  # of another task
    down_read(sem)
    assert sem.readers == 2
    up_read(sem)
    with pytest.raises(WouldBlock):
        down_write(sem)


def test_a_writer_excludes_all() -> None:
    sem = semaphore()
    down_write(sem)
    up_write(sem)
    sem.writer = True  # another task
    with pytest.raises(WouldBlock):
        down_read(sem)


def test_a_writer_becomes_a_reader_without_letting_go() -> None:
    sem = semaphore()
    down_write(sem)
    downgrade_write(sem)
    assert (bool(sem.writer), sem.readers) == (False, 1)
    up_read(sem)
    assert tasks.current.held_locks == 0


@pytest.mark.parametrize("take", [down_read, down_write])
def test_a_semaphore_may_not_be_taken_in_atomic_context(take: object) -> None:
    preempt_disable()
    with pytest.raises(KernelPythonError, match="sleeping-while-atomic"):
        take(semaphore())  # pyright: ignore


def test_interrupts_off_is_atomic_context_too() -> None:
    local_irq_disable()
    with pytest.raises(KernelPythonError, match="sleeping-while-atomic"):
        might_sleep()
