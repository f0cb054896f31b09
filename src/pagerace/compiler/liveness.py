"""Which registers are still needed: what a state keeps, and what is computed for nothing.

A register is live where some later instruction that matters reads it before it is
written again.  Two kinds of reader do not matter, so that equal states stay equal:

- an ``Op`` or a ``Lookup`` whose own result is not live;
- a ``Note``: what a diagram shows is no part of the state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pagerace.compiler.ir import (
    Block,
    Branch,
    Call,
    Check,
    Choose,
    Code,
    Instruction,
    Jump,
    Load,
    LockOrder,
    Lookup,
    Note,
    Op,
    Operand,
    Prefetch,
    PtrLoad,
    PtrOffset,
    PtrStore,
    Reg,
    Return,
    Store,
    Terminator,
    Wait,
    Where,
)

_OPERANDS: dict[type, Callable[[Any], tuple[Operand, ...]]] = {
    Op: lambda i: i.args,
    Lookup: lambda i: (i.index,),
    Load: lambda i: (i.index,),
    Store: lambda i: (i.index, i.value),
    Check: lambda i: (i.condition,),
    Wait: lambda i: (i.condition,),
    Choose: lambda i: (i.n,),
    Note: lambda i: i.args,
    LockOrder: lambda i: (i.lock, i.held),
    Call: lambda i: i.args,
    PtrLoad: lambda i: (i.pointer, i.index),
    PtrStore: lambda i: (i.pointer, i.index, i.value),
    PtrOffset: lambda i: (i.pointer, i.index),
    Prefetch: lambda i: (i.pointer, i.index),
    Branch: lambda i: (i.condition,),
    Return: lambda i: () if i.value is None else (i.value,),
}


def operands(item: Instruction | Terminator) -> tuple[Operand, ...]:
    """What an instruction or a terminator reads, in the order of its fields."""
    get = _OPERANDS.get(type(item))
    return get(item) if get is not None else ()


def destination(instruction: Instruction) -> Reg | None:
    """The register that an instruction writes."""
    return getattr(instruction, "dst", None)


def successors(terminator: Terminator) -> tuple[int, ...]:
    """The blocks that may come next, the likelier to be read next first."""
    if isinstance(terminator, Jump):
        return (terminator.target,)
    if isinstance(terminator, Branch):
        return (terminator.then, terminator.other)
    return ()


def members(mask: int) -> list[int]:
    """The positions of the bits of ``mask`` that are 1."""
    found: list[int] = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found


def blocks_in_order(code: Code) -> list[int]:
    """Blocks that can run, each before its successors except around a loop."""
    finished: list[int] = []
    seen = {0}
    stack = [(0, iter(successors(code.blocks[0].terminator)[::-1]))]
    while stack:
        number, following = stack[-1]
        for successor in following:
            if successor not in seen:
                seen.add(successor)
                inner = successors(code.blocks[successor].terminator)[::-1]
                stack.append((successor, iter(inner)))
                break
        else:
            finished.append(number)
            stack.pop()
    return finished[::-1]


def loops(code: Code, order: list[int]) -> dict[int, set[int]]:
    """First block of a loop -> all its blocks.  ``order`` is that of ``blocks_in_order``."""
    position = {number: index for index, number in enumerate(order)}
    before: dict[int, list[int]] = {number: [] for number in order}
    backward: list[tuple[int, int]] = []
    for number in order:
        for successor in successors(code.blocks[number].terminator):
            before[successor].append(number)
            if position[successor] <= position[number]:
                backward.append((number, successor))
    found: dict[int, set[int]] = {}
    for last, first in backward:
        loop = found.setdefault(first, {first})
        pending = [last]
        while pending:
            number = pending.pop()
            if number not in loop:
                loop.add(number)
                pending.extend(before[number])
    return found


def compute(code: Code) -> list[Reg]:
    """Fill ``Point.live`` of each block that has a point, in order of register number.

    Returns the registers that are read on some path on which nothing has set them.
    """
    entries = live_at_entry(code)
    for block, live in zip(code.blocks, entries, strict=True):
        if block.point is not None:
            block.point.live = tuple(_registers(code, live))
    return list(_registers(code, entries[0]))


def first_read(code: Code, register: Reg) -> Where | None:
    """Where a register is read first on some path that has not set it; None: by a branch."""
    seen = {0}
    pending = [0]
    while pending:
        block = code.blocks[pending.pop()]
        for instruction in block.instructions:
            if register in operands(instruction) and not isinstance(instruction, Note):
                return instruction.where
            if destination(instruction) == register:
                break
        else:
            for successor in successors(block.terminator):
                if successor not in seen:
                    seen.add(successor)
                    pending.append(successor)
    return None


def live_at_entry(code: Code, *, notes: bool = False) -> list[int]:
    """For each block the set of registers live at its start, as a bit mask.

    ``notes``: let what only a Note shows count as needed.
    """
    entries = [0] * len(code.blocks)
    effects = [_effects(block, notes=notes) for block in code.blocks]
    predecessors: list[list[int]] = [[] for _ in code.blocks]
    for number, block in enumerate(code.blocks):
        for successor in successors(block.terminator):
            predecessors[successor].append(number)
    # From the last block back: most successors are done before their predecessors.
    pending = dict.fromkeys(range(len(code.blocks)))
    while pending:
        number, _ = pending.popitem()
        live = live_at_exit(code.blocks[number], entries)
        for written, read, pure in effects[number]:
            if live & written or not pure:
                live = live & ~written | read
        if live != entries[number]:
            entries[number] = live
            pending.update(dict.fromkeys(predecessors[number]))
    return entries


def _effects(block: Block, *, notes: bool) -> list[tuple[int, int, bool]]:
    """(written mask, read mask, matters only if the written is live), from the end up."""
    effects: list[tuple[int, int, bool]] = []
    for instruction in reversed(block.instructions):
        pure = isinstance(instruction, (Op, Lookup))
        if not pure and not notes and isinstance(instruction, Note):
            continue
        target = destination(instruction)
        written = 0 if target is None else 1 << target.number
        effects.append((written, _mask(operands(instruction)), pure))
    return effects


def live_at_exit(block: Block, entries: list[int]) -> int:
    """The mask after a block's last instruction, from its successors' entries."""
    live = _mask(operands(block.terminator))
    for successor in successors(block.terminator):
        live |= entries[successor]
    return live


def remove_unused(code: Code) -> bool:
    """Remove each Op and Lookup whose result nothing needs, not even a Note.

    True if there was one.
    """
    entries = live_at_entry(code, notes=True)
    removed = False
    for block in code.blocks:
        live = live_at_exit(block, entries)
        kept: list[Instruction] = []
        effects = _effects(block, notes=True)
        for instruction, (written, read, pure) in zip(
            reversed(block.instructions), effects, strict=True
        ):
            if live & written or not pure:
                live = live & ~written | read
                kept.append(instruction)
        removed |= len(kept) < len(block.instructions)
        block.instructions = kept[::-1]
    return removed


def _mask(args: tuple[Operand, ...]) -> int:
    mask = 0
    for arg in args:
        if isinstance(arg, Reg):
            mask |= 1 << arg.number
    return mask


def _registers(code: Code, mask: int) -> Iterator[Reg]:
    """The registers of a mask.  One of no bits holds nothing and is left out."""
    for number in members(mask):
        if code.registers[number].bits > 0:
            yield Reg(number, code.registers[number])
