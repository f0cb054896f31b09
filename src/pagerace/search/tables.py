"""Storing what is new, in kernel Python: the second phase of ``engine``.

A shard is an array of states in the order they were found, with an open-addressing
table beside it, which grows in place.  A table of ``2**k`` slots takes the first slot
to try from the upper k of a record's 32 bits of hash, and the fingerprint from the rest.

    slot of a table, 32 bits    fingerprint : 32 - k | 1 + index of the state : k
"""

from __future__ import annotations

from typing import Final

from pagerace.lang.direct import offset, prefetch, ptr
from pagerace.lang.integers import u32, u64
from pagerace.search.engine import (
    AHEAD,
    BITS,
    CAPACITY,
    COUNT,
    DEPTH,
    END,
    INDEX_BITS,
    INDEX_MASK,
    LOW_32,
    MEMORY_MAX,
    NONE,
    ROW,
    SHARD_BITS,
    SHARDS,
    STRIDE,
    TABLE_STRIDE,
    Engine,
    hash_state,
    same,
)  # fmt: skip

FIRST_BITS: Final = 6  # of the smallest table


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


def insert_shards(
    states: ptr[u64],
    tables: ptr[u32],
    forward: ptr[u32],
    shards: ptr[u64],
    control: ptr[u64],
    first_shard: u64,
    last_shard: u64,
    buffers: ptr[u64],
    fills: ptr[u64],
    chunks: u64,
) -> None:
    """Store what ``chunks`` buffers, one after another, hold for some shards."""
    for shard in range(first_shard, last_shard):
        insert(states, tables, forward, shards, control, shard, buffers, fills, chunks)


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
