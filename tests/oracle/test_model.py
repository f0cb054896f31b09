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
from pagerace.mm.fault_around import V6_18
from pagerace.oracle.engine import CONFIG, Native
from pagerace.oracle.generate import OPERATIONS, Features, from_seed
from pagerace.oracle.kernel import Kernel
from pagerace.oracle.model import Model
from pagerace.oracle.program import Load, Mmap, Program
from pagerace.oracle.report import text
from pagerace.oracle.session import Session
from pagerace.oracle.strategy import programs


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    judge = Model()
    yield judge
    judge.close()


def _programs(count: int, seed: int = 7) -> Iterator[tuple[str, Program]]:
    return ((f"program {i}", from_seed(seed, i)) for i in range(count))


def test_generated_programs_do_the_same(kernel: Kernel, model: Model) -> None:
    session = Session(kernel, model)
    outcome = session.run(_programs(80))
    assert outcome.unmade == {}
    assert outcome.verdict == "agrees", text(outcome)
    assert outcome.compared.calls == 2400
    assert outcome.compared.faults > 300


def test_programs_of_hypothesis_do_the_same(kernel: Kernel, model: Model) -> None:
    session = Session(kernel, model)

    @settings(
        max_examples=25, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(programs(20))
    def agree(program: Program) -> None:
        assert session.try_one(program)[0] == []

    agree()


def test_the_model_is_the_same_twice(model: Model) -> None:
    """Memory of a program is gone when the next one begins."""
    for _, program in _programs(5):
        assert model.run(program) == model.run(program)


CALLS = ("mmap", "munmap", "mprotect", "load", "store", "fork", "exit")
PRIVATE = Features(operations={name: OPERATIONS[name] for name in CALLS}, private=True)
NAMES = (
    "boot", "sys_process_create", "sys_mmap", "sys_munmap", "sys_mprotect", "sys_fork",
    "sys_exit",
)  # fmt: skip
MUTANTS: dict[str, tuple[Edit, ...]] = {
    "fork leaves what the parent maps writable": (
        drop(fork.copy_present_pte, fork.ptep_set_wrprotect),
    ),
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
    """Of private memory, so that there is less to compile."""
    mutant = Model(Native(MUTANTS[name], names=NAMES))
    try:
        session = Session(kernel, mutant)
        outcome = session.run(
            (f"program {i}", from_seed(7, i, features=PRIVATE)) for i in range(300)
        )
        assert outcome.found is not None, text(outcome)
        assert len(outcome.found.program.calls) <= 6, text(outcome)
    finally:
        mutant.close()


def test_a_window_of_fault_around_that_is_too_small_is_found(kernel: Kernel) -> None:
    """Eight pages where the kernel maps sixteen."""
    small = [V6_18.replace(fault_around_bytes=32_768) if c is V6_18 else c for c in CONFIG]
    names = (*NAMES, "sys_memfd_create", "sys_file_create", "sys_pwrite", "sys_fsync")
    made = Features(operations={"mmap": 3, "load": 5})
    mutant = Model(Native(config=small, names=names))
    try:
        session = Session(kernel, mutant)
        outcome = session.run(
            (f"program {i}", from_seed(7, i, features=made)) for i in range(100)
        )
        assert outcome.found is not None, text(outcome)
        assert [type(call) for call in outcome.found.program.calls] == [Mmap, Load]
    finally:
        mutant.close()
