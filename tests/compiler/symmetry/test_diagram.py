"""Decision diagrams: each operation means what ``ops`` says, and equal is equal."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pagerace.compiler import ops
from pagerace.compiler.ir import BOOL, Scalar
from pagerace.compiler.symmetry.diagram import (
    FALSE,
    TRUE,
    Bits,
    Diagrams,
    TooLarge,
    Unsupported,
    constant,
    value_of,
)

TWO = ["add", "sub", "mul", "and", "or", "xor", "shl", "shr"]
TWO += ["eq", "ne", "lt", "le", "gt", "ge"]
BY = ["div", "mod"]
ONE = ["invert", "neg", "convert", "truth"]


def evaluate(diagrams: Diagrams, node: int, values: dict[int, int]) -> int:
    """The node where variable ``level`` is ``values[level]``."""
    while node > TRUE:
        level, low, high = diagrams._node[node]  # pyright: ignore
        node = high if values[level] else low
    return node


def number(diagrams: Diagrams, bits: Bits, values: dict[int, int]) -> int:
    return sum(evaluate(diagrams, bit, values) << place for place, bit in enumerate(bits))


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("name", [*TWO, *BY, *ONE, "not", "select"])
def test_operation(name: str, signed: bool) -> None:
    """All values of three bits."""
    scalar = BOOL if name == "not" else Scalar(3, signed)
    count = {"not": 1, "select": 3}.get(name, 1 if name in ONE else 2)
    kind = ops.TABLE[name].result
    result = {"same": scalar, "bool": BOOL, "given": Scalar(3 if name == "select" else 5)}[kind]
    types = [BOOL, scalar, scalar] if name == "select" else [scalar] * count
    diagrams = Diagrams()
    args = [diagrams.unknown(each.bits) for each in types]
    if name in BY and signed:
        with pytest.raises(Unsupported):
            diagrams.operation(name, types[0], result, args)
        return
    found = diagrams.operation(name, types[0], result, args)
    for values in product(*(range(1 << each.bits) for each in types)):
        if name in BY and values[1] == 0:
            continue
        bits = [
            bit
            for v, each in zip(values, types, strict=True)
            for bit in constant(v, each.bits)
        ]
        assignment = dict(enumerate(bits, 1))
        meaning = ops.wrap(result, ops.TABLE[name].meaning(types[0], *values))
        assert number(diagrams, found, assignment) == meaning
        known = [constant(v, each.bits) for v, each in zip(values, types, strict=True)]
        assert value_of(diagrams.operation(name, types[0], result, known)) == meaning


def test_equal_functions_are_equal_nodes() -> None:
    d = Diagrams()
    a, b, c = d.unknown(2), d.unknown(2), d.unknown(2)
    scalar = Scalar(2)

    def add(x: Bits, y: Bits) -> Bits:
        return d.operation("add", scalar, scalar, [x, y])

    assert add(add(a, b), c) == add(c, add(b, a))
    spread = d.either(d.both(c[0], a[0]), d.both(a[0], b[0]))
    assert d.both(a[0], d.either(b[0], c[0])) == spread
    assert d.both(a[0], d.negate(a[0])) == FALSE
    assert d.differ(a[0], a[0]) == FALSE
    assert d.choose(a[0], b[0], c[0]) != d.choose(a[0], c[0], b[0])


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.lists(st.tuples(*(st.integers(0, n) for n in (3, 5, 5))), max_size=12))
def test_nodes_are_equal_exactly_if_functions_are(steps: list[tuple[int, int, int]]) -> None:
    d = Diagrams()
    nodes = [d.variable() for _ in range(4)] + [FALSE, TRUE]
    for kind, x, y in steps:
        join = [d.both, d.either, d.differ, lambda a, b: d.choose(a, b, nodes[0])][kind]
        nodes.append(join(nodes[-1 - x], nodes[-1 - y]))
    tables = {
        node: tuple(
            evaluate(d, node, dict(enumerate(values, 1)))
            for values in product((0, 1), repeat=4)
        )
        for node in nodes
    }
    assert len(set(tables.values())) == len(set(nodes))


def test_too_large() -> None:
    d = Diagrams(nodes_max=2000)
    a, b = d.unknown(12), d.unknown(12)
    with pytest.raises(TooLarge):
        d.operation("mul", Scalar(12), Scalar(12), [a, b])


def test_open_sums() -> None:
    """The same summands give the same number, in any order; other summands another."""
    d = Diagrams(open_sums=True)
    a, b, c = d.unknown(3), d.unknown(3), d.unknown(3)
    scalar = Scalar(3)

    def add(x: Bits, y: Bits) -> Bits:
        return d.operation("add", scalar, scalar, [x, y])

    assert add(add(a, b), c) == add(c, add(b, a)) == add(add(a, c), b)
    assert add(a, b) != add(a, c)
    assert add(a, a) != add(a, b)
    assert add(add(a, a), b) != add(add(a, b), b)
    one, before = constant(1, 3), d.variables
    assert add(a, one) == add(one, a)
    assert d.variables == before  # a sum with a number, such as an index, is what it is
