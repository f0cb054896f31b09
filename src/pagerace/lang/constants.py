"""Constant tables: functions, enums and numbers that are known when a protocol is compiled.

What is ``static const struct mm_walk_ops`` in the kernel is here an object of a subclass of
``Constants``, made in a module's body and never changed.  A function that has a parameter of
such a type is compiled once for each table that it is given.
"""

from __future__ import annotations

import enum
import types
from typing import Any, dataclass_transform

from pagerace.lang.structures import BitStruct, Pool, Struct, field_types

_MISSING = object()


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Constants:
    """A table of constants.  Subclass it, annotate the fields, give what may be left out None.

    A field holds a function, None, a number, a bool, an enum, a ``BitStruct``, an object of
    memory, or another table.  Raises TypeError for anything else, for a field that the table
    has not and for one that is missing.
    """

    def __init__(self, **values: Any) -> None:
        cls = type(self)
        for name in field_types(cls):
            value = values.pop(name, getattr(cls, name, _MISSING))
            if value is _MISSING:
                raise TypeError(f"{cls.__name__} needs {name}")
            _refuse_what_changes(f"{cls.__name__}.{name}", value)
            object.__setattr__(self, name, value)
        if values:
            raise TypeError(f"{cls.__name__} has no field {next(iter(values))!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is a table of constants: make another")


def _refuse_what_changes(field: str, value: Any) -> None:
    if isinstance(value, types.FunctionType):
        if value.__name__ == "<lambda>":
            raise TypeError(f"{field} takes a function with a name, not a lambda: write a def")
        return
    constant = (int, enum.Enum, BitStruct, Struct, Pool, Constants)
    if value is not None and not isinstance(value, constant):
        what = type(value).__name__
        raise TypeError(f"{field} is a {what}: a table holds functions and constants")
