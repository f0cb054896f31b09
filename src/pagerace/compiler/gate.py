"""Threads that share a CPU: each step of a thread begins by asking whether it may run.

The question is a function of the author, such as "is it me that the scheduler picked?".
It becomes a Wait at the start of every step, so that nothing behind this pass has to know
of it: reads of what the scheduler writes are reads of the step like any others.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from pagerace.compiler import ir
from pagerace.compiler.ir import Code, Const, Reg


class NotOneBlock(ValueError):
    """The question branches, where only loads and operations may stand."""


def gate(code: Code, question: Code) -> None:
    """Let every step of ``code``, whose points are placed, wait for ``question``.

    Raises NotOneBlock.
    """
    block = question.blocks[0]
    if len(question.blocks) != 1 or not isinstance(block.terminator, ir.Return):
        raise NotOneBlock(question.name)
    answer = block.terminator.value
    if answer is None or (isinstance(answer, Const) and answer.value):
        return
    first = len(code.registers)
    code.registers += question.registers
    code.names += question.names
    asked: list[ir.Instruction] = [
        _moved(i, first) for i in block.instructions if not isinstance(i, ir.Note)
    ]
    for step in code.blocks:
        if step.point is not None:
            wait = ir.Wait(_operand(answer, first), step.point.where)
            step.instructions[:0] = [*map(replace, asked), wait]


def _operand(value: Any, first: int) -> Any:
    """The same value, its registers counted from ``first``."""
    if isinstance(value, Reg):
        return Reg(value.number + first, value.type)
    if isinstance(value, tuple):
        return tuple(_operand(part, first) for part in value)  # pyright: ignore
    return value


def _moved(instruction: Any, first: int) -> ir.Instruction:
    parts = {f.name: _operand(getattr(instruction, f.name), first) for f in fields(instruction)}
    return type(instruction)(**parts)
