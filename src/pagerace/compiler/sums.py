"""Which steps do no more with a cell than to add a constant to it.

Two such steps of two processes commute: up_read() and down_read() of a semaphore, or
counters of which nobody looks at the result.
"""

from __future__ import annotations

from collections.abc import Sequence

from pagerace.compiler import ir
from pagerace.compiler.ir import Code
from pagerace.compiler.liveness import operands
from pagerace.compiler.waits import Cell


def uses_of(code: Code) -> list[int]:
    """How often each register is needed; what only a Note shows is not."""
    uses = [0] * len(code.registers)
    for block in code.blocks:
        for item in (*block.instructions, block.terminator):
            if not isinstance(item, ir.Note):
                for operand in operands(item):
                    if isinstance(operand, ir.Reg):
                        uses[operand.number] += 1
    return uses


def added(code: Code, blocks: Sequence[int], uses: Sequence[int]) -> set[Cell]:
    """The cells that a step, which runs some of ``blocks``, only adds constants to."""
    found: set[Cell] = set()
    other: set[Cell] = set()  # with index -1: of the whole family
    for number in blocks:
        sums: dict[int, Cell] = {}
        bits: dict[int, int] = {}
        for instruction in code.blocks[number].instructions:
            if isinstance(instruction, ir.Load):
                cell = _cell(instruction.family, instruction.index)
                if cell[1] >= 0 and uses[instruction.dst.number] == 1:
                    sums[instruction.dst.number] = cell
                    bits[instruction.dst.number] = instruction.family.type.bits
                else:
                    other.add(cell)
            elif isinstance(instruction, ir.Store):
                cell, value = _cell(instruction.family, instruction.index), instruction.value
                known = sums.pop(value.number, None) if isinstance(value, ir.Reg) else None
                (found if known == cell and cell[1] >= 0 else other).add(cell)
                if known not in (None, cell):
                    other.add(known)
            elif isinstance(instruction, ir.Op) and isinstance(instruction.args[0], ir.Reg):
                _follow(sums, bits, instruction, uses)
        other.update(sums.values())  # of which something else became
    families = {cell[0] for cell in other if cell[1] < 0}
    return {cell for cell in found - other if cell[0] not in families}


def _cell(family: ir.Family, index: ir.Operand) -> Cell:
    if family.count == 1:
        return family.number, 0
    return family.number, index.value if isinstance(index, ir.Const) else -1


def _follow(
    sums: dict[int, Cell], bits: dict[int, int], op: ir.Op, uses: Sequence[int]
) -> None:
    """Follow a sum through what adds a constant and loses no bit of it."""
    first = op.args[0]
    assert isinstance(first, ir.Reg)
    if first.number not in sums or uses[op.dst.number] != 1:
        return
    constant = len(op.args) == 2 and isinstance(op.args[1], ir.Const)
    if op.name == "convert" or (op.name in ("add", "sub") and constant):
        if op.dst.type.bits >= bits[first.number]:
            bits[op.dst.number] = bits[first.number]
            sums[op.dst.number] = sums.pop(first.number)
