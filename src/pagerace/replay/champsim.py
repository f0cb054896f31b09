"""ChampSim's traces: an instruction in 64 bytes, with its registers and addresses."""

from __future__ import annotations

from pagerace.replay import scanning
from pagerace.replay.events import Call, TraceError
from pagerace.replay.scanned import Scanned


class ChampSim(Scanned):
    """``input_instr`` of ChampSim's inc/trace_instruction.h; it has no header."""

    scan = scanning.scan_champsim

    def whole(self, filled: int) -> int:
        return filled - filled % scanning.INSTRUCTION

    def other(self, start: int, end: int) -> tuple[int, Call | None]:
        raise self.wrong("not an instruction of ChampSim: a flag is neither 0 nor 1")

    def incomplete(self, rest: bytes) -> TraceError | None:
        return self.wrong("the last instruction is not complete: the trace was cut off")


def is_champsim(head: bytes) -> bool:
    """Can these bytes be the beginning of such a trace?"""
    size = scanning.INSTRUCTION
    whole = [head[at : at + size] for at in range(0, len(head) - size + 1, size)]
    return bool(whole) and all(
        max(instruction[scanning.FLAGS_AT : scanning.FLAGS_AT + 2]) <= 1
        and any(instruction[: scanning.FLAGS_AT])
        for instruction in whole
    )
