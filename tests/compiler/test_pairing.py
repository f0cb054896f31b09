"""Locks that leave the call in which they are taken."""

from __future__ import annotations

from pagerace.compiler.pairing import Crossing, crossings
from pagerace.compiler.program import compile_protocol
from pagerace.lang import choose, protocol, thread
from pagerace.lang.protocol import Function
from pagerace.mm.lockdep import LockClass
from pagerace.mm.spinlock import spin_lock, spin_lock_init, spin_unlock, spinlock_t

first, second = spinlock_t(), spinlock_t()


def setup() -> None:
    spin_lock_init(first, LockClass.PAGE_TABLE_LOCK)
    spin_lock_init(second, LockClass.I_MMAP_RWSEM)


def take() -> None:
    spin_lock(first)


def give() -> None:
    spin_unlock(first)


def take_if(wanted: bool) -> bool:
    if wanted:
        spin_lock(first)
    return wanted


def in_one_function() -> None:
    spin_lock(first)
    spin_unlock(first)


def nested() -> None:
    spin_lock(first)
    in_another()
    spin_unlock(first)


def in_another() -> None:
    spin_lock(second)
    spin_unlock(second)


def by_the_caller() -> None:
    take()
    spin_unlock(first)


def by_helpers() -> None:
    take()
    give()


def by_two_calls() -> None:
    lock_or_unlock(True)
    lock_or_unlock(False)


def lock_or_unlock(lock: bool) -> None:
    if lock:
        spin_lock(first)
    else:
        spin_unlock(first)


def on_one_way_only() -> None:
    if take_if(choose(2) == 1):
        spin_unlock(first)


def round_and_round() -> None:
    while take_if(choose(2) == 1):
        if choose(2) == 1:
            spin_unlock(first)


def found(function: Function, *helpers: str) -> list[tuple[str, str]]:
    program = compile_protocol(protocol(threads=[thread(function)], setup=setup))
    code = program.processes[0].code
    pairs = crossings(code, {"spin_lock"}, {"spin_unlock"}, set(helpers))
    return [(pair.taken.function, pair.released.function) for pair in pairs]


def test_a_lock_that_stays_in_its_function() -> None:
    assert found(in_one_function) == []
    assert found(nested) == []


def test_a_lock_that_the_caller_releases() -> None:
    assert found(by_the_caller) == [("take", "by_the_caller")]
    assert found(on_one_way_only) == [("take_if", "on_one_way_only")]


def test_a_loop_that_does_not_always_release_comes_to_an_end() -> None:
    assert found(round_and_round) == [("take_if", "round_and_round")]


def test_helpers_lock_for_their_callers() -> None:
    assert found(by_helpers) == [("take", "give")]
    assert found(by_helpers, "take", "give") == []


def test_two_calls_of_one_function_are_two() -> None:
    assert found(by_two_calls) == [("lock_or_unlock", "lock_or_unlock")]


def test_a_crossing_in_words() -> None:
    program = compile_protocol(protocol(threads=[thread(by_the_caller)], setup=setup))
    (pair,) = crossings(program.processes[0].code, {"spin_lock"}, {"spin_unlock"})
    assert isinstance(pair, Crossing)
    line = take.__code__.co_firstlineno
    assert str(pair) == (
        f"take() line {line + 1}, released in by_the_caller() line "
        f"{by_the_caller.__code__.co_firstlineno + 2}"
    )
