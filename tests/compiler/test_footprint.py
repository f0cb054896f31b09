"""What a step may read and write."""

from __future__ import annotations

from pagerace.compiler.ir import BOOL, Family, Point
from pagerace.compiler.layout import points_of
from tests.assembly import Assembly, const, family, program


def points(assembly: Assembly, families: list[Family]) -> list[Point]:
    return points_of(program(families, [assembly]).processes[0])


def test_a_step_is_one_access_and_the_local_work_after_it() -> None:
    x, y, task = family("Page.x", count=3), family("Page.y"), family("Task.n", private=True)
    a = Assembly()
    value = a.load(x, 2)
    a.store(task, value)
    a.store(y, value)
    first, second = points(a, [x, y, task])
    assert first.reads == {0: frozenset({2})}
    assert first.writes == {2: frozenset({0})}
    assert second.reads == {}
    assert second.writes == {1: frozenset({0})}


def test_an_index_known_only_at_run_time_is_any_cell() -> None:
    x, one = family("Page.x", count=3), family("Page.one", count=1)
    a = Assembly()
    a.begin()
    value = a.load(x, 1)
    a.store(x, 1, value)
    a.store(x, 1, 0)
    a.load(one, value)
    a.end()
    (found,) = points(a, [x, one])
    assert found.reads == {0: frozenset({1}), 1: frozenset({0})}
    assert found.writes == {0: None}


def test_both_branches_up_to_the_next_points_count() -> None:
    x = family("Page.x", count=4)
    task = family("Task.n", count=4, private=True)
    constant = family("Config.c", written=False)
    a = Assembly()
    then, other = a.block(), a.block()
    a.branch(a.op("truth", a.load(x, 0)), then, other)
    a.at(then).store(task, 1, 1)
    a.store(x, 0, 3)
    a.at(other).store(task, 1, 2)
    a.load(constant)
    found = points(a, [x, task, constant])[0]
    assert found.reads == {0: frozenset({0})}
    assert found.writes == {1: frozenset({1, 2})}
    assert not found.chooses


def test_chooses() -> None:
    a = Assembly()
    a.choose(2)
    a.wait(const(1, BOOL))
    assert [point.chooses for point in points(a, [])] == [True, False]
