"""Spin on the same IR, written as Promela: equal verdicts, equal numbers of states.

No line is shared but the front end and the passes: the steps, the packing of states, the
search and its tables are Spin's own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from pagerace import search
from pagerace.cli.load import Target
from pagerace.compiler import promela
from pagerace.compiler.ir import Program
from pagerace.compiler.program import compile_protocol
from pagerace.compiler.promela import steps, symbolic, terms
from tests import generated, reference
from tests.agree import spin
from tests.built_ins import built_ins
from tests.search import samples

pytestmark = spin.needed

BENCH = Path(__file__).parents[2] / "bench" / "delayed_rmap.py"
# Every claim, and not only those that hold with one violated claim of each file.
ALL = bool(os.environ.get("PAGERACE_SPIN_ALL"))


def _targets() -> dict[str, Target]:
    """The claims to compare.  Of a violated one only the verdict can be: Spin stops there."""
    found: dict[str, Target] = {}
    violated: set[str] = set()
    for target in built_ins(str(BENCH)):
        protocol = target.protocol
        if protocol.file == str(BENCH) and not target.name.endswith("_S"):
            continue
        if ALL or not protocol.expect.violated or protocol.file not in violated:
            found[target.address] = target
        if protocol.expect.violated:
            violated.add(protocol.file)
    return found


TARGETS = _targets()
NOT_FOR_SPIN = {"livelock", "lock-order-inversion"}
EXAMPLES = int(os.environ.get("PAGERACE_SPIN_EXAMPLES", "15"))
# Nothing larger is searched twice here; a claim that has more is for a longer run.
STATES_MAX = int(os.environ.get("PAGERACE_SPIN_STATES", "300_000"))


def _promela(program: Program) -> str:
    try:
        return promela.write(program)
    except promela.Inexpressible as reason:
        if "Promela's integers have 32" in str(reason):
            pytest.skip(str(reason))
        raise


def agree(program: Program, folder: Path) -> None:
    """Search with both, and compare all that is comparable."""
    ours = search.check(program, states_max=STATES_MAX, reductions="none")
    if ours.verdict == "inconclusive":
        pytest.skip(f"more than {STATES_MAX:,} states (PAGERACE_SPIN_STATES)")
    spins = spin.verify(_promela(program), folder)
    slug = ours.violation.slug if ours.violation is not None else ""
    if slug and slug not in NOT_FOR_SPIN:
        assert spins.errors == 1, f"Spin finds no {slug}"
        return
    assert spins.errors == 0, spins.said
    if not slug:
        assert (spins.states, spins.transitions) == (ours.states, ours.seen)


@pytest.mark.parametrize("name", TARGETS)
def test_protocols(name: str, tmp_path: Path) -> None:
    target: Target = TARGETS[name]
    agree(compile_protocol(target.protocol, target.name), tmp_path)


@pytest.mark.parametrize("name", samples.ALL)
def test_every_kind_of_ending(name: str, tmp_path: Path) -> None:
    agree(samples.program(name), tmp_path)


def _generated_programs() -> list[tuple[Program, reference.Reference]]:
    found: list[tuple[Program, reference.Reference]] = []

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(generated.sources())
    def collect(source: str) -> None:
        program = compile_protocol(generated.load(source).generated, "generated")
        try:
            found.append((program, reference.search(program, 1500)))
        except OverflowError:
            return

    collect()
    return found


def test_generated_programs(tmp_path: Path) -> None:
    programs = _generated_programs()
    assert len(programs) > EXAMPLES // 2
    for program, expected in programs:
        spins = spin.verify(promela.write(program), tmp_path)
        violated = set(expected.violations) - NOT_FOR_SPIN
        assert spins.errors == int(bool(violated)), f"{violated}: {spins.said}"
        if not violated:
            assert spins.states == expected.states
            assert spins.transitions == expected.transitions


# -- the comparison itself: what a wrong writer does to it ----------------------------


def _keep_dead_locals(step: Any, node: int) -> list[str]:
    return [f"{step.frame.pc} = {node - step.exit};"]


def _no_guard(*arguments: Any) -> tuple[terms.Term, int]:
    return terms.TRUE, 0


def _one_choice(*arguments: Any) -> tuple[terms.Term, int]:
    condition, more = symbolic.guard(*arguments)
    return condition, min(more, 1)


WRONG = {
    "dead locals stay": ("locked", steps._Step, "leave", _keep_dead_locals),
    "waits are forgotten": ("locked", promela.writer, "guard", _no_guard),
    "choices are forgotten": ("with_agent", promela.writer, "guard", _one_choice),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_writer_is_noticed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample, where, what, wrong = WRONG[name]
    monkeypatch.setattr(where, what, wrong)
    with pytest.raises(AssertionError):
        agree(samples.program(sample), tmp_path)


def _split(text: str) -> str:
    """The first step of several statements, each of them a step of its own."""
    return re.sub(r":: d_step \{(.*\n.*\n.*\n)\s+\}", r"::\1", text, count=1)


TAMPERED: dict[str, tuple[str, Callable[[str], str]]] = {
    "a step is split": ("locked", _split),
    "a cell starts wrong": ("locked", lambda text: text.replace("value = 0", "value = 1")),
    "a deadlock passes": ("deadlock", lambda text: text.replace("timeout", "false")),
    "a property passes": (
        "lost_update", lambda text: text.replace("!no_lost_update", "false")
    ),
    "an assertion passes": ("choices", lambda text: text.replace("assert(Counter", "skip; //")),
}  # fmt: skip


@pytest.mark.parametrize("name", TAMPERED)
def test_a_wrong_text_is_noticed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample, change = TAMPERED[name]
    program = samples.program(sample)
    text = promela.write(program)
    changed = change(text)
    assert changed != text
    monkeypatch.setattr(promela, "write", lambda program: changed)
    with pytest.raises(AssertionError):
        agree(program, tmp_path)
