"""Looking for data races in the stored states, in kernel Python.

A state has a race if two processes can each take a step from it, and the two steps touch
the same cell, one of them writes it, and one of these accesses is plain.  What a step
touches is in a record: the number of the process's point, then four masks of cells (see
``compiler.native.accesses``).
"""

from __future__ import annotations

from typing import Final

from pagerace.lang.direct import external, offset, ptr
from pagerace.lang.integers import u32, u64
from pagerace.lang.structures import Config
from pagerace.search.engine import GIVEN, MADE, PROCESSES, SHARDS, STRIDE, Engine, next_choice

# What is noted of a race: where the state is, and the two processes.
NOTE_WORDS: Final = 3


class Racing(Config):
    """``masks``: words in a mask of cells.  ``points``: of the program, all together."""

    masks: int = 1
    points: int = 1


@external
def accesses(process: u64, source: ptr[u64], record: ptr[u64], context: ptr[u64]) -> u64: ...


def gather(process: u64, source: ptr[u64], sum: ptr[u64], context: ptr[u64]) -> None:
    """Fill in a process's record, over all its choices; empty if no step is possible.

    What follows the record is room for another one.
    """
    record = offset(sum, 1 + 4 * Racing.masks)
    for word in range(1 + 4 * Racing.masks):
        sum[word] = 0
    context[GIVEN] = 0
    while True:
        context[MADE] = 0
        for word in range(1 + 4 * Racing.masks):
            record[word] = 0
        outcome: u64 = accesses(process, source, record, context)
        if outcome == 0 or outcome > 2:
            sum[0] = record[0]
            for word in range(4 * Racing.masks):
                sum[1 + word] = sum[1 + word] | record[1 + word]
        if context[MADE] == 0:
            break
        if next_choice(context) == 0:
            break


def conflict(one: ptr[u64], other: ptr[u64]) -> u64:
    """Not 0 if an access in one record races with one in the other."""
    found: u64 = 0
    for word in range(1, 1 + Racing.masks):
        plain_read: u64 = one[word]
        plain_write: u64 = one[word + Racing.masks]
        read: u64 = plain_read | one[word + 2 * Racing.masks]
        write: u64 = plain_write | one[word + 3 * Racing.masks]
        its_plain_read: u64 = other[word]
        its_plain_write: u64 = other[word + Racing.masks]
        its_read: u64 = its_plain_read | other[word + 2 * Racing.masks]
        its_write: u64 = its_plain_write | other[word + 3 * Racing.masks]
        found = found | (plain_read & its_write) | (plain_write & (its_read | its_write))
        found = found | (its_plain_read & write) | (its_plain_write & (read | write))
    return found


def find_races(
    states: ptr[u64],
    control: ptr[u64],
    levels: ptr[u32],
    part: u64,
    rivals: ptr[u64],
    known: ptr[u64],
    notes: ptr[u64],
    room: u64,
    records: ptr[u64],
    context: ptr[u64],
) -> u64:
    """Note the races that are new in one shard's part of a level; returns how many.

    Races are told apart by the two points.  ``rivals`` has for each process a bit for each
    other one that it can race with, ``known`` a bit for each pair of points, ``records``
    room for one record more than there are processes.
    """
    count: u64 = 0
    width: u64 = 1 + 4 * Racing.masks
    shard: u64 = part & (SHARDS - 1)
    for index in range(u64(levels[part]), u64(levels[part + SHARDS])):
        place: u64 = shard * control[STRIDE] + index
        source = offset(states, place * Engine.words)
        for process in range(control[PROCESSES]):
            mine = offset(records, process * width)
            gather(process, source, mine, context)
            for other in range(process):
                its = offset(records, other * width)
                if (rivals[process] >> other & 1) == 0 or conflict(mine, its) == 0:
                    continue
                if count < room:
                    pair: u64 = its[0] * Racing.points + mine[0]
                    word: u64 = known[pair >> 6]
                    bit: u64 = u64(1) << (pair & 63)
                    if (word & bit) == 0:
                        known[pair >> 6] = word | bit
                        notes[count * NOTE_WORDS] = place
                        notes[count * NOTE_WORDS + 1] = other
                        notes[count * NOTE_WORDS + 2] = process
                        count += 1
    return count
