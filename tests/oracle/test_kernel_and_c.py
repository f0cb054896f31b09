"""The judge, and a C program of the same calls: two drivers that share no line of code.

Minor faults are left out: those of a C program are also those of its stack.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pagerace.oracle.constants import PAGEMAP
from pagerace.oracle.generate import from_seed
from pagerace.oracle.kernel import Kernel
from pagerace.oracle.printing import to_c
from pagerace.oracle.program import END_OF_FILE, Fork, Observation, Program

_STEP = re.compile(r"(\d+) .* = (.*), -?\d+ minor faults")
_PAGE = re.compile(r" +process (\d+) page (\d+):(.*) content (-?\d+)")
_AREA = re.compile(r" +process (\d+) mapping (\d+-\d+ \S+)")


@dataclass
class Step:
    """What is seen after a call: (process, page) -> (bits, content), and (process, mapping)."""

    result: str
    pages: dict[tuple[int, int], tuple[int, int | None]] = field(default_factory=dict)
    areas: list[tuple[int, str]] = field(default_factory=list)


def _of_c(program: Program, folder: Path, cpu: int) -> list[Step]:
    source, binary = folder / "program.c", folder / "program"
    source.write_text(to_c(program))
    subprocess.run(["gcc", "-w", "-o", binary, source], check=True)
    done = subprocess.run(
        [binary], capture_output=True, text=True, timeout=20, check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {cpu}),
    )  # fmt: skip
    steps: list[Step] = []
    for line in done.stdout.splitlines():
        if match := _STEP.fullmatch(line):
            steps.append(Step(match[2]))
        elif match := _PAGE.fullmatch(line):
            bits = sum(PAGEMAP[word.replace("swapped", "swap")] for word in match[3].split())
            steps[-1].pages[int(match[1]), int(match[2])] = (bits, int(match[4]))
        elif match := _AREA.match(line):
            steps[-1].areas.append((int(match[1]), match[2]))
    return steps


def _of_kernel(seen: Observation) -> Step:
    result = str(seen.result)
    if seen.signal:
        result = f"{seen.signal} at page {seen.fault_page}"
    elif seen.result < 0 and seen.result != END_OF_FILE:
        result = f"-1 {os.strerror(-seen.result)}"
    step = Step(result)
    for space in seen.spaces:
        for page, look in (space.pages or {}).items():
            step.pages[space.process, page] = (look.pagemap, look.content)
        for area in space.mappings or ():
            step.areas.append((space.process, f"{area.start}-{area.end} {area.perms}"))
    return step


def _readable(step: Step, like: Step) -> Step:
    """As ``step``, without contents that the judge cannot read: C reads past PROT_NONE."""
    pages = {
        where: (bits, None if like.pages.get(where, (0, 0))[1] is None else content)
        for where, (bits, content) in step.pages.items()
    }
    return Step(step.result, pages, step.areas)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")
@pytest.mark.parametrize("number", range(6))
def test_they_see_the_same(number: int, kernel: Kernel, tmp_path: Path) -> None:
    program = from_seed(22, number)
    of_kernel: Sequence[Step] = [_of_kernel(seen) for seen in kernel.run(program)]
    of_c = _of_c(program, tmp_path, kernel.cpu)
    for call, mine, other in zip(program.calls, of_kernel, of_c, strict=True):
        if isinstance(call, Fork):
            other.result = str(call.child)  # C says which process it is
        assert _readable(other, mine) == mine, call
