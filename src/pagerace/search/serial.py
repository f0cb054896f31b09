"""The search on one core, in kernel Python: both phases, level after level."""

from __future__ import annotations

from pagerace.lang.direct import offset, ptr
from pagerace.lang.integers import u32, u64
from pagerace.search.engine import (
    BUDGET,
    CAPACITY,
    COUNT,
    DEPTH,
    DEPTH_MAX,
    DONE,
    END,
    FAILED,
    FOUND,
    LARGE,
    LOCK_ORDER,
    LOCK_SUM,
    LOCKS,
    LOCKS_KNOWN,
    NO_BUFFER,
    NO_DEPTH,
    NO_MEMORY,
    NO_STATES,
    PAUSED,
    RANK,
    ROW,
    SEEN,
    SHARDS,
    SIZE,
    START,
    STATES,
    STATES_MAX,
    STUCK,
    TOO_LARGE,
    VIOLATED,
    expand,
)  # fmt: skip
from pagerace.search.tables import fits, insert_shards


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
            insert_shards(
                states, tables, forward, shards, control, 0, SHARDS, buffer, fill, 1
            )
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
