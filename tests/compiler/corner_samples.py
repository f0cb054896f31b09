"""Functions in which plain Python and the compiler once differed, or nearly did."""

# ruff: noqa: B007, B020
# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
# pyright: reportReturnType=false, reportAttributeAccessIssue=false

from __future__ import annotations

from enum import Enum

from pagerace.lang import (
    Array,
    BitStruct,
    Config,
    Struct,
    array,
    pool,
    s8,
    s64,
    u8,
    u64,
)


class Sizes(Config):
    """Parameters of the samples."""

    mode: str = "".join(["fa", "st"])  # equal to the literal, but another object


class Colour(Enum):
    RED = 1
    GREEN = 7


class H(BitStruct):
    valid: bool = True
    n: s8 = -3
    c: Colour = Colour.GREEN


class Lock(Struct):
    held: bool
    taken: u8

    def __enter__(self) -> None:
        self.taken += 1

    def __exit__(self, *e: object) -> None:
        self.taken += 10


class Page(Struct):
    lock: Lock
    count: u8
    h: H
    next: Page | None
    hs: Array[H] = array(2)
    locks: Array[Lock] = array(2)
    words: Array[u8] = array(3)
    f: bool
    i: int


pages = pool(Page, 3)
page = Page()
refs: Array[Lock] = Array(Lock | None, 3)
arr: Array[u8] = Array(u8, 3)
arr[1] = 5
page.words[0] = 9
page.lock.taken = 3
page.i = -7
page.count = 4


def boolsum(a: u8, b: u8) -> u8:
    return u8((a > 3) + (b > 3))


def boolplus1(a: u8) -> u8:
    return u8((a > 3) + 1)


def boolsum3(a: u8, b: u8) -> u8:
    n = u8(0)
    for i in range(4):
        n += u8((a > 3) + i)
    return n


def boolsub(a: u8) -> s8:
    return s8((a > 3) - 1)


def init(a: u8) -> u8:
    return arr[1] + page.words[0] + page.lock.taken + page.count


def initbits(a: u8) -> bool:
    return page.h.valid


def initbits2(a: u8) -> bool:
    return page.hs[1].valid and page.h.c == Colour.GREEN


def loop1(n: u8) -> u8:
    total = u8(0)
    k = u8(0)
    for i in range(1):
        pass
    while k < 3:
        total += i
        i = 7
        k += 1
    return total


def loop2(n: u8) -> u8:
    total = u8(0)
    for i in range(3):
        pass
    for i in range(i):
        total += 1
    return total


def loop3(n: u8) -> u8:
    total = u8(0)
    for i in range(3):
        for i in range(3):
            pass
        total += u8(i)
    return total


def loop4(n: u8) -> u8:
    total = u8(0)
    p = pages[0]
    pages[0].words[1] = 3
    pages[1].words[1] = 50
    for w in p.words:
        p = pages[1]
        total += w
    return total


def withre(n: u8) -> u8:
    p = page.locks[0]
    with p:
        p = page.locks[1]
    return page.locks[0].taken


def strs(n: u8) -> bool:
    return Sizes.mode == "fast"


def toint(n: u64) -> bool:
    return int(n * 0x1_0000_0001) > 100


def chain(a: u8, b: u8) -> bool:
    return 1 < a <= b < 200


def chain2(a: s8, b: u8) -> bool:
    return -5 < a < b != 3


def negfield(n: s8) -> s8:
    page.h = H(n=n, c=Colour.RED)
    h = page.h.replace(valid=False)
    return h.n


def neglit(n: s8) -> s8:
    page.h = page.h.replace(n=-1)
    return page.h.n


def refsf(n: u8) -> u8:
    refs[1] = page.locks[1]
    page.locks[1].taken = n
    r = refs[1]
    if r is None:
        return 77
    return r.taken


def u64cmp(a: u64, b: s64) -> bool:
    return a - 5 > b


def aug(a: u8) -> u8:
    arr[a % 3] += arr[(a + 1) % 3] + 1
    page.words[a % 3] -= 3
    page.words[1] |= a
    page.words[2] <<= 1
    return arr[0] + arr[1] * 3 + page.words[1] + page.words[2]


def kw(a: u8, b: u8) -> u8:
    return sub(b=a, a=b)


def sub(a: u8, b: u8) -> u8:
    a -= b
    return a


def matcher(a: u8) -> u8:
    match a:
        case 1 | 2:
            return 5
        case 3 if page.count == 4:
            return 6
        case 4:
            a = 9
        case _:
            pass
    return a


def nested(a: u8) -> u8:
    x = inner(a) + inner(a + 1)
    return x + inner(x)


def inner(x: u8) -> u8:
    t = x
    for i in range(2):
        t += u8(i)
        if t == 9:
            return 1
    return t
