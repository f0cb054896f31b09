"""Searching backward through the stored levels, in kernel Python.

Which states of a level lie on a shortest way to a violation, and how few changes of
process can that way have?  Such a state is marked.  Where states stand for others that
are symmetric to them, a step leads to a mark if the representative of what it leads to is
one; then the changes of process are counted as if processes kept their names.

    marks   words of the state, a mark after the other
    costs   of each mark: fewest changes of process on the way to the violation, if
            process p made the step that led here; INFINITE where there is no way
    index   a table of the marks' numbers plus 1, by hash
"""

from __future__ import annotations

from typing import Final

from pagerace.lang.direct import offset, ptr
from pagerace.lang.integers import u32, u64
from pagerace.search.engine import (
    GIVEN,
    GOOD,
    LOCK_ORDER,
    LOCKS_KNOWN,
    MADE,
    NONE,
    PROCESSES,
    REDUCTIONS,
    SECOND,
    SHARDS,
    SPARE,
    STRIDE,
    Engine,
    check_state,
    hash_state,
    next_choice,
    represent,
    same,
    step,
    threads_done,
)

INFINITE: Final = 0xFFFFFFFF

# What is looked for, as bits.
PROPERTY: Final = 1  # a state in which a property is violated
STUCK: Final = 2  # a state in which nobody can step, and threads are not done
LOST: Final = 4  # a state from which completion cannot be reached
FAILURE: Final = 8  # a step in which a check fails
LOCK_PAIR: Final = 16  # a step that takes a lock while another of a set is held

# Words of ``best``, what ``choose_step`` found.
COST: Final = 0
PROCESS: Final = 1
ENDS: Final = 2  # 1 if the step itself is the violation
OUTCOME: Final = 3
CHOICES: Final = 4  # their number, then the choices
BEST_WORDS: Final = 16


def index_marks(marks: ptr[u64], number: u64, index: ptr[u32], bits: u64) -> None:
    """Build the table of ``number`` marks in ``2**bits`` slots."""
    for slot in range(u64(1) << bits):
        index[slot] = 0
    mask: u64 = (u64(1) << bits) - 1
    for mark_number in range(number):
        position: u64 = hash_state(offset(marks, mark_number * Engine.words)) >> (64 - bits)
        while index[position] != 0:
            position = (position + 1) & mask
        index[position] = u32(mark_number + 1)


def find_mark(state: ptr[u64], marks: ptr[u64], index: ptr[u32], bits: u64) -> u64:
    """The number of the mark of a state, or NONE."""
    mask: u64 = (u64(1) << bits) - 1
    position: u64 = hash_state(state) >> (64 - bits)
    while True:
        slot: u64 = index[position]
        if slot == 0:
            return NONE
        if same(offset(marks, (slot - 1) * Engine.words), state) != 0:
            return slot - 1
        position = (position + 1) & mask


def look_ahead(scratch: ptr[u64], control: ptr[u64], context: ptr[u64]) -> None:
    """Find the state that is stored for the successor in ``scratch``, which stays."""
    if control[REDUCTIONS] == 0:
        return
    other = offset(scratch, SECOND * Engine.words)
    for word in range(Engine.words):
        other[word] = scratch[word]
    represent(other, offset(scratch, SPARE * Engine.words), control, context)


def find_stored(
    scratch: ptr[u64], control: ptr[u64], marks: ptr[u64], index: ptr[u32], bits: u64
) -> u64:
    """The number of the mark of the state that ``look_ahead`` found, or NONE."""
    if control[REDUCTIONS] == 0:
        return find_mark(scratch, marks, index, bits)
    return find_mark(offset(scratch, SECOND * Engine.words), marks, index, bits)


def takes_pair(control: ptr[u64], context: ptr[u64], wanted: ptr[u64]) -> u64:
    """1 if the last step took some lock while one of ``wanted[lock]`` was held."""
    found: u64 = 0
    for lock in range(control[LOCKS_KNOWN]):
        found = found | (context[LOCK_ORDER + lock] & wanted[lock])
    return 1 if found != 0 else 0


def forget_locks(control: ptr[u64], context: ptr[u64]) -> None:
    """Make the context ready to tell which locks the next step takes."""
    for lock in range(control[LOCKS_KNOWN]):
        context[LOCK_ORDER + lock] = 0


def mark_state(
    source: ptr[u64],
    control: ptr[u64],
    goals: u64,
    wanted: ptr[u64],
    next_marks: ptr[u64],
    next_costs: ptr[u32],
    next_index: ptr[u32],
    next_bits: u64,
    costs: ptr[u32],
    scratch: ptr[u64],
    context: ptr[u64],
) -> u64:
    """Fill in the costs of one state; 0 if it is not on the way."""
    for process in range(control[PROCESSES]):
        costs[process] = INFINITE
    if (goals & PROPERTY) != 0:
        if check_state(source, context) != 0:
            for process in range(control[PROCESSES]):
                costs[process] = 0
            return 1
    if (goals & (STUCK | FAILURE | LOCK_PAIR)) == 0 and next_bits == 0:
        return 0
    least: u64 = INFINITE
    able: u64 = 0
    at_goal: u64 = 0  # is the state itself where the way ends?
    for process in range(control[PROCESSES]):
        context[GIVEN] = 0
        while True:
            context[MADE] = 0
            if (goals & LOCK_PAIR) != 0:
                forget_locks(control, context)
            outcome: u64 = step(process, source, scratch, context)
            if outcome == 0:
                look_ahead(scratch, control, context)
            cost: u64 = INFINITE
            if (goals & LOCK_PAIR) != 0 and takes_pair(control, context, wanted) != 0:
                cost = 0
            if outcome == 0 or outcome > 2:
                able += 1
                if (goals & FAILURE) != 0 and outcome > 2:
                    cost = 0
            elif cost == 0:
                at_goal = 1
            if outcome == 0 and next_bits != 0 and cost != 0:
                number: u64 = find_stored(
                    scratch, control, next_marks, next_index, next_bits
                )
                if number != NONE:
                    cost = next_costs[number * control[PROCESSES] + process]
            if cost < costs[process]:
                costs[process] = u32(cost)
            least = min(least, cost)
            if context[MADE] == 0:
                break
            if next_choice(context) == 0:
                break
    if (goals & STUCK) != 0 and able == 0:
        if threads_done(source) == 0:
            least = 0
            at_goal = 1
    if least == INFINITE:
        return 0
    for process in range(control[PROCESSES]):
        if costs[process] > least + 1:
            costs[process] = u32(least + 1)
    if at_goal != 0:
        for process in range(control[PROCESSES]):
            costs[process] = 0
    return 1


def mark_level(
    states: ptr[u64],
    forward: ptr[u32],
    control: ptr[u64],
    starts: ptr[u32],
    first_shard: u64,
    last_shard: u64,
    goals: u64,
    wanted: ptr[u64],
    next_marks: ptr[u64],
    next_costs: ptr[u32],
    next_index: ptr[u32],
    next_bits: u64,
    marks: ptr[u64],
    costs: ptr[u32],
    room: u64,
    scratch: ptr[u64],
    context: ptr[u64],
) -> u64:
    """Mark what a level has in shards ``first_shard .. last_shard - 1``; returns how many.

    ``starts[s]`` is where the level starts in shard ``s``, ``starts[SHARDS + s]`` where
    it ends.  With LOST, every state that is not GOOD is marked.  At most ``room`` marks
    are made in a shard, so that the result is the same however shards are grouped.
    """
    made: u64 = 0
    for shard in range(first_shard, last_shard):
        full: u64 = made + room
        for index in range(u64(starts[shard]), u64(starts[SHARDS + shard])):
            if made == full:
                break
            place: u64 = shard * control[STRIDE] + index
            source = offset(states, place * Engine.words)
            row = offset(costs, made * control[PROCESSES])
            hit: u64 = 0
            if (goals & LOST) != 0:
                if forward[place] != GOOD:
                    hit = 1
                    for process in range(control[PROCESSES]):
                        row[process] = 0
            else:
                hit = mark_state(
                    source, control, goals, wanted, next_marks, next_costs, next_index,
                    next_bits, row, scratch, context,
                )  # fmt: skip
            if hit != 0:
                for word in range(Engine.words):
                    marks[made * Engine.words + word] = source[word]
                made += 1
    return made


def choose_step(
    source: ptr[u64],
    target: ptr[u64],
    control: ptr[u64],
    previous: u64,
    goals: u64,
    wanted: ptr[u64],
    next_marks: ptr[u64],
    next_costs: ptr[u32],
    next_index: ptr[u32],
    next_bits: u64,
    best: ptr[u64],
    scratch: ptr[u64],
    context: ptr[u64],
) -> None:
    """Find the step from ``source`` with the fewest changes of process to the violation.

    ``previous`` is the process that came last, or NONE.  Among equals the lowest
    process, then the lowest choices.  ``target`` becomes the state after the step.
    """
    best[COST] = INFINITE
    for process in range(control[PROCESSES]):
        context[GIVEN] = 0
        while True:
            context[MADE] = 0
            if (goals & LOCK_PAIR) != 0:
                forget_locks(control, context)
            outcome: u64 = step(process, source, scratch, context)
            if outcome == 0:
                look_ahead(scratch, control, context)
            cost: u64 = INFINITE
            ends: u64 = 0
            if (goals & FAILURE) != 0 and outcome > 2:
                cost = 0
                ends = 1
            if (goals & LOCK_PAIR) != 0 and (outcome == 0 or outcome > 2):
                if takes_pair(control, context, wanted) != 0:
                    cost = 0
                    ends = 1
            if outcome == 0 and next_bits != 0 and ends == 0:
                number: u64 = find_stored(
                    scratch, control, next_marks, next_index, next_bits
                )
                if number != NONE:
                    cost = next_costs[number * control[PROCESSES] + process]
            if cost != INFINITE and previous != NONE and process != previous:
                cost += 1
            if cost < best[COST]:
                best[COST] = cost
                best[PROCESS] = process
                best[ENDS] = ends
                best[OUTCOME] = outcome
                best[CHOICES] = context[MADE]
                for digit in range(context[MADE]):
                    best[CHOICES + 1 + digit] = context[1 + digit]
                for word in range(Engine.words):
                    target[word] = scratch[word]
            if context[MADE] == 0:
                break
            if next_choice(context) == 0:
                break


def inspect(
    states: ptr[u64], control: ptr[u64], levels: ptr[u32], first: u64, last: u64,
    context: ptr[u64],
) -> u64:  # fmt: skip
    """How many states of the ranges ``first .. last - 1`` violate a property.

    Range ``d * SHARDS + s`` is what level ``d`` has in shard ``s``.
    """
    violated: u64 = 0
    for part in range(first, last):
        shard: u64 = part & (SHARDS - 1)
        for index in range(u64(levels[part]), u64(levels[part + SHARDS])):
            source = offset(states, (shard * control[STRIDE] + index) * Engine.words)
            if check_state(source, context) != 0:
                violated += 1
    return violated
