"""The numbers that a register can hold."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pagerace.compiler import interpreter
from pagerace.compiler.ir import BOOL, INT, Const, Operand, Program, Reg, Scalar
from pagerace.compiler.ranges import Interval, decided, interval, intervals
from tests.assembly import Assembly, const, family
from tests.compiler.native.random_programs import programs

U8 = Scalar(8)
S8 = Scalar(8, signed=True)


def interval_of(a: Assembly, register: Reg) -> Interval | None:
    return intervals(a.code)[register.number]


def below(a: Assembly, n: int) -> Reg:
    """A register of 0 .. n - 1."""
    return a.choose(n)


@pytest.mark.parametrize(
    ("name", "n", "m", "expected"),
    [
        ("add", 3, 5, (0, 6)),
        ("add", 200, 200, (0, 255)),  # may wrap around
        ("sub", 3, 1, (0, 2)),
        ("sub", 3, 2, (0, 255)),
        ("mul", 3, 5, (0, 8)),
        ("and", 9, 4, (0, 3)),
        ("or", 5, 2, (0, 7)),
        ("xor", 3, 3, (0, 3)),
        ("mod", 99, 4, (0, 2)),
        ("shr", 65, 2, (0, 64)),
        ("shl", 2, 2, (0, 255)),
        ("lt", 2, 2, (0, 1)),
    ],
)
def test_operations(name: str, n: int, m: int, expected: Interval) -> None:
    a = Assembly()
    assert interval_of(a, a.op(name, below(a, n), below(a, m))) == expected


def test_a_constant_narrows() -> None:
    a = Assembly()
    x = below(a, 100)
    assert interval_of(a, a.op("mod", x, 4)) == (0, 3)
    assert interval_of(a, a.op("div", x, 10)) == (0, 9)
    assert interval_of(a, a.op("shr", x, 2)) == (0, 24)
    assert interval_of(a, a.op("add", a.op("mul", a.op("mod", x, 2), 3), 10)) == (10, 13)


def test_conversions() -> None:
    a = Assembly()
    x = below(a, 5)
    assert interval_of(a, a.op("convert", x, to=U8)) == (0, 4)
    assert interval_of(a, a.op("convert", x, to=Scalar(2))) == (0, 3)  # it may not fit
    negative = a.op("select", a.op("eq", x, 0), const(0x80, S8), const(1, S8), to=S8)
    assert interval_of(a, negative) == (1, 0x80)
    assert interval_of(a, a.op("convert", negative, to=INT)) == (0, 0xFFFFFFFF)


def test_a_loop_counter_may_be_anything() -> None:
    a = Assembly()
    i, loop = a.register(), a.block()
    a.copy(i, 3)
    a.jump(loop)
    a.at(loop).op("add", i, 1, into=i)
    a.jump(loop)
    assert interval_of(a, i) == (0, 255)


def test_a_register_of_two_values() -> None:
    a = Assembly()
    x = a.register()
    a.copy(x, 3)
    a.copy(x, 9)
    assert interval_of(a, x) == (3, 9)


def test_a_register_that_may_be_unset_may_be_zero() -> None:
    a = Assembly()
    x, then, after = a.register(), a.block(), a.block()
    a.branch(a.load(family("Page.x", BOOL)), then, after)
    a.at(then).copy(x, 9)
    a.jump(after)
    a.at(after).store(family("Page.y"), x)
    assert interval_of(a, x) == (0, 9)


def test_parameters_and_loads_may_be_anything() -> None:
    a = Assembly()
    x = a.parameter()
    assert interval_of(a, x) == (0, 255)
    assert interval_of(a, a.load(family("Page.x", Scalar(3)))) == (0, 7)
    assert interval_of(a, a.lookup([4, 2, 9], x)) == (2, 9)
    assert interval_of(a, a.register()) is None


@pytest.mark.parametrize(
    ("name", "a", "b", "result"),
    [
        ("lt", (0, 3), (4, 9), 1),
        ("lt", (0, 4), (4, 9), None),
        ("lt", (4, 5), (0, 4), 0),
        ("ge", (4, 5), (0, 4), 1),
        ("gt", (4, 5), (0, 4), None),
        ("le", (0, 4), (4, 9), 1),
        ("eq", (0, 3), (4, 9), 0),
        ("eq", (4, 4), (4, 4), 1),
        ("eq", (0, 4), (4, 9), None),
        ("ne", (0, 3), (4, 9), 1),
        ("ne", (4, 4), (4, 4), 0),
        ("add", (0, 0), (0, 0), None),
    ],
)
def test_decided(name: str, a: Interval, b: Interval, result: int | None) -> None:
    assert decided(name, U8, a, b) == result


def test_a_sign_is_not_a_large_number() -> None:
    assert decided("lt", S8, (0, 3), (4, 127)) == 1
    assert decided("lt", S8, (0, 3), (4, 128)) is None


@settings(deadline=None)
@given(programs(), st.integers(0, 1 << 32))
def test_no_run_leaves_the_intervals(made: Program, seed: int) -> None:
    found = [intervals(process.code) for process in made.processes]
    try:
        state = interpreter.initial(made)
    except interpreter.CheckFailed:
        return
    chance = random.Random(seed)
    for _ in range(30):
        process = chance.randrange(len(made.processes))
        outcomes = interpreter.enumerate_steps(made, state, process)
        outcome = chance.choice(list(outcomes))
        state = outcome.state if outcome.kind == "ok" else state
        for values, bounds in zip(state.shown, found, strict=True):
            for number, value in values.items():
                bound = bounds[number]
                assert bound is not None
                assert bound[0] <= value <= bound[1]


def test_operands() -> None:
    operands: list[Operand] = [Const(3, U8), Reg(0, U8), Reg(1, BOOL)]
    assert [interval([(1, 2), None], operand) for operand in operands] == [
        (3, 3),
        (1, 2),
        (0, 1),
    ]
