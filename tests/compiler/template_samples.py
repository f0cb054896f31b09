"""A walker over a table of functions, as walk_page_range() is one, and who uses it."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from pagerace.lang import (
    HOLDS,
    Array,
    Constants,
    Struct,
    array,
    drop,
    force,
    mutant,
    pool,
    protocol,
    s32,
    thread,
    u8,
    violates,
)


class Order(Enum):
    UP = 0
    DOWN = 1


class Row(Struct):
    cells: Array[u8] = array(4)


class Sum(Struct):
    value: u8


class walk_state(Struct):
    """What a walk keeps."""

    calls: u8


class row_ops(Constants):
    """What to call for a cell, and in which order to go."""

    cell: Callable[[Row, u8, walk_state], s32] | None = None
    hole: Callable[[u8], None] | None = None
    order: Order = Order.UP
    step: int = 1
    target: Sum | None = None
    inner: row_ops | None = None


row = Row()
total = Sum()
other = Sum()
alone = walk_state()
states = pool(walk_state, 2)


def walk(row: Row, ops: row_ops, state: walk_state) -> s32:
    """Each cell; an answer other than 0 ends it.  Nobody is called who is not there."""
    state.calls = 0
    for i in range(0, 4, ops.step):
        at = u8(i) if ops.order is Order.UP else u8(3 - i)
        if row.cells[at] == 0:
            if ops.hole is not None:
                ops.hole(at)
            continue
        if ops.cell is not None:
            error = ops.cell(row, at, state)
            if error != 0:
                return error
    return 0


def add_cell(row: Row, at: u8, state: walk_state) -> s32:
    state.calls += 1
    total.value += row.cells[at]
    return 0


def stop_at_large(row: Row, at: u8, state: walk_state) -> s32:
    if row.cells[at] > 9:
        return -5
    add_cell(row, at, state)
    return 0


def note_hole(at: u8) -> None:
    other.value += at + 1


def spoil(row: Row, at: u8, state: walk_state) -> s32:
    row.cells[at] += 1
    return 0


SUM = row_ops(cell=add_cell)
STOP = row_ops(cell=stop_at_large, hole=note_hole, order=Order.DOWN, target=other)
SECOND = row_ops(hole=note_hole, step=2, inner=SUM)
SPOIL = row_ops(cell=spoil)
NOTHING = row_ops()


def fill(a: u8, b: u8) -> None:
    row.cells[0] = a
    row.cells[1] = 0
    row.cells[2] = b
    row.cells[3] = 7
    total.value = 0
    other.value = 0


def sums(a: u8, b: u8) -> s32:
    fill(a, b)
    return s32(walk(row, SUM, alone)) + total.value + s32(alone.calls) * 100


def stops(a: u8, b: u8) -> s32:
    fill(a, b)
    return s32(walk(row, STOP, alone)) * 300 + total.value + other.value


def by_name(a: u8, b: u8) -> s32:
    fill(a, b)
    return s32(walk(state=alone, ops=SECOND, row=row)) + other.value


def nobody(a: u8, b: u8) -> s32:
    fill(a, b)
    return s32(walk(row, NOTHING, alone)) + total.value


def deep(a: u8, b: u8) -> s32:
    fill(a, b)
    return s32(through(SECOND)) + through(STOP)


def through(ops: row_ops) -> s32:
    """A table in a table, an object in a table, and a choice between tables."""
    if ops.inner is not None:
        return s32(walk(row, ops.inner, alone)) + total.value
    found = walk(row, SUM if ops.target is None else NOTHING, alone)
    if ops.target is not None:
        ops.target.value += 3
    return s32(found) + other.value


SAMPLES = ("sums", "stops", "by_name", "nobody", "deep")


def set_up() -> None:
    fill(2, 20)


def walks(ops: row_ops, state: walk_state) -> None:
    walk(row, ops, state)


def is_summed() -> bool:
    return total.value == 29


def is_stopped() -> bool:
    """The walk down met 7, and then 20."""
    return total.value == 7 and other.value == 0 and states[1].calls == 1


two_tables = protocol(
    threads=[thread(walks, NOTHING, states[0], cpu=0), thread(walks, STOP, states[1], cpu=1)],
    setup=set_up,
    at_end=[is_stopped],
    expect=HOLDS,
    mutants={
        "no_error": mutant(force(walk, "error != 0", False), killed_by=is_stopped),
        "no_add": mutant(drop(stop_at_large, add_cell), killed_by=is_stopped),
    },
)
a_race = protocol(
    threads=[thread(walks, SUM, states[0], cpu=0), thread(walks, SPOIL, states[1], cpu=1)],
    setup=set_up,
    at_end=[is_summed],
    expect=violates(is_summed),
)
