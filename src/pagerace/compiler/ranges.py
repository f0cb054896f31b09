"""The numbers that a register can hold: an interval of bit patterns for each.

One interval for the whole code, whatever the order in which it runs.  That bounds an
index such as ``cpu * entries + page``, and so the cells that a step can touch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeAlias

from pagerace.compiler import ops
from pagerace.compiler.ir import (
    Choose,
    Code,
    Const,
    Instruction,
    Lookup,
    Op,
    Operand,
    Reg,
    Scalar,
)
from pagerace.compiler.liveness import destination, live_registers, operands

COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")

Interval: TypeAlias = tuple[int, int]  # the least and the greatest, both possible

_ROUNDS_MAX = 4  # after which what still grows may be anything, as a loop counter


def intervals(code: Code, unset: Collection[int] | None = None) -> list[Interval | None]:
    """The interval of each register; None for one that is never written.

    ``unset``: the numbers of those live at the start, if the caller knows them.
    """
    found: list[Interval | None] = [None] * len(code.registers)
    for number in live_registers(code)[0] if unset is None else unset:
        found[number] = (0, 0)  # read before it is written: 0, or an argument
    for parameter in code.parameters:
        found[parameter.number] = _whole(parameter.type)
    instructions = [
        i for block in code.blocks for i in block.instructions if destination(i) is not None
    ]
    readers = _readers(instructions)
    stale = [True] * len(instructions)  # something that it reads has grown since
    turn = 0
    # From round _ROUNDS_MAX on a register that grows is anything, and grows no more.
    while any(stale):
        for index, instruction in enumerate(instructions):
            if stale[index]:
                stale[index] = False
                grown = _widen(code, found, instruction, turn)
                for reader in readers.get(grown, ()):
                    stale[reader] = True
        turn += 1
    return found


def _readers(instructions: list[Instruction]) -> dict[int, list[int]]:
    """Register number -> the positions of the instructions that read it."""
    readers: dict[int, list[int]] = {}
    for index, instruction in enumerate(instructions):
        for operand in operands(instruction):
            if isinstance(operand, Reg):
                readers.setdefault(operand.number, []).append(index)
    return readers


def interval(found: list[Interval | None], operand: Operand) -> Interval:
    """The interval of an operand."""
    if isinstance(operand, Const):
        return operand.value, operand.value
    known = found[operand.number]
    return _whole(operand.type) if known is None else known


def decided(name: str, type: Scalar, a: Interval, b: Interval) -> int | None:
    """The result of a comparison for all numbers of two intervals, if it is one."""
    if name in ("eq", "ne"):
        equal = None
        if a[1] < b[0] or b[1] < a[0]:
            equal = 0
        elif a[0] == a[1] == b[0] == b[1]:
            equal = 1
        return equal if equal is None or name == "eq" else 1 - equal
    if name not in COMPARISONS or not _counts_up(type, a, b):
        return None
    # A comparison is monotone: where the extremes agree, so does all between.
    meaning = ops.TABLE[name].meaning
    one, other = meaning(type, a[0], b[1]), meaning(type, a[1], b[0])
    return one if one == other else None


def _widen(
    code: Code, found: list[Interval | None], instruction: Instruction, turn: int
) -> int:
    """Let the destination also hold what this gives; its number if that is new, or -1."""
    target = destination(instruction)
    assert target is not None
    new = _result(found, instruction, target.type)
    old = found[target.number]
    if new is None or (old is not None and old[0] <= new[0] and new[1] <= old[1]):
        return -1
    both = new if old is None else (min(old[0], new[0]), max(old[1], new[1]))
    found[target.number] = both if turn < _ROUNDS_MAX else _whole(code.registers[target.number])
    return target.number


def _result(
    found: list[Interval | None], instruction: Instruction, type: Scalar
) -> Interval | None:
    """What an instruction gives; None as long as it cannot have been reached."""
    if isinstance(instruction, Lookup):
        return min(instruction.table), max(instruction.table)
    if isinstance(instruction, Choose):
        _, greatest = interval(found, instruction.n)
        signed = instruction.n.type.signed
        return _whole(type) if signed or not greatest else (0, greatest - 1)
    if not isinstance(instruction, Op):
        return _whole(type)
    args: list[Interval] = []
    for arg in instruction.args:
        known = (arg.value, arg.value) if isinstance(arg, Const) else found[arg.number]
        if known is None:
            return None
        args.append(known)
    rule = _RULES.get(instruction.name)
    if rule is None or not _counts_up(instruction.args[0].type, *args):
        return _whole(type)
    low, high = rule(*args)
    return (low, high) if low >= 0 and high < 1 << type.bits else _whole(type)


def _counts_up(type: Scalar, *args: Interval) -> bool:
    """Are the bit patterns also the numbers: no sign bit set?"""
    return not type.signed or all(high >> (type.bits - 1) == 0 for _, high in args)


def _whole(scalar: Scalar) -> Interval:
    return 0, (1 << scalar.bits) - 1


def _mask_above(a: Interval, b: Interval) -> int:
    return (1 << max(a[1].bit_length(), b[1].bit_length())) - 1


_RULES: dict[str, Callable[..., Interval]] = {
    "convert": lambda a: a,
    "truth": lambda a: (int(a[0] > 0), int(a[1] > 0)),
    "add": lambda a, b: (a[0] + b[0], a[1] + b[1]),
    "sub": lambda a, b: (a[0] - b[1], a[1] - b[0]),
    "mul": lambda a, b: (a[0] * b[0], a[1] * b[1]),
    "and": lambda a, b: (0, min(a[1], b[1])),
    "or": lambda a, b: (max(a[0], b[0]), _mask_above(a, b)),
    "xor": lambda a, b: (0, _mask_above(a, b)),
    "div": lambda a, b: (a[0] // max(b[1], 1), a[1] // max(b[0], 1)),
    "mod": lambda a, b: (0, min(a[1], max(b[1], 1) - 1)),
    "shr": lambda a, b: (a[0] >> min(b[1], 64), a[1] >> min(b[0], 64)),
    "select": lambda c, a, b: (min(a[0], b[0]), max(a[1], b[1])),
}  # min and max of comparisons stay (0, 1), the whole of a bool
