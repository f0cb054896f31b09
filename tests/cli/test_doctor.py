"""What doctor says of machines that permit more or less."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from pagerace.cli import doctor
from pagerace.oracle.permitted import NEEDS, Permitted
from tests.cli.conftest import CommandLine

MACHINES = {
    "root": Permitted("Linux 6.18.0, x86_64, root"),
    "user": Permitted(
        "Linux 6.18.0, x86_64, not root",
        {
            "frames": "/proc/kpagecount: Permission denied, root only",
            "fault_around": "fault_around_bytes: Permission denied",
            "huge_pages": "transparent_hugepage/enabled is 'never'",
        },
    ),
    "container": Permitted(
        "Linux 6.18.0, x86_64, root", {"pagemap": "/proc/PID/pagemap: No such file"}
    ),
    "elsewhere": Permitted("Darwin, arm64", dict.fromkeys(NEEDS, "this is Darwin")),
}


@pytest.mark.parametrize("machine", MACHINES)
def test_of_diff(
    machine: str, monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion
) -> None:
    monkeypatch.setattr("pagerace.oracle.permitted.permitted", lambda: MACHINES[machine])
    assert doctor._diff() == snapshot


def test_of_replay(monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion) -> None:
    def missing(*_: object, **__: object) -> Any:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(doctor, "which", {"perf": "/bin/perf"}.get)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(doctor.mmap, "mmap", missing)
    assert doctor._replay() == snapshot
    monkeypatch.undo()
    monkeypatch.setattr(doctor, "which", lambda tool: f"/bin/{tool}")
    assert doctor._replay() == "\n".join(
        ["traces are read as text, gzip, xz", f"in PATH to make traces: {', '.join(TOOLS)}"]
    )


TOOLS = ("valgrind", "drrun", "perf", "strace")


def test_all_commands_have_a_row(pagerace: CommandLine) -> None:
    run = pagerace("doctor")
    assert run.code == 0
    rows = [line.split()[0] for line in run.out.splitlines() if line[0] != " "]
    assert rows[-3:] == ["check", "replay", "diff"]
