"""What a step may touch: the read and write set of each point.

Only memory that some thread writes counts, because reading a constant commutes with
everything.  An index known when compiled names one cell; any other names the family.
"""

from __future__ import annotations

from typing import TypeAlias

from pagerace.compiler.ir import Choose, Code, Const, Family, Load, Operand, Store
from pagerace.compiler.liveness import successors

Cells: TypeAlias = "dict[int, frozenset[int] | None]"


def compute(code: Code) -> None:
    """Fill ``Point.reads``, ``writes`` and ``chooses`` of each block that has a point."""
    for number, block in enumerate(code.blocks):
        if block.point is not None:
            point = block.point
            point.reads, point.writes, point.chooses = touched(code, number)


def touched(code: Code, start: int) -> tuple[Cells, Cells, bool]:
    """(reads, writes, may choose) of a run from block ``start`` to the next points."""
    reads: Cells = {}
    writes: Cells = {}
    chooses = False
    for number in blocks_of_step(code, start):
        for instruction in code.blocks[number].instructions:
            if isinstance(instruction, Load):
                if instruction.family.written:
                    _add(reads, instruction.family, instruction.index)
            elif isinstance(instruction, Store):
                _add(writes, instruction.family, instruction.index)
            elif isinstance(instruction, Choose):
                chooses = True
    return dict(sorted(reads.items())), dict(sorted(writes.items())), chooses


def blocks_of_step(code: Code, start: int) -> list[int]:
    """The blocks that a run from block ``start`` may execute before it meets a point."""
    seen = {start}
    found = [start]
    for number in found:  # grows while it is read
        for successor in successors(code.blocks[number].terminator):
            if successor not in seen and code.blocks[successor].point is None:
                seen.add(successor)
                found.append(successor)
    return found


def _add(cells: Cells, family: Family, index: Operand) -> None:
    if isinstance(index, Const):
        known = frozenset({index.value})
    else:
        known = frozenset({0}) if family.count == 1 else None
    earlier = cells.get(family.number, frozenset[int]())
    both = None if known is None or earlier is None else known | earlier
    cells[family.number] = both
