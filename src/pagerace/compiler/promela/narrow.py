"""Values whose type is wider than Promela's integers, and that never need the width.

An index is computed in a type that cannot overflow, which may have more than 32 bits: then
what it can be is known to be small, or only its lower bits are looked at.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pagerace.compiler.ir import Block, Code, Const, Note, Op, Operand, Reg, Scalar
from pagerace.compiler.liveness import destination, operands
from pagerace.compiler.promela.terms import INT_BITS
from pagerace.compiler.ranges import intervals

SMALL = Scalar(INT_BITS - 1)
LOW = Scalar(INT_BITS)
_OPERANDS = ("dst", "index", "value", "condition", "n", "lock", "held")
# The lower bits of these depend on the lower bits of their operands alone.
_MODULAR = {"convert", "add", "sub", "mul", "and", "or", "xor", "neg", "invert"}


def narrowed(code: Code) -> Code:
    """The same code with narrower types for what is wide and does not need it."""
    types = _narrower(code)
    if not types:
        return code

    def operand(one: Operand) -> Operand:
        if isinstance(one, Reg):
            return Reg(one.number, types.get(one.number, one.type))
        if one.type.bits <= INT_BITS:
            return one
        return Const(one.value, SMALL) if one.value < 1 << SMALL.bits else one

    def item(one: Any) -> Any:
        changes: dict[str, Any] = {
            name: operand(value)
            for name in _OPERANDS
            if isinstance(value := getattr(one, name, None), Reg | Const)
        }
        if args := getattr(one, "args", ()):
            changes["args"] = tuple(map(operand, args))
        if isinstance(one, Op) and types.get(one.dst.number) is LOW:
            changes["args"] = tuple(map(_cut, changes["args"]))
        return replace(one, **changes) if changes else one

    blocks = [
        Block(
            [item(instruction) for instruction in block.instructions],
            item(block.terminator),
            None
            if block.point is None
            else replace(block.point, live=tuple(map(operand, block.point.live))),
        )
        for block in code.blocks
    ]
    registers = [types.get(n, scalar) for n, scalar in enumerate(code.registers)]
    return replace(code, registers=registers, blocks=blocks)


def _cut(one: Operand) -> Operand:
    """A constant that is too wide, its lower bits."""
    if isinstance(one, Const) and one.type.bits > INT_BITS:
        return Const(one.value & ((1 << INT_BITS) - 1), LOW)
    return one


def _narrower(code: Code) -> dict[int, Scalar]:
    """The types to use for the wide registers that need not be wide."""
    wide = {n for n, scalar in enumerate(code.registers) if scalar.bits > INT_BITS}
    if not wide:
        return {}
    types = dict.fromkeys(_low_only(code, wide), LOW)
    found = intervals(code)
    for number in wide:
        known = found[number]
        if known is not None and known[1] < 1 << SMALL.bits:
            types[number] = SMALL
    return types


def _low_only(code: Code, wide: set[int]) -> set[int]:
    """The wide registers of which nothing but the lower 32 bits matters to anybody."""
    low = set(wide)
    changing = True
    while changing:
        changing = False
        for block in code.blocks:
            for item in (*block.instructions, block.terminator):
                if isinstance(item, Note):
                    continue
                read = {o.number for o in operands(item) if isinstance(o, Reg)} & low
                target = destination(item)  # type: ignore
                modular = isinstance(item, Op) and item.name in _MODULAR
                if target is not None and target.number in low and not modular:
                    low.discard(target.number)
                    changing = True
                narrow = modular and target is not None and (
                    (target.type.bits <= INT_BITS and item.name == "convert")  # type: ignore
                    or target.number in low
                )
                if read and not narrow:
                    low -= read
                    changing = True
    return low
