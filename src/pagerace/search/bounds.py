"""How far a search may go: states, depth, time, memory; and how much memory there is.

Linux tells by /proc and by control groups of version 1 or 2.  Where neither is there,
the bound on memory is what the caller gives, or 2 GiB.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

UNKNOWN_AVAILABLE = 2 << 30
DEFAULT_SHARE = 0.75  # of the available memory
LOW_SHARE, LOW_BYTES = 0.04, 256 << 20  # less left than this: stop, whoever used it

MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What the caller set; None is unbounded (memory: three quarters of what is free).

    ``memory_max`` is in bytes and for the whole process, ``time_max`` in seconds.
    """

    states_max: int | None = None
    depth_max: int | None = None
    memory_max: int | None = None
    time_max: float | None = None

    def __post_init__(self) -> None:
        for name in ("states_max", "memory_max"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}, it must be at least 1")
        for name in ("depth_max", "time_max"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} is {value}, it must not be negative")


class Memory:
    """The bound on the memory of a search, and what is left in the machine."""

    def __init__(self, bound: int | None, root: Path = Path("/")) -> None:
        self._root = root
        self._limits = list(_cgroup_limits(root))
        self.given = bound
        available = self.available()
        if bound is None:
            self.bytes = int(available * DEFAULT_SHARE)
            self.reason = f"{_size(self.bytes)}, three quarters of the free memory"
        else:
            self.bytes = max(0, bound - resident_bytes(root))
            self.reason = f"{_size(bound)} (--memory-max)"
        self._low = min(LOW_BYTES, int(available * LOW_SHARE))

    def available(self) -> int:
        """Bytes that could be used now without swapping or meeting a limit."""
        found = [_available_in_machine(self._root)]
        found += [limit.available() for limit in self._limits]
        return max(0, min(found))

    def is_low(self) -> bool:
        """Has so much been used, by anybody, that going on is not safe?"""
        return self.available() < self._low


@dataclass(frozen=True)
class _Limit:
    """One control group's limit and where its use is told."""

    maximum: int
    usage: Path
    statistics: Path
    inactive: str

    def available(self) -> int:
        used = _number(self.usage) or 0
        # The page cache counts as used, but it goes before anything is refused.
        cache = _field(self.statistics, self.inactive)
        return self.maximum - max(0, used - cache)


def _cgroup_limits(root: Path) -> Iterator[_Limit]:
    """The limits of this process's control group and of all those above it."""
    for line in _lines(root / "proc/self/cgroup"):
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if controllers == "":
            base = root / "sys/fs/cgroup"
            names = ("memory.max", "memory.current", "memory.stat", "inactive_file")
        elif "memory" in controllers.split(","):
            base = root / "sys/fs/cgroup/memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat",
                     "total_inactive_file")  # fmt: skip
        else:
            continue
        folder = base / group.strip().lstrip("/")
        # Inside a container the path may be that of outside; the top is always there.
        folders = [folder, *folder.parents]
        for place in folders[: folders.index(base) + 1] if base in folders else [base]:
            maximum = _number(place / names[0])
            if maximum is not None and maximum < 1 << 60:
                yield _Limit(maximum, place / names[1], place / names[2], names[3])


def _available_in_machine(root: Path) -> int:
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return UNKNOWN_AVAILABLE


def resident_bytes(root: Path = Path("/")) -> int:
    """Memory that this process has touched; 0 where that cannot be told."""
    for line in _lines(root / "proc/self/statm"):
        return int(line.split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []


def _number(path: Path) -> int | None:
    """The number in a file; None if it is absent or holds a word such as "max"."""
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].strip().isdigit() else None


def _field(path: Path, name: str) -> int:
    for line in _lines(path):
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0


def _size(number: int) -> str:
    if number >= 1 << 30:
        return f"{number / (1 << 30):.1f} GiB"
    return f"{number / MIB:.0f} MiB"


class Clock:
    """Seconds since the search began, against ``time_max``."""

    def __init__(self, time_max: float | None) -> None:
        self._start = time.monotonic()
        self.time_max = time_max

    def restart(self) -> None:
        """Count from now on."""
        self._start = time.monotonic()

    def seconds(self) -> float:
        return time.monotonic() - self._start

    def is_over(self) -> bool:
        return self.time_max is not None and self.seconds() >= self.time_max


def cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return os.cpu_count() or 1
