"""mm/ against the running kernel: the same programs, and mistakes that are found.

The mutants are edits of mm/ as those of protocols are: what `check` kills by searching every
interleaving, the running kernel tells from one.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

from pagerace.lang import drop, force
from pagerace.lang.protocol import Edit
from pagerace.mm import fork, munmap
from pagerace.oracle.engine import Native
from pagerace.oracle.generate import OPERATIONS, Features, from_seed
from pagerace.oracle.kernel import Kernel
from pagerace.oracle.model import Model
from pagerace.oracle.program import Program
from pagerace.oracle.report import text
from pagerace.oracle.session import Session
from pagerace.oracle.strategy import programs


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    judge = Model()
    yield judge
    judge.close()


CALLS = ("mmap", "munmap", "mprotect", "load", "store", "fork", "exit")
FEATURES = Features(
    operations={name: OPERATIONS[name] for name in CALLS}, files=("memfd",), private=True
)


def _programs(count: int, seed: int = 7) -> Iterator[tuple[str, Program]]:
    return ((f"program {i}", from_seed(seed, i, 30, FEATURES)) for i in range(count))


def test_generated_programs_do_the_same(kernel: Kernel, model: Model) -> None:
    session = Session(kernel, model)
    outcome = session.run(_programs(60))
    assert outcome.verdict == "agrees", text(outcome)
    assert outcome.compared.calls == 1800
    assert outcome.compared.faults > 300


def test_programs_of_hypothesis_do_the_same(kernel: Kernel, model: Model) -> None:
    session = Session(kernel, model)

    @settings(
        max_examples=25, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(programs(20, FEATURES))
    def agree(program: Program) -> None:
        assert session.try_one(program)[0] == []

    agree()


def test_the_model_is_the_same_twice(model: Model) -> None:
    """Memory of a program is gone when the next one begins."""
    for _, program in _programs(5):
        assert model.run(program) == model.run(program)


MUTANTS: dict[str, tuple[Edit, ...]] = {
    "fork leaves what the parent maps writable": (
        drop(fork.copy_present_pte, fork.ptep_set_wrprotect),
    ),
    "fork leaves pages exclusive": (force(fork.copy_present_pte, "PageAnon(page)", False),),
    "fork leaves translations": (drop(fork.dup_mmap, fork.flush_tlb_mm_range),),
    "munmap of nothing is fine": (
        force(
            munmap.do_vmi_munmap,
            "start > task_size() or len > task_size() - start or len == 0",
            False,
        ),
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_found_and_its_program_is_short(name: str, kernel: Kernel) -> None:
    mutant = Model(Native(MUTANTS[name]))
    try:
        session = Session(kernel, mutant)
        outcome = session.run(_programs(300))
        assert outcome.found is not None, text(outcome)
        assert len(outcome.found.program.calls) <= 6, text(outcome)
    finally:
        mutant.close()
