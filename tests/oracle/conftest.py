"""A kernel that judges, where one is permitted here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import pytest

from pagerace.oracle.kernel import Kernel
from pagerace.oracle.permitted import Permitted, permitted
from pagerace.oracle.program import Call, File, Observation, Program


@pytest.fixture(scope="session")
def allowed() -> Permitted:
    return permitted()


@pytest.fixture(scope="session")
def kernel(allowed: Permitted) -> Iterator[Kernel]:
    """The running kernel; tests that need it are skipped where it cannot be a judge."""
    for need in ("processes", "pagemap", "smaps"):
        if need in allowed.refused:
            pytest.skip(allowed.refused[need])
    with Kernel(known=allowed) as judge:
        yield judge


class RunCalls(Protocol):
    def __call__(self, *calls: Call, files: tuple[File, ...] = ()) -> list[Observation]: ...


@pytest.fixture
def run_calls(kernel: Kernel) -> RunCalls:
    def run(*calls: Call, files: tuple[File, ...] = ()) -> list[Observation]:
        # Where it cannot be set, 16 pages are what every Linux has unless told otherwise.
        around = 16 if kernel.sight().sees("fault-around") else None
        return kernel.run(Program(calls, files, fault_around=around))

    return run
