"""Where points stand, and what cleaning does to a graph."""

from __future__ import annotations

import pytest

from pagerace.compiler import footprint, ir, liveness, points
from pagerace.compiler.ir import BOOL, Scalar
from tests.assembly import Assembly, const, family


def whys(assembly: Assembly) -> list[str]:
    """The points of the code, placed, in order."""
    numbers = points.place_points(assembly.code)
    placed = [assembly.code.blocks[number].point for number in numbers]
    assert all(point is not None and point.number == i for i, point in enumerate(placed))
    every = [block.point for block in assembly.code.blocks if block.point is not None]
    assert every == placed
    return [point.why for point in placed if point is not None]


def test_a_point_before_each_shared_access() -> None:
    counter = family("Counter.value", count=2)
    a = Assembly()
    value = a.load(counter, 1)
    a.store(counter, a.op("add", value, 1), a.op("and", value, 1))
    assert whys(a) == ["load counters[1].value", "store Counter.value"]


def test_no_point_for_private_or_constant_memory() -> None:
    a = Assembly()
    value = a.load(family("Config.size", written=False))
    a.store(family("Task.count", private=True), value)
    assert whys(a) == []
    assert len(a.code.blocks) == 1


def test_wait_and_choose_have_points() -> None:
    a = Assembly()
    a.choose(3)
    a.wait(const(1, BOOL))
    assert whys(a) == ["choose", "wait"]


def test_a_section_has_one_point_at_its_start() -> None:
    x, y = family("Page.x"), family("Page.y")
    a = Assembly()
    a.begin("xchg Page.x")
    a.store(x, a.load(y))
    a.begin()
    a.choose(2)
    a.end()
    a.end()
    a.store(y, 1)
    assert whys(a) == ["xchg Page.x", "store pages[0].y"]
    assert all(
        not isinstance(i, (ir.Begin, ir.End)) for b in a.code.blocks for i in b.instructions
    )


def test_a_section_over_branches_has_a_point_if_any_of_them_needs_it() -> None:
    x = family("Page.x")
    a = Assembly()
    flag = a.load(family("Task.flag", BOOL, private=True))
    a.begin()
    then, after = a.block(), a.block()
    a.branch(flag, then, after)
    a.at(then).load(x)
    a.jump(after)
    a.at(after).end()
    assert whys(a) == ["atomic section"]


def test_a_section_of_local_work_has_no_point() -> None:
    a = Assembly()
    a.begin()
    a.store(family("Task.count", private=True), 1)
    a.end()
    a.load(family("Page.x"))
    assert whys(a) == ["load pages[0].x"]


def test_what_follows_a_section_does_not_count_for_it() -> None:
    x = family("Page.x")
    a = Assembly()
    loop, out = a.block(), a.block()
    a.jump(loop)
    a.at(loop).begin()
    a.end()
    more = a.load(x)
    a.branch(a.op("truth", more), loop, out)
    assert whys(a) == ["load pages[0].x"]


def test_a_loop_inside_a_section_is_one_step() -> None:
    x = family("Page.x", count=4)
    a = Assembly()
    i = a.register()
    a.copy(i, 0)
    a.begin()
    loop, out = a.block(), a.block()
    a.jump(loop)
    a.at(loop).store(x, 1, i)
    a.op("add", i, 1, into=i)
    a.branch(a.op("lt", i, 4), loop, out)
    a.at(out).end()
    assert whys(a) == ["atomic section"]


def test_the_order_of_points_is_that_of_the_source() -> None:
    x = family("Page.x")
    a = Assembly()
    then, other, after = a.block(), a.block(), a.block()
    a.branch(a.op("truth", a.load(x)), then, other)
    a.at(other).store(x, 2)
    a.jump(after)
    a.at(after).store(x, 3)
    a.at(then).store(x, 1)
    a.jump(after)
    points.place_points(a.code)
    lines = [b.point.where.line for b in a.code.blocks if b.point is not None]
    assert lines == [1, 5, 3, 4]  # load, then, other, after


def test_unpaired_sections_are_refused() -> None:
    a = Assembly()
    a.begin()
    with pytest.raises(points.SectionError, match="returns inside"):
        points.place_points(a.code)
    a = Assembly()
    a.end()
    with pytest.raises(points.SectionError, match="End without Begin"):
        points.place_points(a.code)


def test_points_are_placed_once() -> None:
    a = Assembly()
    a.load(family("Page.x"))
    points.place_points(a.code)
    with pytest.raises(ValueError, match="has points"):
        points.place_points(a.code)


def test_a_block_in_and_out_of_a_section_is_refused() -> None:
    a = Assembly()
    then, after = a.block(), a.block()
    a.branch(a.load(family("Task.flag", BOOL, private=True)), then, after)
    a.at(then).begin()
    a.jump(after)
    a.at(after).load(family("Page.x"))
    with pytest.raises(points.SectionError, match=r"in and out|returns inside"):
        points.place_points(a.code)


# -- cleaning ---------------------------------------------------------------------


def test_clean_threads_jumps_and_drops_what_cannot_run() -> None:
    x = family("Page.x")
    a = Assembly()
    blocks = [a.block() for _ in range(4)]
    a.jump(blocks[0])
    a.at(blocks[0]).jump(blocks[1])
    a.at(blocks[1]).store(x, 1)
    a.jump(blocks[3])
    a.at(blocks[2]).store(x, 9)
    points.clean(a.code)
    assert len(a.code.blocks) == 1
    (store,) = a.code.blocks[0].instructions
    assert isinstance(store, ir.Store) and store.value == const(1)
    assert a.code.blocks[0].terminator == ir.Return()


def test_clean_drops_unused_operations_but_no_load() -> None:
    x = family("Page.x")
    a = Assembly()
    loaded = a.load(x)
    twice = a.op("add", loaded, loaded)
    a.lookup([1, 2, 3], a.op("and", twice, 1))
    points.clean(a.code)
    assert [type(i) for i in a.code.blocks[0].instructions] == [ir.Load]


def test_clean_keeps_what_a_note_shows() -> None:
    a = Assembly()
    a.note("trace", "twice {}", a.op("add", a.load(family("Page.x")), 1))
    points.clean(a.code)
    assert [type(i) for i in a.code.blocks[0].instructions] == [ir.Load, ir.Op, ir.Note]


def test_clean_decides_a_constant_branch_and_one_without_a_difference() -> None:
    x = family("Page.x")
    a = Assembly()
    then, other, after = a.block(), a.block(), a.block()
    a.branch(const(0, BOOL), then, other)
    a.at(then).store(x, 1)
    a.at(other).branch(a.op("eq", const(1), 1), after, after)
    points.clean(a.code)
    assert len(a.code.blocks) == 1
    assert a.code.blocks[0].instructions == []


def test_clean_keeps_an_endless_ring() -> None:
    a = Assembly()
    first, second = a.block(), a.block()
    a.jump(first)
    a.at(first).jump(second)
    a.at(second).jump(first)
    points.clean(a.code)
    assert any(b.terminator == ir.Jump(i) for i, b in enumerate(a.code.blocks))
    assert not any(isinstance(block.terminator, ir.Return) for block in a.code.blocks)


def test_clean_twice_is_clean_once() -> None:
    x = family("Page.x", Scalar(3))
    a = Assembly()
    loop, body, out = a.block(), a.block(), a.block()
    a.jump(loop)
    a.at(loop).branch(a.op("lt", a.load(x), 5), body, out)
    a.at(body).store(x, a.op("add", a.load(x), 1))
    a.jump(loop)
    points.place_points(a.code)
    liveness.compute(a.code)
    footprint.compute(a.code)
    once = repr(a.code)
    points.clean(a.code)
    assert repr(a.code) == once
