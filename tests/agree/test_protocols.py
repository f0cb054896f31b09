"""Native steps against the interpreter on the benchmark's protocol, along random walks.

Those of the built-in protocols are compared where each of them is compiled for its verdict:
tests/protocols/claims.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from pagerace.cli.load import Target, targets_of
from pagerace.compiler.program import compile_protocol
from tests.agree.walks import compare_walks

BENCH = Path(__file__).parents[2] / "bench" / "delayed_rmap.py"
TARGETS = {target.address: target for target in targets_of([str(BENCH)], mutants=True)}
WALKS = 3
STEPS = 60


@pytest.mark.parametrize("name", TARGETS)
def test_steps_agree(name: str) -> None:
    target: Target = TARGETS[name]
    compared = compare_walks(compile_protocol(target.protocol, name), name, WALKS, STEPS)
    assert compared > WALKS * 10
