"""Kernel Python over types whose width a parameter says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

from pagerace.lang import (
    READ_ONCE,
    WRITE_ONCE,
    Array,
    BitStruct,
    Config,
    Struct,
    array,
    atomic,
    cmpxchg,
    only_if,
    sized,
    u8,
    xchg,
)


class Widths(Config):
    """``bits``: of word_t.  ``huge``: there is such a flag."""

    bits: int = 5
    huge: bool = False


if TYPE_CHECKING:
    word_t: TypeAlias = int
else:
    word_t = sized("word_t", lambda: Widths.bits)


class entry(BitStruct):
    present: bool = False
    huge: Annotated[bool, only_if(lambda: Widths.huge)] = False
    word: word_t = 0
    young: bool = False


class Thing(Struct):
    value: word_t
    huge: Annotated[bool, only_if(lambda: Widths.huge)]
    entry: entry
    words: Array[word_t] = array(3)
    count: u8


thing = Thing()


def arithmetic(a: word_t, b: word_t) -> word_t:
    total = a + b
    total += 3
    total = total ^ (a * 2)
    total -= b >> 1
    return total << 1


def mixed(a: word_t, b: u8) -> u8:
    wide = u8(a) + b
    if a < b and a != 7:
        wide += 100
    return wide


def converted(a: u8) -> word_t:
    return word_t(a) + word_t(1)


def memory(a: word_t, b: word_t) -> word_t:
    thing.value = a
    thing.value += 1
    thing.words[1] = b
    thing.words[2] = thing.words[1] + thing.value
    WRITE_ONCE(thing.words[0], READ_ONCE(thing.words[2]))
    return thing.words[0]


def exchanged(a: word_t, b: word_t) -> word_t:
    thing.value = a
    old = cmpxchg(thing.value, b, word_t(2))
    older = xchg(thing.value, b)
    with atomic():
        thing.value += old
    return thing.value + older


def in_bits(a: word_t, young: bool) -> word_t:
    thing.entry = entry(present=True, word=a, huge=a != 0)
    value = thing.entry.replace(young=young)
    if value.huge:
        value = value.replace(word=value.word + 1)
    thing.entry = value
    if not thing.entry.young:
        return value.word
    return thing.entry.word + 5


def flagged(a: u8) -> bool:
    thing.huge = a > 3
    return thing.huge or (a == 1 and not thing.huge)


def counted(a: word_t) -> u8:
    count: u8 = 0
    for index in range(len(thing.words)):
        if thing.words[index] == a:
            count += 1
    return count
