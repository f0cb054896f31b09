"""Native steps are what the interpreter says, in every bit that anybody can see."""

from __future__ import annotations

import ctypes

import pytest
from hypothesis import HealthCheck, given, settings

from pagerace.compiler import interpreter
from pagerace.compiler.interpreter import Outcome, State
from pagerace.compiler.ir import U64, Check, Const, Program, Scalar
from pagerace.compiler.layout import Layout
from pagerace.compiler.native import build, context, stepped
from tests.assembly import Assembly, const, family, program
from tests.compiler.native.random_programs import programs

STATUS = {
    "ok": context.OK,
    "blocked": context.BLOCKED,
    "finished": context.FINISHED,
    "failed": context.FAILED,
    "endless": context.ENDLESS,
}


class Runner:
    """Runs a program natively and compares with the interpreter."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.layout = Layout.of(program)
        self.native = build.compile_program(program, self.layout, cached=False)
        self.context = (ctypes.c_uint64 * (context.context_bytes(program) // 8))()
        self.target = (ctypes.c_uint64 * self.layout.words)()

    def words(self, state: State) -> ctypes.Array[ctypes.c_uint64]:
        return (ctypes.c_uint64 * self.layout.words)(*self.layout.pack(state))

    def compare_step(self, state: State, process: int, expected: Outcome) -> None:
        memory = self.context
        ctypes.memset(memory, 0, ctypes.sizeof(memory))
        memory[context.GIVEN] = len(expected.choices)
        for place, choice in enumerate(expected.choices):
            memory[context.CHOICES + place] = choice
        source = self.words(state)
        before = list(source)
        status = self.native.step(process, source, self.target, memory)
        assert status == STATUS[expected.kind]
        assert list(source) == before
        assert memory[0] == len(expected.choices)
        made = slice(context.RADICES, context.RADICES + memory[0])
        assert memory[made] == expected.radices
        made = slice(context.CHOICES, context.CHOICES + memory[0])
        assert memory[made] == expected.choices
        locks = [0] * context.LOCKS_MAX
        for lock, held in expected.locks:
            locks[lock] |= held
        assert memory[context.LOCKS : context.LOCKS + context.LOCKS_MAX] == locks
        if expected.kind == "ok":
            assert list(self.target) == list(self.layout.pack(expected.state))
            assert self.covered() == {(process, block) for block in expected.blocks}
        else:
            assert self.covered() <= {(process, block) for block in expected.blocks}
        if expected.check is not None:
            assert memory[context.CHECK] == expected.check.number

    def covered(self) -> set[tuple[int, int]]:
        coverage = bytes(self.context)[context.COVERAGE_BYTES :]
        return {
            (process.index, block)
            for process, base in zip(
                self.program.processes, context.block_base(self.program), strict=True
            )
            for block in range(len(process.code.blocks))
            if coverage[base + block]
        }

    def compare_state(self, state: State) -> None:
        source = self.words(state)
        done = interpreter.threads_done(self.program, state)
        assert self.native.threads_done(source) == done
        first, failing, reached = 0, context.NO_CHECK, 0
        for index, property in enumerate(self.program.properties):
            if property.kind == "at_end" and not done:
                continue
            holds = interpreter.evaluate(self.program, property, state)
            if property.kind == "sometimes" and not isinstance(holds, Check):
                reached |= holds << index
                continue
            if isinstance(holds, Check) or not holds:
                if first == 0:
                    first = index + 1
                    failing = holds.number if isinstance(holds, Check) else context.NO_CHECK
        self.context[context.SOMETIMES] = 0
        assert self.native.check_state(source, self.context) == first
        assert self.context[context.CHECK] == failing
        assert self.context[context.SOMETIMES] == reached

    def explore(self, states_max: int = 40) -> int:
        """Compare all steps from the first states, breadth first; how many states."""
        try:
            states = [interpreter.initial(self.program)]
        except interpreter.CheckFailed:
            return 0
        seen = {states[0].key()}
        for state in states:
            self.compare_state(state)
            for process in range(len(self.program.processes)):
                for outcome in interpreter.enumerate_steps(
                    self.program, state, process, record=False
                ):
                    self.compare_step(state, process, outcome)
                    if outcome.kind != "ok" or len(states) == states_max:
                        continue
                    if outcome.state.key() not in seen:
                        seen.add(outcome.state.key())
                        states.append(outcome.state)
        return len(states)


@settings(
    max_examples=150, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(programs())
def test_random_programs(generated: Program) -> None:
    Runner(generated).explore()


def test_a_loop_inside_a_step_ends_where_the_interpreter_ends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A block too many is endless, the last one allowed is not; blocks of all kinds count."""
    found: list[int] = []
    for limit in range(24, 32):
        monkeypatch.setattr(interpreter, "BLOCKS_MAX", limit)
        monkeypatch.setattr("pagerace.compiler.native.words.BLOCKS_MAX", limit)
        cells = family("F.f")
        a = Assembly()
        a.begin()
        counter = a.load(cells)
        head, odd, both, after = a.block(), a.block(), a.block(), a.block()
        a.jump(head)
        a.at(head)
        a.branch(a.op("eq", a.op("and", counter, 1), 1), odd, both)
        a.at(odd)
        a.op("add", counter, 1, into=counter)
        a.jump(both)
        a.at(both)
        a.op("add", counter, 1, into=counter)
        a.branch(a.op("lt", counter, 16), head, after)
        a.at(after)
        a.store(cells, counter)
        a.end()
        found.append(Runner(program([cells], [a])).explore())
    assert found == [1, 1, 1, 1, 2, 2, 2, 2]  # states: 28 blocks it takes


def test_a_process_without_points_has_finished() -> None:
    cells = family("F.f")
    a, b = Assembly(), Assembly()
    a.op("add", const(1), 1)
    b.store(cells, 1)
    assert Runner(program([cells], [a, b])).explore() == 2


def test_more_choices_than_a_context_holds() -> None:
    cells = family("F.f")
    a = Assembly()
    a.begin()
    for _ in range(context.CHOICES_MAX + 1):
        a.store(cells, a.choose(2))
    a.end()
    generated = program([cells], [a])
    with pytest.raises(stepped.TooManyChoices) as caught:
        build.compile_program(generated, Layout.of(generated))
    assert caught.value.where.file == "test.py"


def test_too_many_choices_in_a_loop_are_noticed_when_they_are_made() -> None:
    cells = family("F.f")
    a = Assembly()
    a.begin()
    total = a.load(cells)
    head, after = a.block(), a.block()
    a.jump(head)
    a.at(head)
    a.op("add", total, a.choose(1), into=total)
    a.op("add", total, 1, into=total)
    a.branch(a.op("lt", total, 9), head, after)
    a.at(after)
    a.store(cells, total)
    a.end()
    runner = Runner(program([cells], [a]))
    source = runner.words(interpreter.initial(runner.program))
    status = runner.native.step(0, source, runner.target, runner.context)
    assert status == context.TOO_MANY_CHOICES


def test_a_choice_of_nothing_blocks() -> None:
    cells = family("F.f", initial=[0])
    a = Assembly()
    a.store(cells, a.choose(a.load(cells)))
    assert Runner(program([cells], [a])).explore() == 2  # after the load it is stuck


def test_wide_states_and_wide_cells() -> None:
    """All 64 bits, more words than one copy moves, a family over several words."""
    wide, many = family("F.wide", U64, 3), family("G.many", Scalar(13), 40)
    a = Assembly()
    for index in range(40):
        a.store(many, Const(8191 - index, Scalar(13)), index)
    i = a.load(many, 39)
    j = a.op("mod", i, 40)
    a.store(many, 1, j)
    a.store(wide, (1 << 64) - 1, a.op("mod", j, 3))
    assert Runner(program([wide, many], [a])).explore(60) == 44


def test_symbols() -> None:
    cells = family("F.f")
    a = Assembly()
    a.store(cells, 1)
    done = Assembly("done")
    generated = program([cells], [a], at_end=[done.result(done.op("eq", done.load(cells), 1))])
    native = build.compile_program(generated, Layout.of(generated), cached=False)
    assert native.address("step") != native.address("check_state")
    with pytest.raises(KeyError):
        native.address("process.0")
    step = native.step
    del native  # the function keeps the code
    words = (ctypes.c_uint64 * 1)()
    memory = (ctypes.c_uint64 * (context.context_bytes(generated) // 8))()
    target = (ctypes.c_uint64 * 1)()
    assert step(0, words, target, memory) == context.OK
