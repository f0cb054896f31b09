"""Which registers are still needed: what a state keeps, and what is computed for nothing.

A register is live where some later instruction that matters reads it before it is
written again.  Two kinds of reader do not matter, so that equal states stay equal:

- an ``Op`` or a ``Lookup`` whose own result is not live;
- a ``Note``: what a diagram shows is no part of the state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

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


_WRITES = frozenset((Op, Lookup, Load, Choose, Call, PtrLoad, PtrOffset))


def operands(item: Instruction | Terminator) -> tuple[Operand, ...]:
    """What an instruction or a terminator reads, in the order of its fields."""
    get = _OPERANDS.get(type(item))
    return get(item) if get is not None else ()


def destination(instruction: Instruction) -> Reg | None:
    """The register that an instruction writes."""
    return instruction.dst if type(instruction) in _WRITES else None  # pyright: ignore


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
    entries = live_registers(code)
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


def live_at_entry(code: Code) -> list[int]:
    """For each block the set of registers live at its start, as a bit mask."""
    return [_mask_of(live) for live in live_registers(code)]


def live_at_exit(block: Block, entries: list[int]) -> int:
    """The mask after a block's last instruction, from its successors' entries."""
    live = _mask_of(_numbers(operands(block.terminator)))
    for successor in successors(block.terminator):
        live |= entries[successor]
    return live


def live_registers(code: Code) -> list[set[int]]:
    """For each block the numbers of the registers live at its start; none if it never runs.

    Few registers of many are live at a time: as sets they take a fraction of the time that
    masks as long as the list of registers take.
    """
    return _live(code, [_effects(block, notes=False) for block in code.blocks])


# (register written or -1, registers read, matters only if the written one is live)
_Effect: TypeAlias = tuple[int, tuple[int, ...], bool]


def _live(code: Code, effects: list[list[_Effect]]) -> list[set[int]]:
    """What is live at the start of each block that can run, given what each block does."""
    order = blocks_in_order(code)
    predecessors: list[list[int]] = [[] for _ in code.blocks]
    for number in order:
        for successor in successors(code.blocks[number].terminator):
            predecessors[successor].append(number)
    entries: list[set[int]] = [set() for _ in code.blocks]
    order.reverse()  # most successors are done before their predecessors
    pending = set(order)
    while pending:
        for number in order:
            if number not in pending:
                continue
            pending.remove(number)
            live = _after(code.blocks[number], entries)
            _go_up(live, effects[number])
            if len(live) != len(entries[number]):  # it only grows
                entries[number] = live
                pending.update(predecessors[number])
    return entries


def _go_up(live: set[int], effects: list[_Effect]) -> None:
    """From what is live behind instructions to what is live before them."""
    for written, read, pure in effects:
        if written in live:
            live.discard(written)
        elif pure:
            continue
        live.update(read)


def _effects(block: Block, *, notes: bool) -> list[_Effect]:
    """The effects of a block's instructions, from the end up, its Notes left out or not."""
    effects: list[_Effect] = []
    for instruction in reversed(block.instructions):
        kind = type(instruction)
        if kind is Note and not notes:
            continue
        target = destination(instruction)
        written = -1 if target is None else target.number
        read = _numbers(operands(instruction))
        effects.append((written, read, kind is Op or kind is Lookup))
    return effects


def _after(block: Block, entries: list[set[int]]) -> set[int]:
    """What is live after a block's last instruction, from its successors' entries."""
    live = set(_numbers(operands(block.terminator)))
    return live.union(*(entries[n] for n in successors(block.terminator)))


def read_first(block: Block) -> list[int]:
    """The registers that a block reads, Notes too, before it writes them."""
    found: dict[int, None] = {}
    written: set[int] = set()
    for instruction in block.instructions:
        for number in _numbers(operands(instruction)):
            if number not in written:
                found[number] = None
        target = destination(instruction)
        if target is not None:
            written.add(target.number)
    for number in _numbers(operands(block.terminator)):
        if number not in written:
            found[number] = None
    return list(found)


def remove_unused(code: Code) -> bool:
    """Remove each Op and Lookup whose result nothing needs, not even a Note.

    True if there was one.
    """
    effects = [_effects(block, notes=True) for block in code.blocks]
    entries = _live(code, effects)
    removed = False
    for number, block in enumerate(code.blocks):
        live = _after(block, entries)
        kept: list[Instruction] = []
        for instruction, (written, read, pure) in zip(
            reversed(block.instructions), effects[number], strict=True
        ):
            if written in live:
                live.discard(written)
            elif pure:
                continue
            live.update(read)
            kept.append(instruction)
        if len(kept) < len(block.instructions):
            removed = True
            block.instructions = kept[::-1]
    return removed


def _numbers(args: tuple[Operand, ...]) -> tuple[int, ...]:
    return tuple([arg.number for arg in args if type(arg) is Reg])


def _mask_of(numbers: Iterable[int]) -> int:
    mask = 0
    for number in numbers:
        mask |= 1 << number
    return mask


def _registers(code: Code, numbers: Iterable[int]) -> Iterator[Reg]:
    """These registers in order.  One of no bits holds nothing and is left out."""
    for number in sorted(numbers):
        if code.registers[number].bits > 0:
            yield Reg(number, code.registers[number])
