"""Errors in a protocol file: the author's line with carets under the cause."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

from pagerace.compiler.diagnostic import Diagnostic
from pagerace.report.words import plural, short_path

Reader = Callable[[str], str]


def read_source(path: str) -> str:
    """The text of a source file; empty where it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def frames(diagnostics: Sequence[Diagnostic], reader: Reader = read_source) -> str:
    """All errors, one code frame each, with a count where there are several."""
    parts = [frame(diagnostic, reader) for diagnostic in diagnostics]
    if len(parts) > 1:
        parts.append(plural(len(parts), "error"))
    return "\n\n".join(parts)


def frame(diagnostic: Diagnostic, reader: Reader = read_source) -> str:
    """One error: place and cause, the line before it and its own, help, rule."""
    source = reader(diagnostic.file).splitlines()
    line = diagnostic.line
    known = 1 <= line <= len(source)
    column = _characters(source[line - 1], diagnostic.column) if known else 0
    place = f"{short_path(diagnostic.file)}:{line}:{column + 1}"
    rows = [f"{place}: error: {diagnostic.slug}: {diagnostic.message}"]
    if known:
        rows += _code(diagnostic, source)
    gutter = " " * len(str(line))
    remarks = {"help": diagnostic.help, "rule": f"pagerace rule {diagnostic.slug}"}
    for name, words in remarks.items():
        if words:
            rows += textwrap.wrap(
                words,
                88,
                initial_indent=f"{gutter} = {name}: ",
                subsequent_indent=f"{gutter}         ",
                break_long_words=False,
                break_on_hyphens=False,
            )
    return "\n".join(rows)


def _code(diagnostic: Diagnostic, source: list[str]) -> list[str]:
    """The line before the error, where it says something, the line itself, the carets."""
    line = diagnostic.line
    width = len(str(line))
    gutter = " " * width
    rows = [f"{gutter} |"]
    if line > 1 and source[line - 2].strip():
        rows.append(f"{line - 1:>{width}} | {source[line - 2].expandtabs(4)}".rstrip())
    text = source[line - 1]
    rows.append(f"{line} | {text.expandtabs(4)}".rstrip())
    start = _characters(text, diagnostic.column)
    end = max(_characters(text, diagnostic.end_column), start + 1)
    before = len(text[:start].expandtabs(4))
    carets = "^" * max(len(text[:end].expandtabs(4)) - before, 1)
    label = f" {diagnostic.label}" if diagnostic.label else ""
    rows.append(f"{gutter} | {' ' * before}{carets}{label}")
    rows.append(f"{gutter} |")
    return rows


def _characters(text: str, offset: int) -> int:
    """The number of characters in the first ``offset`` UTF-8 bytes of a line."""
    return len(text.encode()[: max(offset, 0)].decode(errors="ignore"))
