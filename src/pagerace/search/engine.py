"""The hot loops of the search, in kernel Python: expand a level, store what is new.

A state is ``Engine.words`` 64-bit words.  The top bits of its hash name one of
``SHARDS`` shards, and each shard is an array of states in the order they were found,
with an open-addressing table beside it.  A level of the breadth-first search is a
contiguous range of every shard.  Work goes in two phases, and both may run on many
cores: ``expand`` reads states of the level and writes their successors into one buffer
per shard; ``insert`` takes the buffers of one shard, in order, and appends what is new.
What a shard holds, and in which order, depends on the order of the sources alone.

    slot of a table, 32 bits    fingerprint : 32 - k | 1 + index of the state : k
    state identity, 32 bits     shard : SHARD_BITS | index : INDEX_BITS
    record in a buffer          words of the state, then hash : 32 | identity of source : 32

A table of a shard has ``2**k`` slots.  The 32 bits of hash in a record are the first
slot to try (the upper k) and the fingerprint (the rest); growing reads the states again.
"""

from __future__ import annotations

from typing import Final

from pagerace.lang.direct import external, offset, prefetch, ptr
from pagerace.lang.integers import u32, u64
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
FIRST_BITS: Final = 6  # of the smallest table
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
CONTROL_WORDS: Final = 16

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


def hash_state(state: ptr[u64]) -> u64:
    """Multiply and fold each word in: every bit reaches the upper 38 that are used."""
    value: u64 = 0x2545F4914F6CDD1D
    for word in range(Engine.words):
        value = u64((value ^ state[word]) * u64(0x9E3779B97F4A7C15))
        value = value ^ (value >> 32)
    return u64(value * u64(0xD6E8FEB86659FD93))


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
    """Put all successors of one state; 0 if a buffer is full."""
    if check_state(source, context) != 0:
        tally[VIOLATED] = tally[VIOLATED] + 1
    seen: u64 = 0
    failed: u64 = 0
    for process in range(control[PROCESSES]):
        context[GIVEN] = 0
        while True:
            context[MADE] = 0
            outcome: u64 = step(process, source, scratch, context)
            if outcome == 0:
                if put(scratch, identity, buffer, fill, control[CAPACITY]) == 0:
                    return 0
                seen += 1
            elif outcome > 2:
                failed += 1
            if context[MADE] == 0:
                break
            if next_choice(context) == 0:
                break
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


def grow(
    shard: u64, bits: u64, states: ptr[u64], table: ptr[u32], stride: u64, count: u64
) -> None:
    """Make a shard's table ``2**bits`` slots, in place, from the states themselves."""
    slots: u64 = u64(1) << bits
    for slot in range(slots):
        table[slot] = 0
    first = offset(states, shard * stride * Engine.words)
    for index in range(count):
        if index + AHEAD < count:
            ahead: u64 = hash_state(offset(first, (index + AHEAD) * Engine.words))
            prefetch(table, ((ahead >> (32 - SHARD_BITS)) & LOW_32) >> (32 - bits))
        value: u64 = hash_state(offset(first, index * Engine.words)) >> (32 - SHARD_BITS)
        value = value & LOW_32
        position: u64 = value >> (32 - bits)
        while table[position] != 0:
            position = (position + 1) & (slots - 1)
        table[position] = u32(((value << bits) & LOW_32) | (index + 1))


def bits_for(states: u64, bits: u64) -> u64:
    """k of a table that holds ``states`` at a load of at most three quarters."""
    enough: u64 = max(bits, FIRST_BITS)
    while states * 4 > (u64(3) << enough):
        enough += 1
    return enough


def same(one: ptr[u64], other: ptr[u64]) -> u64:
    """1 if two states are equal."""
    difference: u64 = 0
    for word in range(Engine.words):
        difference = difference | (one[word] ^ other[word])
    return 1 if difference == 0 else 0


def find(
    state: ptr[u64], value: u64, first: ptr[u64], table: ptr[u32], bits: u64
) -> u64:
    """The index in its shard of a state whose hash bits are ``value``; NONE if absent."""
    position: u64 = value >> (32 - bits)
    fingerprint: u64 = (value << bits) & LOW_32
    mask: u64 = (u64(1) << bits) - 1
    while True:
        slot: u64 = table[position]
        if slot == 0:
            return NONE
        if ((slot ^ fingerprint) >> bits) == 0:
            index: u64 = (slot & mask) - 1
            if same(offset(first, index * Engine.words), state) != 0:
                return index
        position = (position + 1) & mask


def approach(
    records: ptr[u64], number: u64, first: ptr[u64], table: ptr[u32], bits: u64
) -> None:
    """Go from a record's slot to the first that is empty or has its fingerprint.

    The slots passed are taken for good, so the record's hash is moved to where the
    search will go on, and the state that may be the same is fetched.
    """
    place: u64 = number * (Engine.words + 1) + Engine.words
    tag: u64 = records[place]
    value: u64 = tag >> 32
    position: u64 = value >> (32 - bits)
    fingerprint: u64 = (value << bits) & LOW_32
    mask: u64 = (u64(1) << bits) - 1
    slot: u64 = table[position]
    while slot != 0 and ((slot ^ fingerprint) >> bits) != 0:
        position = (position + 1) & mask
        slot = table[position]
    prefetch(first, ((slot - 1) & mask) * Engine.words if slot != 0 else 0)
    moved: u64 = (position << (32 - bits)) | (fingerprint >> bits)
    records[place] = (moved << 32) | (tag & LOW_32)


def settle(
    record: ptr[u64], count: u64, first: ptr[u64], table: ptr[u32], bits: u64
) -> u64:
    """The index of the record's state in its shard: ``count`` if it was new."""
    value: u64 = record[Engine.words] >> 32
    position: u64 = value >> (32 - bits)
    fingerprint: u64 = (value << bits) & LOW_32
    mask: u64 = (u64(1) << bits) - 1
    while True:
        slot: u64 = table[position]
        if slot == 0:
            fresh = offset(first, count * Engine.words)
            for word in range(Engine.words):
                fresh[word] = record[word]
            table[position] = u32(fingerprint | (count + 1))
            return count
        if ((slot ^ fingerprint) >> bits) == 0:
            index: u64 = (slot & mask) - 1
            if same(offset(first, index * Engine.words), record) != 0:
                return index
        position = (position + 1) & mask


def insert_part(
    shard: u64,
    records: ptr[u64],
    number: u64,
    first: ptr[u64],
    table: ptr[u32],
    forward: ptr[u32],
    row: ptr[u64],
    stride: u64,
) -> None:
    """Append the new ones of ``number`` records to a shard whose table has room.

    ``first`` is the shard's first state.  Three records are in flight at a time: one
    whose slot is fetched, one that approaches and has its state fetched, one that is
    settled.  A successor in the next level is noted in ``forward`` of its source.
    """
    bits: u64 = row[BITS]
    count: u64 = row[COUNT]
    end: u64 = row[END]
    size: u64 = Engine.words + 1
    for early in range(min(number, AHEAD)):
        prefetch(table, records[early * size + Engine.words] >> (64 - bits))
    for turn in range(number + AHEAD):
        if turn < number:
            # Past the end of the buffer any content gives a harmless address.
            prefetch(table, records[(turn + AHEAD) * size + Engine.words] >> (64 - bits))
            approach(records, turn, first, table, bits)
        if turn >= AHEAD:
            record = offset(records, (turn - AHEAD) * size)
            index: u64 = settle(record, count, first, table, bits)
            if index == count:
                forward[shard * stride + count] = NONE
                count += 1
            if index >= end:
                source: u64 = record[Engine.words] & LOW_32
                forward[(source >> INDEX_BITS) * stride + (source & INDEX_MASK)] = u32(
                    (shard << INDEX_BITS) | index
                )
    row[COUNT] = count


def insert(
    states: ptr[u64],
    tables: ptr[u32],
    forward: ptr[u32],
    shards: ptr[u64],
    control: ptr[u64],
    shard: u64,
    buffers: ptr[u64],
    fills: ptr[u64],
    chunks: u64,
) -> None:
    """Store what ``chunks`` buffers, one after another, hold for one shard."""
    row = offset(shards, shard * ROW)
    capacity: u64 = control[CAPACITY]
    stride: u64 = control[STRIDE]
    number: u64 = 0
    for chunk in range(chunks):
        number += fills[chunk * SHARDS + shard]
    if number == 0:
        return
    table = offset(tables, shard * control[TABLE_STRIDE])
    bits: u64 = bits_for(row[COUNT] + number, row[BITS])
    if bits != row[BITS]:
        grow(shard, bits, states, table, stride, row[COUNT])
        row[BITS] = bits
    first = offset(states, shard * stride * Engine.words)
    for chunk in range(chunks):
        records = offset(buffers, (chunk * SHARDS + shard) * capacity * (Engine.words + 1))
        insert_part(
            shard, records, fills[chunk * SHARDS + shard], first, table, forward, row, stride
        )


def fits(shards: ptr[u64], control: ptr[u64], fills: ptr[u64], chunks: u64) -> u64:
    """1 if the memory bound holds even if every record of the buffers is new."""
    slots: u64 = 0
    states: u64 = 0
    for shard in range(SHARDS):
        row = offset(shards, shard * ROW)
        total: u64 = row[COUNT]
        for chunk in range(chunks):
            total += fills[chunk * SHARDS + shard]
        if total > control[STRIDE]:
            return 0
        bits: u64 = bits_for(total, row[BITS])
        if (u64(1) << bits) > control[TABLE_STRIDE]:
            return 0
        slots += u64(1) << bits
        states += total
    levels: u64 = control[DEPTH] * SHARDS * 4
    used: u64 = states * (Engine.words * 8 + 4) + slots * 4 + levels
    return 1 if used <= control[MEMORY_MAX] else 0


def count_states(shards: ptr[u64], control: ptr[u64]) -> None:
    """Bring ``control[STATES]`` up to date."""
    states: u64 = 0
    for shard in range(SHARDS):
        states += shards[shard * ROW + COUNT]
    control[STATES] = states


def next_level(shards: ptr[u64], control: ptr[u64], levels: ptr[u32]) -> u64:
    """Make what was found in this level the next one; returns its number of states.

    ``levels[d * SHARDS + s]`` is where level ``d`` starts in shard ``s``.
    """
    depth: u64 = control[DEPTH] + 1
    size: u64 = 0
    for shard in range(SHARDS):
        row = offset(shards, shard * ROW)
        row[START] = row[END]
        row[END] = row[COUNT]
        size += row[END] - row[START]
        levels[(depth + 1) * SHARDS + shard] = u32(row[END])
    control[RANK] = 0
    control[SIZE] = size
    if size != 0:
        control[DEPTH] = depth
    return size


def sum_locks(control: ptr[u64], context: ptr[u64]) -> u64:
    """A number that grows whenever a pair of locks is newly seen in some order."""
    total: u64 = 0
    for lock in range(control[LOCKS_KNOWN]):
        total += context[LOCK_ORDER + lock]
    return total


def run(
    states: ptr[u64],
    tables: ptr[u32],
    forward: ptr[u32],
    shards: ptr[u64],
    control: ptr[u64],
    levels: ptr[u32],
    buffer: ptr[u64],
    fill: ptr[u64],
    scratch: ptr[u64],
    context: ptr[u64],
    tally: ptr[u64],
) -> u64:
    """Search on one core until something has to be decided; says what."""
    budget: u64 = control[BUDGET]
    while True:
        if control[DEPTH] >= control[DEPTH_MAX]:
            return NO_DEPTH
        while control[RANK] < control[SIZE]:
            if budget == 0:
                return PAUSED
            rank: u64 = control[RANK]
            last: u64 = min(control[SIZE], rank + budget)
            # Near the bound one source at a time, so that the end is the same however
            # the work was cut.
            if control[STATES] + SHARDS * control[CAPACITY] >= control[STATES_MAX]:
                last = rank + 1
            seen: u64 = tally[SEEN]
            reached: u64 = expand(
                states, shards, control, rank, last, buffer, fill, scratch, context, tally
            )
            if reached == rank:
                return NO_BUFFER
            if fits(shards, control, fill, 1) == 0:
                tally[SEEN] = seen
                return NO_MEMORY
            for shard in range(SHARDS):
                insert(states, tables, forward, shards, control, shard, buffer, fill, 1)
            count_states(shards, control)
            budget -= reached - rank
            control[RANK] = reached
            if control[STATES] >= control[STATES_MAX]:
                return NO_STATES
        if tally[FAILED] + tally[STUCK] + tally[VIOLATED] != 0:
            return FOUND
        locks: u64 = sum_locks(control, context)
        if locks != control[LOCK_SUM]:
            control[LOCK_SUM] = locks
            return LOCKS
        if next_level(shards, control, levels) == 0:
            return DONE
        if control[SIZE] > control[LARGE]:
            return TOO_LARGE
