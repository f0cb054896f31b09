"""fault_around_bytes is put back, whatever happens.  A plain file stands for debugfs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pagerace.oracle import fault_around
from pagerace.oracle.fault_around import FaultAround, place, refusal
from pagerace.oracle.program import CannotJudge

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="debugfs is Linux'")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "fault_around_bytes"
    path.write_text("65536\n")
    return path


def test_set_and_put_back(file: Path) -> None:
    around = FaultAround(file)
    around.set(4096)
    assert file.read_text() == "4096"
    around.restore()
    assert file.read_text() == "65536"
    around.set(8192)
    around.close()
    assert file.read_text() == "65536"


def test_what_is_so_already_is_not_set(file: Path) -> None:
    around = FaultAround(file)
    around.set(65536)
    around.close()
    assert file.read_text() == "65536\n"


@pytest.mark.parametrize(
    ("text", "pages"), [("65536\n", None), ("4096\n", 1), ("262144\n", 64), ("?", None)]
)
def test_an_unusual_value_is_told(
    file: Path, text: str, pages: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(text)
    monkeypatch.setattr(fault_around, "place", lambda: file)
    assert fault_around.unusual() == pages
    monkeypatch.setattr(fault_around, "place", lambda: None)
    assert fault_around.unusual() is None


def test_close_without_set_writes_nothing(file: Path) -> None:
    FaultAround(file).close()
    assert file.read_text() == "65536\n"


_DIES = """
import sys, time
from pathlib import Path
from pagerace.oracle import fault_around
from pagerace.oracle.fault_around import FaultAround
around = FaultAround(Path(sys.argv[1]))
around.set(4096)
print("set", flush=True)
time.sleep(60)
"""


def test_put_back_by_the_guard_when_we_are_killed(file: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _DIES, str(file)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "set\n"
        assert file.read_text() == "4096"
        process.send_signal(signal.SIGKILL)
    for _ in range(100):
        if file.read_text() == "65536":
            break
        time.sleep(0.02)
    assert file.read_text() == "65536"


def test_refusals_say_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = tmp_path / "none"
    assert refusal(missing) == f"{missing}: No such file or directory"
    with pytest.raises(CannotJudge, match="No such file"):
        FaultAround(missing).set(4096)

    def forbidden(*_: object) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "open", forbidden)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert refusal(missing).endswith("forbidden to root too, by the kernel's lockdown")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert refusal(missing) == f"{missing}: Operation not permitted"


def test_without_debugfs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda _: "proc /proc proc rw 0 0\n")
    assert place() is None
    assert refusal().startswith("fault_around_bytes: debugfs is not mounted")
    monkeypatch.setattr(Path, "read_text", lambda _: "none /sys/kernel/de\\040bug debugfs rw\n")
    assert place() == Path("/sys/kernel/de bug/fault_around_bytes")
