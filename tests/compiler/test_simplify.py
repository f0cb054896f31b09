"""Simplified code does the same; a state keeps no more than it needs."""

from __future__ import annotations

import copy
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pagerace.compiler import interpreter, ir, liveness, points
from pagerace.compiler.interpreter import State
from pagerace.compiler.ir import INT, Code, Op, Program, Scalar
from pagerace.compiler.layout import points_of
from pagerace.compiler.simplify import simplify
from tests.assembly import Assembly, const, family, program
from tests.compiler.native.random_programs import programs


def leave(code: Code, *_: object, **__: object) -> None:
    """In place of a pass."""


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Program, Program]:
    """The same program with its values left as they are, and simplified."""
    raw: list[Code] = []
    place = points.place_points

    def keep_and_place(code: Code) -> list[int]:
        raw.append(copy.deepcopy(code))
        return place(code)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(points, "place_points", keep_and_place)
        patch.setattr(points, "simplify", leave)
        patch.setattr(points, "recompute", leave)
        plain = draw(programs())
    processes: list[ir.Process] = []
    for process, code in zip(plain.processes, raw, strict=True):
        processes.append(replace(process, code=code, points=points.place_points(code)))
        liveness.compute(code)
    return plain, replace(plain, processes=processes)


def looks(made: Program, state: State) -> object:
    """The memory and where each process is, whatever number its point has got."""
    places: list[object] = []
    for process, pc in zip(made.processes, state.pc, strict=True):
        stops = points_of(process)
        places.append(stops[pc].where if pc < len(stops) else None)
    return state.memory, places


def same_start(plain: Program, quick: Program) -> tuple[State, State] | None:
    """The initial states; None where the local work before the first point fails."""
    try:
        state = interpreter.initial(plain)
    except interpreter.CheckFailed:
        with pytest.raises(interpreter.CheckFailed):
            interpreter.initial(quick)
        return None
    return state, interpreter.initial(quick)


@settings(deadline=None)
@given(pairs(), st.integers(0, 1 << 32))
def test_the_same_steps_do_the_same(pair: tuple[Program, Program], seed: int) -> None:
    plain, quick = pair
    start = same_start(plain, quick)
    if start is None:
        return
    a, b = start
    chance = random.Random(seed)
    for _ in range(40):
        assert looks(plain, a) == looks(quick, b)
        process = chance.randrange(len(plain.processes))
        one = chance.choice(list(interpreter.enumerate_steps(plain, a, process)))
        other = interpreter.step(quick, b, process, one.choices)
        assert (one.kind, one.choices, one.radices) == (
            other.kind,
            other.choices,
            other.radices,
        )
        assert (one.events, one.locks) == (other.events, other.locks)
        if one.check is not None and other.check is not None:
            assert one.check.where == other.check.where
        if one.kind == "ok":
            a, b = one.state, other.state


@settings(deadline=None)
@given(programs(), st.integers(0, 1 << 32))
def test_what_is_shown_does_not_change_what_is_done(made: Program, seed: int) -> None:
    """A step from a state alone, without what its locals were last, does the same."""
    try:
        state = interpreter.initial(made)
    except interpreter.CheckFailed:
        return
    chance = random.Random(seed)
    for _ in range(40):
        process = chance.randrange(len(made.processes))
        bare = State(state.memory, state.pc, state.locals)
        one = interpreter.step(made, state, process)
        other = interpreter.step(made, bare, process, record=False)
        assert (one.kind, one.state) == (other.kind, other.state)
        state = one.state if one.kind == "ok" else state


def test_a_constant_reaches_its_uses() -> None:
    x = family("Page.x", count=4)
    a = Assembly()
    index = a.register()
    a.copy(index, 1)
    a.load(x)
    a.store(x, a.op("mul", index, 3), a.op("add", index, 1))
    (point,) = points_of(program([x], [a]).processes[0])[1:]
    (store,) = stores(a)
    assert (store.index, store.value) == (const(2), const(3))
    assert point.why == "store pages[2].x"
    assert point.writes == {0: frozenset({2})}


def stores(a: Assembly) -> list[ir.Store]:
    return [i for b in a.code.blocks for i in b.instructions if isinstance(i, ir.Store)]


def live(assembly: Assembly, *families: ir.Family) -> list[tuple[int, ...]]:
    made = program(families, [assembly])
    return [tuple(r.number for r in p.live) for p in points_of(made.processes[0])]


def test_a_state_keeps_only_what_the_rest_follows_from() -> None:
    x = family("Page.x", count=8)
    a = Assembly()
    i = a.load(x)
    page = a.op("convert", i, to=Scalar(8))
    cell = a.op("mod", a.op("mul", page, 3), 8)
    doubled = a.lookup(range(256), cell)
    a.load(x)
    a.store(x, a.op("add", doubled, page), cell)
    a.store(x, i)
    assert live(a, x) == [(), (i.number,), (i.number,), (i.number,)]


def test_a_copy_of_a_loop_counter_is_not_kept() -> None:
    x = family("Page.x", count=4)
    a = Assembly()
    i, page = a.register(name="i"), a.register(name="page")
    a.copy(i, 0)
    head, body, out = a.block(), a.block(), a.block()
    a.jump(head)
    a.at(head).branch(a.op("lt", i, 4), body, out)
    a.at(body).copy(page, i)
    a.store(x, 1, page)
    a.store(x, 2, page)
    a.op("add", i, 1, into=i)
    a.jump(head)
    assert live(a, x) == [(i.number,), (i.number,)]


def test_what_follows_from_an_outer_counter_is_not_kept_in_an_inner_loop() -> None:
    x = family("Page.x", count=8)
    a = Assembly()
    i, j, page = (a.register(name=name) for name in ("i", "j", "page"))
    a.copy(i, 0)
    head, body, inner, store, again, out = (a.block() for _ in range(6))
    a.jump(head)
    a.at(head).branch(a.op("lt", i, 4), body, out)
    a.at(body).op("add", i, 1, into=page)  # a constant as long as i has been 0 only
    a.copy(j, 0)
    a.jump(inner)
    a.at(inner).branch(a.op("lt", j, 2), store, again)
    a.at(store).store(x, j, page)
    a.op("add", j, 1, into=j)
    a.jump(inner)
    a.at(again).op("add", i, 1, into=i)
    a.jump(head)
    assert live(a, x) == [(i.number, j.number)]


def test_a_loop_back_to_the_beginning() -> None:
    x = family("Page.x")
    a = Assembly()
    i = a.register()
    out = a.block()
    a.store(x, i)
    a.copy(i, 1)
    a.branch(a.op("eq", a.load(x), 0), 0, out)
    assert live(a, x) == [(i.number,), ()]
    assert [store.value for store in stores(a)] == [i]


def test_a_copy_that_changes_alone_is_kept() -> None:
    x = family("Page.x")
    a = Assembly()
    i = a.load(x)
    last = a.register()
    a.copy(last, i)
    a.op("add", i, 1, into=i)
    a.store(x, i)
    a.store(x, last)
    # last = i - 1 does not hold as a fact; i and last are both needed.
    assert live(a, x) == [(), (i.number, last.number), (last.number,)]


def test_a_checked_condition_is_not_checked_again() -> None:
    x = family("Page.x", count=3)
    a = Assembly()
    index = a.load(family("Task.n", private=True))
    for _ in range(2):
        a.check(a.op("lt", index, 3), "index-out-of-range")
        a.op("convert", a.load(x, index), into=index)
    a.check(a.op("lt", index, 3), "index-out-of-range")
    a.check(a.op("lt", index, 3), "index-out-of-range")
    a.store(x, 0, index)
    simplify(a.code)
    assert sum(isinstance(i, ir.Check) for i in a.code.blocks[0].instructions) == 3


def test_a_bound_that_a_branch_has_tested_is_not_checked() -> None:
    x = family("Page.x", count=4)
    a = Assembly()
    i = a.register(name="i")
    a.copy(i, 0)
    head, body, out = a.block(), a.block(), a.block()
    a.jump(head)
    a.at(head).branch(a.op("lt", i, 4), body, out)
    a.at(body).check(a.op("lt", i, 4), "index-out-of-range")
    a.store(x, 1, i)
    a.op("add", i, 2, into=i)
    a.check(a.op("lt", i, 4), "index-out-of-range")  # i is another one now
    a.store(x, 2, i)
    a.check(a.op("lt", i, 4), "index-out-of-range")
    a.jump(head)
    (left,) = program([x], [a]).checks
    assert left.where.line == 8


def test_an_interval_decides_a_check() -> None:
    x = family("Page.x", count=3)
    a = Assembly()
    index = a.choose(3)
    a.check(a.op("lt", index, 3), "index-out-of-range")
    a.store(x, 0, index)
    a.check(a.op("lt", a.op("sub", index, 1), 3), "index-out-of-range")  # 255 is not
    points.clean(a.code)
    assert sum(isinstance(i, ir.Check) for i in a.code.blocks[0].instructions) == 1


def test_nothing_stands_after_a_check_that_fails() -> None:
    x = family("Page.x", count=3)
    a = Assembly()
    index = a.register()
    a.copy(index, 7)
    a.check(a.op("lt", index, 3), "index-out-of-range")
    a.store(x, 0, index)
    a.jump(0)
    made = program([x], [Assembly(), a])
    assert stores(a) == []
    with pytest.raises(interpreter.CheckFailed):
        interpreter.initial(made)


def test_a_branch_that_is_known_is_taken() -> None:
    x = family("Page.x")
    a = Assembly()
    then, other, after = a.block(), a.block(), a.block()
    condition = a.op("eq", a.load(x), 3)
    a.branch(condition, then, after)
    a.at(then).branch(a.op("not", condition), other, after)
    a.at(other).store(x, 1)
    points.clean(a.code)
    assert stores(a) == []
    assert len(a.code.blocks) == 1


def test_a_division_by_a_constant_zero_stays() -> None:
    x = family("Page.x", INT)
    a = Assembly()
    a.store(x, a.op("div", const(1, INT), 0))
    points.clean(a.code)
    assert any(isinstance(i, Op) and i.name == "div" for i in a.code.blocks[0].instructions)
