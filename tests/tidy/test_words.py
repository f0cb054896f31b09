"""Words that do not belong into a repository that others read."""

from __future__ import annotations

import ast
import re
import socket
from pathlib import Path

import pytest

from tests.tidy.sources import PACKAGE, ROOT, python_files, text_files, tree_of

# Folders of somebody's machine, and notes that nobody will come back to.
BANNED = re.compile(
    r"/(?:home|root|work|Users|opt)/\w|/tmp/(?!x\b)\w|\b[A-Z]:\\"
    r"|\b(?:TODO|FIXME|XXX)\b|\bTBD\b",
)


def _lines(path: Path) -> list[tuple[int, str]]:
    return list(enumerate(path.read_text(encoding="utf-8").splitlines(), 1))


def test_no_file_names_a_machine() -> None:
    here = re.escape(socket.gethostname())
    # A host may be called "cpu" or "linux"; only a name that looks made up is telling.
    names = re.compile(rf"\b{here}\b") if re.search(r"\d|-", here) and len(here) > 7 else None
    wrong = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in text_files()
        if path != Path(__file__).resolve()
        for number, line in _lines(path)
        if BANNED.search(line) or (names and names.search(line))
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "line", ["/home/alice/x", "see /tmp/run.log", "# TODO: later", r"C:\build", "TBD"]
)
def test_the_rule_itself_refuses(line: str) -> None:
    assert BANNED.search(line)


@pytest.mark.parametrize("line", ["/usr/bin/env bash", "todo list", "~/.cache/pagerace"])
def test_the_rule_itself_accepts(line: str) -> None:
    assert not BANNED.search(line)


def test_only_terminals_print() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in python_files()
        if path.is_relative_to(PACKAGE) and path != PACKAGE / "cli" / "terminal.py"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
    ]
    assert wrong == []


def test_files_end_with_one_newline_and_have_no_trailing_space() -> None:
    wrong: list[str] = []
    for path in text_files():
        if path.suffix == ".ambr":
            continue  # a snapshot is what was printed
        text = path.read_text(encoding="utf-8")
        if text and (not text.endswith("\n") or text.endswith("\n\n")):
            wrong.append(f"{path.relative_to(ROOT)}: its end")
        wrong += [
            f"{path.relative_to(ROOT)}:{number}" for number, line in _lines(path)
            if line != line.rstrip()
        ]  # fmt: skip
    assert wrong == []
