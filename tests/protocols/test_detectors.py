"""What a check finds in the kernel's locks and counters without being asked."""

from __future__ import annotations

import pytest

from pagerace.compiler.program import compile_protocol
from pagerace.lang.protocol import Protocol, protocol, thread
from pagerace.mm.atomic import atomic_dec_and_test, atomic_inc, atomic_t
from pagerace.mm.lockdep import LockClass
from pagerace.mm.mm_types import folio
from pagerace.mm.pagemap import folio_lock, folio_trylock, folio_unlock
from pagerace.mm.rwsem import down_read, init_rwsem, rw_semaphore, up_read
from pagerace.mm.sched import cond_resched
from pagerace.mm.spinlock import spin_lock, spin_lock_init, spin_unlock, spinlock_t
from pagerace.search import Result, check

ptl = spinlock_t()
i_mmap_rwsem = rw_semaphore()
page = folio()
counter = atomic_t()


def setup() -> None:
    spin_lock_init(ptl, LockClass.PAGE_TABLE_LOCK)
    init_rwsem(i_mmap_rwsem, LockClass.I_MMAP_RWSEM)


def read_then_folio() -> None:
    down_read(i_mmap_rwsem)
    folio_lock(page)
    folio_unlock(page)
    up_read(i_mmap_rwsem)


def folio_then_read() -> None:
    folio_lock(page)
    down_read(i_mmap_rwsem)
    up_read(i_mmap_rwsem)
    folio_unlock(page)


def read_then_try_folio() -> None:
    down_read(i_mmap_rwsem)
    if folio_trylock(page):
        folio_unlock(page)
    up_read(i_mmap_rwsem)


def sleep_under_the_ptl() -> None:
    spin_lock(ptl)
    cond_resched()
    spin_unlock(ptl)


def unlock_twice() -> None:
    spin_lock(ptl)
    spin_unlock(ptl)
    spin_unlock(ptl)


def lock_twice() -> None:
    folio_lock(page)
    folio_lock(page)


def drop_and_take() -> None:
    atomic_dec_and_test(counter)
    atomic_inc(counter)


def take_and_drop() -> None:
    atomic_inc(counter)
    atomic_dec_and_test(counter)


def run(*functions: object) -> Result:
    claim: Protocol = protocol(threads=[thread(f) for f in functions], setup=setup)  # pyright: ignore
    return check(compile_protocol(claim))


def test_two_orders_are_an_inversion_even_where_no_deadlock_follows() -> None:
    result = run(read_then_folio, folio_then_read)
    assert result.violation is not None
    assert result.violation.slug == "lock-order-inversion"
    assert "FOLIO_LOCK -> I_MMAP_RWSEM" in result.violation.text


def test_a_trylock_makes_no_order() -> None:
    assert run(read_then_try_folio, folio_then_read).verdict == "holds"


@pytest.mark.parametrize(
    ("function", "slug"),
    [
        (sleep_under_the_ptl, "sleeping-while-atomic"),
        (unlock_twice, "unlock-by-non-owner"),
        (lock_twice, "recursive-locking"),
    ],
)
def test_misuse_of_a_lock(function: object, slug: str) -> None:
    result = run(function, folio_then_read)
    assert result.violation is not None
    assert result.violation.slug == slug


def test_a_counter_below_zero_is_found_in_the_one_bad_order() -> None:
    assert run(take_and_drop, take_and_drop).verdict == "holds"
    result = run(take_and_drop, drop_and_take)
    assert result.violation is not None
    assert result.violation.slug == "counter-below-zero"
