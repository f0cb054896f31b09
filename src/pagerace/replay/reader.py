"""A trace by its name: what it is, and its events."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from pagerace.replay import scanning
from pagerace.replay.calls import shown
from pagerace.replay.champsim import ChampSim, is_champsim
from pagerace.replay.dynamorio import Entries, Memtrace, View
from pagerace.replay.events import Event, TraceError
from pagerace.replay.lines import Reader
from pagerace.replay.parquet import MAGIC, Parquet
from pagerace.replay.perf import EVENT, Perf
from pagerace.replay.scanned import Lackey
from pagerace.replay.sources import Source

HEAD: Final = 4096  # bytes by which a format is told

READERS: Final[dict[str, type[Reader]]] = {
    "lackey": Lackey,
    "view": View,
    "memtrace": Memtrace,
    "drmemtrace": Entries,
    "champsim": ChampSim,
    "perf": Perf,
    "parquet": Parquet,
}
KNOWN: Final = (
    "valgrind lackey, DynamoRIO (drcachesim view, memtrace samples, offline entries), "
    "ChampSim, `perf script` of page faults, and its own Parquet form"
)
HELP: Final = f"pagerace reads {KNOWN}; --from names the format"

_LINES: Final[tuple[tuple[str, Callable[[str], object]], ...]] = (
    ("lackey", re.compile(
        r"(?:I | [LSM]) [0-9a-f]+,\d+|==\d+== .*|SYSCALL\[.*|SB .*"
    ).fullmatch),
    ("perf", lambda line: EVENT in line),
    ("view", re.compile(r"Output format:|<-*record#.*| *\d+(?: +\d+)?: +T?\d+ .*").fullmatch),
    ("memtrace", re.compile(
        r"Format: <.*|(?:0x)?[0-9a-f]+: *\d+, *\S+|(?:0x)?[0-9a-f]+,[rw],\d+,.*"
    ).fullmatch),
)  # fmt: skip


class Trace:
    """A trace that was opened.  Raises TraceError and OSError."""

    def __init__(self, path: str, process: int = 1, format: str = "") -> None:
        """``process``: the number of a process that the trace itself does not number."""
        self.source = Source(path)
        head = b""
        while len(head) < HEAD and (more := self.source.read(HEAD - len(head))):
            head += more
        self.format = format or detect(head, self.source.name)
        self.reader = READERS[self.format](self.source, head, process)

    @property
    def line(self) -> int:
        """The line, or entry, read last."""
        return self.reader.line

    @property
    def parent(self) -> int:
        """The process that forks this one, or 0; known with the first event."""
        return self.reader.parent

    @property
    def done(self) -> float:
        """How much of the file is read, 0 to 1; 0 where its size is not known."""
        size = self.source.size
        return min(1.0, self.source.taken / size) if size else 0.0

    def events(self) -> Iterator[Event]:
        """What the trace has, in order.  Raises TraceError after all that could be read."""
        return self.reader.events()

    def close(self) -> None:
        """Close the file."""
        self.source.close()


def detect(head: bytes, name: str) -> str:
    """The format that begins like this.  Raises TraceError."""
    if not head:
        raise TraceError(name, 0, "the trace is empty")
    if head.startswith(MAGIC):
        return "parquet"
    if b"\0" in head:
        return _detect_binary(head, name)
    lines = head.decode("utf-8", "backslashreplace").split("\n")
    # The last one may be cut off; what comes first may be talk of the tool.
    whole = [line for line in lines[: max(1, len(lines) - 1)] if line.strip()]
    for line in whole:
        for format, matches in _LINES:
            if matches(line):
                return format
    first = shown(whole[0]) if whole else "only blank lines"
    raise TraceError(name, 1, f"not a trace of a known format: {first}", HELP)


def _detect_binary(head: bytes, name: str) -> str:
    type = int.from_bytes(head[:2], "little")
    version = int.from_bytes(head[4:12], "little")
    if type == scanning.ENTRY_HEADER and len(head) >= scanning.ENTRY and version < 256:
        return "drmemtrace"
    if is_champsim(head):
        return "champsim"
    raise TraceError(name, 0, "not a trace of a known format (it is binary)", HELP)
