"""Constant tables of functions as arguments: the same in all engines, and what is refused."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pagerace import search
from pagerace.compiler.diagnostic import CompileError, Diagnostic
from pagerace.compiler.program import compile_protocol
from pagerace.compiler.running import Running
from pagerace.compiler.whole import compile_whole, symbol_of
from pagerace.lang import Constants, protocol, thread, u8
from pagerace.lang.protocol import Protocol
from pagerace.lang.structures import bound
from pagerace.mm import syscalls
from pagerace.oracle.engine import CONFIG
from tests import reference

from . import template_samples as samples

STATES_MAX = 3000


@pytest.mark.parametrize("native", [True, False])
def test_a_thread_takes_a_table(native: bool) -> None:
    result = search.check(compile_protocol(samples.two_tables), native=native)
    assert result.verdict == "holds"


@pytest.mark.parametrize("name", samples.two_tables.mutants)
def test_an_edit_of_a_function_in_a_table_is_made(name: str) -> None:
    mutant = samples.two_tables.mutants[name]
    program = compile_protocol(samples.two_tables.replace(edits=mutant.edits))
    result = search.check(program)
    assert result.violation is not None
    assert result.violation.property == mutant.killed_by


def test_a_race_between_two_tables() -> None:
    """Each interleaving, by native steps and by the interpreter."""
    program = compile_protocol(samples.a_race)
    expected = reference.search(program, STATES_MAX)
    result = search.check(program, workers=1, reductions="none")
    assert result.violation is not None and result.execution is not None
    assert expected.violations["is_summed"] == len(result.execution.steps)


@pytest.mark.parametrize("name", samples.SAMPLES)
@pytest.mark.parametrize("interpret", [False, True])
def test_plain_calls_of_full_size(name: str, interpret: bool) -> None:
    function = getattr(samples, name)
    kernel = Running([function], interpret=interpret)
    for a, b in ((0, 0), (1, 2), (20, 3), (5, 10)):
        assert kernel.call(function, a, b) == function(u8(a), u8(b))


def test_one_function_for_each_table() -> None:
    kernel = Running([samples.deep])
    walk, through = symbol_of(samples.walk), symbol_of(samples.through)
    names = sorted(kernel.whole.codes)
    # Of SECOND and STOP; of SECOND's inner SUM, and of NOTHING.
    assert [n for n in names if n.startswith(through)] == [f"{through}$0", f"{through}$1"]
    assert [n for n in names if n.startswith(walk)] == [f"{walk}$2", f"{walk}$3"]


def test_what_nobody_calls_is_not_there() -> None:
    code = compile_protocol(samples.two_tables).processes[0].code
    names = {i.text for block in code.blocks for i in block.instructions if hasattr(i, "text")}
    assert not any("cell" in name for name in names)


def test_an_object_in_a_table_has_its_own_name() -> None:
    program = compile_protocol(protocol(threads=[thread(samples.through, samples.STOP)]))
    assert "other.value" in [name for family in program.families for name in family.names]


def test_walks_of_mm_leave_nothing_for_whom_nobody_is_there() -> None:
    """Who has no install_pte has no code that could allocate a table."""
    with bound(*CONFIG):
        codes = compile_whole([syscalls.sys_mincore]).codes
    walked = [name for name in codes if ".walk_pmd$" in name]
    assert len(walked) == 1
    assert not any("alloc_below" in name for name in codes)


# -- what is refused ------------------------------------------------------------

HEADER = """\
from __future__ import annotations
from collections.abc import Callable
from pagerace.lang import *
from pagerace.lang import u8, u16

class ops(Constants):
    found: Callable[[u8], u8] | None = None
    limit: int = 3

class other_ops(Constants):
    limit: int = 2

class Page(Struct):
    count: u8

page = Page()

def twice(n: u8) -> u8:
    return n + n

TWICE = ops(found=twice)
OTHER = other_ops()

def use(table: ops, n: u8) -> u8:
    if table.found is not None:
        return table.found(n)
    return table.found(n) if table.limit == 9 else u8(table.limit)

"""
WRONG: dict[str, list[str]] = {
    "constant-table": [
        "def run() -> None:\n    page.count = TWICE  #!",
        "def run() -> None:\n    table = TWICE  #!",
        "def run() -> None:\n    page.count = use(page.count, 1)  #!",
        "def run() -> None:\n    page.count = use(page, 1)  #!",
        "def run() -> None:\n    page.count = use(None, 1)  #!",
        "def run() -> None:\n    page.count = use(OTHER, 1)  #!",
        "def run() -> None:\n    page.count = use(twice, 1)  #!",
        "def two(n: u8, m: u8) -> u8:  #!\n    return n\n"
        "TWO = ops(found=two)\ndef run() -> None:\n    page.count = use(TWO, 1)",
        "def wide(n: u16) -> u8:  #!\n    return u8(n)\n"
        "WIDE = ops(found=wide)\ndef run() -> None:\n    page.count = use(WIDE, 1)",
        "def none(n: u8) -> None:  #!\n    page.count = n\n"
        "NONE = ops(found=none)\ndef run() -> None:\n    page.count = use(NONE, 1)",
        "def start(table: ops) -> None:  #!\n    page.count = 1\n"
        "claim = protocol(threads=[thread(start, page)])",
    ],
    "unknown-name": ["def run() -> None:\n    page.count = TWICE.fond(1)  #!"],
    "unsupported-expression": [
        "EMPTY = ops()\ndef run() -> None:\n    page.count = EMPTY.found(1)  #!",
    ],
    "not-a-place": ["def run() -> None:\n    TWICE.found = twice  #!"],
    "wrong-arguments": ["def run() -> None:\n    page.count = use(TWICE)  #!"],
    "missing-annotation": [
        "def bare(n) -> u8:  #!\n    return n\n"
        "BARE = ops(found=bare)\ndef run() -> None:\n    page.count = use(BARE, 1)",
    ],
    "unknown-type": [
        "def given() -> ops:  #!\n    return TWICE\n"
        "def run() -> None:\n    page.count = given()",
        "class Task(Struct):\n    table: ops  #!\ntask = Task()\n"
        "def run() -> None:\n    page.count = u8(task.table.limit)",
    ],
}


def _module(tmp_path: Path, source: str) -> ModuleType:
    path = tmp_path / "sample.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location("sample", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["sample"] = module
    spec.loader.exec_module(module)
    return module


def _diagnostics(tmp_path: Path, source: str) -> list[Diagnostic]:
    module: Any = _module(tmp_path, source)
    claim: Protocol = getattr(module, "claim", None) or protocol(threads=[thread(module.run)])
    with pytest.raises(CompileError) as error:
        compile_protocol(claim)
    return error.value.diagnostics


@pytest.mark.parametrize(("slug", "body"), [(s, b) for s, all in WRONG.items() for b in all])
def test_refused(tmp_path: Path, slug: str, body: str) -> None:
    source = HEADER + body + "\n"
    diagnostics = _diagnostics(tmp_path, source)
    marked = [i for i, line in enumerate(source.splitlines(), 1) if line.endswith("#!")]
    assert [(d.slug, d.line) for d in diagnostics] == [(slug, line) for line in marked]
    assert diagnostics[0].message
    assert diagnostics[0].column < diagnostics[0].end_column


def test_an_entry_of_plain_calls_takes_no_table() -> None:
    with pytest.raises(CompileError) as error:
        Running([samples.walk])
    assert error.value.diagnostics[0].slug == "constant-table"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cell": lambda: 0}, "row_ops.cell takes a function with a name, not a lambda"),
        ({"cell": []}, "row_ops.cell is a list: a table holds functions and constants"),
        ({"cells": None}, "row_ops has no field 'cells'"),
    ],
)
def test_a_wrong_table(values: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message.replace("(", r"\(")):
        samples.row_ops(**values)


def test_a_table_is_complete_and_stays_what_it_is() -> None:
    class pair(Constants):
        first: int
        second: int = 2

    pair.__annotations__ = {"first": int, "second": int}
    with pytest.raises(TypeError, match="pair needs first"):
        pair()  # pyright: ignore
    made = pair(first=1)
    assert (made.first, made.second) == (1, 2)
    with pytest.raises(AttributeError, match="make another"):
        made.first = 2  # pyright: ignore
