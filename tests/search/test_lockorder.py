"""Cycles in the order of locks."""

from __future__ import annotations

import pytest

from pagerace import search
from pagerace.search.lockorder import LockOrders, shortest_cycle
from tests.search import samples


@pytest.mark.parametrize(
    ("edges", "cycle"),
    [
        ([], None),
        ([(0, 1), (1, 2), (0, 2)], None),
        ([(0, 1), (1, 0)], [0, 1]),
        ([(2, 2)], [2]),
        ([(0, 1), (1, 2), (2, 0), (2, 3), (3, 2)], [2, 3]),
        ([(3, 1), (1, 2), (2, 3)], [1, 2, 3]),
    ],
)
def test_shortest_cycle(edges: list[tuple[int, int]], cycle: list[int] | None) -> None:
    masks = [0] * 4
    for held, taken in edges:
        masks[taken] |= 1 << held
    assert shortest_cycle(masks) == cycle


def test_closing_pairs_are_the_new_ones() -> None:
    orders = LockOrders(2)
    assert not orders.add([0, 0b01])
    assert orders.add([0b10, 0b01])
    assert orders.cycle == [0, 1]
    assert orders.closing_pairs() == {0: 0b10}
    assert orders.edges() == [(1, 0), (0, 1)]


def test_in_a_program() -> None:
    program = samples.program("inversion")
    result = search.check(program)
    assert result.violation is not None
    assert result.violation.text == "INNER -> OUTER -> INNER"
    assert sorted(result.lock_order) == [("INNER", "OUTER"), ("OUTER", "INNER")]
