"""mincore() in programs: what the kernel tells, what mm/ does, and where they differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from pagerace.oracle import constants as c
from pagerace.oracle.kernel import Kernel
from pagerace.oracle.model import Model
from pagerace.oracle.program import (
    File,
    Fork,
    Ftruncate,
    Load,
    Mincore,
    Mmap,
    Mprotect,
    Munmap,
    Observation,
    Program,
    Sight,
    Store,
)
from pagerace.oracle.report import outcome_of, text
from pagerace.oracle.session import Session
from tests.oracle.conftest import RunCalls
from tests.oracle.test_printing import _run, needs_gcc

RW = c.PROT_READ | c.PROT_WRITE
ANON = Mmap(0, 4, 6, RW, c.MAP_PRIVATE | c.MAP_ANONYMOUS | c.MAP_FIXED)
ENOMEM = -12
OF_FILE = Mmap(0, 16, 4, c.PROT_READ, c.MAP_SHARED | c.MAP_FIXED, 0, 2)
CALLS = (
    ANON, Store(0, 5, 1), Load(0, 7), Mincore(0, 4, 6), Mprotect(0, 4, 6, 0), Mincore(0, 4, 6),
    OF_FILE, Mincore(0, 16, 4), Fork(0, 1), Munmap(0, 6, 1), Mincore(0, 4, 6), Mincore(1, 4, 6),
    Ftruncate(0, 0, 3), Mincore(0, 16, 4), Mincore(0, 3, 2), Mincore(0, 3, 0),
)  # fmt: skip
TOLD = [
    (0, (0, 1, 0, 1, 0, 0)), (0, (0, 1, 0, 1, 0, 0)), (0, (1, 1, 1, 0)), (ENOMEM, (0, 1)),
    (0, (0, 1, 0, 1, 0, 0)), (0, (1, 0, 0, 0)), (ENOMEM, ()), (0, ()),
]  # fmt: skip
PROGRAM = Program(CALLS, (File("memfd", 5),))


def told(seen: list[Observation]) -> list[tuple[int, tuple[int, ...]]]:
    asked = (number for number, call in enumerate(CALLS) if isinstance(call, Mincore))
    return [(seen[number].result, seen[number].vector) for number in asked]


@pytest.mark.parametrize("kind", ["memfd", "file"])
def test_the_kernel_tells(run_calls: RunCalls, kind: str) -> None:
    """Of a file that may not be written too: it is ours."""
    seen = run_calls(*CALLS, files=(File(kind, 5),))
    assert told(seen) == TOLD


def test_a_file_that_is_not_to_be_written(run_calls: RunCalls) -> None:
    seen = run_calls(OF_FILE, Mincore(0, 16, 4), files=(File("file", 5, writable=False),))
    assert seen[1].vector == (1, 1, 1, 0)


class Told:
    """A judge whose mincore() tells this."""

    def __init__(self, *vector: int) -> None:
        self.vector = vector

    def sight(self) -> Sight:
        return Sight("told")

    def run(self, program: Program) -> list[Observation]:
        return [Observation(0, vector=self.vector) for _ in program.calls]

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("vector", "expected"),
    [
        ((0, 1, 0, 0), [(6, 2, 1, 0)]),
        ((0, 1), [(6, 2, 1, None)]),
        ((1, 1, 1, 1), [(4, 1, 0, 1)]),
        ((0, 1, 1, 1), []),
    ],
)
def test_vectors_are_compared_page_by_page(
    vector: tuple[int, ...], expected: list[tuple[int, int, int, int | None]]
) -> None:
    session = Session(Told(0, 1, 1, 1), Told(*vector), ())
    found, _, _ = session.try_one(Program((Mincore(0, 4, 4),)))
    assert [(item.page, item.count, item.kernel, item.model) for item in found] == expected


def test_what_the_kernel_told_is_printed() -> None:
    session = Session(Told(0, 1, 1, 1), Told(0, 1, 0, 0), (), attempts=0)
    shown = text(session.run([("the program", Program((Mincore(0, 4, 4),)))]))
    assert "BUG: mincore differs after mincore()" in shown
    assert "  > 0: mincore(4, 4)\n        = 0, told 0111\n" in shown
    assert "process 0 page 6-7 mincore" in shown
    long = Observation(-12, vector=(1,) * 700 + (0,) * 3)
    assert outcome_of(long) == "-ENOMEM, told 1 x700, 000"


@needs_gcc
def test_the_c_program_prints_it(tmp_path: Path) -> None:
    lines = _run(PROGRAM, tmp_path)
    shown = [line.split()[-1] for line in lines if line.startswith("    mincore ")]
    assert shown[:3] == ["010100", "010100", "1110"]


def test_mm_tells_the_same(kernel: Kernel) -> None:
    session = Session(kernel, Model())
    try:
        found, _, model = session.try_one(PROGRAM)
        assert found == []
        assert told(model) == TOLD
    finally:
        session.model.close()
