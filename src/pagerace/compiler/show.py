"""The IR and its values as text, stable so that tests can compare it.

An example:

    code increment
      value.0: u32
    block 0, point 0: load counters[0].value
      live -; reads Counter.value[0]; writes -
        value.0 = load Counter.value[0]              // increment:12
        return
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, cast

from pagerace.compiler import ir, ops
from pagerace.compiler.footprint import Cells
from pagerace.compiler.ir import Code, Operand, Program, Reg, Scalar, Where

Objects = Mapping[str, Sequence[str]]

_HEXADECIMAL_FROM = 4096  # larger numbers are rather masks and addresses than counts


def show(code: Code) -> str:
    """The whole code, block by block.  Two codes that do the same the same way agree."""
    lines = [f"code {code.name}{_signature(code)}"]
    lines += [
        f"  {_register(code, Reg(number, scalar))}: {type_name(scalar)}"
        for number, scalar in enumerate(code.registers)
    ]
    families: dict[int, str] = {
        i.family.number: i.family.name
        for block in code.blocks
        for i in block.instructions
        if isinstance(i, ir.Load | ir.Store)
    }
    for number, block in enumerate(code.blocks):
        lines += _head(code, number, block, families)
        lines += [
            f"    {instruction(code, i):<44} // {place(i.where)}" for i in block.instructions
        ]
        lines.append(f"    {terminator(code, block.terminator)}")
    return "\n".join(lines) + "\n"


def type_name(scalar: Scalar) -> str:
    """A type as an author writes it: ``u8``, ``bool``, ``Page | None``, ``ptr[u64]``."""
    if scalar.kind == "int":
        return f"{'s' if scalar.signed else 'u'}{scalar.bits}"
    if scalar.kind == "ptr":
        return f"ptr[{type_name(scalar.element)}]" if scalar.element else "ptr"
    if scalar.cls is None:
        return scalar.kind
    return scalar.cls.__name__ + (" | None" if scalar.nullable else "")


def place(where: Where) -> str:
    """``zap_pte_range:12 < unmap:40``: function and line, then those that called it."""
    calls: list[str] = []
    at: Where | None = where
    while at is not None:
        calls.append(f"{at.function}:{at.line}")
        at = at.caller
    return " < ".join(calls)


def _signature(code: Code) -> str:
    if not code.parameters and code.result == ir.NONE:
        return ""
    parameters = ", ".join(_register(code, register) for register in code.parameters)
    return f"({parameters}) -> {type_name(code.result)}"


def _head(code: Code, number: int, block: ir.Block, families: dict[int, str]) -> list[str]:
    point = block.point
    if point is None:
        return [f"block {number}"]
    live = " ".join(_register(code, register) for register in point.live) or "-"
    chooses = "; chooses" if point.chooses else ""
    return [
        f"block {number}, point {point.number}: {point.why}",
        f"  live {live}; reads {_cells(point.reads, families)};"
        f" writes {_cells(point.writes, families)}{chooses}",
    ]


def _cells(cells: Cells, families: dict[int, str]) -> str:
    def text(number: int, indexes: frozenset[int] | None) -> str:
        inside = "*" if indexes is None else ",".join(map(str, sorted(indexes)))
        return f"{families.get(number, number)}[{inside}]"

    return " ".join(text(number, indexes) for number, indexes in cells.items()) or "-"


def _register(code: Code, register: Reg) -> str:
    return f"{code.names[register.number] or '%'}.{register.number}"


def _operand(code: Code, operand: Operand) -> str:
    if isinstance(operand, Reg):
        return _register(code, operand)
    return value(operand.type, operand.value)


def instruction(code: Code, item: ir.Instruction) -> str:
    """One instruction in a line, without its place."""

    def o(operand: Operand) -> str:
        return _operand(code, operand)

    return _FORMS[type(item)](o, item)


def terminator(code: Code, item: ir.Terminator) -> str:
    """How a block ends, in a line."""
    if isinstance(item, ir.Jump):
        return f"jump {item.target}"
    if isinstance(item, ir.Branch):
        return f"branch {_operand(code, item.condition)} ? {item.then} : {item.other}"
    return "return" if item.value is None else f"return {_operand(code, item.value)}"


_Text = Callable[[Operand], str]


def _op(o: _Text, i: ir.Op) -> str:
    args = ", ".join(o(arg) for arg in i.args)
    types = type_name(i.args[0].type)
    if i.name == "convert":
        types += f" -> {type_name(i.dst.type)}"
    return f"{o(i.dst)} = {i.name} {args}  ({types})"


def _accessed(o: _Text, i: ir.Load | ir.Store) -> str:
    access = "" if i.access == "plain" else f" {i.access}"
    return f"{access} {i.family.name}[{o(i.index)}]"


def _called(o: _Text, i: ir.Call) -> str:
    result = "" if i.dst is None else f"{o(i.dst)} = "
    return f"{result}call {i.callee}({', '.join(map(o, i.args))})"


_FORMS: dict[type, Callable[[_Text, Any], str]] = {
    ir.Op: _op,
    ir.Lookup: lambda o, i: f"{o(i.dst)} = lookup {list(i.table)}[{o(i.index)}]",
    ir.Load: lambda o, i: f"{o(i.dst)} = load{_accessed(o, i)}",
    ir.Store: lambda o, i: f"store{_accessed(o, i)} = {o(i.value)}",
    ir.Check: lambda o, i: f"check {o(i.condition)}: {i.slug}",
    ir.Wait: lambda o, i: f"wait {o(i.condition)}",
    ir.Choose: lambda o, i: f"{o(i.dst)} = choose {o(i.n)}",
    ir.Begin: lambda o, i: f"begin: {i.why}",
    ir.End: lambda o, i: "end",
    ir.Fence: lambda o, i: f"fence {i.kind}",
    ir.Note: lambda o, i: " ".join([i.kind, repr(i.text), *map(o, i.args)]),
    ir.LockOrder: lambda o, i: f"lock-order {o(i.lock)} held {o(i.held)}",
    ir.Call: _called,
    ir.PtrLoad: lambda o, i: f"{o(i.dst)} = {o(i.pointer)}[{o(i.index)}]",
    ir.PtrStore: lambda o, i: f"{o(i.pointer)}[{o(i.index)}] = {o(i.value)}",
    ir.PtrOffset: lambda o, i: f"{o(i.dst)} = &{o(i.pointer)}[{o(i.index)}]",
    ir.Prefetch: lambda o, i: f"prefetch {o(i.pointer)}[{o(i.index)}]",
}


# -- values ----------------------------------------------------------------------


def value(scalar: Scalar, bits: int, objects: Objects | None = None) -> str:
    """A bit pattern as a reader wants it: the number, the member, the object's name.

    ``objects`` are the names of objects by structure, see ``object_names``; without
    them an object is ``Page 0``.
    """
    if scalar.kind == "bool":
        return "true" if bits else "false"
    if scalar.kind == "none":
        return "None"
    if scalar.kind == "ref":
        return _object(scalar, bits, objects or {})
    if scalar.kind == "enum" and scalar.cls is not None:
        members = list(cast("type[Enum]", scalar.cls))
        return members[bits].name if bits < len(members) else str(bits)
    if scalar.kind == "bits" and scalar.cls is not None:
        return _fields(scalar, bits) or hex(bits)
    number = ops.signed_value(scalar, bits)
    return str(number) if number < _HEXADECIMAL_FROM else hex(number)


def object_names(program: Program) -> dict[str, list[str]]:
    """The names of all objects by the name of their structure: ``Page``: ``pages[0]`` ..."""
    objects: dict[str, list[str]] = {}
    for family in program.families:
        structure, dot, name = family.name.partition(".")
        if dot and structure not in objects:
            ending = re.compile(rf"\.{re.escape(name)}(\[\d+\])*$")
            objects[structure] = list(dict.fromkeys(ending.sub("", n) for n in family.names))
    return objects


_BRACES = re.compile(r"\{\{|\}\}|\{\}")  # a brace is written twice, as in Python's formats


def places(text: str) -> int:
    """How many values a text has places for."""
    return _BRACES.findall(text).count("{}")


def fill(text: str, values: Sequence[str]) -> str:
    """``text`` with its ``{}``, one after the other, replaced by ``values``."""
    if places(text) != len(values):
        return text
    left = iter(values)
    return _BRACES.sub(lambda found: next(left) if found[0] == "{}" else found[0][0], text)


def _object(scalar: Scalar, bits: int, objects: Objects) -> str:
    if bits == 0:
        return "None"
    structure = scalar.cls.__name__ if scalar.cls is not None else "object"
    names = objects.get(structure, ())
    return names[bits - 1] if bits <= len(names) else f"{structure} {bits - 1}"


def _fields(scalar: Scalar, bits: int) -> str:
    """``pfn 1 present writable``: numbers with their names, flags where they are set.

    A value with no bit set is ``0``.
    """
    if bits == 0:
        return "0"
    words: list[str] = []
    start = 0
    for name, part_type in scalar.fields:
        part = bits >> start & ((1 << part_type.bits) - 1)
        start += part_type.bits
        if part_type.kind != "bool" and part_type.bits > 0:
            words.append(f"{name} {value(part_type, part)}")
        elif part:
            words.append(name)
    return " ".join(words)
