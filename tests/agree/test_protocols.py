"""Native steps against the interpreter on every protocol there is, along random walks."""

from __future__ import annotations

from pathlib import Path

import pytest

from pagerace.cli.load import Target, built_in_names, targets_of
from pagerace.compiler.program import compile_protocol
from tests.agree.walks import compare_walks

BENCH = Path(__file__).parents[2] / "bench" / "delayed_rmap.py"
TARGETS = {
    target.address: target
    for target in targets_of([*built_in_names(), str(BENCH)], mutants=True)
}
WALKS = 3
STEPS = 60


@pytest.mark.parametrize("name", TARGETS)
def test_steps_agree(name: str) -> None:
    target: Target = TARGETS[name]
    compared = compare_walks(compile_protocol(target.protocol, name), name, WALKS, STEPS)
    assert compared > WALKS * 10
