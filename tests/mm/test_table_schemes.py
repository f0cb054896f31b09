"""Kernels and proposals by name: a process maps, forks, moves, and gives memory back."""

from __future__ import annotations

import pytest

from pagerace.machine.tables import page_tables
from pagerace.mm import syscalls, table_walk
from pagerace.mm.lockdep import LockClass
from pagerace.mm.mm_types import mms, pmd_ptdesc, table_lock
from pagerace.mm.mman import MADV_DONTNEED, MREMAP_FIXED, MREMAP_MAYMOVE
from pagerace.mm.pgtable import mm_find_pmd
from pagerace.mm.pgtable_generic import pte_maps, pte_offset_map, pte_unmap
from pagerace.mm.rcupdate import Rcu
from pagerace.mm.red_blue import (
    atomic_dec_unless_positive,
    atomic_inc_unless_negative,
    blue_lock,
    blue_unlock,
    red_lock,
    red_trylock,
    red_unlock,
)
from pagerace.mm.rwsem import down_read_trylock, down_write, init_rwsem, up_read_nested
from pagerace.mm.table_lock import table_read_lock, table_write_lock
from pagerace.mm.table_variants import TITLES, VARIANTS, with_window
from tests.kernel import fresh_machine
from tests.mm.processes import load, machine, mmap, store

FREEING = [
    name
    for name, (walk, *_) in VARIANTS.items()
    if isinstance(walk, table_walk.TableWalk)
    and walk.reclaim is not table_walk.Reclaim.NEVER
]
WAITS = Rcu()  # for a grace period, where there is no agent that ends one


def tables() -> int:
    return sum(page_tables.allocated(table) for table in page_tables)


def test_each_variant_says_what_it_is_and_how_it_walks() -> None:
    assert set(TITLES) == set(VARIANTS)
    assert all(isinstance(c[0], table_walk.TableWalk) for c in VARIANTS.values())


@pytest.mark.parametrize("name", VARIANTS)
def test_each_variant_serves_a_process(name: str) -> None:
    with machine(*with_window(name, 4096), WAITS):
        mmap(0, 4)
        store(0, 0)
        store(0, 3)
        assert syscalls.sys_fork(0) == 1
        store(0, 0)
        assert syscalls.sys_mremap(0, 0, 4, 4, MREMAP_MAYMOVE | MREMAP_FIXED, 8) == 8
        assert (load(0, 8), load(0, 11)) == (2, 1)
        assert syscalls.sys_munmap(0, 8, 4) == 0
        syscalls.sys_exit(1)
        assert tables() == 0


@pytest.mark.parametrize("name", FREEING)
def test_an_empty_table_goes_and_comes_back(name: str) -> None:
    with machine(*with_window(name, 4096), WAITS):
        mmap(0, 4)
        store(0, 0)
        assert tables() == 1
        assert syscalls.sys_madvise(0, 0, 4, MADV_DONTNEED) == 0
        assert tables() == 0
        store(0, 1)
        assert tables() == 1
        store(0, 0)
        assert syscalls.sys_madvise(0, 0, 1, MADV_DONTNEED) == 0
        assert tables() == 1


@pytest.mark.parametrize("name", ["v5.11", "v6.1", "v6.5"])
def test_an_empty_table_stays(name: str) -> None:
    with machine(*with_window(name, 4096), WAITS):
        mmap(0, 4)
        store(0, 0)
        assert syscalls.sys_madvise(0, 0, 4, MADV_DONTNEED) == 0
        assert tables() == 1


def test_reds_and_blues_keep_each_other_out() -> None:
    lock = table_lock()
    red_lock(lock)
    assert red_trylock(lock)
    red_unlock(lock, True)
    assert not atomic_dec_unless_positive(lock)
    red_unlock(lock, False)
    blue_lock(lock)
    assert not red_trylock(lock)
    assert not atomic_inc_unless_negative(lock)
    blue_unlock(lock)
    assert lock.count == 0
    assert atomic_inc_unless_negative(lock)


def test_a_blue_that_waits_keeps_reds_out() -> None:
    lock = table_lock()
    lock.waits = True
    assert not red_trylock(lock)


def test_a_semaphore_is_tried_for() -> None:
    lock = table_lock()
    init_rwsem(lock.rwsem, LockClass.TABLE_LOCK)
    assert down_read_trylock(lock.rwsem, LockClass.TABLE_LOCK_NESTED)
    up_read_nested(lock.rwsem, LockClass.TABLE_LOCK_NESTED)
    down_write(lock.rwsem)
    assert not down_read_trylock(lock.rwsem, LockClass.TABLE_LOCK_NESTED)


def test_locks_of_the_pmd_are_apart() -> None:
    with machine(*VARIANTS["pmd-rwsem"]):
        mm = mms[0]
        assert table_write_lock(mm, 0)
        assert not table_read_lock(mm, 1, True)
        assert table_read_lock(mm, 12, True)


def test_without_a_proposal_there_is_no_lock() -> None:
    with fresh_machine():
        assert not table_walk.tables_are_locked()
        assert len(mms[0].table_locks) == 0


def test_each_entry_and_each_walker_has_a_reference() -> None:
    with machine(*with_window("qi-zheng-v3", 4096), WAITS):
        mmap(0, 4)
        store(0, 0)
        store(0, 3)
        pmd = mm_find_pmd(mms[0], 0)
        assert pmd is not None
        count = pmd_ptdesc(pmd).pte_refcount
        assert count.counter == 2
        map = pte_maps.current
        assert pte_offset_map(mms[0], pmd, 0, map) is not None
        assert count.counter == 3
        pte_unmap(map)
        count.counter = 0
        assert pte_offset_map(mms[0], pmd, 0, map) is None
