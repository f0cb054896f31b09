"""A text trace line by line, in Python: for formats whose tools are slower than that."""

from __future__ import annotations

import array
from collections.abc import Iterator

from pagerace.replay.calls import shown
from pagerace.replay.events import BATCH, Batch, Event, TraceError, pack
from pagerace.replay.sources import READ, Source

LINE_MAX = 1 << 16  # bytes; no format has longer lines
TRUNCATED = "the last line is not complete: the trace was cut off"

Access = tuple[int, int, int, int, int]  # process, thread, address, size, kind


class Reader:
    """What every format's reader has.  ``line`` is the line, or entry, last read."""

    def __init__(self, source: Source, head: bytes, process: int) -> None:
        """``head``: bytes that were already taken from ``source``."""
        self.source, self.head, self.process = source, head, process
        self.line = 0
        self.parent = 0  # the process that forks this one, where the trace tells
        self.outside = 0  # accesses beyond the user's addresses, left out

    def events(self) -> Iterator[Event]:
        """What the trace has, in order.  Raises TraceError after all that could be read."""
        raise NotImplementedError

    def wrong(self, message: str, help: str = "") -> TraceError:
        """An error at the line that was read last."""
        return TraceError(self.source.name, self.line, message, help)

    def wrong_line(self, line: str, help: str = "") -> TraceError:
        """The error of a line that no rule fits."""
        return self.wrong(f"not a line of this format: {shown(line)}", help)


class LineReader(Reader):
    """A text format; ``access`` of a subclass reads one line."""

    def access(self, line: str) -> Access | None:
        """The access that a line tells, or None.  Raises TraceError."""
        raise NotImplementedError

    def events(self) -> Iterator[Event]:
        records = array.array("Q")
        actor = (0, 0)
        first = 1

        def batch() -> Batch:
            return Batch(*actor, memoryview(records), (first, max(first, self.line)))

        error: TraceError | None = None
        lines = self._lines()
        while True:
            try:
                access = self.access(next(lines))
            except StopIteration:
                break
            except TraceError as caught:
                error = caught
                break
            if access is None:
                continue
            process, thread, address, size, kind = access
            if records and ((process, thread) != actor or len(records) >= BATCH):
                self.line -= 1
                yield batch()
                self.line += 1
                records, first = array.array("Q"), self.line
            actor = process, thread
            packed = pack(address, size, kind)
            records.extend(packed)
            self.outside += not packed
        if records:
            yield batch()
        if error is not None:
            raise error

    def _lines(self) -> Iterator[str]:
        """Whole lines; ``self.line`` is the number of the one given last."""
        rest = self.head
        while True:
            *lines, rest = rest.split(b"\n")
            for line in lines:
                self.line += 1
                self.source.line = self.line
                yield line.decode("utf-8", "backslashreplace")
            if len(rest) > LINE_MAX:
                self.line += 1
                raise self.wrong(f"the line is longer than {LINE_MAX} bytes")
            data = self.source.read(READ)
            if not data:
                break
            rest += data
        if rest.strip():
            self.line += 1
            raise self.wrong(TRUNCATED)
