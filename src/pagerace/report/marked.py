"""Source with every point marked: the places where another CPU may run."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from pagerace.report.words import plural, short_path

TEXT_COLUMN_MAX = 60  # remarks stand right of the source, but not further out than this

Marks = Mapping[int, Sequence[str]]


def marked_source(
    marks: Mapping[str, Marks], files_whole: Sequence[str], reader: Callable[[str], str]
) -> str:
    """The files of ``marks`` (file -> line -> accesses), each line with a point starred.

    Files in ``files_whole`` come first and are shown from top to bottom; of the others
    only the functions that have a point.
    """
    parts: list[str] = []
    others = sorted(set(marks) - set(files_whole))
    for file in [*files_whole, *others]:
        source = reader(file).splitlines()
        mine = marks.get(file, {})
        shown = range(1, len(source) + 1)
        if file not in files_whole:
            shown = _lines_of_functions(source, mine)
        parts.append(_file(file, source, mine, shown))
    total = sum(len(lines) for lines in marks.values())
    parts.append(f"{plural(total, 'line')} with a point in {plural(len(marks), 'file')}")
    return "\n\n".join(parts)


def _file(file: str, source: Sequence[str], marks: Marks, shown: Sequence[int]) -> str:
    rows = [short_path(file)]
    width = len(str(len(source)))
    texts = [source[line - 1].expandtabs(4) for line in marks if line <= len(source)]
    column = min(max((len(text) for text in texts), default=0), TEXT_COLUMN_MAX)
    previous = 0
    for line in shown:
        if previous and line != previous + 1:
            rows.append(f"  {'':>{width}} :")
        previous = line
        text = source[line - 1].expandtabs(4).rstrip()
        if line in marks:
            rows.append(f"* {line:>{width}} | {text:<{column}}  # {remark(marks[line])}")
        else:
            rows.append(f"  {line:>{width}} | {text}".rstrip())
    return "\n".join(rows)


def remark(accesses: Sequence[str]) -> str:
    """What the points of one line access; one of each kind, indices merged."""
    merged: dict[str, set[str]] = {}
    for access in accesses:
        merged.setdefault(re.sub(r"\[\d+\]", "[]", access), set()).add(access)
    return ", ".join(
        next(iter(exact)) if len(exact) == 1 else general for general, exact in merged.items()
    )


def _lines_of_functions(source: Sequence[str], marks: Marks) -> list[int]:
    """The lines of every function (``def`` at any depth) that holds a marked line."""
    lines: set[int] = set()
    for marked in marks:
        start = marked
        while start > 1 and not re.match(r"\s*def ", source[start - 1]):
            start -= 1
        depth = len(source[start - 1]) - len(source[start - 1].lstrip())
        end = start
        for line in range(start + 1, len(source) + 1):
            text = source[line - 1]
            if (
                text.strip()
                and not text.startswith(" " * (depth + 1))
                and text.strip()[0] != ")"
            ):
                break
            end = line if text.strip() else end
        lines.update(range(start, max(end, marked) + 1))
    return sorted(lines)
