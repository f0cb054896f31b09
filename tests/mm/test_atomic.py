from __future__ import annotations

import pytest

from pagerace.lang.structures import KernelPythonError
from pagerace.machine.memory import count_t
from pagerace.mm.atomic import (
    atomic_cmpxchg,
    atomic_dec_and_test,
    atomic_inc,
    atomic_inc_not_zero,
    atomic_read,
    atomic_set,
    atomic_t,
)


def test_a_counter_counts() -> None:
    v = atomic_t()
    assert not atomic_inc_not_zero(v)
    atomic_inc(v)
    assert atomic_inc_not_zero(v)
    assert atomic_read(v) == 2
    assert not atomic_dec_and_test(v)
    assert atomic_dec_and_test(v)


def test_cmpxchg_stores_only_over_what_it_expects() -> None:
    v = atomic_t()
    atomic_set(v, 3)
    assert atomic_cmpxchg(v, 2, 0) == 3
    assert atomic_read(v) == 3
    assert atomic_cmpxchg(v, 3, 0) == 3
    assert atomic_read(v) == 0


def test_a_counter_below_zero_is_reported() -> None:
    with pytest.raises(KernelPythonError, match="counter-below-zero"):
        atomic_dec_and_test(atomic_t())


def test_a_counter_that_is_too_large_is_reported() -> None:
    v = atomic_t()
    atomic_set(v, count_t(-1))
    with pytest.raises(KernelPythonError, match="counter-overflow"):
        atomic_inc(v)
