"""Which lines of the program no execution ran: what a verdict says nothing about."""

from __future__ import annotations

from collections.abc import Iterable

from pagerace.compiler import interpreter
from pagerace.compiler.ir import Block, Program, Where
from pagerace.compiler.native.context import COVERAGE_BYTES, block_base


def never_executed(program: Program, contexts: Iterable[memoryview]) -> dict[str, list[int]]:
    """File -> lines of the program that were in no block that ran, in order.

    A line is taken as executed if any process ran any part of it.  ``contexts`` are
    those of all workers, as bytes.
    """
    bases = block_base(program)
    ran: set[tuple[str, int]] = set()
    all_lines: set[tuple[str, int]] = set()
    seen = [bytes(context) for context in contexts]
    starts = interpreter.starts(program)
    for process, base, start in zip(program.processes, bases, starts, strict=True):
        for number, block in enumerate(process.code.blocks):
            lines = _lines(block)
            all_lines |= lines
            byte = COVERAGE_BYTES + base + number
            if number in start.blocks or any(context[byte] for context in seen):
                ran |= lines
    found: dict[str, list[int]] = {}
    for file, line in sorted(all_lines - ran):
        found.setdefault(file, []).append(line)
    return found


def _lines(block: Block) -> set[tuple[str, int]]:
    """The lines of a block's instructions, and those of the calls that led to them."""
    lines: set[tuple[str, int]] = set()
    for instruction in block.instructions:
        where: Where | None = instruction.where
        while where is not None:
            lines.add((where.file, where.line))
            where = where.caller
    return lines
