"""The meaning of a step, instruction by instruction."""

from __future__ import annotations

import time

import pytest

from pagerace.compiler import interpreter, ir
from pagerace.compiler.interpreter import State
from pagerace.compiler.ir import BOOL, INT, Check, Family, Program, Scalar
from tests.assembly import Assembly, const, family, program

REF = Scalar(2, kind="ref", cls=type("Page", (), {}), nullable=True)


def increment(counter: Family, name: str = "increment") -> Assembly:
    """``counter += 1`` the racy way."""
    a = Assembly(name)
    a.store(counter, a.op("add", a.load(counter, name="value"), 1))
    return a


def run(made: Program, *schedule: int) -> State:
    """The state after these processes have made a step each, all of which succeed."""
    state = interpreter.initial(made)
    for process in schedule:
        outcome = interpreter.step(made, state, process)
        assert outcome.kind == "ok"
        state = outcome.state
    return state


def test_a_lost_update() -> None:
    counter = family("Counter.value")
    made = program([counter], [increment(counter), increment(counter)])
    assert interpreter.initial(made) == State([[0]], [0, 0], [{}, {}])
    assert run(made, 0) == State([[0]], [1, 0], [{1: 1}, {}])  # what it will store
    assert run(made, 0, 0, 1, 1) == State([[2]], [2, 2], [{}, {}])
    assert run(made, 0, 1, 0, 1) == State([[1]], [2, 2], [{}, {}])


def test_a_step_leaves_the_state_before_it_alone() -> None:
    counter = family("Counter.value", count=2)
    made = program([counter], [increment(counter)])
    before = run(made, 0)
    kept = State(
        [list(c) for c in before.memory], list(before.pc), list(map(dict, before.locals))
    )
    interpreter.step(made, before, 0)
    assert before == kept


def test_events_of_a_step() -> None:
    counter = family("Counter.value")
    made = program([counter], [increment(counter)])
    state = interpreter.initial(made)
    (load,) = interpreter.step(made, state, 0).events
    assert (load.kind, load.object, load.old, load.new) == ("load", "counters[0].value", 0, 0)
    (store,) = interpreter.step(made, run(made, 0), 0).events
    assert (store.kind, store.old, store.new, store.shared) == ("store", 0, 1, True)
    assert store.where.line == 3
    assert interpreter.step(made, state, 0, record=False).events == []


def test_a_process_that_has_returned_is_finished() -> None:
    counter = family("Counter.value")
    made = program([counter], [increment(counter)])
    done = run(made, 0, 0)
    outcome = interpreter.step(made, done, 0)
    assert (outcome.kind, outcome.state) == ("finished", done)
    assert interpreter.threads_done(made, done)
    assert not interpreter.threads_done(made, run(made, 0))


def test_agents_need_not_return() -> None:
    counter = family("Counter.value")
    made = program([counter], [Assembly()], agents=[increment(counter)])
    assert interpreter.threads_done(made, interpreter.initial(made))


def test_local_work_before_the_first_point_is_done_at_the_start() -> None:
    x, task = family("Page.x"), family("Task.n", count=2, private=True)
    a = Assembly()
    two = a.op("add", a.load(task), 2)
    a.note("call", "unmap")
    a.store(task, two, 1)
    a.store(x, two)
    made = program([x, task], [a])
    (start,) = interpreter.starts(made)
    assert [event.kind for event in start.events] == ["load", "call", "store"]
    assert not start.events[2].shared
    assert start.state == State([[0], [0, 2]], [0], [{two.number: 2}])
    assert interpreter.initial(made) == start.state


def test_a_thread_without_points_is_done_at_once() -> None:
    made = program([], [Assembly()])
    state = interpreter.initial(made)
    assert state == State([], [0], [{}])
    assert interpreter.step(made, state, 0).kind == "finished"


def test_a_register_never_written_is_zero() -> None:
    x = family("Page.x", initial=[5])
    a = Assembly()
    a.store(x, a.register())
    made = program([x], [a])
    assert interpreter.initial(made).locals == [{0: 0}]
    assert run(made, 0).memory == [[0]]


def test_a_failed_check_stops_the_step() -> None:
    x = family("Page.x")
    a = Assembly()
    a.begin()
    a.store(x, 3)
    a.check(a.op("eq", a.load(x), 4), "assert", "x == 4")
    a.store(x, 5)
    a.end()
    made = program([x], [a])
    outcome = interpreter.step(made, interpreter.initial(made), 0)
    assert outcome.kind == "failed"
    assert outcome.check is made.checks[0]
    assert outcome.state.memory == [[3]]
    assert outcome.state.pc == [0]
    assert outcome.events[-1].kind == "check"
    assert (outcome.events[-1].object, outcome.events[-1].text) == ("assert", "x == 4")


def test_a_check_that_fails_at_the_start_is_an_error() -> None:
    a = Assembly()
    a.check(const(0, BOOL), "null-dereference")
    with pytest.raises(interpreter.CheckFailed, match="null-dereference"):
        interpreter.initial(program([], [a]))


def test_a_blocked_step_has_not_happened() -> None:
    x = family("Page.x")
    a = Assembly()
    a.begin()
    a.store(x, 3)
    a.wait(const(0, BOOL))
    a.end()
    made = program([x], [a])
    state = interpreter.initial(made)
    outcome = interpreter.step(made, state, 0)
    assert (outcome.kind, outcome.state) == ("blocked", State([[0]], [0], [{}]))
    assert [event.kind for event in outcome.events] == ["store", "wait"]


def chooser(x: Family, *numbers: int) -> Program:
    """A step that chooses so often, and is blocked where the choices are 0, 1."""
    a = Assembly()
    a.begin()
    total = a.register()
    a.copy(total, 0)
    for n in numbers:
        chosen = a.choose(n)
        a.op("mul", total, 10, into=total)
        a.op("add", total, chosen, into=total)
    a.wait(a.op("ne", total, 1))
    a.store(x, total)
    a.end()
    return program([x], [a])


def test_all_choices_in_order() -> None:
    made = chooser(family("Page.x"), 2, 3)
    state = interpreter.initial(made)
    outcomes = list(interpreter.enumerate_steps(made, state, 0))
    assert [o.choices for o in outcomes] == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
    assert all(o.radices == [2, 3] for o in outcomes)
    assert [o.kind for o in outcomes] == ["ok", "blocked", "ok", "ok", "ok", "ok"]
    assert [o.state.memory[0][0] for o in outcomes] == [0, 0, 2, 10, 11, 12]


def test_choices_not_given_are_zero_and_wrong_ones_refused() -> None:
    made = chooser(family("Page.x"), 2, 3)
    state = interpreter.initial(made)
    outcome = interpreter.step(made, state, 0, [1])
    assert outcome.choices == [1, 0]
    event = next(e for e in outcome.events if e.kind == "choose")
    assert (event.old, event.new) == (2, 1)
    with pytest.raises(ValueError, match="choice 2 of 2"):
        interpreter.step(made, state, 0, [2])


@pytest.mark.parametrize("n", [const(0), const(-3 & 0xFFFFFFFF, INT)])
def test_nothing_to_choose_blocks(n: ir.Const) -> None:
    a = Assembly()
    a.choose(n)
    made = program([], [a])
    state = interpreter.initial(made)
    assert [o.kind for o in interpreter.enumerate_steps(made, state, 0)] == ["blocked"]


def test_an_endless_loop_is_found() -> None:
    x = family("Page.x")
    a = Assembly()
    a.load(x)
    loop = a.block()
    a.jump(loop)
    a.at(loop).jump(loop)
    made = program([x], [a])
    outcome = interpreter.step(made, interpreter.initial(made), 0)
    assert outcome.kind == "endless"
    b = Assembly()
    b.jump(0)
    with pytest.raises(interpreter.EndlessLoop):
        interpreter.initial(program([], [b]))


@pytest.mark.parametrize("step", [1, 0])
def test_a_loop_that_only_counts_far_is_endless_too(
    step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpreter, "BLOCKS_MAX", 1000)
    x, own = family("Page.x"), family("Task.n", Scalar(64), private=True)
    a = Assembly()
    a.load(x)
    loop, out = a.block(), a.block()
    a.jump(loop)
    a.at(loop).store(own, a.op("add", a.load(own), step))
    a.branch(a.op("lt", a.load(own), 998), loop, out)
    made = program([x, own], [a])
    outcome = interpreter.step(made, interpreter.initial(made), 0)
    assert outcome.kind == ("ok" if step else "endless")
    monkeypatch.setattr(interpreter, "BLOCKS_MAX", 990)
    assert interpreter.step(made, interpreter.initial(made), 0).kind == "endless"


def test_branches_lookups_and_locks() -> None:
    x = family("Page.x", count=3, initial=[1, 2, 0])
    a = Assembly()
    index = a.load(x)
    a.lock_order(1, 0b101)
    then, other = a.block(), a.block()
    a.branch(a.op("lt", index, 1), then, other)
    a.at(then).store(x, 9)
    a.at(other).store(x, a.lookup([7, 8], index), 2)
    made = program([x], [a], lock_names=["mmap_lock", "ptl"])
    outcome = interpreter.step(made, interpreter.initial(made), 0)
    assert outcome.locks == [(1, 0b101)]
    lock = outcome.events[-1]
    assert (lock.kind, lock.object, lock.old, lock.new) == ("lock", "ptl", 0b101, 1)
    assert outcome.blocks == {0, 2}
    assert run(made, 0, 0).memory == [[1, 2, 8]]


def test_a_note_shows_what_the_state_has_forgotten() -> None:
    x, page = family("Page.x", count=3), family("Page.next", REF, 3, initial=[2, 0, 0])
    a = Assembly()
    value, ref = a.load(x), a.load(page)
    a.load(x)
    a.note("trace", "x {} of {}", a.op("add", value, 7), ref)
    a.note("return", "unmap", value)
    a.note("return", "nothing")
    made = program([x, page], [a])
    state = run(made, 0, 0)
    assert state.locals == [{}]
    events = interpreter.step(made, state, 0).events
    assert events[1].text == "x 7 of pages[1]"
    assert (events[2].kind, events[2].new, events[2].text) == ("return", 0, "unmap")
    assert events[3].new is None


def test_arithmetic_wraps_around() -> None:
    x = family("Page.x", Scalar(3), initial=[7])
    a = Assembly()
    a.store(x, a.op("add", a.load(x), 1))
    assert run(program([x], [a]), 0, 0).memory == [[0]]


# -- properties and plain code ------------------------------------------------------


def test_properties_are_evaluated_without_changing_the_state() -> None:
    x = family("Page.x", initial=[3])
    p = Assembly("small")
    small = p.op("lt", p.load(x), 5)
    p.store(x, 99)
    made = program([x], [increment(x)], always=[p.result(small)])
    state = interpreter.initial(made)
    assert interpreter.evaluate(made, made.properties[0], state) is True
    assert state.memory == [[3]]
    state.memory[0][0] = 5
    assert interpreter.evaluate(made, made.properties[0], state) is False


def test_a_check_that_fails_in_a_property_is_its_result() -> None:
    x = family("Page.x")
    p = Assembly("broken")
    p.check(const(0, BOOL), "index-out-of-range")
    made = program([x], [increment(x)], always=[p.result(1)])
    result = interpreter.evaluate(made, made.properties[0], interpreter.initial(made))
    assert isinstance(result, Check) and result.slug == "index-out-of-range"


def test_a_property_may_ask_whether_the_threads_are_done() -> None:
    x = family("Page.x")
    p = Assembly("done")
    done = p.parameter(BOOL, "threads_done")
    made = program([x], [increment(x)], always=[p.result(done)])
    assert interpreter.evaluate(made, made.properties[0], interpreter.initial(made)) is False
    assert interpreter.evaluate(made, made.properties[0], run(made, 0, 0)) is True


def test_run_code_changes_memory_and_returns_the_result() -> None:
    x = family("Page.x", count=2)
    x.number = 0
    a = Assembly("setup")
    value = a.parameter(name="value")
    a.begin()
    a.store(x, value, 1)
    a.end()
    memory = [[0, 0]]
    assert interpreter.run_code(None, a.result(a.load(x, 1)), memory, [6]) == 6
    assert memory == [[0, 6]]


def test_run_code_that_waits_is_an_error() -> None:
    a = Assembly("setup")
    a.wait(const(0, BOOL))
    with pytest.raises(interpreter.NotPossible, match=r"test.py:1"):
        interpreter.run_code(None, a.code, [])


def test_direct_code_calls_and_walks_over_pointers() -> None:
    pointer = Scalar(64, kind="ptr", element=ir.U64)
    a = Assembly("last_but")
    p, i = a.parameter(pointer, "p"), a.parameter(INT, "i")
    at, value, twice = a.register(pointer), a.register(ir.U64), a.register(ir.U64)
    a.emit(ir.PtrOffset(at, p, const(2, INT), a.where()))
    a.emit(ir.PtrLoad(value, at, i, a.where()))
    a.emit(ir.Call(twice, "twice", (value,), a.where()))
    a.emit(ir.Call(None, "log", (twice,), a.where()))
    a.emit(ir.PtrStore(p, const(0, INT), twice, a.where()))
    b = Assembly("twice")
    n = b.parameter(ir.U64, "n")
    functions = {"twice": b.result(b.op("add", n, n))}
    numbers, logged = [1, 2, 3], list[int]()
    result = interpreter.run_code(
        None,
        a.result(twice),
        [],
        [interpreter.Pointer(numbers), 0xFFFFFFFF],
        functions={**functions, "log": logged.append},
    )
    assert (result, numbers, logged) == (4, [4, 2, 3], [4])


def test_sixty_steps_replay_in_milliseconds() -> None:
    x = family("Page.x")
    a = Assembly()
    loop = a.block()
    a.jump(loop)
    a.at(loop).store(x, a.op("add", a.load(x), 1))
    a.jump(loop)
    made = program([x], [a, increment(x)])
    started = time.perf_counter()
    assert run(made, *[0] * 60).memory == [[30]]
    assert time.perf_counter() - started < 0.1  # about 1 ms; a loaded machine is slow
