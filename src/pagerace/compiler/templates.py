"""Functions with a parameter that is a constant table: one function for each table.

``walk(mm, ops)`` with ``ops: mm_walk_ops`` leaves nothing of ``ops`` in the program.  Where a
call is inlined, the parameter stands for the table; direct code has the function once for each
table that it is called with, under a name that has the table's number.
"""

from __future__ import annotations

import ast
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pagerace.compiler.builder import Builder, Static, Value
from pagerace.compiler.ir import Scalar
from pagerace.compiler.kinds import did_you_mean, kind_of
from pagerace.lang.constants import Constants
from pagerace.lang.structures import field_types

SLUG = "constant-table"


@dataclass(frozen=True)
class Template:
    """A function and what its parameters that are tables stand for."""

    function: types.FunctionType
    tables: tuple[tuple[str, Constants], ...] = ()


def of_table(hint: Any) -> Scalar | None:
    """The type of a parameter that is a table; it has no bits, for it is no value."""
    if isinstance(hint, type) and issubclass(hint, Constants):
        return Scalar(0, kind="table", cls=hint)
    return None


def table(b: Builder, node: ast.AST, value: Value, want: Scalar) -> Static:
    """An argument for such a parameter: it has to be known now."""
    wanted = getattr(want.cls, "__name__", "")
    if not isinstance(value, Static) or not isinstance(value.value, Constants):
        what = kind_of(value) if isinstance(value, Static) and value.value is not None else ""
        b.fail(
            node,
            SLUG,
            f"this is no {wanted} that is known when the protocol is compiled",
            label=what or "None" if isinstance(value, Static) else "a value of the run",
            help="name a table that the module's body made",
        )
    if not isinstance(value.value, typing.cast(type, want.cls)):
        b.fail(node, SLUG, f"this is a {type(value.value).__name__}, not a {wanted}")
    return value


def symbol(b: Builder, name: str, tables: list[Constants]) -> str:
    """What a function is called that is compiled for these tables."""
    known = b.memory.tables
    for item in tables:
        number = next((i for i, other in enumerate(known) if other is item), None)
        if number is None:
            number = len(known)
            known.append(item)
        name = f"{name}${number}"
    return name


def entry(b: Any, node: ast.Attribute, owner: Constants) -> Value:
    """A field of a table."""
    cls, name = type(owner), node.attr
    hint = field_types(cls).get(name)
    if hint is None:
        names = list(field_types(cls))
        message = f"{cls.__name__} has no field {name!r}"
        b.fail(node, "unknown-name", message, help=did_you_mean(name, names))
    value = getattr(owner, name)
    if isinstance(value, types.FunctionType):
        _compare(b, f"{cls.__name__}.{name}", hint, value)
    return b.static(node, value)


def _compare(b: Any, field: str, hint: Any, function: types.FunctionType) -> None:
    """Has the function the parameters and the result that its field promises callers?"""
    parts = [hint, *typing.get_args(hint)]
    promised = [typing.get_args(part) for part in parts if typing.get_origin(part) is Callable]
    if not promised or promised[0][0] is ... or (field, function) in b.memory.compared:
        return
    wanted, result = promised[0]
    with b.at_signature(function):
        tree = b.edits.tree(function)
        parameters, _ = b.signature(function, tree)
        if len(parameters) != len(wanted):
            count = f"{len(wanted)} argument{'' if len(wanted) == 1 else 's'}"
            message = f"{function.__name__}() takes {len(parameters)}"
            label = ", ".join(map(_name, wanted))
            b.fail(tree, SLUG, f"{message}; {field} is called with {count}", label=label)
        hints = b.hints(function, tree)
        for argument, want in zip(tree.args.args, wanted, strict=True):
            if hints[argument.arg] != want:
                have, name = _name(hints[argument.arg]), argument.arg
                message = f"{name!r} is {have}; {field} is called with {_name(want)}"
                b.fail(argument, SLUG, message, help=f"{name}: {_name(want)}")
        if hints["return"] not in (result, type(result)):  # None is its own type's name
            message = f"{function.__name__}() returns {_name(hints['return'])}"
            b.fail(tree.returns, SLUG, f"{message}; callers of {field} want {_name(result)}")
    b.memory.compared.add((field, function))


def _name(hint: Any) -> str:
    """A type as the author writes it."""
    if hint is type(None):
        return "None"
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
