"""What this machine permits the judge to see, each refusal with its reason.

Nothing is concluded from versions or from who we are: everything is tried.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pagerace.oracle import fault_around, khugepaged
from pagerace.oracle.program import KINDS, CannotJudge

# What can be refused, in the order of the output.
NEEDS = ("processes", "pagemap", "smaps", "frames", "fault_around", "huge_pages")
# A kind of observation -> what has to be permitted for it.
_NEEDED = {
    "contents": ("pagemap", "smaps"),
    "pagemap": ("pagemap",),
    "smaps": ("smaps",),
    "mapcount": ("pagemap", "frames"),
    "flags": ("pagemap", "frames"),
    "fault-around": ("fault_around",),
    "huge-pages": ("huge_pages",),
}
_HUGE = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@dataclass(frozen=True)
class Permitted:
    """``refused``: of ``NEEDS`` what is not permitted, with the reason.

    ``about``: the machine, such as "Linux 6.18.44, x86_64, root".
    """

    about: str
    refused: Mapping[str, str] = field(default_factory=dict[str, str])

    def missing(self) -> dict[str, str]:
        """The kinds of observation that are not seen here, each with the reason."""
        if reason := self.refused.get("processes"):
            return dict.fromkeys(KINDS, reason)
        return {
            kind: self.refused[need]
            for kind, needs in _NEEDED.items()
            for need in reversed(needs)
            if need in self.refused
        }


def permitted() -> Permitted:
    """Try everything.  It starts a process and ends it, and changes nothing."""
    system = sys.platform
    if system != "linux":
        name = platform.system() or system
        reason = f"the judge is a running Linux, this is {name}"
        return Permitted(f"{name}, {platform.machine()}", dict.fromkeys(NEEDS, reason))
    who = "root" if os.geteuid() == 0 else "not root"
    about = f"Linux {platform.release()}, {platform.machine()}, {who}"
    if platform.machine() != "x86_64" or sys.maxsize < 1 << 32:
        reason = f"subjects are x86-64 code, this is {platform.machine()}"
        return Permitted(about, dict.fromkeys(NEEDS, reason))
    reasons = _of_processes() | {
        "frames": _frames(),
        "fault_around": fault_around.refusal(),
        "huge_pages": _huge_pages(),
    }
    refused = {need: reasons[need] for need in NEEDS if reasons.get(need)}
    return Permitted(about, refused)


def _of_processes() -> dict[str, str]:
    """What a subject shows: made, driven, looked at."""
    from pagerace.oracle.subject import Nursery

    if not Path("/proc/self/stat").exists():
        return dict.fromkeys(("processes", "pagemap", "smaps"), "/proc is not mounted")
    try:
        nursery = Nursery(2, 10.0, None)
    except CannotJudge as error:
        return dict.fromkeys(("processes", "pagemap", "smaps"), _why_no_process(str(error)))
    try:
        subject = nursery.subject()
        folder = Path(f"/proc/{subject.pid}")
        return {
            "pagemap": _cannot_read(folder / "pagemap", 8),
            "smaps": _cannot_read(folder / "smaps", 4096, b"VmFlags:"),
        }
    except CannotJudge as error:
        return dict.fromkeys(("processes", "pagemap", "smaps"), str(error))
    finally:
        nursery.close()


def _why_no_process(reason: str) -> str:
    scope = Path("/proc/sys/kernel/yama/ptrace_scope")
    if "ptrace" in reason and scope.exists():
        return f"{reason} ({scope} is {scope.read_text().strip()})"
    if "ptrace" in reason:
        return f"{reason} (a seccomp filter or another tracer forbids it)"
    return reason


def _cannot_read(path: Path, size: int, wanted: bytes = b"") -> str:
    name = f"/proc/PID/{path.name}"
    try:
        with path.open("rb", buffering=0) as file:
            read = file.read(size) or b""
    except OSError as error:
        return f"{name}: {error.strerror}"
    if wanted and wanted not in read:
        return f"{name} has no {wanted.decode().rstrip(':')}"
    return "" if read else f"{name} is empty"


def _frames() -> str:
    for path in (Path("/proc/kpagecount"), Path("/proc/kpageflags")):
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            who = "" if os.geteuid() == 0 else ", root only"
            return f"{path}: {error.strerror}{who}"
    if not _sees_frames():
        return "pagemap shows no frame numbers (CAP_SYS_ADMIN)"
    return ""


def _sees_frames() -> bool:
    """Does pagemap show the frame of this very code?"""
    word = bytearray(8)
    address = id(word) & ~4095
    try:
        with Path("/proc/self/pagemap").open("rb", buffering=0) as file:
            file.seek(address // 4096 * 8)
            entry = int.from_bytes(file.read(8) or b"", "little")
    except OSError:
        return False
    return entry & ((1 << 55) - 1) != 0


def _huge_pages() -> str:
    """mm/ has huge pages of 2 MiB, and nothing between, for those who advise it."""
    sizes = {path: _chosen(path) for path in _HUGE.parent.glob("hugepages-*kB/enabled")}
    chosen = _chosen(_HUGE)
    if chosen != "madvise":
        return f"{_HUGE} is {chosen!r}, not 'madvise'"
    for path, size in sorted(sizes.items()):
        expected = ("madvise", "inherit") if "2048kB" in path.parent.name else ("never",)
        if size not in expected:
            return f"{path} is {size!r}"
    if _read(_HUGE.parent / "use_zero_page") not in ("", "1"):
        return f"{_HUGE.parent / 'use_zero_page'} is not 1"
    return khugepaged.refusal()


def _chosen(path: Path) -> str:
    """The word in brackets."""
    return _read(path).partition("[")[2].partition("]")[0]


def _read(path: Path) -> str:
    """A file, "" if it cannot be read."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
