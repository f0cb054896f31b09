"""``perf script`` of ``perf record -e exceptions:page_fault_user``: every fault, no access."""

from __future__ import annotations

import re

from pagerace.replay.events import FETCH, LOAD, STORE
from pagerace.replay.lines import Access, LineReader

EVENT = "exceptions:page_fault_user:"
# Of the error code that x86 pushes: arch/x86/include/asm/trap_pf.h.
X86_PF_WRITE = 1 << 1
X86_PF_INSTR = 1 << 4


class Perf(LineReader):
    """An access for each fault, of one byte, at the address that faulted."""

    _FAULT = re.compile(
        r".*?\s(?:(?P<process>\d+)/)?(?P<thread>\d+)\s.*"
        + EVENT
        + r"\s+address=(?:0x)?(?P<address>[0-9a-f]+) ip=\S+ error_code=0x(?P<code>[0-9a-f]+)\s*"
    )
    _OTHER = re.compile(r"\d: +(?:\d+ +)?\S+:")  # a time, a count, an event
    HELP = "perf script -F comm,pid,tid,time,event,trace"

    def access(self, line: str) -> Access | None:
        if EVENT not in line:
            # Comments, and other events of the same recording.
            if not line.strip() or line.startswith("#") or self._OTHER.search(line):
                return None
            raise self.wrong_line(line, self.HELP)
        fault = self._FAULT.fullmatch(line)
        if fault is None:
            raise self.wrong_line(line, self.HELP)
        code = int(fault["code"], 16)
        kind = STORE if code & X86_PF_WRITE else LOAD
        if code & X86_PF_INSTR:
            kind = FETCH
        # Without its process a thread counts as one of its own.
        process = int(fault["process"] or fault["thread"])
        return process, int(fault["thread"]), int(fault["address"], 16), 1, kind
