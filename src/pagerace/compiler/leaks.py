"""The leak detector: at the end, an object that is allocated but that nothing refers to.

It works as kmemleak does, from references.  A pool whose objects are never referred to
by a field of a shared structure (frames that are known by number only) cannot be judged
this way and is left out; objects that the set-up allocated are not the threads' to free.
"""

from __future__ import annotations

from pagerace.compiler import ir
from pagerace.compiler.ir import (
    BOOL,
    Block,
    Code,
    Const,
    Family,
    Operand,
    Property,
    Reg,
    Scalar,
    Where,
)
from pagerace.compiler.memory import Memory, Structure


def leak_property(memory: Memory, where: Where) -> Property | None:
    """An ``at_end`` property named "leak", or None where there is nothing to watch."""
    code = Code("leak", [], [], [Block([], ir.Return(Const(1, BOOL)))], (), BOOL)
    for structure in memory.structures.values():
        watched = structure.allocated
        if watched is None or not watched.written:
            continue
        references = [
            family for family in memory.families
            if family.type.kind == "ref" and family.type.cls is structure.cls
            and family.written and not family.private
        ]  # fmt: skip
        if references:
            _watch(code, structure, watched, references, where)
    return Property("at_end", "leak", code, where) if code.registers else None


def _watch(
    code: Code, structure: Structure, watched: Family, references: list[Family], where: Where
) -> None:
    body = code.blocks[0].instructions

    def op(name: str, *args: Operand) -> Reg:
        code.registers.append(BOOL)
        code.names.append("")
        register = Reg(len(code.registers) - 1, BOOL)
        body.append(ir.Op(register, name, args, where))
        return register

    def load(family: Family, cell: int) -> Reg:
        code.registers.append(family.type)
        code.names.append("")
        register = Reg(len(code.registers) - 1, family.type)
        index = Const(cell, Scalar(max(1, family.count.bit_length())))
        body.append(ir.Load(register, family, index, "plain", where))
        return register

    for number in range(structure.count):
        if watched.initial[number]:
            continue
        safe: Operand = op("not", load(watched, number))
        for family in references:
            for cell in range(family.count):
                same = op("eq", load(family, cell), Const(number + 1, family.type))
                safe = op("or", safe, same)
        body.append(ir.Check(safe, "leak", structure.names[number], where))
