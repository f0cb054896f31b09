"""Are two steps the same code but for the cells that they name?  Quick, and often true."""

from __future__ import annotations

from typing import Any

from pagerace.compiler import ir
from pagerace.compiler.ir import Code, Const, Operand, Reg, Scalar, Where
from pagerace.compiler.liveness import operands, successors
from pagerace.compiler.symmetry.candidates import Permutation


def same_code(
    one: Code, other: Code, first: int, second: int, permutation: Permutation
) -> bool:
    """Does the step from block ``second`` do the same, instruction for instruction?

    A cell that is known when compiled must be the other's image; of a family whose cells
    change places no other cell may be used.
    """
    partner = {first: second}
    pending = [first]
    while pending:
        number = pending.pop()
        x, y = one.blocks[number], other.blocks[partner[number]]
        if len(x.instructions) != len(y.instructions):
            return False
        if not all(map(_Same(permutation), x.instructions, y.instructions)):
            return False
        if type(x.terminator) is not type(y.terminator):
            return False
        if not _same_operands(x.terminator, y.terminator):
            return False
        for i, j in zip(successors(x.terminator), successors(y.terminator), strict=True):
            here, there = one.blocks[i].point, other.blocks[j].point
            if here is None and there is None:
                if i not in partner:
                    partner[i] = j
                    pending.append(i)
                if partner[i] != j:
                    return False
            elif here is None or there is None or here.number != there.number:
                return False
    return True


class _Same:
    def __init__(self, permutation: Permutation) -> None:
        self.permutation = permutation

    def __call__(self, x: ir.Instruction, y: ir.Instruction) -> bool:
        if type(x) is not type(y) or not same_place(x.where, y.where):
            return False
        if isinstance(x, ir.Load | ir.Store):
            return self._access(x, y)
        if isinstance(x, ir.Note | ir.Fence):
            return True
        if not _same_operands(x, y) or not _same_register(x, y):
            return False
        match x, y:
            case (ir.Op(), ir.Op()):
                return x.name == y.name
            case (ir.Lookup(), ir.Lookup()):
                return x.table == y.table
            case (ir.Check(), ir.Check()):
                return x.slug == y.slug
            case (ir.Wait(), _) | (ir.Choose(), _) | (ir.LockOrder(), _):
                return True
            case _:
                return False

    def _access(self, x: Any, y: Any) -> bool:
        if x.family is not y.family or not _same_register(x, y):
            return False
        if isinstance(x, ir.Store) and not _same_operand(x.value, y.value):
            return False
        if isinstance(x.index, Const) and isinstance(y.index, Const):
            return self.permutation.cell(x.family.number, x.index.value) == y.index.value
        moves = x.family.number in self.permutation.cells
        return not moves and _same_operand(x.index, y.index)


def _same_operands(x: Any, y: Any) -> bool:
    one, other = operands(x), operands(y)
    return len(one) == len(other) and all(map(_same_operand, one, other))


def _same_operand(x: Operand, y: Operand) -> bool:
    if isinstance(x, Reg):
        return isinstance(y, Reg) and x.number == y.number and _same_type(x.type, y.type)
    return isinstance(y, Const) and x.value == y.value and _same_type(x.type, y.type)


def _same_register(x: Any, y: Any) -> bool:
    one, other = getattr(x, "dst", None), getattr(y, "dst", None)
    return one is other if one is None or other is None else _same_operand(one, other)


def _same_type(x: Scalar, y: Scalar) -> bool:
    return x is y or (x.bits == y.bits and x.signed == y.signed)


def same_place(one: Where | None, other: Where | None) -> bool:
    """Are these the same place of the source, called from the same places?"""
    while one is not None and other is not None:
        if one is other:
            return True
        if one.line != other.line or one.column != other.column or one.file != other.file:
            return False
        one, other = one.caller, other.caller
    return one is other
