"""Threads that share a CPU: no step without being scheduled, in both forms of the program."""

from __future__ import annotations

import pytest

from pagerace.compiler import interpreter
from pagerace.compiler.diagnostic import CompileError
from pagerace.compiler.program import compile_protocol
from pagerace.lang import Struct, agent, atomic, protocol, thread, thread_index, u2, wait_until
from pagerace.lang.protocol import Protocol
from pagerace.search import check


class Cpu(Struct):
    """``curr``: the thread that runs; ``busy``: it may not be preempted."""

    curr: u2
    busy: bool
    total: u2


cpu = Cpu()


def scheduled() -> bool:
    return cpu.curr == thread_index()


def scheduled_by_cases() -> bool:
    return cpu.curr == thread_index() and cpu.total < 3


def scheduled_at_all() -> u2:
    return cpu.curr


def always() -> bool:
    return True


def preempt() -> None:
    while True:
        with atomic():
            wait_until(not cpu.busy)
            cpu.curr = 1 - cpu.curr


def add() -> None:
    cpu.total += 1


def add_undisturbed() -> None:
    cpu.busy = True
    cpu.total += 1
    cpu.busy = False


def both_added() -> bool:
    return cpu.total == 2


def claim(function: object, schedulable: object = scheduled) -> Protocol:
    return protocol(
        threads=[
            thread(function, cpu=0, name="a"),  # pyright: ignore
            thread(function, cpu=0, name="b"),  # pyright: ignore
            agent(preempt, cpu=0),
        ],
        schedulable=schedulable,  # pyright: ignore
        at_end=[both_added],
    )


def test_what_is_not_preempted_is_not_disturbed() -> None:
    assert check(compile_protocol(claim(add_undisturbed))).verdict == "holds"


def test_what_is_preempted_is_disturbed() -> None:
    result = check(compile_protocol(claim(add)))
    assert result.violation is not None
    assert result.violation.property == "both_added"


def test_without_the_question_threads_run_at_once() -> None:
    result = check(compile_protocol(claim(add_undisturbed, None)))
    assert result.violation is not None
    assert result.violation.property == "both_added"


def test_a_thread_that_is_not_scheduled_is_blocked() -> None:
    program = compile_protocol(claim(add))
    state = interpreter.initial(program)
    kinds = [interpreter.step(program, state, process).kind for process in range(3)]
    assert kinds == ["ok", "blocked", "ok"]


def test_nobody_who_schedules_is_a_deadlock() -> None:
    alone = claim(add).replace(threads=claim(add).threads[:2])
    result = check(compile_protocol(alone))
    assert result.violation is not None
    assert result.violation.slug == "deadlock"


@pytest.mark.parametrize(
    ("question", "slug"),
    [(scheduled_by_cases, "unsupported-statement"), (scheduled_at_all, "type-mismatch")],
)
def test_questions_that_are_refused(question: object, slug: str) -> None:
    with pytest.raises(CompileError) as caught:
        compile_protocol(claim(add, question))
    assert [d.slug for d in caught.value.diagnostics] == [slug]


def test_a_question_that_is_always_true_costs_nothing() -> None:
    asked, free = (compile_protocol(claim(add, question)) for question in (always, None))
    assert check(asked).states == check(free).states
    assert [len(b.instructions) for b in asked.processes[0].code.blocks] == [
        len(b.instructions) for b in free.processes[0].code.blocks
    ]
