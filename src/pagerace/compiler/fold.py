"""Constants: what no thread writes is known once the set-up has run.

A load from such memory becomes a constant, and what follows from it goes too: an
operation on constants, a branch that is decided, a check that cannot fail.  A register
that is set once, to a constant or to another such register, is replaced by it.
"""

from __future__ import annotations

from dataclasses import fields

from pagerace.compiler import ir, ops, points
from pagerace.compiler.ir import Code, Const, Operand, Reg
from pagerace.compiler.liveness import destination


def fold(code: Code) -> None:
    """Fold until nothing changes.  The families' ``written`` marks must be final."""
    _fold_loads(code)
    while _fold_once(code):
        points.clean(code)


def _fold_loads(code: Code) -> None:
    for block in code.blocks:
        for i, instruction in enumerate(block.instructions):
            if not isinstance(instruction, ir.Load) or instruction.family.written:
                continue
            family, index, where = instruction.family, instruction.index, instruction.where
            if isinstance(index, Const):
                value = Const(family.initial[index.value], instruction.dst.type)
                block.instructions[i] = ir.Op(instruction.dst, "convert", (value,), where)
            elif len(set(family.initial)) == 1:
                value = Const(family.initial[0], instruction.dst.type)
                block.instructions[i] = ir.Op(instruction.dst, "convert", (value,), where)
            else:
                table = tuple(family.initial)
                block.instructions[i] = ir.Lookup(instruction.dst, table, index, where)


def _fold_once(code: Code) -> bool:
    known = _known(code)
    changed = False
    for block in code.blocks:
        kept: list[ir.Instruction] = []
        for instruction in block.instructions:
            changed |= _substitute(instruction, known)
            instruction = _evaluated(instruction)
            if isinstance(instruction, ir.Check) and _is_true(instruction.condition):
                changed = True
            else:
                kept.append(instruction)
        block.instructions = kept
        end = block.terminator
        changed |= _substitute(end, known)
        if isinstance(end, ir.Branch) and isinstance(end.condition, Const):
            block.terminator = ir.Jump(end.then if end.condition.value else end.other)
            changed = True
    return changed


def _known(code: Code) -> dict[int, Operand]:
    """Registers set once, to something that never changes -> that."""
    count: dict[int, int] = {register.number: 1 for register in code.parameters}
    for block in code.blocks:
        for instruction in block.instructions:
            register = destination(instruction)
            if register is not None:
                count[register.number] = count.get(register.number, 0) + 1
    known: dict[int, Operand] = {}
    for block in code.blocks:
        for instruction in block.instructions:
            if not isinstance(instruction, ir.Op) or instruction.name != "convert":
                continue
            (source,) = instruction.args
            same = source.type.bits == instruction.dst.type.bits
            if count[instruction.dst.number] != 1 or not same:
                continue
            if isinstance(source, Const) or count.get(source.number) == 1:
                known[instruction.dst.number] = source
    return known


def _resolve(operand: Operand, known: dict[int, Operand]) -> Operand:
    """``operand`` replaced, in its own type."""
    type = operand.type
    while isinstance(operand, Reg) and operand.number in known:
        operand = known[operand.number]
    if isinstance(operand, Const):
        return Const(operand.value, type)
    return Reg(operand.number, type)


def _substitute(item: ir.Instruction | ir.Terminator, known: dict[int, Operand]) -> bool:
    changed = False
    for part in fields(item):
        if part.name == "dst":
            continue
        value = getattr(item, part.name)
        if isinstance(value, Reg):
            new = _resolve(value, known)
            if new is not value and new != value:
                setattr(item, part.name, new)
                changed = True
        elif isinstance(value, tuple) and part.name == "args":
            args: tuple[Operand, ...] = value
            resolved = tuple(_resolve(arg, known) for arg in args)
            if resolved != args:
                setattr(item, part.name, resolved)
                changed = True
    return changed


def _evaluated(instruction: ir.Instruction) -> ir.Instruction:
    """An operation or look-up on constants, done."""
    if isinstance(instruction, ir.Lookup) and isinstance(instruction.index, Const):
        value = instruction.table[instruction.index.value]
    elif isinstance(instruction, ir.Op) and instruction.name != "convert":
        values = [arg.value for arg in instruction.args if isinstance(arg, Const)]
        if len(values) < len(instruction.args):
            return instruction
        value = ops.TABLE[instruction.name].meaning(instruction.args[0].type, *values)
    elif isinstance(instruction, ir.Op) and isinstance(instruction.args[0], Const):
        (source,) = instruction.args
        assert isinstance(source, Const)
        value = ops.signed_value(source.type, source.value)
        if source.type == instruction.dst.type:
            return instruction
    else:
        return instruction
    known = Const(ops.wrap(instruction.dst.type, value), instruction.dst.type)
    return ir.Op(instruction.dst, "convert", (known,), instruction.where)


def _is_true(operand: Operand) -> bool:
    return isinstance(operand, Const) and operand.value == 1
