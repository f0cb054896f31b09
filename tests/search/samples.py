"""Small protocols with every kind of ending."""

from __future__ import annotations

import enum

from pagerace.compiler.ir import Program
from pagerace.compiler.program import compile_protocol
from pagerace.lang import (
    HOLDS,
    READ_ONCE,
    Array,
    Struct,
    agent,
    array,
    atomic,
    choose,
    lock_order,
    protocol,
    thread,
    u8,
    violates,
    wait_until,
)


class Counter(Struct):
    value: u8
    last: Array[u8] = array(3)


class Lock(Struct):
    taken: bool


counter = Counter()
first = Lock()
second = Lock()


def increment() -> None:
    value = counter.value
    counter.value = value + 1


def no_lost_update() -> bool:
    return counter.value == 2


lost_update = protocol(
    threads=[thread(increment, cpu=0), thread(increment, cpu=1)],
    at_end=[no_lost_update],
    expect=violates(no_lost_update),
)


def lock(one: Lock) -> None:
    with atomic():
        wait_until(not one.taken)
        one.taken = True


def unlock(one: Lock) -> None:
    one.taken = False


def locked_increment() -> None:
    lock(first)
    lock(second)
    counter.value += 1
    unlock(second)
    unlock(first)


def other_way() -> None:
    lock(second)
    lock(first)
    counter.value += 1
    unlock(first)
    unlock(second)


def never_three() -> bool:
    return counter.value < 3


deadlock = protocol(
    threads=[thread(locked_increment, cpu=0), thread(other_way, cpu=1)],
    at_end=[no_lost_update],
    expect=violates("deadlock"),
)
locked = protocol(
    threads=[thread(locked_increment, cpu=0), thread(locked_increment, cpu=1)],
    always=[never_three],
    at_end=[no_lost_update],
    sometimes=[no_lost_update],
    expect=HOLDS,
)


def spin() -> None:
    while READ_ONCE(counter.value) != 1:
        pass


def poke() -> None:
    counter.value = 1
    if choose(2) == 1:
        counter.value = 2


livelock = protocol(
    threads=[thread(spin, cpu=0), thread(poke, cpu=1)], expect=violates("livelock")
)


def hardware() -> None:
    while True:
        with atomic():
            wait_until(counter.value != 0)
            counter.last[choose(3)] = counter.value


def five() -> None:
    tens = u8(choose(3))
    ones = u8(choose(2))
    counter.value = tens * 2 + ones
    assert counter.value != 5, "five is too much"


choices = protocol(
    threads=[thread(five, cpu=0), thread(increment, cpu=1)],
    expect=violates("assert"),
)
with_agent = protocol(
    threads=[thread(increment, cpu=0), thread(increment, cpu=1)],
    # Each counts on the other agent being slower than it may be.
    always=[never_three],
    expect=HOLDS,
)
with_agent = with_agent.replace(
    threads=[*with_agent.threads, agent(hardware, cpu=1, name="hardware")]
)


class LockClass(enum.Enum):
    INNER = 0
    OUTER = 1


def ordered(lock: LockClass, held: u8) -> None:
    counter.value += 1
    lock_order(lock, held)  # pyright: ignore[reportArgumentType]
    counter.value += 1


inversion = protocol(
    threads=[
        thread(ordered, LockClass.OUTER, 0b01, cpu=0),
        thread(ordered, LockClass.INNER, 0b10, cpu=1),
    ],
    expect=violates("lock-order-inversion"),
)


def loops() -> None:
    counter.value = 1
    index: u8 = 0
    while index < 200:
        index = index - index


endless = protocol(
    threads=[thread(loops, cpu=0), thread(increment, cpu=1)], expect=violates("endless-loop")
)

class Entry(Struct):
    cached: bool = True
    freed: bool
    flush_wanted: bool


entry = Entry()


def free_early() -> None:
    entry.freed = True
    entry.flush_wanted = True
    with atomic():
        wait_until(not entry.flush_wanted)


def answer() -> None:
    while True:
        with atomic():
            wait_until(entry.flush_wanted)
            entry.cached = False
            entry.flush_wanted = False


def use() -> None:
    with atomic():
        assert not (entry.cached and entry.freed)


late_flush = protocol(
    threads=[
        thread(free_early, cpu=0),
        thread(use, cpu=1),
        agent(answer, cpu=1),
    ],
    expect=violates("assert"),
)


def climb(index: u8) -> None:
    for _ in range(12):
        tall.last[index] = tall.last[index] + 1


class Tall(Struct):
    last: Array[u8] = array(6)


tall = Tall()
one_cpu = protocol(
    threads=[thread(increment, cpu=0), thread(increment, cpu=0)], at_end=[no_lost_update]
)
# More states than any test waits for.
endless_work = protocol(threads=[thread(climb, index, cpu=index) for index in range(6)])

ALL = {
    "lost_update": lost_update,
    "deadlock": deadlock,
    "locked": locked,
    "livelock": livelock,
    "choices": choices,
    "with_agent": with_agent,
    "endless": endless,
    "inversion": inversion,
    "late_flush": late_flush,
}


def program(name: str) -> Program:
    """A sample, compiled."""
    return compile_protocol(globals()[name], name)
