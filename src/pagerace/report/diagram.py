"""The race diagram: a column for each CPU, time downwards, in plain ASCII.

CPU0                                 CPU1
----                                 ----
zap_pte_range()
  pte[0]: pfn 1 present -> 0
                                     store through the TLB
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pagerace.report.execution import Execution, Violation
from pagerace.report.story import Line, cpus_of, tell

WIDTH = 75
COLUMNS_MAX = 4  # with more CPUs than this, one column tells whose line it is
GAP = 2

BANNERS = {"deadlock": "*** DEADLOCK ***", "livelock": "*** LIVELOCK ***"}


@dataclass(frozen=True)
class Style:
    """How a diagram is set: all numbers are in characters.

    ``tab`` makes columns start at its multiples and fills the space before them with
    tabs, as kernel comments do.
    """

    width: int = WIDTH
    margin: int = 4
    nest: int = 2
    prefix: str = ""
    tab: int = 0


COMMIT = Style()
COMMENT = Style(width=80, margin=8, nest=1, prefix=" *", tab=8)

# By number of columns: how much is kept for the last one, and how far apart columns
# start at least.  A line may run on below the headings to its right: no other line
# stands beside it.
LAST_WIDTH = {1: 71, 2: 34, 3: 35, 4: 32}
APART_MIN = {1: 0, 2: 18, 3: 18, 4: 13}


@dataclass(frozen=True)
class Column:
    """Where the text of a CPU starts, the width that it should and that it may have."""

    start: int
    width: int
    width_max: int
    indent_max: int


def diagram(execution: Execution, style: Style = COMMIT, *, verbose: bool = False) -> str:
    """The execution as a diagram, without a newline at the end."""
    lines = tell(execution, verbose=verbose)
    cpus = cpus_of(execution, lines)
    if not execution.steps:
        rows = [_row([(style.margin, "(no step)")], style)]
    elif len(cpus) > COLUMNS_MAX:
        rows = _one_column(lines, cpus, execution, style)
    else:
        rows = _side_by_side(lines, cpus, execution, style)
    if execution.violation and execution.violation.slug in BANNERS:
        banner = BANNERS[execution.violation.slug]
        rows.append(_row([(style.margin, banner)], style))
    return "\n".join(rows)


def _side_by_side(
    lines: list[Line], cpus: list[int], execution: Execution, style: Style
) -> list[str]:
    if len(cpus) > 2:
        style = replace(style, nest=1)
    columns = dict(zip(cpus, place_columns(lines, cpus, style), strict=True))
    starts = [columns[cpu].start for cpu in cpus]
    headings = [f"CPU{cpu}" for cpu in cpus]
    rows = [_row(list(zip(starts, headings, strict=True)), style)]
    rules = ["-" * len(heading) for heading in headings]
    rows.append(_row(list(zip(starts, rules, strict=True)), style))
    marked = _marked_line(lines, execution)
    for line in lines:
        column = columns[line.cpu]
        for piece in _pieces(line, column, style, execution.violation, line is marked):
            rows.append(_row([(column.start, piece)], style))
    return rows


def _one_column(
    lines: list[Line], cpus: list[int], execution: Execution, style: Style
) -> list[str]:
    """For many CPUs: the CPU's name stands before its first line each time it changes."""
    start = style.margin + (style.tab or len(f"CPU{max(cpus)}") + GAP)
    room = style.width - start
    column = Column(start, room, room, room // 2)
    marked = _marked_line(lines, execution)
    rows: list[str] = []
    previous = -1
    for line in lines:
        for piece in _pieces(line, column, style, execution.violation, line is marked):
            name = f"CPU{line.cpu}" if line.cpu != previous else ""
            previous = line.cpu
            rows.append(_row([(style.margin, name), (start, piece)], style))
    return rows


def _pieces(
    line: Line, column: Column, style: Style, violation: Violation | None, marked: bool
) -> list[str]:
    """The rows of one line, with the mark of the violation if it is the one."""
    indent = min(line.depth * style.nest, column.indent_max)
    pieces = set_line(line.texts, column, indent)
    if marked and violation is not None:
        pieces += mark(pieces, violation, column)
    return pieces


def _marked_line(lines: list[Line], execution: Execution) -> Line | None:
    """The last line of the process that took the last step, where the violation shows."""
    violation = execution.violation
    if violation is None or violation.slug in BANNERS or not execution.steps:
        return None
    process = execution.steps[-1].process
    return next((line for line in reversed(lines) if line.process == process), None)


def place_columns(lines: Sequence[Line], cpus: Sequence[int], style: Style) -> list[Column]:
    """Columns equally far apart, with as much room for the last as it needs."""
    count = len(cpus)
    needs = [line.depth * style.nest + len(line.text) for line in lines if line.cpu == cpus[-1]]
    most = style.width - style.margin - APART_MIN[count] * (count - 1)
    last = min(max(*needs, LAST_WIDTH[count], 0), most) if needs else LAST_WIDTH[count]
    apart = (style.width - style.margin - last) // max(count - 1, 1)
    if style.tab and count > 1:
        apart = max(apart // style.tab, 2) * style.tab
    columns: list[Column] = []
    for i in range(count):
        start = style.margin + i * apart
        room = style.width - start
        own = apart - GAP if count == 2 and i == 0 else last
        indent = max(apart - 4, 4) if i < count - 1 else room // 3
        columns.append(Column(start, min(own, room), room, indent))
    return columns


def set_line(texts: Sequence[str], column: Column, indent: int) -> list[str]:
    """The longest of ``texts`` that fits, first in the column, then in all the room.

    If none does, the last one is wrapped.
    """
    texts = [plain(text) for text in texts]
    for width in (column.width, column.width_max):
        for text in texts:
            if indent + len(text) <= width:
                return [" " * indent + text]
    return wrap(texts[-1], column.width_max, indent)


def wrap(text: str, width: int, indent: int) -> list[str]:
    """``text`` in lines of at most ``width``; continuation lines are indented more.

    A long name is not broken: its line moves to the left instead.
    """
    text = plain(text)
    if indent + len(text) <= width:
        return [" " * indent + text]
    indent = max(min(indent, width - _widest(text)), 0)
    return textwrap.wrap(
        text,
        width,
        initial_indent=" " * indent,
        subsequent_indent=" " * indent + _continuation(text),
        break_on_hyphens=False,
    )


def _continuation(text: str) -> str:
    return "// " if text.startswith("//") else "  "


def _widest(text: str) -> int:
    """The room that the longest word of a line needs where the line is wrapped."""
    first, *others = text.split() or [""]
    more = len(_continuation(text))
    return max(len(first), *(len(word) + more for word in others), 0)


def plain(text: str) -> str:
    """``text`` in ASCII, for a mail or a commit message."""
    return text.encode("ascii", "backslashreplace").decode()


def mark(pieces: Sequence[str], violation: Violation, column: Column) -> list[str]:
    """Carets under what has just been written, and what is wrong with it."""
    text = violation.text or (f"{violation.property} fails" if violation.property else "")
    last = pieces[-1]
    if text and last.endswith(f" {text}"):
        text = ""  # it is what the carets stand under
    elif not text:
        text = violation.slug.replace("-", " ")
    indent = len(last) - len(last.lstrip())
    carets = "^" * (len(last) - indent)
    text = plain(text)
    if indent + len(carets) + 1 + len(text) <= column.width_max:
        return [" " * indent + f"{carets} {text}".rstrip()]
    room = max(column.width_max - indent, 1)
    wrapped = textwrap.wrap(text, room, break_on_hyphens=False)
    return [" " * indent + line for line in [carets, *wrapped]]


def _row(texts: Sequence[tuple[int, str]], style: Style) -> str:
    """One row of the diagram, each text at its start."""
    row = ""
    reached = 0
    for start, text in texts:
        if text:
            row += _space(reached, start, style) + text
            reached = start + len(text)
    return row


def _space(reached: int, start: int, style: Style) -> str:
    """What leads from one place in a row to another, with tabs where they are used."""
    if not style.tab:
        return " " * (start - reached)
    prefix = style.prefix if reached == 0 else ""
    stops = -(-(start - max(reached, len(prefix))) // style.tab)
    return prefix + "\t" * max(stops, 1)
