"""The race diagram: a column for each CPU, time downwards, in plain ASCII.

CPU0                                 CPU1
----                                 ----
zap_pte_range()
  pte[0]: pfn 1 present -> 0
                                     store through the TLB
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, replace

from pagerace.report.execution import Execution, Violation
from pagerace.report.story import Line, columns_of, tell

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


@dataclass(frozen=True)
class Column:
    """Where the text of a CPU starts, and how wide it may be."""

    start: int
    width: int


def diagram(execution: Execution, style: Style = COMMIT, *, verbose: bool = False) -> str:
    """The execution as a diagram, without a newline at the end."""
    cpus = columns_of(execution)
    lines = tell(execution, verbose=verbose)
    if len(cpus) > COLUMNS_MAX:
        rows = _one_column(lines, cpus, execution, style)
    else:
        rows = _side_by_side(lines, cpus, execution, style)
    return "\n".join(rows)


def _side_by_side(
    lines: list[Line], cpus: list[int], execution: Execution, style: Style
) -> list[str]:
    columns = place_columns(lines, len(cpus), style)
    if len(cpus) > 2 and _wraps(lines, columns, style):
        style = replace(style, nest=1)
        columns = place_columns(lines, len(cpus), style)
    headings = [f"CPU{cpu}" for cpu in cpus]
    rows = [_row(columns, headings, style)]
    rows.append(_row(columns, ["-" * len(heading) for heading in headings], style))
    marked = _marked_line(lines, execution)
    for line in lines:
        column = columns[line.column]
        pieces = wrap(line.text, column.width, indent_of(line.depth, column.width, style))
        if line is marked and execution.violation:
            pieces += mark(pieces, execution.violation, column.width)
        for piece in pieces:
            rows.append(_row([column], [piece], style))
    return rows + _banner(execution, style)


def _wraps(lines: list[Line], columns: list[Column], style: Style) -> bool:
    needs = _needs(lines, len(columns), style)
    return any(need > column.width for need, column in zip(needs, columns, strict=True))


def _one_column(
    lines: list[Line], cpus: list[int], execution: Execution, style: Style
) -> list[str]:
    """For many CPUs: the CPU's name stands before its first line each time it changes."""
    label_width = style.tab or len(f"CPU{max(cpus)}") + GAP
    column = Column(style.margin + label_width, style.width - style.margin - label_width)
    label = Column(style.margin, label_width)
    marked = _marked_line(lines, execution)
    rows: list[str] = []
    previous = -1
    for line in lines:
        pieces = wrap(line.text, column.width, indent_of(line.depth, column.width, style))
        if line is marked and execution.violation:
            pieces += mark(pieces, execution.violation, column.width)
        for piece in pieces:
            name = f"CPU{cpus[line.column]}" if line.column != previous else ""
            previous = line.column
            rows.append(_row([label, column], [name, piece], style))
    return rows + _banner(execution, style)


def _marked_line(lines: list[Line], execution: Execution) -> Line | None:
    """The last line of the process that took the last step, where the violation shows."""
    violation = execution.violation
    if violation is None or violation.slug in BANNERS or not execution.steps:
        return None
    process = execution.steps[-1].process
    return next((line for line in reversed(lines) if line.process == process), None)


def _banner(execution: Execution, style: Style) -> list[str]:
    if execution.violation is None or execution.violation.slug not in BANNERS:
        return []
    banner = Column(style.margin, style.width - style.margin)
    return [_row([banner], [BANNERS[execution.violation.slug]], style)]


def place_columns(lines: list[Line], count: int, style: Style) -> list[Column]:
    """Equal columns where everything fits in them, else room for those that need it."""
    room = style.width - style.margin
    if style.tab:
        pitch = room // count // style.tab * style.tab
        starts = [style.margin + i * pitch for i in range(count)]
    else:
        pitch = int((room + GAP) / count + 0.5)
        starts = [style.margin + i * pitch for i in range(count)]
        ends = [start - GAP for start in starts[1:]] + [style.width]
        widths = [end - start for start, end in zip(starts, ends, strict=True)]
        needs = _needs(lines, count, style)
        if any(need > width for need, width in zip(needs, widths, strict=True)):
            widths = share(needs, room - GAP * (count - 1))
            starts = [style.margin + sum(widths[:i]) + GAP * i for i in range(count)]
    gap = 1 if style.tab else GAP
    ends = [start - gap for start in starts[1:]] + [style.width]
    return [Column(start, end - start) for start, end in zip(starts, ends, strict=True)]


def _needs(lines: list[Line], count: int, style: Style) -> list[int]:
    """The width that each column would like, in which no line wraps."""
    needs = [8] * count
    for line in lines:
        needs[line.column] = max(needs[line.column], line.depth * style.nest + len(line.text))
    return needs


def share(needs: list[int], room: int) -> list[int]:
    """Widths that add up to ``room``: small needs are met, large ones share the rest."""
    widths = [0] * len(needs)
    left = room
    order = sorted(range(len(needs)), key=lambda i: needs[i])
    for position, i in enumerate(order):
        widths[i] = min(needs[i], left // (len(order) - position))
        left -= widths[i]
    widths[order[-1]] += left
    return widths


def indent_of(depth: int, width: int, style: Style) -> int:
    """Deep calls are not indented further than a third of a narrow column."""
    return min(depth * style.nest, width // 3 // style.nest * style.nest)


def wrap(text: str, width: int, indent: int) -> list[str]:
    """``text`` in lines of at most ``width``; continuation lines are indented more.

    A long name is not broken: its line moves to the left instead.
    """
    text = plain(text)
    if indent + len(text) <= width:
        return [" " * indent + text]
    shorter = without_arguments(text)
    if shorter and len(shorter) <= width:
        return [" " * min(indent, width - len(shorter)) + shorter]
    more = "// " if text.startswith("//") else "  "
    first, *others = text.split()
    longest = max(len(first), *(len(word) + len(more) for word in others), 0)
    indent = max(min(indent, width - longest), 0)
    return textwrap.wrap(
        text,
        width,
        initial_indent=" " * indent,
        subsequent_indent=" " * indent + more,
        break_on_hyphens=False,
    )


def without_arguments(text: str) -> str:
    """``f() -> 1`` for ``f(a, b) -> 1``; empty where the text is not a call.

    Arguments are the first thing to go: the function's name says enough.
    """
    head, bracket, tail = text.partition("(")
    if not bracket or not head.isidentifier():
        return ""
    return f"{head}(){tail.rpartition(')')[2]}"


def plain(text: str) -> str:
    """``text`` in ASCII, for a mail or a commit message."""
    return text.encode("ascii", "backslashreplace").decode()


def mark(pieces: list[str], violation: Violation, width: int) -> list[str]:
    """Carets under what has just been written, and what is wrong with it."""
    text = violation.text or (f"{violation.property} fails" if violation.property else "")
    last = pieces[-1]
    indent = len(last) - len(last.lstrip())
    carets = "^" * (len(last) - indent)
    text = plain(text)
    if len(carets) + 1 + len(text) + indent <= width:
        return [" " * indent + f"{carets} {text}".rstrip()]
    wrapped = textwrap.wrap(text, width - indent, break_on_hyphens=False)
    return [" " * indent + line for line in [carets, *wrapped]]


def _row(columns: list[Column], texts: list[str], style: Style) -> str:
    """One line of the diagram with each text at the start of its column."""
    row = ""
    reached = 0
    for column, text in zip(columns, texts, strict=True):
        if text:
            row += _space(reached, column.start, style) + text
            reached = column.start + len(text)
    return row if not style.prefix or row else style.prefix


def _space(reached: int, start: int, style: Style) -> str:
    """What leads from one place in a line to another, with tabs where they are used."""
    if not style.tab:
        return " " * (start - reached)
    prefix = style.prefix if reached == 0 else ""
    stops = -(-(start - max(reached, len(prefix))) // style.tab)
    return prefix + "\t" * max(stops, 1)
