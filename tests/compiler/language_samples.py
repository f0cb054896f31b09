"""Functions of kernel Python, each run as plain Python and by the interpreter."""

from __future__ import annotations

from enum import Enum

from pagerace.lang import (
    READ_ONCE,
    WRITE_ONCE,
    Array,
    BitStruct,
    Config,
    Ref,
    Struct,
    array,
    atomic,
    cmpxchg,
    pool,
    s8,
    s32,
    trace,
    u3,
    u4,
    u8,
    u16,
    u64,
    xchg,
)


class Sizes(Config):
    """Parameters of the samples."""

    slots: int = 4
    loud: bool = False
    limit: int | None = 3


class Colour(Enum):
    RED = 1
    GREEN = 2
    BLUE = 3


class Entry(BitStruct):
    present: bool = False
    dirty: bool = False
    frame: u4 = 0


class Lock(Struct):
    held: bool
    taken: u8

    def __enter__(self) -> None:
        self.held = True
        self.taken += 1

    def __exit__(self, *exception: object) -> None:
        self.held = False


class Page(Struct):
    lock: Lock
    count: u8
    colour: Colour
    next: Page | None


class Table(Struct):
    entries: Array[Entry] = array(lambda: Sizes.slots)
    lock: Lock
    owner: Ref[Page]
    cells: Array[u16] = array(3)
    locks: Array[Lock] = array(2)


pages = pool(Page, 3)
table = Table()
words: Array[u8] = Array(u8, 4)


def arithmetic(a: u8, b: u8) -> u8:
    return (a + b) * 3 - (a >> 2) ^ (b << 1) & 0x3C | ~a


def division(a: u8, b: u8) -> u8:
    if b == 0:
        return 0
    return a // b + a % b


def signed_division(a: s8, b: s8) -> s8:
    if b == 0:
        return 0
    return a // b * 2 + a % b


def mixed_widths(a: u8, b: u16) -> u16:
    return a + b + 1


def comparisons(a: u8, b: s8) -> u8:
    result = u8(0)
    if a < b:
        result += 1
    if a == b:
        result += 2
    if 10 <= a < 300:
        result += 4
    if b >= -1:
        result += 8
    return result


def short_circuit(a: u8, b: u8) -> bool:
    return (a != 0 and b // a > 2) or a == 7


def conditional(a: u8, b: u8) -> u8:
    larger = a if a > b else b
    return larger if larger > 3 else u8(3)


def loops(n: u3) -> u16:
    total = u16(0)
    for i in range(n):
        if i == 5:
            break
        for j in range(1, 10, 4):
            if j == 5:
                continue
            total += i * u16(j)
    while total > 20:
        total -= 7
    return total


def loop_variable_after(n: u3) -> u8:
    i = u8(9)
    for i in range(n):  # noqa: B007 (read after the loop)
        pass
    return u8(i)


def fill(n: u8) -> u64:
    for i in range(len(words)):
        words[i] = n + u8(i)
    total = u64(0)
    for word in words:
        total += word
    return total


def bits(n: u4) -> u8:
    entry = Entry(present=True, frame=n)
    table.entries[1] = entry
    table.entries[2] = table.entries[1].replace(dirty=True)
    old = table.entries[2]
    if old.present and old.dirty and table.entries[0] == Entry():
        return u8(old.frame)
    return 255


def locked(n: u8) -> u8:
    with table.lock:
        if n > 100:
            return table.lock.taken
        table.cells[n & 1] += 1
    assert not table.lock.held
    return table.lock.taken + u8(table.cells[1])


def locked_one_of_several(n: u8) -> u8:
    with table.locks[n & 1]:
        table.cells[n & 1] += 1
        assert table.locks[n & 1].held
    assert not table.locks[n & 1].held
    return table.locks[0].taken * 2 + table.locks[1].taken


def noted(n: u8) -> u8:
    trace("{{}} of {}", n)
    return n


def describe(colour: Colour) -> u8:
    match colour:
        case Colour.RED:
            return 1
        case Colour.GREEN | Colour.BLUE:
            return 2


def colours(n: u8) -> u8:
    page = pages[n % 3]
    page.colour = Colour.BLUE if n > 4 else Colour.GREEN
    return describe(page.colour) + describe(Colour.RED) * 10


def link(n: u8) -> u8:
    first = pages[0]
    count = u8(0)
    first.next = pages[1]
    pages[1].next = pages[2] if n > 2 else None
    page: Page | None = first
    while page is not None:
        count += 1
        page = page.next
    return count


def accesses(n: u8) -> u8:
    page = pages[1]
    WRITE_ONCE(page.count, n)
    old = xchg(page.count, n + 1)
    seen = cmpxchg(page.count, n + 1, 9)
    with atomic():
        page.count += READ_ONCE(page.lock.taken)
    return old + seen + page.count


def alloc_and_free(n: u8) -> u8:
    a = pages.alloc()
    b = pages.alloc()
    if a is None or b is None or a is b:
        return 99
    result = u8(pages.index(b)) + 10 * u8(pages.index(a))
    pages.free(a)
    pages.free(b)
    return result + n


def wraps(n: s32) -> u8:
    pages[0].count = u8(n)
    if Sizes.loud:
        return undefined_when_loud(n)
    return pages[0].count


def undefined_when_loud(n: s32) -> u8:
    return u8(n) + 1


def smaller(a: u8, b: u8) -> u8:
    return min(a, b) + max(a, 3)


def shifts(a: u8, n: u8) -> u8:
    return (a << n) + (a >> n) + (a << 9)


def parameter_that_can_be_none() -> u8:
    if Sizes.limit is None:
        return 0
    return 1 if Sizes.limit == 3 else 2
