"""Claims about the callbacks of a file: ``FILE::walk[v6.19,fault,zap]``.

A file of callbacks has no claim.  It has functions of the names that struct mm_walk_ops
has, or tables of them; what is claimed of each is always the same.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from difflib import get_close_matches
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from pagerace.cli.errors import UsageError, did_you_mean
from pagerace.cli.importing import script_name
from pagerace.compiler.diagnostic import CompileError, Diagnostic

if TYPE_CHECKING:
    from pagerace.cli.load import Target

KERNELS = ("v5.4", "v5.5", "v5.6", "v6.5", "v6.19")
AGAINST = ("fault", "zap", "split", "collapse")
# khugepaged takes a table of a file away without mmap_lock, which the walk holds.
COLLAPSE_BESIDE = ("v6.19",)

# What each callback takes, as in include/linux/pagewalk.h.
CALLBACKS = {
    "pgd_entry": "(pgd: pmd_t, addr: ulong, next: ulong, walk: mm_walk) -> s32",
    "p4d_entry": "(p4d: pmd_t, addr: ulong, next: ulong, walk: mm_walk) -> s32",
    "pud_entry": "(pud: pmd_t, addr: ulong, next: ulong, walk: mm_walk) -> s32",
    "pmd_entry": "(pmd: pmd_t, addr: ulong, next: ulong, walk: mm_walk) -> s32",
    "pte_entry": "(pte: pte_slot, addr: ulong, next: ulong, walk: mm_walk) -> s32",
    "pte_hole": "(addr: ulong, next: ulong, depth: s32, walk: mm_walk) -> s32",
    "test_walk": "(addr: ulong, next: ulong, walk: mm_walk) -> s32",
}
# Not much like one, and yet meant: pte_entry is as near to pmd_entry as a misspelt one.
NEAR = 0.8

_CLAIM = re.compile(r"walk(?:\.(?P<table>\w+))?(?:\[(?P<options>[\w.,]*)\])?")


def against_all(kernel: str) -> list[list[str]]:
    """What goes on beside a walk if nobody says it: of anonymous memory, and then of a file.

    The second is left out where khugepaged has to wait until the walk is over.
    """
    anonymous = ["fault", "zap", "split"]
    return [anonymous, ["fault", "collapse"]] if kernel in COLLAPSE_BESIDE else [anonymous]


def walk_target(file: str, kernel: str, against: list[str]) -> Target:
    """The claim about FILE, or FILE::TABLE.  Raises UsageError and CompileError."""
    from pagerace.cli.load import load

    path, _, table = file.partition("::")
    module, folder = load(path)
    return _target(path, table, kernel, against, module, folder)


def target_of_walk(claim: str, path: str, module: ModuleType, folder: str) -> Target | None:
    """The claim behind FILE:: of an address that `walk` printed; None: it is not one."""
    match = _CLAIM.fullmatch(claim)
    walks = "pagerace.mm.pagewalk_ops" in sys.modules  # a callback cannot do without it
    if match is None or not walks or not callbacks_of(module):
        return None
    default = ",".join((KERNELS[-1], *against_all(KERNELS[-1])[0]))
    kernel, *against = (match["options"] or default).split(",")
    if kernel not in KERNELS or not set(against) <= set(AGAINST):
        return None
    return _target(path, match["table"] or "", kernel, against, module, folder)


def callbacks_of(module: ModuleType) -> dict[str, Any]:
    """The tables of a file by name; its functions are one that has the name ""."""
    return _any_walk().tables_of(module, CALLBACKS)


def _any_walk() -> Any:
    """The claim, which needs all of mm/, and is kernel Python as that is."""
    return importlib.import_module("pagerace.protocols._any_walk")


def _target(
    path: str, table: str, kernel: str, against: list[str], module: ModuleType, folder: str
) -> Target:
    from pagerace.cli.load import Target

    _refuse_misspelt(module)
    tables = callbacks_of(module)
    if not tables:
        raise UsageError(
            f"{path} has no callback of a walk",
            "a callback is a function pmd_entry" + CALLBACKS["pmd_entry"],
        )
    if table not in tables and (table or len(tables) > 1):
        known = [name for name in tables if name]
        words = f"no table {table!r} in {path}" if table else f"{path} has {len(tables)} tables"
        help = f"write FILE::NAME: {', '.join(known)}" if known else "it has functions only"
        raise UsageError(words, did_you_mean(table, known) or help)
    name = table or next(iter(tables))
    ops = tables[name]
    if not any(getattr(ops, field) for field in ("pud_entry", "pmd_entry", "pte_entry")):
        help = "pmd_entry" + CALLBACKS["pmd_entry"]
        raise UsageError(f"{path} has no callback that handles pages", help)
    for field in CALLBACKS:
        _refuse_other_arguments(field, getattr(ops, field))
    claim = f"walk.{name}" if name and len(tables) > 1 else "walk"
    address = f"{path}::{claim}[{','.join((kernel, *against))}]"
    protocol = _any_walk().any_walk(ops, kernel, against)
    return Target(address, claim, protocol, script_name(module), folder)


def _refuse_misspelt(module: ModuleType) -> None:
    """A function of the file that is called nearly as a callback is never called."""
    for name, value in vars(module).items():
        if not isinstance(value, FunctionType) or value.__module__ != module.__name__:
            continue
        near = get_close_matches(name, CALLBACKS, n=1, cutoff=NEAR)
        if near and name not in CALLBACKS:
            help = f"did you mean {near[0]!r}?"
            message = f"no callback is called {name!r}"
            raise CompileError([_at(value, "unknown-name", message, help)])


def _refuse_other_arguments(field: str, function: FunctionType | None) -> None:
    """A callback that does not take what the walk gives, told where it is written."""
    if function is None:
        return
    wanted = CALLBACKS[field]
    count = wanted.count(":")
    if len(inspect.signature(function).parameters) != count:
        raise CompileError(
            [
                _at(
                    function,
                    "wrong-arguments",
                    f"{field} takes {count} arguments",
                    f"def {field}{wanted}",
                )
            ]
        )


def _at(function: FunctionType, slug: str, message: str, help: str) -> Diagnostic:
    """A message at the name in a function's first line."""
    code = function.__code__
    lines, first = inspect.getsourcelines(function)
    offset = next(i for i, line in enumerate(lines) if line.lstrip().startswith("def "))
    column = lines[offset].index("def ") + 4
    end = column + len(function.__name__.encode())
    return Diagnostic(slug, message, code.co_filename, first + offset, column, end, help=help)
