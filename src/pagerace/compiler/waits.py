"""Which steps have to wait while a cell has some value: the guards of ``wait_until``.

A step is *gated* by ``cell = value`` if, whatever else the state holds, it is blocked as
long as the cell has this value, and if being blocked leaves no trace but lines that the
step runs anyway.  Found by running the step on values of which most are not known.
"""

from __future__ import annotations

from typing import TypeAlias

from pagerace.compiler import ir, ops
from pagerace.compiler.ir import Code, Operand

NONZERO = -1  # stands for every value but 0
PATHS_MAX = 64  # blocks looked at in one step

Cell: TypeAlias = tuple[int, int]  # number of the family, index
Fact: TypeAlias = tuple[Cell, int]  # the cell has this value, or is NONZERO
Values: TypeAlias = dict[int, int]  # of the registers that are known


class _Open(Exception):
    """The step may go on, fail, or leave a trace."""


def is_gated(code: Code, start: int, fact: Fact) -> bool:
    """Can the step from block ``start`` do nothing, or fail a check, while ``fact`` holds?

    Then it fails whether or not the fact holds.
    """
    lines = {i.where.line for i in code.blocks[start].instructions}
    try:
        _run(code, start, fact, lines)
    except _Open:
        return False
    return True


def may_store(code: Code, start: int, cell: Cell) -> bool:
    """Can the step from block ``start`` store to a cell that is not 0?"""
    pending: list[tuple[int, Values]] = [(start, {})]
    for count, (number, known) in enumerate(pending):  # grows while it is read
        if count == PATHS_MAX:
            return True
        values = dict(known)
        for instruction in code.blocks[number].instructions:
            if isinstance(instruction, ir.Wait):
                if _value(values, instruction.condition) == 0:
                    break
            elif isinstance(instruction, ir.Store):
                if may_be(instruction.family, instruction.index, cell):
                    return True
            else:
                _execute(values, instruction, (cell, NONZERO))
        else:
            for successor in _successors(code, number, values):
                if code.blocks[successor].point is None:
                    pending.append((successor, values))
    return False


def _run(code: Code, start: int, fact: Fact, lines: set[int]) -> None:
    """Follow all ways from ``start``.  Raises _Open where one is not surely blocked."""
    pending: list[tuple[int, Values, bool]] = [(start, {}, False)]
    for count, (number, known, loaded) in enumerate(pending):  # grows while it is read
        block, values = code.blocks[number], dict(known)
        if count == PATHS_MAX or (number != start and block.point is not None):
            raise _Open
        for instruction in block.instructions:
            if isinstance(instruction, ir.Wait):
                condition = _value(values, instruction.condition)
                if condition == 0:
                    break
                if condition is None:
                    continue  # either is possible; what follows must be blocked too
            elif isinstance(instruction, ir.Check):
                # Before the cell is looked at it fails whatever the cell holds.
                if loaded and _value(values, instruction.condition) != 1:
                    raise _Open
            elif isinstance(instruction, (ir.Store, ir.Choose, ir.LockOrder)):
                raise _Open
            else:
                loaded |= (
                    isinstance(instruction, ir.Load)
                    and instruction.family.number == fact[0][0]
                )
                _execute(values, instruction, fact)
        else:
            if any(i.where.line not in lines for i in block.instructions):
                raise _Open
            following = _successors(code, number, values)
            if not following:
                raise _Open
            pending += [(successor, values, loaded) for successor in following]


def _successors(code: Code, number: int, values: Values) -> list[int]:
    end = code.blocks[number].terminator
    if isinstance(end, ir.Jump):
        return [end.target]
    if isinstance(end, ir.Branch):
        condition = _value(values, end.condition)
        if condition is None:
            return [end.then, end.other]
        return [end.then if condition else end.other]
    return []


def _value(values: Values, operand: Operand) -> int | None:
    if isinstance(operand, ir.Const):
        return operand.value
    return values.get(operand.number)


def may_be(family: ir.Family, index: Operand, cell: Cell) -> bool:
    """Can this be the cell?"""
    if family.number != cell[0]:
        return False
    return not isinstance(index, ir.Const) or index.value == cell[1]


def surely_is(family: ir.Family, index: Operand, cell: Cell) -> bool:
    """Is this the cell and no other?"""
    return family.number == cell[0] and (
        family.count == 1 or (isinstance(index, ir.Const) and index.value == cell[1])
    )


def _execute(values: Values, instruction: ir.Instruction, fact: Fact) -> None:
    """What is known after an instruction that only computes or loads."""
    target = getattr(instruction, "dst", None)
    if target is None:
        return
    values.pop(target.number, None)
    result: int | None = None
    if isinstance(instruction, ir.Load):
        if surely_is(instruction.family, instruction.index, fact[0]):
            result = fact[1]
            if result == NONZERO and instruction.family.type.bits == 1:
                result = 1
    elif isinstance(instruction, ir.Op):
        result = _operation(values, instruction)
    elif isinstance(instruction, ir.Lookup):
        index = _value(values, instruction.index)
        known = index is not None and 0 <= index < len(instruction.table)
        result = instruction.table[index] if known else None  # pyright: ignore
    if result is not None:
        values[target.number] = result


def _operation(values: Values, op: ir.Op) -> int | None:
    args = [_value(values, arg) for arg in op.args]
    if op.name == "select" and args[0] is not None:
        return args[1] if args[0] != 0 else args[2]
    if op.name == "and" and 0 in args:
        return 0
    if NONZERO in args:
        return _of_nonzero(op, args)
    if None in args or (op.name in ("div", "mod") and args[1] == 0):
        return None
    meaning = ops.TABLE[op.name].meaning(op.args[0].type, *args)  # pyright: ignore
    return ops.wrap(op.dst.type, meaning)


def _of_nonzero(op: ir.Op, args: list[int | None]) -> int | None:
    """The result where some argument is known not to be 0, and no more."""
    if op.name in ("eq", "ne") and set(args) == {NONZERO, 0}:
        return int(op.name == "ne")
    if op.name == "truth":
        return 1
    if op.name == "convert" and op.dst.type.bits >= op.args[0].type.bits:
        return NONZERO
    return None
