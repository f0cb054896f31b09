"""Spin, run on the Promela that ``pagerace dump`` writes."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

MISSING = [tool for tool in ("spin", "gcc") if shutil.which(tool) is None]
needed = pytest.mark.skipif(
    bool(MISSING), reason=f"{' and '.join(MISSING)} not found (Debian: apt install spin gcc)"
)

# Without -o1 and -o2 Spin leaves out of a state what it thinks nobody reads.
GENERATE = ("spin", "-o1", "-o2", "-a", "model.pml")
# -fwrapv: where an addition overflows, the bits that are kept are right all the same.
COMPILE = ("gcc", "-O0", "-w", "-fwrapv", "-DSAFETY", "-DNOREDUCE", "-o", "pan", "pan.c")
RUN = ("./pan", "-m100000", "-w20")


class SpinError(Exception):
    """Spin or gcc refuses the model, or the verifier says something unforeseen."""


@dataclass(frozen=True)
class Verified:
    """What the verifier said.  ``transitions`` are steps: Spin counts the start as one."""

    errors: int
    states: int
    transitions: int
    said: str


def verify(promela: str, folder: Path) -> Verified:
    """Generate the verifier of a model, compile and run it.  Raises SpinError."""
    (folder / "model.pml").write_text(promela)
    said = _call(GENERATE, folder)
    if "rror" in said:
        raise SpinError(said)
    _call(COMPILE, folder)
    said = _call(RUN, folder)
    if "max search depth too small" in said:
        raise SpinError(said)
    return Verified(
        errors=int(_number(r"errors: (\d+)", said)),
        states=int(_number(r"([\d.e+]+) states, stored", said)),
        transitions=int(_number(r"([\d.e+]+) transitions", said)) - 1,
        said=said,
    )


def _number(pattern: str, said: str) -> float:
    found = re.search(pattern, said)
    if found is None:
        raise SpinError(said)
    return float(found[1])


def _call(command: Sequence[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SpinError(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
    return done.stdout
