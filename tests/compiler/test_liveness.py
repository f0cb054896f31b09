"""Which registers a state keeps."""

from __future__ import annotations

from pagerace.compiler import liveness, points
from pagerace.compiler.ir import NONE, Reg, Scalar
from tests.assembly import Assembly, family


def live(assembly: Assembly) -> list[tuple[int, ...]]:
    """The numbers of the registers live at each point."""
    numbers = points.place_points(assembly.code)
    liveness.compute(assembly.code)
    found = [assembly.code.blocks[number].point for number in numbers]
    return [tuple(r.number for r in point.live) for point in found if point is not None]


def test_a_value_is_live_from_its_load_to_its_last_use() -> None:
    x = family("Page.x")
    a = Assembly()
    first = a.load(x)
    second = a.load(x)
    a.store(x, a.op("add", first, second))
    assert live(a) == [(), (first.number,), (2,)]


def test_a_register_written_again_is_dead_before_that() -> None:
    x = family("Page.x")
    a = Assembly()
    value = a.load(x)
    a.store(x, value)
    a.load(x, into=value)
    a.store(x, value)
    assert live(a) == [(), (0,), (), (0,)]


def test_around_a_loop() -> None:
    x = family("Page.x")
    a = Assembly()
    i = a.register()
    a.copy(i, 0)
    loop, out = a.block(), a.block()
    a.jump(loop)
    a.at(loop).store(x, i)
    a.op("add", i, 1, into=i)
    a.branch(a.op("lt", i, 4), loop, out)
    a.at(out).load(x)
    assert live(a) == [(i.number,), ()]


def test_a_value_that_may_be_unset_is_live_from_the_start() -> None:
    x = family("Page.x")
    a = Assembly()
    maybe = a.register()
    then, after = a.block(), a.block()
    a.branch(a.op("truth", a.load(x)), then, after)
    a.at(then).copy(maybe, 1)
    a.jump(after)
    a.at(after).store(x, maybe)
    assert live(a) == [(maybe.number,), (maybe.number,)]


def test_what_only_feeds_an_unused_operation_is_dead() -> None:
    x = family("Page.x")
    a = Assembly()
    value = a.load(x)
    a.load(x)
    total = a.op("add", value, 1)
    a.op("add", total, 1, into=total)
    assert live(a) == [(), ()]


def test_a_note_keeps_nothing_alive_not_even_through_an_operation() -> None:
    x = family("Page.x")
    a = Assembly()
    value = a.load(x)
    a.store(x, 1)
    a.note("trace", "{} {}", value, a.op("add", value, 1))
    assert live(a) == [(), ()]


def test_a_register_without_bits_is_left_out() -> None:
    x = family("Page.x")
    a = Assembly()
    nothing = a.register(NONE)
    value = a.load(x)
    a.load(x)
    a.lookup([0], nothing)
    a.store(x, value)
    a.code.blocks[0].instructions[-1].index = nothing  # type: ignore[union-attr]
    assert live(a) == [(), (value.number,), (value.number,)]


def test_operands_and_destination() -> None:
    x = family("Page.x")
    a = Assembly()
    value = a.load(x, a.register(Scalar(4)))
    (load,) = a.code.blocks[0].instructions
    assert liveness.operands(load) == (Reg(0, Scalar(4)),)
    assert liveness.destination(load) == value
    a.store(x, value)
    assert liveness.destination(a.code.blocks[0].instructions[1]) is None
