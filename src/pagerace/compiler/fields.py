"""The fields of a structure as its author wrote them: types, lengths, places."""

from __future__ import annotations

import ast
import sys
import types
import typing
from typing import Any

from pagerace.compiler.diagnostic import Diagnostic
from pagerace.compiler.source import parse_file, stamp_of
from pagerace.lang.structures import Array, ArrayDefault, resolve_length


class FieldError(TypeError):
    """A field, or with ``name`` "" a whole structure, that cannot be in shared memory."""

    def __init__(self, cls: type, name: str, message: str) -> None:
        super().__init__(f"{cls.__name__}{name and '.'}{name}: {message}")
        self.cls, self.name, self.message = cls, name, message

    def diagnostic(self) -> Diagnostic:
        """The mistake at the line of the field."""
        file = getattr(sys.modules.get(self.cls.__module__), "__file__", None) or "<string>"
        line, start, end = _place(file, self.cls, self.name)
        return Diagnostic("unknown-type", str(self), file, line, start, end)


def _place(file: str, cls: type, name: str) -> tuple[int, int, int]:
    """(line, column, end column) of a field's type, or of ``class NAME``."""
    try:
        tree, _ = parse_file(file, stamp_of(file))
    except (OSError, SyntaxError):
        return 1, 0, 1
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__:
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and ast.unparse(field.target) == name:
                    hint = field.annotation
                    return hint.lineno, hint.col_offset, hint.end_col_offset or 1
            return node.lineno, node.col_offset, node.col_offset + 6 + len(node.name)
    return 1, 0, 1


def lengths_of(cls: type, name: str, hint: Any) -> tuple[tuple[int, ...], Any]:
    """(array lengths, element type) of a field; () for a field that is no array."""
    if typing.get_origin(hint) is not Array:
        return (), hint
    (element,) = typing.get_args(hint)
    default = cls.__dict__.get(name)
    if not isinstance(default, ArrayDefault):
        raise FieldError(cls, name, "give the array a length: = array(4)")
    length = resolve_length(default.length)
    if length < 0:
        raise FieldError(cls, name, f"an array has no length of {length}")
    return (length,), element


def referent(hint: Any) -> tuple[type | None, bool]:
    """(class, nullable) of ``Ref[T]`` or ``T | None``."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        classes = [a for a in typing.get_args(hint) if a is not type(None)]
        return (classes[0] if len(classes) == 1 else None), True
    if hasattr(hint, "__metadata__"):
        cls, nullable = referent(hint.__origin__)
        return (cls or hint.__origin__), nullable
    return None, False
