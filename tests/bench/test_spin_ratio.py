"""The benchmarks themselves: what they read, what they print, how they end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tidy.sources import ROOT

sys.path.insert(0, str(ROOT / "bench"))
import spin
import spin_ratio

PAN = """\
State-vector 68 byte, depth reached 61, errors: 0
   244077 states, stored
   507800 states, matched
1.9713664e+08 transitions (= stored+matched)
   23.497\ttotal actual memory usage


pan: elapsed time 0.15 seconds
"""


def _run(
    script: str, *arguments: str, path: str = os.environ["PATH"]
) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PATH": path}
    return subprocess.run(
        [sys.executable, str(ROOT / "bench" / script), *arguments],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_what_pan_prints_is_read() -> None:
    run = spin.read(PAN)
    assert (run.states, run.errors, run.depth, run.seconds) == (244_077, 0, 61, 0.15)
    assert run.transitions == 197_136_640
    assert run.bytes == int(23.497 * 2**20)


def test_what_pan_does_not_print_is_an_error() -> None:
    with pytest.raises(spin.SpinError, match="printed no"):
        spin.read("pan: out of memory")


def test_ratios_are_of_the_best_runs() -> None:
    mine = spin_ratio.Numbers("pagerace", [1e6, 3e6], [20.0], [0.6, 0.5], [0.5])
    theirs = spin_ratio.Numbers("pan", [1.5e6, 1e6], [80.0], [])
    small = spin_ratio.Numbers("pan COLLAPSE", [5e5], [40.0], [])
    compiled = spin_ratio.Numbers("spin -O0", [], [], [1.0, 2.0], [4.0])
    table = [mine, theirs, small, compiled]
    two = spin_ratio.Numbers("two workers", [5e6, 5.4e6])
    found = spin_ratio._document(table, two, "S")
    assert found["states_per_second_ratio"] == 2.0
    assert found["bytes_per_state_ratio"] == 0.5
    assert found["bytes_per_state_ratios"] == {"pan COLLAPSE": 0.5, "pan": 0.25}
    assert found["verdict_seconds_ratio"] == 0.5
    assert found["proof_seconds_ratio"] == 0.125
    assert found["two_workers_ratio"] == 1.8


def test_each_setting_has_a_line_and_the_best_is_marked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    mine = spin_ratio.Numbers("pagerace", [3e6], [20.0], [0.5], [0.5])
    theirs = spin_ratio.Numbers("pan", [1.5e6], [80.0], [])
    small = spin_ratio.Numbers("pan COLLAPSE", [5e5], [40.0], [])
    compiled = spin_ratio.Numbers("spin -O0", [], [], [1.0], [4.0])
    spin_ratio._print([mine, theirs, small, compiled], None, "S")
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[6:11] == [
        "states_per_second: pagerace to each setting of Spin (to its best at least 2.5)",
        "pan 2.00 Spin at its best",
        "pan COLLAPSE 6.00",
        "bytes_per_state: pagerace to each setting of Spin (to its best at most 0.33)",
        "pan COLLAPSE 0.50 Spin at its best",
    ]


def test_without_spin_the_benchmark_says_what_to_install(tmp_path: Path) -> None:
    done = _run("spin_ratio.py", "--size", "S", path=str(tmp_path))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "spin_ratio: spin and gcc not found (Debian: apt install spin gcc)\n"
    )


def test_arguments_are_validated() -> None:
    assert _run("spin_ratio.py", "--runs", "0").returncode == 2
    assert _run("edit_to_verdict.py", "--size", "XL").returncode == 2


@pytest.mark.skipif(
    shutil.which("spin") is None or shutil.which("gcc") is None, reason="needs spin and gcc"
)
def test_the_whole_benchmark() -> None:
    done = _run("spin_ratio.py", "--size", "S", "--runs", "1", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout.splitlines()[-1])
    assert document["states"] == 244_077
    for name in spin_ratio.BARS:
        assert document[f"{name}_ratio"] > 0


def test_edit_to_verdict() -> None:
    done = _run("edit_to_verdict.py", "--runs", "1", "--json")
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout.splitlines()[-1])) == {"cold", "edit", "again"}
