"""A small kernel for tests of Running: pools, references, waits, CPUs, pointers."""

from __future__ import annotations

from pagerace.lang import (
    Array,
    BitStruct,
    Config,
    Pool,
    Ref,
    Struct,
    array,
    bug_on,
    choose,
    per_thread,
    pool,
    s64,
    smp_processor_id,
    u3,
    u8,
    u40,
    u64,
    wait_until,
)
from pagerace.lang.direct import ptr


class Sizes(Config):
    pages: int = 4
    cpus: int = 2
    limit: int | None = None


class lock(Struct):
    """``holders`` by CPU."""

    held: bool
    holders: Array[u8] = array(lambda: Sizes.cpus)


class flags(BitStruct):
    dirty: bool = False
    order: u3 = 0


class page(Struct):
    flags: flags
    lock: lock
    next: page | None = None
    data: Array[u40] = array(3)


class head(Struct):
    first: page | None = None
    lock: lock
    count: u64
    level: u8 = 7


class task(Struct):
    calls: u64
    page: Ref[page]


pages: Pool[page] = pool(page, lambda: Sizes.pages)
lru = head()
tasks = per_thread(task)


def take() -> u64:
    """1 + the number of the page that was taken, or 0."""
    tasks.current.calls += 1
    taken = pages.alloc()
    if taken is None:
        return 0
    return u64(pages.index(taken)) + 1


def give(number: u64) -> None:
    pages.free(pages[number])


def push(number: u64, value: u40) -> None:
    it = pages[number]
    it.next = lru.first
    it.flags = flags(dirty=True, order=u3(value))
    it.data[2] = value
    lru.first = it
    lru.count += 1


def take_lock(number: u64) -> None:
    with_lock(pages[number].lock)


def with_lock(it: lock) -> None:
    wait_until(not it.held)
    it.held = True
    it.holders[smp_processor_id()] += 1


def total() -> u64:
    """Of what the pages on the list hold."""
    found: u64 = 0
    it = lru.first
    while it is not None:
        found += it.data[2]
        it = it.next
    return found


def sum_of(numbers: ptr[u8], count: u64) -> u64:
    found: u64 = 0
    for i in range(count):
        found += numbers[i]
        numbers[i] = 0
    return found


def minus(number: u64) -> s64:
    return s64(0) - s64(number)


def follow(it: page | None) -> u64:
    bug_on(lru.count > 3, "too-many")
    if it is None:
        return tasks.current.calls
    return it.next.data[0]  # pyright: ignore[reportOptionalMemberAccess]


def pick(number: u64) -> u64:
    return u64(choose(number))


def limit() -> u64:
    """A parameter that may be unset."""
    return 100 if Sizes.limit is None else Sizes.limit
