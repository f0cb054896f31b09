"""fault_around_bytes of the running kernel, set and put back.

It is a file of debugfs (mm/memory.c, fault_around_bytes_set()), one for the whole machine, so a
shell waits beside us and puts the old value back should we be killed.
"""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

from pagerace.oracle.program import PAGE, CannotJudge

_NAME = "fault_around_bytes"
USUAL = 65536
# It reads until the other end of the pipe is closed, by us or by our death.
_GUARD = 'while read -r _; do :; done; printf "%s" "$1" > "$2"'


def place() -> Path | None:
    """Where debugfs has the file, or None."""
    try:
        mounts = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return None
    for mount in mounts:
        _device, folder, kind, *_ = mount.split()
        if kind == "debugfs":
            return Path(folder.encode().decode("unicode_escape")) / _NAME
    return None


def refusal(path: Path | None = None) -> str:
    """Why it cannot be set here, "" if it can."""
    path = path or place()
    if path is None:
        return f"{_NAME}: debugfs is not mounted (mount -t debugfs none /sys/kernel/debug)"
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        if error.errno == errno.EPERM and os.geteuid() == 0:
            return f"{path}: forbidden to root too, by the kernel's lockdown"
        return f"{path}: {error.strerror}"
    return ""


def unusual() -> int | None:
    """How many pages are mapped around a fault, if it is known and not the usual 16."""
    path = place()
    found = _reads(path) if path else USUAL
    return found // PAGE if found not in (-1, USUAL) else None


def _reads(path: Path) -> int:
    """The value of the file; -1 if it cannot be read."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return -1


class FaultAround:
    """The setting.  Close it, and it is as it was."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._before = ""
        self._guard: subprocess.Popen[bytes] | None = None

    def set(self, size: int) -> None:
        """Map ``size`` bytes around a fault from now on.  Raises CannotJudge."""
        path = self._path or place()
        if path is not None and _reads(path) == size:
            return
        if reason := refusal(path):
            raise CannotJudge(reason)
        assert path is not None
        try:
            if self._guard is None:
                self._path, self._before = path, path.read_text().strip()
                self._guard = subprocess.Popen(
                    ["/bin/sh", "-c", _GUARD, "sh", self._before, str(path)],
                    stdin=subprocess.PIPE, start_new_session=True,
                )  # fmt: skip
            path.write_text(str(size))
        except OSError as error:
            raise CannotJudge(f"{path}: {error.strerror}") from None

    def restore(self) -> None:
        """The value is what it was; it can be set again."""
        if self._guard is not None and self._path is not None:
            self._path.write_text(self._before)

    def close(self) -> None:
        if self._guard is not None:
            assert self._guard.stdin is not None
            self._guard.stdin.close()
            self._guard.wait()
            self._guard = None
