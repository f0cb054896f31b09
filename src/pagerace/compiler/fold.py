"""Constants: what no thread writes is known once the set-up has run.

A load from such memory becomes a constant or a look-up in a table; ``simplify`` then
finds what follows from it.
"""

from __future__ import annotations

from pagerace.compiler import ir, points
from pagerace.compiler.ir import BOOL, Code, Const


def fold(code: Code) -> None:
    """Fold what is constant.  The families' ``written`` marks must be final."""
    _end_at_failures(code)
    _fold_loads(code)
    points.clean(code)


def _end_at_failures(code: Code) -> None:
    """End a block after a check that always fails: what follows may make no sense."""
    for block in code.blocks:
        for i, instruction in enumerate(block.instructions):
            failing = isinstance(instruction, ir.Check) and instruction.condition == Const(
                0, BOOL
            )
            if failing and (len(block.instructions) > i + 1 or block.terminator != ir.Return()):
                del block.instructions[i + 1 :]
                block.terminator = ir.Return()
                break


def _fold_loads(code: Code) -> None:
    for block in code.blocks:
        for i, instruction in enumerate(block.instructions):
            if not isinstance(instruction, ir.Load) or instruction.family.written:
                continue
            family, index, where = instruction.family, instruction.index, instruction.where
            if isinstance(index, Const) and index.value < family.count:
                value = Const(family.initial[index.value], instruction.dst.type)
                block.instructions[i] = ir.Op(instruction.dst, "convert", (value,), where)
            elif len(set(family.initial)) == 1:
                value = Const(family.initial[0], instruction.dst.type)
                block.instructions[i] = ir.Op(instruction.dst, "convert", (value,), where)
            else:
                table = tuple(family.initial)
                block.instructions[i] = ir.Lookup(instruction.dst, table, index, where)
