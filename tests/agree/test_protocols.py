"""Native steps against the interpreter on every protocol there is, along random walks."""

from __future__ import annotations

from pathlib import Path

import pytest

from pagerace.cli.load import Target
from pagerace.compiler.program import compile_protocol
from tests.agree.walks import compare_walks
from tests.built_ins import built_ins

BENCH = Path(__file__).parents[2] / "bench" / "delayed_rmap.py"
TARGETS = {
    target.address: target for target in built_ins(str(BENCH), mutants=True)
}
WALKS = 3
STEPS = 60


@pytest.mark.parametrize("name", TARGETS)
def test_steps_agree(name: str) -> None:
    target: Target = TARGETS[name]
    compared = compare_walks(compile_protocol(target.protocol, name), name, WALKS, STEPS)
    assert compared > WALKS * 10
