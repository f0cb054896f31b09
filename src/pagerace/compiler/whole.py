"""Functions of the kernel for one interleaving at full size, and the memory that they name."""

from __future__ import annotations

import types
import typing
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from pagerace.compiler import points
from pagerace.compiler.diagnostic import CompileError, Diagnostic
from pagerace.compiler.fields import FieldError, referent
from pagerace.compiler.ir import Code
from pagerace.compiler.lower import Lowerer
from pagerace.compiler.placement import Placement, place
from pagerace.compiler.program import lower_function, track_allocation, unique
from pagerace.compiler.reachable import reachable
from pagerace.compiler.source import Edits
from pagerace.compiler.sparse import SparseMemory
from pagerace.compiler.templates import Template
from pagerace.lang.protocol import Edit, Function
from pagerace.lang.structures import Struct


@dataclass(frozen=True)
class Whole:
    """``codes`` by symbol; ``symbols[function]``; where each cell of ``memory`` is."""

    codes: dict[str, Code]
    memory: SparseMemory
    placement: Placement


def symbol_of(function: Function) -> str:
    """What a function is called among all of them."""
    return f"{function.__module__}.{function.__qualname__}"


def compile_whole(functions: Sequence[Function], edits: Sequence[Edit] = ()) -> Whole:
    """Compile functions and all that they call, under the parameters that are bound.

    ``smp_processor_id()`` is a cell, ``per_thread(x).current`` one object, and a pool finds
    a free object at once, not the first.  Raises CompileError.
    """
    diagnostics: list[Diagnostic] = []
    memory = SparseMemory()
    try:
        found, objects = reachable(functions, [])
        memory.build(objects, 1, _mentioned(found))
        track_allocation(memory, found, objects)
    except FieldError as error:
        raise CompileError([error.diagnostic()]) from None
    except TypeError as error:
        raise CompileError([Diagnostic("unknown-type", str(error), "", 1, 0, 1)]) from None
    codes: dict[str, Code] = {}
    made = Edits(tuple(edits))
    pending = [(symbol_of(function), Template(function)) for function in functions]
    while pending:
        symbol, template = pending.pop(0)
        if symbol in codes:
            continue
        lowerer = _Lowerer(memory, diagnostics, made, direct=True)
        code = codes[symbol] = lower_function(lowerer, template.function, template.tables)
        code.name = symbol
        pending.extend(lowerer.wanted.items())
    if diagnostics:
        raise CompileError(unique(diagnostics))
    for code in codes.values():
        points.clean(code)
    return Whole(codes, memory, place(memory, codes.values()))


def _mentioned(functions: Sequence[Function]) -> list[type[Struct]]:
    """The structures that parameters refer to: a plain call passes None as well."""
    found: dict[type[Struct], None] = {}
    for function in functions:
        with suppress(NameError, AttributeError, TypeError, SyntaxError):
            for hint in typing.get_type_hints(function, include_extras=True).values():
                cls = referent(hint)[0] or hint
                if isinstance(cls, type) and issubclass(cls, Struct):
                    found[cls] = None
    return list(found)


class _Lowerer(Lowerer):
    """The one thread that there is."""

    process = 0

    def stays_call(self, function: types.FunctionType) -> bool:
        """What takes nothing is mostly a question about the machine, which has to fold."""
        return bool(function.__code__.co_argcount) or "external" in function.__dict__

    def symbol(self, function: types.FunctionType) -> str:
        return symbol_of(function)
