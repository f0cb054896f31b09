"""A program as C that compiles and runs, and as Python that makes it again."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pagerace.oracle import constants as c
from pagerace.oracle.generate import from_seed
from pagerace.oracle.printing import line, to_c, to_python
from pagerace.oracle.program import (
    Exit,
    File,
    Fork,
    Load,
    Madvise,
    Mmap,
    Mremap,
    Program,
    Store,
)
from tests.oracle.test_document import EVERYTHING

RW = c.PROT_READ | c.PROT_WRITE
needs_gcc = pytest.mark.skipif(
    shutil.which("gcc") is None or not sys.platform.startswith("linux"),
    reason="there is no gcc, or no Linux",
)


def _run(program: Program, folder: Path) -> list[str]:
    source = folder / "program.c"
    source.write_text(to_c(program))
    binary = str(folder / "program")
    made = subprocess.run(
        ["gcc", "-Wall", "-Wextra", "-Werror", "-O1", "-o", binary, str(source)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    done = subprocess.run([binary], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@needs_gcc
def test_the_c_program_shows_what_is_seen(tmp_path: Path) -> None:
    program = Program(
        files=(File("memfd", 4), File("file", 8, written_in=4)),
        calls=(
            Mmap(0, 3, 4, RW, c.MAP_PRIVATE | c.MAP_ANONYMOUS | c.MAP_FIXED),
            Mmap(0, 16, 8, RW, c.MAP_SHARED | c.MAP_FIXED, 1, 2),
            Store(0, 3, 5),
            Fork(0, 1),
            Store(1, 3, 2),
            Load(0, 3),
            Load(1, 3),
            Load(0, 40),
            Load(1, 23),
            Exit(1),
        ),
    )
    lines = _run(program, tmp_path)
    steps = [text.split(", ")[-2:] for text in lines if not text.startswith(" ")]
    assert len(steps) == len(program.calls)
    text = "\n".join(lines)
    assert "5 0: load(3) = 5," in text
    assert "6 1: load(3) = 7," in text
    assert "7 0: load(40) = SIGSEGV at page 40" in text
    assert "8 1: load(23) = SIGBUS at page 23" in text
    assert "process 1 page 3: present exclusive content 7" in text
    assert "process 0 mapping 16-24 rw-s" in text


@needs_gcc
@pytest.mark.parametrize("number", range(3))
def test_any_program_compiles_and_ends(number: int, tmp_path: Path) -> None:
    program = from_seed(3, number)
    lines = _run(program, tmp_path)
    assert sum(not text.startswith(" ") for text in lines) == len(program.calls)


def test_the_python_script_makes_the_same_program() -> None:
    for program in (EVERYTHING, *(from_seed(4, number) for number in range(20))):
        script = to_python(program).replace("print(diff_program(program))", "")
        names: dict[str, object] = {}
        exec(compile(script, "program.py", "exec"), names)
        assert names["program"] == program


def test_calls_are_spelled_as_in_c() -> None:
    fixed = c.MREMAP_MAYMOVE | c.MREMAP_FIXED
    assert [
        line(Mmap(1, 3, 2, RW, c.MAP_PRIVATE | c.MAP_ANONYMOUS | c.MAP_FIXED)),
        line(Mmap(0, 3, 2, 0, c.MAP_SHARED, 1, 4)),
        line(Mremap(0, 3, 2, 2, fixed, 9)),
        line(Mremap(0, 3, 2, 1, 0)),
        line(Madvise(0, 3, 2, 77)),
    ] == [
        "1: mmap(3, 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS)",
        "0: mmap(3, 2, PROT_NONE, MAP_SHARED, file 1, 4)",
        "0: mremap(3, 2, 2, MREMAP_MAYMOVE | MREMAP_FIXED, 9)",
        "0: mremap(3, 2, 1, 0)",
        "0: madvise(3, 2, 77)",
    ]
