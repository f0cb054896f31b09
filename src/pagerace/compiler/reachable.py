"""Which functions and which objects of memory a protocol can name."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator
from typing import Any

from pagerace.compiler.fields import lengths_of, referent
from pagerace.compiler.memory import GlobalObject
from pagerace.lang.constants import Constants
from pagerace.lang.protocol import Function
from pagerace.lang.structures import (
    Array,
    PerThread,
    Pool,
    Struct,
    assignments,
    field_types,
    home_of,
)


def reachable(
    functions: Iterable[Function], values: Iterable[Any]
) -> tuple[list[Function], dict[str, GlobalObject]]:
    """All kernel Python that ``functions`` may call, and the globals that they name.

    A name counts as used where the bytecode mentions it: more than needed, never less.
    """
    seen: dict[Function, None] = {}
    objects: dict[int, tuple[str, GlobalObject]] = {}
    parts: list[tuple[str, Any]] = []
    modules: set[types.ModuleType] = set()
    scopes: set[int] = set()  # tables, and globals of modules whose locks are looked for
    pending = [*functions, *_in_tables(values)]

    def note(name: str, value: Any, names: Iterable[str]) -> None:
        if isinstance(value, types.FunctionType):
            if not value.__module__.startswith("pagerace.lang") and value not in seen:
                pending.append(value)
        elif isinstance(value, (Struct, Array)) and home_of(value) is not None:
            parts.append((name, value))
        elif isinstance(value, (Struct, Pool, PerThread, Array)):
            if id(value) not in objects:
                objects[id(value)] = (name, value)
                for _, key, inner in assignments(value):
                    note(f"{name}.{key}", inner, ())
        elif isinstance(value, Constants) and id(value) not in scopes:
            scopes.add(id(value))
            for key, inner in vars(value).items():
                whole = isinstance(inner, (Struct, Pool))  # which has a name of its own
                parts.append((key, inner)) if whole else note(key, inner, ())
        elif isinstance(value, types.ModuleType) and not value.__name__.startswith(
            "pagerace.lang"
        ):
            modules.add(value)
            for attribute in names:
                inner = vars(value).get(attribute)
                # A package leads to its modules, each of which is looked at once.
                if not isinstance(inner, types.ModuleType) or inner not in modules:
                    note(attribute, inner, names)

    while pending:
        function = pending.pop(0)
        if function in seen:
            continue
        seen[function] = None
        names = _names(function.__code__)
        for name in names:
            note(name, function.__globals__.get(name), names)
        if id(function.__globals__) not in scopes:
            scopes.add(id(function.__globals__))
            pending.extend(_guards(function.__globals__))

    def global_name(value: Any, otherwise: str) -> str:
        known = (n for f in seen for n, g in f.__globals__.items() if g is value)
        return next(known, otherwise)

    for value in values:
        note(global_name(value, f"argument{len(objects)}"), value, ())
    for name, value in parts:  # last, when what they are parts of, or itself, has its name
        home: Any = value
        while (above := home_of(home)) is not None:
            home = above[0]
        note(global_name(home, name), home, ())
    unique: dict[str, GlobalObject] = {}
    for name, value in objects.values():
        while name in unique:
            name += "_"
        unique[name] = value
    return list(seen), unique


def _in_tables(values: Iterable[Any]) -> Iterator[Function]:
    """The functions in the tables among ``values``: what they name is to be found as well."""
    for value in values:
        if isinstance(value, Constants):
            yield from _in_tables(vars(value).values())
        elif isinstance(value, types.FunctionType):
            yield value


def _names(code: types.CodeType) -> list[str]:
    names = list(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names.extend(_names(constant))
    return names


def _guards(scope: dict[str, Any]) -> Iterator[Function]:
    """``__enter__`` and ``__exit__`` of the structures that a module's globals lead to."""
    found: dict[type, None] = {}

    def visit(hint: Any) -> None:
        cls = referent(hint)[0] or hint
        if isinstance(cls, type) and issubclass(cls, Struct) and cls not in found:
            found[cls] = None
            for name, inner in field_types(cls).items():
                visit(lengths_of(cls, name, inner)[1])

    for value in scope.values():
        if isinstance(value, type) and issubclass(value, Struct):
            visit(value)
        elif isinstance(value, (Struct, Pool, PerThread)):
            visit(type(value) if isinstance(value, Struct) else value.cls)
    for cls in found:
        methods = vars(cls).get("__enter__"), vars(cls).get("__exit__")
        if methods[0] is not None:
            yield from (m for m in methods if isinstance(m, types.FunctionType))
