"""atomic_t: include/linux/atomic.h.  A counter that leaves its range is reported."""

from __future__ import annotations

from pagerace.lang import READ_ONCE, WRITE_ONCE, Struct, atomic, bug_on
from pagerace.machine.counters import Counting, counters
from pagerace.machine.memory import count_t


class atomic_t(Struct):
    """A counter that changes in one locked step.  It never goes below zero here."""

    counter: count_t


def count_atomic() -> None:
    """A locked instruction is executed."""
    if Counting.on:
        counters.atomics += 1


def atomic_read(v: atomic_t) -> count_t:
    """atomic_read(): one load."""
    return READ_ONCE(v.counter)


def atomic_set(v: atomic_t, i: count_t) -> None:
    """atomic_set(): one store."""
    WRITE_ONCE(v.counter, i)


def atomic_inc(v: atomic_t) -> None:
    """atomic_inc()."""
    count_atomic()
    with atomic():
        bug_on(v.counter == count_t(-1), "counter-overflow")
        v.counter += 1


def atomic_add(i: count_t, v: atomic_t) -> None:
    """atomic_add()."""
    count_atomic()
    with atomic():
        bug_on(v.counter > count_t(-1) - i, "counter-overflow")
        v.counter += i


def atomic_dec_and_test(v: atomic_t) -> bool:
    """atomic_dec_and_test(): is it zero now?"""
    count_atomic()
    with atomic():
        bug_on(v.counter == 0, "counter-below-zero")
        v.counter -= 1
        zero = v.counter == 0
    return zero


def atomic_sub_and_test(i: count_t, v: atomic_t) -> bool:
    """atomic_sub_and_test(): is it zero now?"""
    count_atomic()
    with atomic():
        bug_on(v.counter < i, "counter-below-zero")
        v.counter -= i
        zero = v.counter == 0
    return zero


def atomic_inc_not_zero(v: atomic_t) -> bool:
    """atomic_inc_not_zero(): False, and nothing done, if it is zero."""
    count_atomic()
    with atomic():
        bug_on(v.counter == count_t(-1), "counter-overflow")
        taken = v.counter != 0
        if taken:
            v.counter += 1
    return taken


def atomic_cmpxchg(v: atomic_t, old: count_t, new: count_t) -> count_t:
    """atomic_cmpxchg(): what it held before."""
    count_atomic()
    with atomic():
        found = v.counter
        if found == old:
            v.counter = new
    return found
