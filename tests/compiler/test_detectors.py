"""Each detector finds its fault, by brute force in the interpreter, and nothing else."""

from __future__ import annotations

import pytest

from pagerace.compiler.program import compile_protocol
from pagerace.lang.protocol import Protocol
from tests import reference

from . import detector_samples

SAMPLES = {n: p for n, p in vars(detector_samples).items() if isinstance(p, Protocol)}

# name -> (violations with the length of their shortest execution, unique states)
EXPECTED: dict[str, tuple[dict[str, int], int]] = {
    "clean": ({}, 8),
    "leak": ({"leak": 6}, 7),
    "double_free": ({"double-free": 8}, 8),
    "use_after_free": ({"use-after-free": 9}, 31),
    "null_dereference": ({"null-dereference": 2}, 2),
    "deadlock": ({"deadlock": 0}, 1),
    "index_out_of_range": ({"index-out-of-range": 7}, 309),
    "division_by_zero": ({"division-by-zero": 1}, 1),
    "counter_below_zero": ({"counter-below-zero": 1}, 4),
    "endless_loop": ({"endless-loop": 1}, 3),
    "surely": ({"assert": 2}, 2),
    "frame_gone": ({"use-after-free": 5}, 24),
    "table_gone": ({"use-after-free": 4}, 24),
    "both_gone": ({"use-after-free": 4}, 48),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_detector(name: str) -> None:
    protocol = SAMPLES[name]
    found = reference.search(compile_protocol(protocol, name))
    assert set(found.violations) == ({protocol.expect.violated} - {None})
    assert (found.violations, found.states) == EXPECTED[name]
