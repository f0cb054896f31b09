"""DynamoRIO's traces: what drcachesim and the memtrace samples print, and offline files."""

from __future__ import annotations

import re

from pagerace.replay import scanning
from pagerace.replay.events import FETCH, LOAD, STORE, Call, TraceError
from pagerace.replay.lines import Access, LineReader
from pagerace.replay.scanned import Scanned

_KINDS = {"read": LOAD, "write": STORE, "ifetch": FETCH, "r": LOAD, "w": STORE}


class View(LineReader):
    """``drcachesim -tool view``: a record a line, with the thread it is of."""

    _RECORD = re.compile(r" *\d+(?: +\d+)?: +T?(?P<thread>\d+) +(?P<details>\S.*)")
    _ACCESS = re.compile(
        r"(?P<kind>ifetch|read|write) +(?P<size>\d+) byte\(s\) @ "
        r"(?P<non_fetch>non-fetched )?0x(?P<address>[0-9a-f]+)(?: .*)?"
    )
    # The header, lines between threads, the second line of a long instruction, the summary.
    _TALK = re.compile(
        r"Output format:|<-*record#.*|-{20,}|\s{20,}.*|View tool results:|\s*\d+ : total .*|\s*"
    )

    def access(self, line: str) -> Access | None:
        record = self._RECORD.fullmatch(line)
        if record is None:
            if self._TALK.fullmatch(line):
                return None
            raise self.wrong_line(line)
        found = self._ACCESS.fullmatch(record["details"])
        if found is None:
            # Markers, prefetches and others; a broken access is none of them.
            if record["details"].startswith(("ifetch", "read", "write")):
                raise self.wrong_line(line)
            return None
        if found["non_fetch"]:
            return None
        thread, size = int(record["thread"]), int(found["size"])
        if not 0 < size <= scanning.ACCESS_MAX:
            raise self.wrong(f"an access of {size} bytes")
        # The process is not printed: all threads are taken to be of one.
        return self.process, thread, int(found["address"], 16), size, _KINDS[found["kind"]]


class Memtrace(LineReader):
    """What the samples memtrace_simple and memtrace_x86 print: a reference a line."""

    _SIMPLE = re.compile(r"(?:0x)?(?P<address>[0-9a-f]+): *(?P<size>\d+), *(?P<kind>\S+)")
    _X86 = re.compile(
        r"(?:0x)?[0-9a-f]+,(?P<kind>[rw]),(?P<size>\d+),(?:0x)?(?P<address>[0-9a-f]+)"
    )

    def access(self, line: str) -> Access | None:
        if not line.strip() or line.startswith("Format:"):
            return None
        found = self._SIMPLE.fullmatch(line) or self._X86.fullmatch(line)
        if found is None:
            raise self.wrong_line(line)
        size = int(found["size"])
        if not 0 < size <= scanning.ACCESS_MAX:
            raise self.wrong(f"an access of {size} bytes")
        # Any other word is the name of an instruction that is fetched.
        kind = _KINDS.get(found["kind"], FETCH)
        return self.process, self.process, int(found["address"], 16), size, kind


class Entries(Scanned):
    """An offline trace after post-processing: entries of twelve bytes."""

    scan = scanning.scan_entries

    def whole(self, filled: int) -> int:
        return filled - filled % scanning.ENTRY

    def other(self, start: int, end: int) -> tuple[int, Call | None]:
        entry = self._text[start : start + scanning.ENTRY]
        type = int.from_bytes(entry[:2], "little")
        value = int.from_bytes(entry[4:], "little")
        if type == scanning.ENTRY_THREAD:
            self.thread = value or self.process
        elif type == scanning.ENTRY_PID:
            self.process = value or self.process
        elif type > scanning.ENTRY_LAST:
            raise self.wrong(f"an entry of type {type}, which does not exist")
        return start + scanning.ENTRY, None

    def incomplete(self, rest: bytes) -> TraceError | None:
        return self.wrong("the last entry is not complete: the trace was cut off")
