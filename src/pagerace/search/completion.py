"""From which states can the threads still all return?  In kernel Python.

Afterwards ``forward[s]`` is GOOD for those states and no others.  Until then it is some
state that can be reached from ``s``, or NONE.  Following it from state to state one comes
to GOOD or to a root, whose ``forward`` is NONE: there are few roots, and what is found
out about a root holds for all states that lead to it.
"""

from __future__ import annotations

from typing import Final

from pagerace.lang.direct import offset, ptr
from pagerace.lang.integers import u32, u64
from pagerace.search.engine import (
    BITS,
    GIVEN,
    GOOD,
    INDEX_BITS,
    INDEX_MASK,
    LOW_32,
    MADE,
    NONE,
    PROCESSES,
    REDUCTIONS,
    ROW,
    SHARD_BITS,
    SHARDS,
    SPARE,
    STRIDE,
    TABLE_STRIDE,
    Engine,
    hash_state,
    next_choice,
    represent,
    step,
    threads_done,
)
from pagerace.search.tables import find

EXPANDED_COSTS: Final = 64  # times as much as a state that is looked at

# Words of ``counts``.
ROOTS: Final = 0
FOUND_GOOD: Final = 1
LEFT: Final = 2
COUNTS: Final = 4


def place_of(identity: u64, stride: u64) -> u64:
    """Where a state is, of all shards' room."""
    return (identity >> INDEX_BITS) * stride + (identity & INDEX_MASK)


def mark_complete(
    states: ptr[u64], forward: ptr[u32], control: ptr[u64], levels: ptr[u32], part: u64,
    last_part: u64, budget: u64, roots: ptr[u32], room: u64, counts: ptr[u64],
) -> u64:  # fmt: skip
    """Mark states GOOD whose threads are done, and list the first ``room`` roots.

    Goes through the ranges ``part .. last_part - 1`` for about ``budget`` states, range
    ``d * SHARDS + s`` being what level ``d`` has in shard ``s``; returns where it stopped.
    """
    left: u64 = budget
    while part < last_part and left > 0:
        shard: u64 = part & (SHARDS - 1)
        base: u64 = shard * control[STRIDE]
        for index in range(u64(levels[part]), u64(levels[part + SHARDS])):
            identity: u64 = (shard << INDEX_BITS) | index
            if threads_done(offset(states, (base + index) * Engine.words)) != 0:
                forward[base + index] = GOOD
            elif forward[base + index] == NONE or forward[base + index] == identity:
                forward[base + index] = NONE
                if counts[ROOTS] < room:
                    roots[counts[ROOTS]] = u32(identity)
                    counts[ROOTS] = counts[ROOTS] + 1
            left = left - min(left, 1)
        part += 1
    return part


def root_of(identity: u64, forward: ptr[u32], stride: u64) -> u64:
    """GOOD, or the root to which a state leads; shortens the way for the next time."""
    root: u64 = identity
    following: u64 = forward[place_of(root, stride)]
    while following < GOOD:
        root = following
        following = forward[place_of(root, stride)]
    if following == GOOD:
        root = GOOD
    passed: u64 = identity
    while passed != root:
        place: u64 = place_of(passed, stride)
        following = forward[place]
        if following >= GOOD:
            break
        forward[place] = u32(root)
        passed = following
    return root


def settle_root(
    identity: u64,
    states: ptr[u64],
    tables: ptr[u32],
    forward: ptr[u32],
    shards: ptr[u64],
    control: ptr[u64],
    scratch: ptr[u64],
    context: ptr[u64],
) -> u64:
    """Try all steps from a state: 1 and GOOD if one leads to a good state.

    Otherwise a root is made to lead to some other root that it can reach.  A step that
    partial order reduction has left out may lead to a state that is not stored; those
    that it kept lead to a good state if any does.
    """
    stride: u64 = control[STRIDE]
    place: u64 = place_of(identity, stride)
    source = offset(states, place * Engine.words)
    for process in range(control[PROCESSES]):
        context[GIVEN] = 0
        while True:
            context[MADE] = 0
            if step(process, source, scratch, context) == 0:
                if control[REDUCTIONS] != 0:
                    represent(scratch, offset(scratch, SPARE * Engine.words), control, context)
                value: u64 = hash_state(scratch)
                shard: u64 = value >> (64 - SHARD_BITS)
                first = offset(states, shard * stride * Engine.words)
                table = offset(tables, shard * control[TABLE_STRIDE])
                bits: u64 = (value >> (32 - SHARD_BITS)) & LOW_32
                index: u64 = find(scratch, bits, first, table, shards[shard * ROW + BITS])
                if index != NONE:
                    root: u64 = root_of((shard << INDEX_BITS) | index, forward, stride)
                    if root == GOOD:
                        forward[place] = GOOD
                        return 1
                    # Only a root may be tied to another, or ways would become circles.
                    if root != identity and forward[place] == NONE:
                        forward[place] = u32(root)
            if context[MADE] == 0:
                break
            if next_choice(context) == 0:
                break
    return 0


def settle_roots(
    states: ptr[u64],
    tables: ptr[u32],
    forward: ptr[u32],
    shards: ptr[u64],
    control: ptr[u64],
    roots: ptr[u32],
    first: u64,
    last: u64,
    counts: ptr[u64],
    scratch: ptr[u64],
    context: ptr[u64],
) -> None:
    """Settle the listed roots of number ``last - 1 .. first``, as far as it is possible."""
    number: u64 = last
    while number > first:
        number -= 1
        identity: u64 = roots[number]
        if forward[place_of(identity, control[STRIDE])] != GOOD:
            if settle_root(
                identity, states, tables, forward, shards, control, scratch, context
            ) != 0:
                counts[FOUND_GOOD] = counts[FOUND_GOOD] + 1


def sweep(
    states: ptr[u64],
    tables: ptr[u32],
    forward: ptr[u32],
    shards: ptr[u64],
    control: ptr[u64],
    levels: ptr[u32],
    part: u64,
    budget: u64,
    counts: ptr[u64],
    scratch: ptr[u64],
    context: ptr[u64],
) -> u64:
    """Mark as GOOD what leads to a good state, the last range first.

    Goes through the ranges below ``part`` for about ``budget`` states; returns where it
    stopped.  Where ``forward`` leads to nothing good, all steps are tried.
    """
    left: u64 = budget
    stride: u64 = control[STRIDE]
    while part > 0 and left > 0:
        part -= 1
        shard: u64 = part & (SHARDS - 1)
        first: u64 = levels[part]
        last: u64 = levels[part + SHARDS]
        left = left - min(left, last - first + 1)
        for index in range(first, last):
            ahead: u64 = forward[shard * stride + index]
            if ahead == GOOD:
                continue
            if ahead != NONE:
                ahead = forward[place_of(ahead, stride)]
            if ahead == GOOD:
                forward[shard * stride + index] = GOOD
                counts[FOUND_GOOD] = counts[FOUND_GOOD] + 1
                continue
            left = left - min(left, EXPANDED_COSTS)
            identity: u64 = (shard << INDEX_BITS) | index
            if settle_root(
                identity, states, tables, forward, shards, control, scratch, context
            ) != 0:
                counts[FOUND_GOOD] = counts[FOUND_GOOD] + 1
            else:
                counts[LEFT] = counts[LEFT] + 1
    return part
