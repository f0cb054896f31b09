"""The mappings of a process, from its /proc/PID/maps."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pagerace.replay.calls import MAP, PROT, shown
from pagerace.replay.events import ADDRESS_LIMIT, Mapping, TraceError

_LINE = re.compile(
    r"(?P<start>[0-9a-f]+)-(?P<end>[0-9a-f]+) (?P<prot>[r-][w-][x-])(?P<shared>[ps]) "
    r"(?P<offset>[0-9a-f]+) [0-9a-f]+:[0-9a-f]+ (?P<inode>\d+)(?: +(?P<path>.*))?"
)
_LETTERS = {"r": PROT["PROT_READ"], "w": PROT["PROT_WRITE"], "x": PROT["PROT_EXEC"]}


def read_maps(lines: Iterable[str], path: str, process: int) -> list[Mapping]:
    """The mappings, but for the kernel's own ([vsyscall]).  Raises TraceError."""
    found: list[Mapping] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.rstrip())
        if match is None:
            raise TraceError(path, number, f"not a line of a maps file: {shown(line)}")
        start, end = int(match["start"], 16), int(match["end"], 16)
        if start >= end or start % 4096 or end % 4096:
            raise TraceError(path, number, f"not a range of pages: {shown(line)}")
        if found and start < found[-1].end:
            raise TraceError(path, number, f"below the mapping before it: {shown(line)}")
        if end > ADDRESS_LIMIT:
            continue
        name = match["path"] or ""
        flags = MAP["MAP_SHARED"] if match["shared"] == "s" else MAP["MAP_PRIVATE"]
        if match["inode"] == "0" and (not name or name.startswith("[")):
            flags |= MAP["MAP_ANONYMOUS"]
            if name == "[stack]":
                flags |= MAP["MAP_GROWSDOWN"]
            name = ""
        prot = sum(_LETTERS.get(letter, 0) for letter in match["prot"])
        found.append(Mapping(process, start, end, prot, flags, int(match["offset"], 16), name))
    return found
