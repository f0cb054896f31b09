"""Where another CPU may run, and the tidy control-flow graph that this needs.

A point stands immediately before each access to memory that another CPU can see and
that somebody writes, before each ``Wait`` and each ``Choose``, and nowhere else.  An
atomic section has one point, at its start, if it holds any of these.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from pagerace.compiler.ir import (
    Begin,
    Block,
    Branch,
    Check,
    Choose,
    Code,
    Const,
    End,
    Family,
    Instruction,
    Jump,
    Load,
    Operand,
    Point,
    Store,
    Terminator,
    Wait,
    Where,
)
from pagerace.compiler.liveness import blocks_in_order, remove_unused, successors
from pagerace.compiler.recompute import recompute
from pagerace.compiler.simplify import simplify

MACHINE = str(Path(__file__).parents[1] / "machine")
ALLOCATED = ".<allocated>"  # the bits that tell which objects of a pool are in use


class SectionError(ValueError):
    """Begin and End do not pair up: a mistake of the front end, not of an author."""


def place_points(code: Code, *, tidy: bool = False) -> list[int]:
    """Split blocks where a point stands, number the points and drop Begin and End.

    Returns the block number of each point.  The code is simplified and clean then, but
    that changes no step: at most a point that is never reached is gone.  Which families
    are written must be known by now.  ``tidy``: it comes from ``clean``.  Raises
    SectionError.
    """
    if any(block.point is not None for block in code.blocks):
        raise ValueError(f"{code.name} has points already")
    if not tidy:
        _tidy(code)
    depths = _section_depths(code)
    starts = [_starts_in_block(code, depths, number) for number in range(len(code.blocks))]
    for number, depth in enumerate(depths):
        _mark_plain(code.blocks[number], depth)
    for number, block_starts in enumerate(starts):
        _split(code, number, block_starts)
    known = simplify(code, dead=True)
    _name_cells(code)
    recompute(code, known)
    _tidy(code)
    points = [number for number, block in enumerate(code.blocks) if block.point]
    for order, number in enumerate(points):
        point = code.blocks[number].point
        assert point is not None
        point.number = order
    return points


def is_shared(family: Family) -> bool:
    """Can what one thread finds here depend on when another one runs?"""
    return family.written and not family.private


def _mark_plain(block: Block, depth: int) -> None:
    """Find the accesses that can be part of a data race, ``depth`` sections deep at first.

    What the machine does, and what stands in an atomic section, is as good as marked: it
    is one action of hardware, or of a lock that is not modelled.
    """
    single = False
    for instruction in block.instructions:
        if isinstance(instruction, Begin) and depth == 0:
            single = instruction.single
        depth = _depth_after(instruction, depth)
        if isinstance(instruction, Load | Store) and depth == int(single and depth > 0):
            instruction.plain = (
                instruction.access == "plain"
                and is_shared(instruction.family)
                and not instruction.family.name.endswith(ALLOCATED)
                and not instruction.where.file.startswith(MACHINE)
            )


# -- placing ---------------------------------------------------------------------


def _section_depths(code: Code) -> list[int]:
    """How many atomic sections are open at the start of each block."""
    depths = [-1] * len(code.blocks)
    depths[0] = 0
    pending = [0]
    while pending:
        number = pending.pop()
        block = code.blocks[number]
        depth = depths[number]
        for instruction in block.instructions:
            depth = _depth_after(instruction, depth)
        following = successors(block.terminator)
        if not following and depth > 0 and not _surely_fails(block):
            raise SectionError(f"{code.name}: returns inside an atomic section")
        for successor in following:
            if depths[successor] < 0:
                depths[successor] = depth
                pending.append(successor)
            elif depths[successor] != depth:
                raise SectionError(f"{code.name}: block {successor} is in and out of a section")
    return depths


def _surely_fails(block: Block) -> bool:
    """Does it end in a check that always fails, so that nothing comes after it?"""
    last = block.instructions[-1] if block.instructions else None
    if not isinstance(last, Check) or not isinstance(last.condition, Const):
        return False
    return not last.condition.value


def _depth_after(instruction: Instruction, depth: int) -> int:
    if isinstance(instruction, Begin):
        return depth + 1
    if isinstance(instruction, End):
        if depth == 0:
            raise SectionError(f"{instruction.where}: End without Begin")
        return depth - 1
    return depth


def _starts_in_block(
    code: Code, depths: list[int], number: int
) -> list[tuple[int, Where, str]]:
    """The points of a block: (index of instruction, place, why), in order."""
    starts: list[tuple[int, Where, str]] = []
    depth = depths[number]
    for i, instruction in enumerate(code.blocks[number].instructions):
        if depth == 0:
            if isinstance(instruction, Begin):
                if _section_needs_point(code, number, i):
                    starts.append((i, instruction.where, instruction.why))
            elif needs_point(instruction):
                starts.append((i, instruction.where, _why(instruction)))
        depth = _depth_after(instruction, depth)
    return starts


def needs_point(instruction: Instruction) -> bool:
    """Does it touch what other CPUs see, wait for them, or choose?"""
    if isinstance(instruction, Load | Store):
        return is_shared(instruction.family)
    return isinstance(instruction, Wait | Choose)


def _section_needs_point(code: Code, number: int, index: int) -> bool:
    """Can a run from the Begin at ``index`` need a point before the section ends?"""
    seen: set[int] = set()
    pending = [(number, index, 0)]
    while pending:
        number, start, depth = pending.pop()
        block = code.blocks[number]
        for instruction in block.instructions[start:]:
            if needs_point(instruction):
                return True
            depth = _depth_after(instruction, depth)
            if depth == 0:
                break
        else:
            for successor in successors(block.terminator):
                if successor not in seen:
                    seen.add(successor)
                    pending.append((successor, 0, depth))
    return False


def _why(instruction: Instruction) -> str:
    if isinstance(instruction, Load):
        return f"load {_cell(instruction.family, instruction.index)}"
    if isinstance(instruction, Store):
        return f"store {_cell(instruction.family, instruction.index)}"
    return "wait" if isinstance(instruction, Wait) else "choose"


def _cell(family: Family, index: Operand) -> str:
    if isinstance(index, Const) and index.value < family.count:
        return family.names[index.value]
    return family.name  # a constant out of range stands behind a Check that fails


def _name_cells(code: Code) -> None:
    """Name the cell in ``why`` where only simplifying has shown which one it is."""
    for block in code.blocks:
        first = block.instructions[0] if block.instructions else None
        if block.point is None or not isinstance(first, (Load, Store)):
            continue
        if block.point.why in (f"load {first.family.name}", f"store {first.family.name}"):
            block.point.why = _why(first)


def _split(code: Code, number: int, starts: list[tuple[int, Where, str]]) -> None:
    """Give each start a block of its own; drop Begin and End."""
    block = code.blocks[number]
    cuts = [0, *(index for index, _, _ in starts), len(block.instructions)]
    pieces: list[list[Instruction]] = [
        [i for i in block.instructions[a:b] if not isinstance(i, (Begin, End))]
        for a, b in pairwise(cuts)
    ]
    terminator = block.terminator
    block.instructions = pieces[0]
    for (_, where, why), piece in zip(starts, pieces[1:], strict=True):
        block.terminator = Jump(len(code.blocks))
        block = Block(piece, terminator, Point(-1, where, why))
        code.blocks.append(block)


# -- cleaning --------------------------------------------------------------------


def clean(code: Code) -> None:
    """Remove what cannot run, what is computed for nothing and needless jumps.

    Values known beforehand are used.  Blocks come out in the order in which they are
    met, so the same graph always gets the same numbers.  Loads stay, for a load is a
    step.  Not for code whose points have been placed: it is clean.
    """
    simplify(code)
    _tidy(code)


def _tidy(code: Code) -> None:
    _straighten(code)
    while remove_unused(code) and _straighten(code):
        pass  # a branch less may have left its condition unused


def _straighten(code: Code) -> bool:
    """Remove blocks that cannot run or only jump on; True if a branch is gone."""
    branches = _branches(code)
    for block in code.blocks:
        block.terminator = _simpler(code, block.terminator)
    _move_entry(code)
    _merge(code)
    _renumber(code)
    return _branches(code) < branches


def _branches(code: Code) -> int:
    return sum(isinstance(block.terminator, Branch) for block in code.blocks)


def _simpler(code: Code, terminator: Terminator) -> Terminator:
    """The terminator past empty blocks, and without a choice already made."""
    if isinstance(terminator, Jump):
        return Jump(_past_empty(code, terminator.target))
    if isinstance(terminator, Branch):
        then = _past_empty(code, terminator.then)
        other = _past_empty(code, terminator.other)
        condition = terminator.condition
        if isinstance(condition, Const):
            return Jump(then if condition.value else other)
        return Jump(then) if then == other else Branch(condition, then, other)
    return terminator


def _past_empty(code: Code, number: int) -> int:
    """Follow blocks that only jump on.  One in a ring of such blocks stays."""
    seen: set[int] = set()
    start = number
    while True:
        block = code.blocks[number]
        jumps = isinstance(block.terminator, Jump)
        if block.instructions or block.point or not jumps:
            return number
        if number in seen:
            return start
        seen.add(number)
        number = successors(block.terminator)[0]


def _move_entry(code: Code) -> None:
    """Let block 0 be the first that does something."""
    first = _past_empty(code, 0)
    if first != 0:
        code.blocks[0] = Block([], Jump(first))
        entry = code.blocks[first]
        blocks = code.blocks
        blocks[0], blocks[first] = entry, blocks[0]
        for block in blocks:
            block.terminator = _retarget(block.terminator, {first: 0})


def _retarget(terminator: Terminator, numbers: dict[int, int]) -> Terminator:
    if isinstance(terminator, Jump):
        return Jump(numbers.get(terminator.target, terminator.target))
    if isinstance(terminator, Branch):
        then, other = terminator.then, terminator.other
        return Branch(terminator.condition, numbers.get(then, then), numbers.get(other, other))
    return terminator


def _merge(code: Code) -> None:
    """Append each block to its only predecessor, if that jumps and no point is between."""
    entered = [0] * len(code.blocks)
    entered[0] = 1
    for number in blocks_in_order(code):
        for successor in successors(code.blocks[number].terminator):
            entered[successor] += 1
    for number in blocks_in_order(code):
        block = code.blocks[number]
        while isinstance(block.terminator, Jump):
            target = block.terminator.target
            following = code.blocks[target]
            if target == number or entered[target] > 1 or following.point is not None:
                break
            block.instructions += following.instructions
            block.terminator = following.terminator


def _renumber(code: Code) -> None:
    order = blocks_in_order(code)
    numbers = {old: new for new, old in enumerate(order)}
    code.blocks = [code.blocks[old] for old in order]
    for block in code.blocks:
        block.terminator = _retarget(block.terminator, numbers)
