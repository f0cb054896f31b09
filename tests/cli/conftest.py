"""A command line that runs in the test's own process, and protocol files to run it on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pagerace.cli import main

COUNTER = '''\
"""Two CPUs increment a counter."""

from pagerace.lang import Struct, atomic, drop, mutant, protocol, thread, u8, violates


class Counter(Struct):
    value: u8


counter = Counter()


def flush() -> None:
    counter.value = counter.value


def increment() -> None:
    counter.value += 1


def increment_atomic() -> None:
    with atomic():
        counter.value += 1
        flush()


def no_lost_update() -> bool:
    return counter.value == 2


plain = protocol(
    threads=[thread(increment, cpu=0), thread(increment, cpu=1)],
    at_end=[no_lost_update],
    expect=violates(no_lost_update),
    title="two increments without a lock: one is lost",
)

locked = plain.replace(
    threads=[thread(increment_atomic, cpu=0), thread(increment_atomic, cpu=1)],
    expect=protocol(threads=[]).expect,
    title="in one step",
    mutants={"no_flush": mutant(drop(increment_atomic, flush), killed_by=no_lost_update)},
)
'''


@dataclass
class Run:
    """What a command line did."""

    code: int
    out: str
    err: str


class CommandLine:
    """``pagerace`` in a folder of its own."""

    def __init__(self, folder: Path, capture: Any) -> None:
        self.folder, self.capture = folder, capture

    def __call__(self, *arguments: str) -> Run:
        self.capture.readouterr()
        code = main(list(arguments))
        out, err = self.capture.readouterr()
        return Run(code, out, err)

    def write(self, name: str, source: str) -> str:
        """A file in the folder; returns its name."""
        (self.folder / name).write_text(source)
        return name


@pytest.fixture
def pagerace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[CommandLine]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PAGERACE_DEV", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "path", [*sys.path])
    known = set(sys.modules)
    command = CommandLine(tmp_path, capsys)
    command.write("counter.py", COUNTER)
    command.write("pyproject.toml", "")  # the root of a project: nothing is kept above it
    yield command
    for name in set(sys.modules) - known:
        if not name.startswith("pagerace"):
            del sys.modules[name]


@pytest.fixture
def matplotlib() -> None:
    """Loaded before ``pagerace``, which would unload it: numpy cannot be loaded twice."""
    pytest.importorskip("matplotlib.pyplot", reason="matplotlib is not installed")
