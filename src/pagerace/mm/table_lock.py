"""A lock of the tables of PTEs, apart from mmap_lock: what was proposed on 10 November 2021.

Who walks holds it for reading, and who turns an entry of the PMD that has a table into one
that has none holds it for writing, and needs nothing else: "it favours fast walking and
penalizes mutation".  There is one for each mm, or each PMD entry has one, by a hash.

    MM_RWSEM, PMD_RWSEM  a semaphore; readers are kept out by a writer
    READ_OR_PTL          the same, given back as soon as the PTL is taken: the writer takes both
    RED_BLUE             a counter: reds walk, blues take tables away; mm/red_blue.py
    ATOMIC_UNLESS        a counter that nobody waits for who takes tables away
"""

from __future__ import annotations

from pagerace.machine.memory import ulong
from pagerace.machine.pgtable import ptrs_per_pte
from pagerace.mm.atomic import count_atomic
from pagerace.mm.lockdep import LockClass
from pagerace.mm.mm_types import mm_struct, table_lock
from pagerace.mm.red_blue import (
    atomic_dec_unless_positive,
    atomic_inc_unless_negative,
    blue_lock,
    blue_unlock,
    count_down,
    count_up,
    red_lock,
    red_trylock,
    red_unlock,
)
from pagerace.mm.rwsem import (
    down_read,
    down_read_trylock,
    down_write,
    up_read,
    up_read_nested,
    up_write,
)
from pagerace.mm.table_walk import Protection, TableWalk, table_lock_count


def lock_of(mm: mm_struct, address: ulong) -> table_lock:
    """The lock of the table of an address."""
    if table_lock_count() == 1:
        return mm.table_locks[0]
    return mm.table_locks[(address // ptrs_per_pte()) % table_lock_count()]


def table_read_lock(mm: mm_struct, address: ulong, nowait: bool) -> bool:
    """No table goes away from here on.  False, of ``nowait``: one is about to."""
    lock = lock_of(mm, address)
    if TableWalk.protection is Protection.RED_BLUE:
        if nowait:
            return red_trylock(lock)
        red_lock(lock)
        return True
    elif TableWalk.protection is Protection.ATOMIC_UNLESS:
        return atomic_inc_unless_negative(lock)
    else:
        count_atomic()
        if nowait:
            return down_read_trylock(lock.rwsem, LockClass.TABLE_LOCK_NESTED)
        down_read(lock.rwsem)
        return True


def table_read_unlock(mm: mm_struct, address: ulong, nowait: bool) -> None:
    """What table_read_lock() took with the same ``nowait``."""
    lock = lock_of(mm, address)
    if TableWalk.protection is Protection.RED_BLUE:
        red_unlock(lock, nowait)
    elif TableWalk.protection is Protection.ATOMIC_UNLESS:
        count_down(lock)
    else:
        count_atomic()
        if nowait:
            up_read_nested(lock.rwsem, LockClass.TABLE_LOCK_NESTED)
        else:
            up_read(lock.rwsem)


def table_write_lock(mm: mm_struct, address: ulong) -> bool:
    """Nobody is in a table, and nobody comes.  False: somebody is, and is not waited for."""
    lock = lock_of(mm, address)
    if TableWalk.protection is Protection.RED_BLUE:
        blue_lock(lock)
        return True
    elif TableWalk.protection is Protection.ATOMIC_UNLESS:
        return atomic_dec_unless_positive(lock)
    else:
        count_atomic()
        down_write(lock.rwsem)
        return True


def table_write_unlock(mm: mm_struct, address: ulong) -> None:
    """What table_write_lock() took."""
    lock = lock_of(mm, address)
    if TableWalk.protection is Protection.RED_BLUE:
        blue_unlock(lock)
    elif TableWalk.protection is Protection.ATOMIC_UNLESS:
        count_up(lock)
    else:
        count_atomic()
        up_write(lock.rwsem)
