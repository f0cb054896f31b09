"""Code frames: the author's line, carets, help, rule."""

from __future__ import annotations

import dataclasses

from pagerace.compiler.diagnostic import CompileError, Diagnostic
from pagerace.report.diagnostics import frame, frames

SOURCE = "\n" * 38 + (
    "from pagerace.lang import *\n"
    "def unmap(mm: Mm, addr: u64) -> int:\n"
    '    with open("log") as f:\n'
    "\tmm.x = 'größe' + open(addr)\n"
)

UNSUPPORTED_WITH = Diagnostic(
    slug="unsupported-with",
    message="not a model lock or atomic section",
    file="numa.py",
    line=41,
    column=9,
    end_column=13,
    label="a Python file; model code has no files",
    help='to note a value in the diagram use trace("unmap", addr)',
)

AS_SPECIFIED = """\
numa.py:41:10: error: unsupported-with: not a model lock or atomic section
   |
40 | def unmap(mm: Mm, addr: u64) -> int:
41 |     with open("log") as f:
   |          ^^^^ a Python file; model code has no files
   |
   = help: to note a value in the diagram use trace("unmap", addr)
   = rule: pagerace rule unsupported-with"""


def read(path: str) -> str:
    return SOURCE


def test_is_the_frame_of_the_specification() -> None:
    assert frame(UNSUPPORTED_WITH, read) == AS_SPECIFIED


def test_columns_are_bytes_and_tabs_are_shown_as_spaces() -> None:
    line = SOURCE.splitlines()[41]
    start = len(line[: line.index("open")].encode())
    diagnostic = dataclasses.replace(
        UNSUPPORTED_WITH, line=42, column=start, end_column=start + 4, label="", help=""
    )
    rows = frame(diagnostic, read).splitlines()
    assert rows[0].startswith("numa.py:42:19: ")
    assert rows[4].index("^") == rows[3].index("open")
    assert rows[4].count("^") == 4


def test_file_that_cannot_be_read() -> None:
    text = frame(UNSUPPORTED_WITH, lambda path: "")
    assert text.splitlines()[0] == (
        "numa.py:41:1: error: unsupported-with: not a model lock or atomic section"
    )
    assert "|" not in text


def test_line_outside_the_file_and_column_outside_the_line() -> None:
    assert frame(dataclasses.replace(UNSUPPORTED_WITH, line=0), read)
    assert frame(dataclasses.replace(UNSUPPORTED_WITH, line=900), read)
    beyond = dataclasses.replace(UNSUPPORTED_WITH, column=400, end_column=402)
    assert "^" in frame(beyond, read)


def test_all_errors_at_once(snapshot: object) -> None:
    second = dataclasses.replace(UNSUPPORTED_WITH, slug="unknown-name", line=40, column=4)
    error = CompileError([UNSUPPORTED_WITH, second, UNSUPPORTED_WITH])
    assert [d.line for d in error.diagnostics] == [40, 41]
    assert frames(error.diagnostics, read) == snapshot
