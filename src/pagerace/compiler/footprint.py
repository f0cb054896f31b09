"""What a step may touch: the read and write set of each point.

Only memory that some thread writes counts, because reading a constant commutes with
everything.  An index names the cells in the interval of numbers that it can be.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeAlias

from pagerace.compiler.ir import Choose, Code, Family, Load, Store
from pagerace.compiler.liveness import successors
from pagerace.compiler.ranges import Interval, interval, intervals

Cells: TypeAlias = "dict[int, frozenset[int] | None]"


def compute(code: Code, unset: Collection[int] | None = None) -> None:
    """Fill ``Point.reads``, ``writes`` and ``chooses`` of each block that has a point.

    ``unset``: the numbers of the registers live at the start, if they are known.
    """
    found = intervals(code, unset)
    for number, block in enumerate(code.blocks):
        if block.point is not None:
            point = block.point
            point.reads, point.writes, point.chooses = _touched(code, number, found)


def touched(code: Code, start: int) -> tuple[Cells, Cells, bool]:
    """(reads, writes, may choose) of a run from block ``start`` to the next points."""
    return _touched(code, start, intervals(code))


def _touched(code: Code, start: int, found: list[Interval | None]) -> tuple[Cells, Cells, bool]:
    reads: Cells = {}
    writes: Cells = {}
    chooses = False
    for number in blocks_of_step(code, start):
        for instruction in code.blocks[number].instructions:
            if isinstance(instruction, Load):
                if instruction.family.written:
                    _add(reads, instruction.family, interval(found, instruction.index))
            elif isinstance(instruction, Store):
                _add(writes, instruction.family, interval(found, instruction.index))
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


def _add(cells: Cells, family: Family, index: Interval) -> None:
    last = min(index[1], family.count - 1)
    known = frozenset(range(index[0], last + 1))
    earlier = cells.get(family.number, frozenset[int]())
    both = None if earlier is None or len(known) == family.count > 1 else known | earlier
    cells[family.number] = both
