"""A trace by the functions of ``scanning``: a buffer of bytes, refilled and scanned."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import ClassVar

from pagerace.replay import scanning
from pagerace.replay.calls import ValgrindCalls, WrongCall
from pagerace.replay.compiled import Scanner
from pagerace.replay.events import BATCH, Batch, Call, Event, TraceError
from pagerace.replay.lines import LINE_MAX, TRUNCATED, Reader
from pagerace.replay.sources import Source

BUFFER = 1 << 20  # bytes


class Scanned(Reader):
    """A format that native code scans; what that leaves goes to ``other``."""

    scan: ClassVar[Callable[..., int]]

    def __init__(self, source: Source, head: bytes, process: int, room: int = BATCH) -> None:
        """``room``: records in a batch."""
        super().__init__(source, head, process)
        self.thread = process
        self._text = bytearray(BUFFER)
        self._scanner = Scanner(type(self).scan, self._text, room)
        self._first = 1  # line of the batch

    def whole(self, filled: int) -> int:
        """How many of the bytes in the buffer are whole lines or entries."""
        raise NotImplementedError

    def other(self, start: int, end: int) -> tuple[int, Call | None]:
        """Look at what native code left at ``start``: where it ends, and a call.

        It may set ``process`` and ``thread``.  Raises TraceError.
        """
        raise NotImplementedError

    def incomplete(self, rest: bytes) -> TraceError | None:
        """The error if a trace ends with ``rest``, which is no whole line or entry."""
        raise NotImplementedError

    def events(self) -> Iterator[Event]:
        error: TraceError | None = None
        filled = 0
        text = self._text
        while True:
            data, self.head = self.head[: BUFFER - filled], self.head[BUFFER - filled :]
            try:
                data = data or self.source.read(BUFFER - filled)
            except TraceError as caught:
                error = caught
                break
            text[filled : filled + len(data)] = data
            filled += len(data)
            end = self.whole(filled)
            if not data:
                break
            start = 0
            try:
                start = yield from self._scanned(end)
            except TraceError as caught:
                error = caught
                break
            rest = bytes(text[start:filled])
            text[: len(rest)] = rest
            filled = len(rest)
            if filled > LINE_MAX:
                self.line += 1
                error = self.wrong(f"the line is longer than {LINE_MAX} bytes")
                break
        yield from self._batch()
        if error is None and filled:
            self.line += 1
            error = self.incomplete(bytes(text[:filled]))
        if error is not None:
            raise error

    def _scanned(self, end: int) -> Iterator[Event]:
        """Events of ``text[:end]``; returns ``end``."""
        control = self._scanner.control
        start = 0
        while start < end:
            start = self._scanner(start, end)
            self.line = self.source.line = control[scanning.LINES]
            self.outside = control[scanning.OUTSIDE]
            reason = control[scanning.REASON]
            if reason == scanning.FULL:
                if not control[scanning.FILL]:
                    raise self.wrong("an access is longer than a batch")
                yield from self._batch()
            elif reason == scanning.OTHER:
                self.line += 1
                actor = self.process, self.thread
                start, call = self.other(start, end)
                control[scanning.LINES] = self.line
                if call is not None or actor != (self.process, self.thread):
                    yield from self._batch(*actor)
                if call is not None:
                    yield call
        return start

    def _batch(self, process: int = 0, thread: int = 0) -> Iterator[Batch]:
        """What was scanned since the last time, if it is anything."""
        last = max(self._first, self._scanner.control[scanning.LINES])
        records = self._scanner.take()
        if len(records):
            lines = self._first, last
            yield Batch(process or self.process, thread or self.thread, records, lines)
        self._first = last + 1


class Lackey(Scanned):
    """``valgrind --tool=lackey --trace-mem=yes``, with system calls if they were asked for."""

    scan = scanning.scan_lackey
    # Valgrind's own words, what it says of a system call that it does not know, and the
    # superblocks of --trace-superblocks.
    NOT_OURS = ("**", " --> [", "SB ")
    _PARENT = re.compile(r"==(?P<process>\d+)== Parent PID: (?P<parent>\d+)")
    _RUNS = re.compile(r"--\d+-- +SCHED\[(?P<thread>\d+)\]: +acquired lock.*")
    HELP = "valgrind --log-file=FILE keeps the program's own output out of the trace"

    def __init__(self, source: Source, head: bytes, process: int, room: int = BATCH) -> None:
        super().__init__(source, head, process, room)
        self._calls = ValgrindCalls(process)

    def whole(self, filled: int) -> int:
        return self._text.rfind(b"\n", 0, filled) + 1

    def other(self, start: int, end: int) -> tuple[int, Call | None]:
        stop = self._text.index(b"\n", start, end)
        line = self._text[start:stop].decode("utf-8", "backslashreplace")
        if line.startswith("SYSCALL["):
            try:
                return stop + 1, self._calls.call(line, self.line)
            except WrongCall as error:
                raise self.wrong(f"a system call: {error}") from None
        if line.startswith(("==", "--")):
            self._valgrind(line)
            return stop + 1, None
        if line.startswith(self.NOT_OURS) or not line.strip():
            return stop + 1, None
        raise self.wrong_line(line, self.HELP)

    def _valgrind(self, line: str) -> None:
        """What --log-file and --trace-sched tell: who this is, and which thread runs."""
        if parent := self._PARENT.fullmatch(line):
            self.process = self.thread = self._calls.process = int(parent["process"])
            self.parent = int(parent["parent"])
        elif runs := self._RUNS.fullmatch(line):
            self.thread = self._calls.thread(int(runs["thread"]))

    def incomplete(self, rest: bytes) -> TraceError | None:
        return self.wrong(TRUNCATED) if rest.strip() else None
