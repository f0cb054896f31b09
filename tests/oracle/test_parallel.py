"""Programs spread over processes: the same result as in one."""

from __future__ import annotations

import dataclasses

from pagerace.oracle.compare import Compared
from pagerace.oracle.parallel import Work, add, cpus, run_parallel
from pagerace.oracle.session import Outcome, Session
from tests.oracle import fakes
from tests.oracle.fakes import Fake

WORK = Work(seed=7, first=0, count=120, calls=10)


def _parallel(factory: str) -> Outcome:
    session = Session(Fake(), Fake(), ())
    return run_parallel(WORK, session.outcome, (0, 1), None, f"{fakes.__name__}:{factory}")


def test_what_is_compared_is_the_same() -> None:
    alone = Session(Fake(), Fake(), ()).run(WORK.programs())
    together = _parallel("agreeing")
    assert together.verdict == "agrees"
    assert dataclasses.asdict(together)["compared"] == dataclasses.asdict(alone)["compared"]


def test_the_first_difference_is_the_same() -> None:
    alone = Session(Fake(), Fake("errno"), ()).run(WORK.programs())
    together = _parallel("differing")
    assert alone.found is not None and together.found is not None
    assert together.found.name == alone.found.name
    assert together.found.program == alone.found.program


def test_what_a_worker_cannot_is_told() -> None:
    together = _parallel("broken")
    assert together.verdict == "inconclusive"
    assert together.cannot == "the process was killed"


def test_chunks_are_the_programs() -> None:
    names = [name for name, _ in WORK.programs()]
    assert [name for chunk in WORK.chunks() for name, _ in chunk.programs()] == names


def test_every_count_is_added() -> None:
    part = Compared(1, 2, 3, 4, 5, 6, 7, 8)
    part.known["x"] = 2
    total = Compared()
    add(total, part)
    add(total, part)
    assert total == Compared(
        2, 4, 6, 8, 10, 12, 14, 16, part.known + part.known, part.operations
    )


def test_there_are_no_more_workers_than_cpus() -> None:
    assert 1 <= len(cpus(10_000)) < 10_000
    assert len(cpus(1)) == 1


def test_the_setting_of_fault_around_is_part_of_the_program() -> None:
    work = Work(seed=7, first=0, count=40, calls=3, fault_around=64)
    programs = [program for part in work.chunks() for _, program in part.programs()]
    assert [program.fault_around for program in programs] == [64] * 40
