"""Spin on delayed_rmap.pml: build the verifier, run it, read what it prints."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MODEL = Path(__file__).with_name("delayed_rmap.pml")

# No state of any size lies deeper than 112 steps, so pan's stack need not be large.
DEPTH_MAX = 10_000
MEMORY_MAX_MB = 16_000

OPTIMISED = ("-O3", "-march=native", "-DNOREDUCE")


class SpinError(Exception):
    """Spin or the C compiler is missing, or said something unforeseen."""


@dataclass(frozen=True)
class Setting:
    """One way to build and run the verifier.

    ``slots_per_state`` sizes the hash table, which in Spin has a fixed power of two.
    """

    name: str
    flags: Sequence[str]
    slots_per_state: int


# Good for speed: two are within 10 % of one another, and which wins depends on the size.
FAST = (
    Setting("pan", OPTIMISED, 2),
    Setting("pan NOCOMP", (*OPTIMISED, "-DNOCOMP"), 2),
)
# Good for memory.
SMALL = Setting("pan COLLAPSE", (*OPTIMISED, "-DCOLLAPSE"), 1)


@dataclass(frozen=True)
class Run:
    """What one run of the verifier said.  ``bytes`` is None where pan does not tell."""

    states: int
    transitions: int
    errors: int
    depth: int
    seconds: float
    bytes: int | None


def require() -> None:
    """Raises SpinError with what to install if something is missing."""
    missing = [tool for tool in ("spin", "gcc") if shutil.which(tool) is None]
    if missing:
        raise SpinError(f"{' and '.join(missing)} not found (Debian: apt install spin gcc)")


def build(folder: Path, sizes: Sequence[int], variant: int, flags: Sequence[str]) -> Path:
    """Generate the verifier for (U, P, S, R) in ``folder`` and compile it."""
    defines = [f"-D{name}={value}" for name, value in zip("UPSR", sizes, strict=True)]
    _call(["spin", *defines, f"-DVAR={variant}", "-a", str(MODEL)], folder)
    pan = folder / "pan"
    standard = ["-w", "-DSAFETY", f"-DMEMLIM={MEMORY_MAX_MB}"]
    _call(["gcc", *standard, *flags, "-o", str(pan), "pan.c"], folder)
    return pan


def run(pan: Path, states_expected: int, slots_per_state: int) -> Run:
    """Run the verifier with a hash table for about that many states."""
    bits = max(16, (states_expected * slots_per_state - 1).bit_length())
    return read(_call([str(pan), f"-m{DEPTH_MAX}", f"-w{bits}"], pan.parent))


def edit_to_verdict(
    folder: Path, sizes: Sequence[int], variant: int, flags: Sequence[str], *, holds: bool
) -> float:
    """Seconds to generate, compile and run: what a user of Spin waits after an edit."""
    start = time.perf_counter()
    result = read(_call([str(build(folder, sizes, variant, flags)), f"-m{DEPTH_MAX}"], folder))
    seconds = time.perf_counter() - start
    if (result.errors == 0) != holds:
        raise SpinError(f"VAR={variant} of {sizes}: {result.errors} errors")
    return seconds


def read(output: str) -> Run:
    """The numbers in the verifier's report.  Raises SpinError if one is not there."""
    memory = re.search(r"([\d.]+)\s+total actual memory usage", output)
    return Run(
        states=int(_number(r"([\d.e+]+) states, stored", output)),
        transitions=int(_number(r"([\d.e+]+) transitions", output)),
        errors=int(_number(r"errors: (\d+)", output)),
        depth=int(_number(r"depth reached (\d+)", output)),
        seconds=_number(r"elapsed time ([\d.e+]+) seconds", output),
        bytes=int(float(memory[1]) * 2**20) if memory else None,
    )


def _number(pattern: str, output: str) -> float:
    found = re.search(pattern, output)
    if found is None:
        raise SpinError(f"pan printed no {pattern!r}:\n{output}")
    return float(found[1])


def _call(command: Sequence[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SpinError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout
