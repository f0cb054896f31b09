"""Constants: what no thread writes is known once the set-up has run.

A load from such memory becomes a constant or a look-up in a table; ``simplify`` then
finds what follows from it.
"""

from __future__ import annotations

from pagerace.compiler import ir, points
from pagerace.compiler.ir import Code, Const
from pagerace.compiler.simplify import end_at_failure


def fold(code: Code) -> None:
    """Fold what is constant.  The families' ``written`` marks must be final."""
    for block in code.blocks:
        end_at_failure(code, block)
    _fold_loads(code)
    points.clean(code)


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
