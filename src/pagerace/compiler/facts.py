"""What is known of registers at one place of the code.

One fact is kept for each register: the operation on other registers and constants whose
result it holds; and for each comparison that a Check or a Branch has decided: how.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from pagerace.compiler.ir import Const, Lookup, Op, Operand, Reg, Scalar
from pagerace.compiler.ranges import COMPARISONS


class Fact(NamedTuple):
    """A register of ``type`` holds ``name(args)``, or ``table[args[0]]`` of a Lookup."""

    name: str
    args: tuple[Operand, ...]
    type: Scalar
    table: tuple[int, ...] = ()


Key: TypeAlias = "int | Fact"  # a register's number, or a comparison
Facts: TypeAlias = "dict[Key, Fact]"
Readers: TypeAlias = "dict[int, set[Key]]"  # whose facts may mention the register


def fact_of(op: Op | Lookup) -> Fact:
    """What an operation makes known of its destination."""
    if type(op) is Op:
        return Fact(op.name, op.args, op.dst.type)
    assert isinstance(op, Lookup)
    return Fact("lookup", (op.index,), op.dst.type, op.table)


def forget(facts: Facts, number: int, readers: Readers) -> None:
    """Register ``number`` has been written: what was known of its old value is no more."""
    facts.pop(number, None)
    for reader in readers.get(number, ()):
        known = facts.get(reader)
        if known is not None and (type(reader) is not int or _reads(known, number)):
            del facts[reader]


def learn(facts: Facts, number: int, fact: Fact, readers: Readers) -> bool:
    """Register ``number`` holds this now.  False if that says nothing: of itself."""
    if _reads(fact, number):
        return False
    facts[number] = fact
    mention(readers, fact, number)
    return True


def _reads(fact: Fact, number: int) -> bool:
    for arg in fact.args:
        if type(arg) is Reg and arg.number == number:
            return True
    return False


def mention(readers: Readers, fact: Fact, key: Key) -> None:
    """Note whom to ask when a register that ``fact`` reads is written."""
    for arg in fact.args:
        if type(arg) is Reg:
            known = readers.get(arg.number)
            if known is None:
                readers[arg.number] = {key}
            else:
                known.add(key)


def decide(
    facts: Facts, operand: Operand, value: int, readers: Readers
) -> list[tuple[Key, Fact]]:
    """What is known once the operand is ``value``: so is a comparison that it results from."""
    if not isinstance(operand, Reg):
        return []
    known = Fact("convert", (Const(value, operand.type),), operand.type)
    fact = facts.get(operand.number)
    if fact is None or fact.name not in COMPARISONS:
        return [(operand.number, known)]
    mention(readers, fact, fact)
    return [(fact, known), (operand.number, known)]


def about(facts: Facts, live: set[int]) -> Facts:
    """What is known of registers that are still needed; the rest only takes time."""
    return {key: fact for key, fact in facts.items() if is_about(key, live)}


def is_about(key: Key, live: set[int]) -> bool:
    """Is it of registers that are needed, all of them?"""
    if type(key) is int:
        return key in live
    assert isinstance(key, Fact)
    return all(arg.number in live for arg in key.args if isinstance(arg, Reg))


def common(several: Iterable[Facts]) -> Facts:
    """What all of them say."""
    first, *others = several
    for other in others:
        get = other.get
        first = {key: fact for key, fact in first.items() if get(key) == fact}
    return first


def root(facts: Facts, operand: Operand) -> Operand:
    """The operand, or the constant or the register that it is a copy of."""
    while type(operand) is Reg:
        fact = facts.get(operand.number)
        if fact is None or fact.name != "convert":
            return operand
        source = fact.args[0]
        if source.type.bits != operand.type.bits:
            return operand
        if isinstance(source, Const):
            return Const(source.value, operand.type)
        operand = Reg(source.number, operand.type)
    return operand
