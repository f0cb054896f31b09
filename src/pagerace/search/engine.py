"""The hot loops of the search, in kernel Python: start reading here.

A state is ``Engine.words`` 64-bit words.  The top bits of its hash name one of
``SHARDS`` shards, each an array of states in the order they were found.  A level of the
breadth-first search is a contiguous range of every shard.  Work goes in two phases, and
both may run on many cores: ``expand``, here, reads states of the level and writes their
successors into one buffer per shard; ``insert``, in ``tables``, takes the buffers of one
shard, in order, and appends what is new.  What a shard holds, and in which order, depends
on the order of the sources alone.  ``serial.run`` does both on one core.

    identity of a state, 32 bits    shard : SHARD_BITS | index : INDEX_BITS
    record in a buffer              words of the state, then
                                    hash : 32 | identity of the source : 32
"""

from __future__ import annotations

from typing import Final

from pagerace.lang.direct import external, offset, ptr
from pagerace.lang.integers import u64
from pagerace.lang.structures import Config


class Engine(Config):
    """What is known when the loops are compiled: 64-bit words per state."""

    words: int = 1


SHARD_BITS: Final = 6
SHARDS: Final = 64
INDEX_BITS: Final = 26
INDEX_MASK: Final = 0x3FFFFFF
LOW_32: Final = 0xFFFFFFFF
NONE: Final = 0xFFFFFFFF
GOOD: Final = 0xFFFFFFFE
EVERY: Final = 0xFFFFFFFFFFFFFFFF  # all processes
CHOOSES: Final = 0x4000000000000000
AHEAD: Final = 12  # records between a prefetch and its use

# A shard's row: states it holds, k, and where the level that is expanded lies.
ROW: Final = 8
COUNT: Final = 0
BITS: Final = 1
START: Final = 2
END: Final = 3

# Words of ``control``: first what the caller sets, then what the engine keeps.
STRIDE: Final = 0  # states of room per shard
TABLE_STRIDE: Final = 1  # slots of room per shard
CAPACITY: Final = 2  # records of room per shard in a buffer
STATES_MAX: Final = 3
MEMORY_MAX: Final = 4  # bytes for states, tables and levels
BUDGET: Final = 5  # states to expand before the caller is asked
LARGE: Final = 6  # levels of more states are left to the caller
DEPTH_MAX: Final = 7
DEPTH: Final = 8
RANK: Final = 9  # states of the level that are expanded
SIZE: Final = 10  # states of the level
STATES: Final = 11
LOCK_SUM: Final = 12
PROCESSES: Final = 13
LOCKS_KNOWN: Final = 14  # number of locks that have an order
REDUCTIONS: Final = 15  # bits: PARTIAL_ORDER, SYMMETRY
CONTROL_WORDS: Final = 16

PARTIAL_ORDER: Final = 1
SYMMETRY: Final = 2

# Of ``scratch``, in states: the successor, one more, and what ``canonicalise`` needs.
SECOND: Final = 1
SPARE: Final = 2
SCRATCH_STATES: Final = 4

# Words of ``tally``, one array for each worker.
SEEN: Final = 0
FAILED: Final = 1
STUCK: Final = 2
VIOLATED: Final = 3
TALLY_WORDS: Final = 8

# Words of ``context``, shared with the compiled steps.
MADE: Final = 0
DIGITS: Final = 1
RADICES: Final = 9
GIVEN: Final = 17
LOCK_ORDER: Final = 32

# What ``run`` ended for.
PAUSED: Final = 0
DONE: Final = 1
FOUND: Final = 2
LOCKS: Final = 3
NO_MEMORY: Final = 4
NO_STATES: Final = 5
NO_DEPTH: Final = 6
NO_BUFFER: Final = 7
TOO_LARGE: Final = 8


@external
def step(process: u64, source: ptr[u64], target: ptr[u64], context: ptr[u64]) -> u64: ...


@external
def check_state(source: ptr[u64], context: ptr[u64]) -> u64: ...


@external
def threads_done(source: ptr[u64]) -> u64: ...


# Bit p is set: process p is to be expanded.  If none of these leads on, all are.  CHOOSES
# is set where its step may choose.
@external
def chosen(source: ptr[u64]) -> u64: ...


# Replace a state by the representative of its orbit.  ``spare``: room for two states.
@external
def canonicalise(state: ptr[u64], spare: ptr[u64]) -> None: ...


def hash_state(state: ptr[u64]) -> u64:
    """Multiply and fold each word in: every bit reaches the upper 38 that are used."""
    value: u64 = 0x2545F4914F6CDD1D
    for word in range(Engine.words):
        value = u64((value ^ state[word]) * u64(0x9E3779B97F4A7C15))
        value = value ^ (value >> 32)
    return u64(value * u64(0xD6E8FEB86659FD93))


def same(one: ptr[u64], other: ptr[u64]) -> u64:
    """1 if two states are equal."""
    difference: u64 = 0
    for word in range(Engine.words):
        difference = difference | (one[word] ^ other[word])
    return 1 if difference == 0 else 0


def next_choice(context: ptr[u64]) -> u64:
    """Turn the odometer of data choices, the last one fastest; 0 when it is through."""
    digit: u64 = context[MADE]
    while digit > 0:
        if context[DIGITS - 1 + digit] + 1 < context[RADICES - 1 + digit]:
            context[DIGITS - 1 + digit] = context[DIGITS - 1 + digit] + 1
            context[GIVEN] = digit
            return digit
        digit -= 1
    return 0


def put(
    state: ptr[u64], source: u64, buffer: ptr[u64], fill: ptr[u64], capacity: u64
) -> u64:
    """Append a successor to the buffer of its shard; 0 if that is full."""
    value: u64 = hash_state(state)
    shard: u64 = value >> (64 - SHARD_BITS)
    count: u64 = fill[shard]
    if count >= capacity:
        return 0
    record = offset(buffer, (shard * capacity + count) * (Engine.words + 1))
    for word in range(Engine.words):
        record[word] = state[word]
    record[Engine.words] = ((value >> (32 - SHARD_BITS)) << 32) | source
    fill[shard] = count + 1
    return 1


def run_on(state: ptr[u64], spare: ptr[u64], context: ptr[u64]) -> u64:
    """One step on, in place, if only one process is to be expanded; 0 if none was made.

    A state from which the search would go one way only need not be stored.  It is where
    it violates something, where a step cannot be made or fails, and where it chooses.
    """
    alone: u64 = chosen(state)
    if (alone & CHOOSES) != 0:
        return 0
    if check_state(state, context) != 0:
        return 0
    process: u64 = 0
    while ((alone >> process) & 1) == 0:
        process += 1
    if step(process, state, spare, context) != 0:
        return 0
    for word in range(Engine.words):
        state[word] = spare[word]
    return 1


def represent(
    state: ptr[u64], spare: ptr[u64], control: ptr[u64], context: ptr[u64]
) -> None:
    """Replace a successor by the state that is stored for it."""
    if (control[REDUCTIONS] & PARTIAL_ORDER) != 0:
        made: u64 = context[MADE]
        while run_on(state, spare, context) != 0:
            pass
        context[MADE] = made
    if (control[REDUCTIONS] & SYMMETRY) != 0:
        canonicalise(state, spare)


def expand_state(
    source: ptr[u64],
    identity: u64,
    control: ptr[u64],
    buffer: ptr[u64],
    fill: ptr[u64],
    scratch: ptr[u64],
    context: ptr[u64],
    tally: ptr[u64],
) -> u64:
    """Put the successors of one state that are to be searched; 0 if a buffer is full."""
    if check_state(source, context) != 0:
        tally[VIOLATED] = tally[VIOLATED] + 1
    seen: u64 = 0
    failed: u64 = 0
    wanted: u64 = EVERY
    if (control[REDUCTIONS] & PARTIAL_ORDER) != 0:
        wanted = chosen(source)
    while True:
        for process in range(control[PROCESSES]):
            if ((wanted >> (process & 63)) & 1) == 0:
                continue
            context[GIVEN] = 0
            while True:
                context[MADE] = 0
                outcome: u64 = step(process, source, scratch, context)
                if outcome == 0:
                    if control[REDUCTIONS] != 0:
                        spare = offset(scratch, SPARE * Engine.words)
                        represent(scratch, spare, control, context)
                    if put(scratch, identity, buffer, fill, control[CAPACITY]) == 0:
                        return 0
                    seen += 1
                elif outcome > 2:
                    failed += 1
                if context[MADE] == 0:
                    break
                if next_choice(context) == 0:
                    break
        if seen != 0 or wanted == EVERY:
            break
        wanted = EVERY  # those that were chosen have to wait, or fail
    if seen + failed == 0:
        if threads_done(source) == 0:
            tally[STUCK] = tally[STUCK] + 1
    tally[SEEN] = tally[SEEN] + seen
    tally[FAILED] = tally[FAILED] + failed
    return 1


def take_back(identity: u64, buffer: ptr[u64], fill: ptr[u64], capacity: u64) -> None:
    """Remove the successors of one source, the last that was expanded."""
    for shard in range(SHARDS):
        count: u64 = fill[shard]
        while count > 0:
            record: u64 = (shard * capacity + count) * (Engine.words + 1) - 1
            if (buffer[record] & LOW_32) != identity:
                break
            count -= 1
        fill[shard] = count


def expand(
    states: ptr[u64],
    shards: ptr[u64],
    control: ptr[u64],
    first: u64,
    last: u64,
    buffer: ptr[u64],
    fill: ptr[u64],
    scratch: ptr[u64],
    context: ptr[u64],
    tally: ptr[u64],
) -> u64:
    """Expand the level's states of rank ``first .. last - 1`` into an empty buffer.

    Ranks count through the level shard by shard.  Returns the first rank that was not
    expanded: ``last``, or less if a shard's part of the buffer is full.
    """
    for shard in range(SHARDS):
        fill[shard] = 0
    rank: u64 = first
    shard_number: u64 = 0
    below: u64 = 0  # ranks of earlier shards
    while rank < last:
        row = offset(shards, shard_number * ROW)
        size: u64 = row[END] - row[START]
        if rank >= below + size:
            below += size
            shard_number += 1
            continue
        index: u64 = row[START] + rank - below
        end: u64 = min(row[END], index + last - rank)
        while index < end:
            source = offset(states, (shard_number * control[STRIDE] + index) * Engine.words)
            identity: u64 = (shard_number << INDEX_BITS) | index
            if expand_state(
                source, identity, control, buffer, fill, scratch, context, tally
            ) == 0:
                take_back(identity, buffer, fill, control[CAPACITY])
                return rank
            index += 1
            rank += 1
    return rank
