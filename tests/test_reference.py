"""The reference search, on programs small enough to count by hand."""

from __future__ import annotations

import pytest

from pagerace.compiler.ir import BOOL, Code, Family
from tests.assembly import Assembly, family, program
from tests.reference import search


def increment(counter: Family) -> Assembly:
    a = Assembly("increment")
    a.store(counter, a.op("add", a.load(counter), 1))
    return a


def equals(name: str, cells: Family, value: int) -> Code:
    p = Assembly(name)
    return p.result(p.op("eq", p.load(cells), value))


def test_a_lost_update_is_found() -> None:
    x = family("Counter.x")
    made = program(
        [x],
        [increment(x), increment(x)],
        at_end=[equals("no_lost_update", x, 2)],
        sometimes=[equals("two", x, 2), equals("three", x, 3)],
    )
    found = search(made)
    # Start; one load; both loads or one store; ...; both done with 1, and with 2.
    assert found.levels == [1, 2, 3, 4, 2]
    assert (found.states, found.transitions, found.depth, found.complete) == (12, 14, 4, 2)
    assert found.violations == {"no_lost_update": 4}
    assert found.shortest == 4
    assert found.reached == {"two"}


def test_an_atomic_update_is_not_lost() -> None:
    x = family("Counter.x")
    threads: list[Assembly] = []
    for _ in range(2):
        a = Assembly()
        a.begin()
        a.store(x, a.op("add", a.load(x), 1))
        a.end()
        threads.append(a)
    found = search(program([x], threads, at_end=[equals("no_lost_update", x, 2)]))
    assert (found.states, found.transitions, found.violations) == (4, 4, {})


def lock(cell: Family) -> Assembly:
    a = Assembly()
    for index in (0, 1):
        take(a, cell, index)
    return a


def take(a: Assembly, cell: Family, index: int) -> None:
    a.begin("wait_until")
    a.wait(a.op("not", a.load(cell, index)))
    a.store(cell, 1, index)
    a.end()


def test_a_deadlock() -> None:
    cell = family("Lock.held", BOOL, 2)
    threads: list[Assembly] = []
    for order in ((0, 1), (1, 0)):
        a = Assembly()
        for index in order:
            take(a, cell, index)
        for index in order:
            a.store(cell, 0, index)
        threads.append(a)
    found = search(program([cell], threads))
    assert found.violations == {"deadlock": 2}


def test_a_livelock() -> None:
    x = family("Page.x", BOOL)
    waiter, closer = Assembly("waiter"), Assembly("closer")
    loop, out = waiter.block(), waiter.block()
    waiter.jump(loop)
    waiter.at(loop).branch(waiter.load(x), loop, out)
    closer.store(x, 1)
    found = search(program([x], [waiter, closer]))
    assert found.violations == {"livelock": 1}


def test_checks_and_endless_loops() -> None:
    x = family("Page.x")
    a = Assembly()
    loop, out = a.block(), a.block()
    value = a.load(x)
    a.check(a.op("lt", value, 2), "bug")
    a.branch(a.op("eq", value, 1), loop, out)
    a.at(loop).jump(loop)
    b = Assembly()
    b.store(x, 1)
    b.store(x, 2)
    found = search(program([x], [a, b]))
    assert found.violations == {"endless-loop": 2, "bug": 3}


def test_choices_count_as_transitions() -> None:
    x = family("Page.x")
    a = Assembly()
    a.begin()
    a.store(x, a.op("mod", a.choose(5), 2))
    a.end()
    found = search(program([x], [a]))
    assert (found.states, found.transitions) == (3, 5)


def test_the_bound() -> None:
    x = family("Counter.x")
    with pytest.raises(OverflowError, match="more than 5 states"):
        search(program([x], [increment(x), increment(x)]), states_max=5)
