"""What a replay counted: configurations side by side, as a table or as data.

The counts come as plain numbers by name, as ``pagerace.replay`` has them, or as dictionaries of
such (acquisitions by class of lock).  Every count is shown; a line whose counts a machine does
not have is left out.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from pagerace.report.words import duration, plural, size

SCHEMA: Final = "pagerace-replay/1"
WIDTH: Final = 80
NAME_WIDTH: Final = 30
CELL_WIDTH: Final = 12

Counts: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """One configuration: the options that make it differ, and what was counted with it."""

    options: Mapping[str, str]
    counts: Counts


@dataclass(frozen=True)
class Replayed:
    """What was replayed.  ``ended`` says why it ended before the traces did, or is empty.

    ``formats``: of each trace; ``settings``: what all columns have in common.
    """

    traces: Sequence[str]
    formats: Sequence[str]
    lines: int
    seconds: float
    columns: Sequence[Column]
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    warnings: Sequence[str] = ()
    ended: str = ""


@dataclass(frozen=True)
class Row:
    """A line of the table: the counts that it needs, their value, and how it looks."""

    name: str
    needs: tuple[str, ...]
    value: Callable[[Counts], float]
    show: Callable[[float], str] = "{:,.0f}".format

    def of(self, counts: Counts) -> float | None:
        """The value, or None where a count is missing or it would be of nothing.

        A need that ends in _ or . is of any count that begins like this.
        """
        for need in self.needs:
            if need not in counts and not (
                need.endswith(("_", ".")) and any(name.startswith(need) for name in counts)
            ):
                return None
        try:
            return self.value(counts)
        except ZeroDivisionError:
            return None


def flat(counts: Counts) -> dict[str, Any]:
    """The counts, those of a dictionary as ``name.key``."""
    found: dict[str, Any] = {}
    for name, value in counts.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{key}": part for key, part in value.items()}
        else:
            found[name] = value
    return found


def total(prefix: str) -> Callable[[Counts], float]:
    """The sum of all counts whose names begin like this."""
    return lambda c: sum(value for name, value in c.items() if name.startswith(prefix))


def _plain(name: str, count: str) -> Row:
    show = size if count.endswith("_bytes") else "{:,.0f}".format
    return Row(name, (count,), lambda c: c[count], show)


_TWO = "{:,.2f}".format
_walks, _locks = total("walk_references_"), total("locks.")

# What a reader wants to know first.
HEADLINES: Final = (
    _plain("faults", "faults"),
    _plain("  saved by fault-around", "fault_around_used"),
    _plain("  mapped around, never used", "fault_around_unused"),
    Row("    of those mapped around", ("fault_around_mapped", "fault_around_unused"),
        lambda c: 100 * c["fault_around_unused"] / c["fault_around_mapped"], "{:.1f} %".format),
    _plain("TLB misses", "tlb_misses"),
    Row("  per 1,000 accesses", ("tlb_misses", "accesses"),
        lambda c: 1000 * c["tlb_misses"] / c["accesses"], _TWO),
    Row("walk references", ("walk_references_",), _walks),
    Row("  per miss", ("tlb_misses", "walk_references_"),
        lambda c: _walks(c) / c["tlb_misses"], _TWO),
    Row("flushes", ("flushes_",), total("flushes_")),
    _plain("IPIs", "ipis_sent"),
    Row("locks per fault", ("locks.", "faults"), lambda c: _locks(c) / c["faults"], _TWO),
    Row("atomics per fault", ("atomics", "faults"), lambda c: c["atomics"] / c["faults"], _TWO),
)  # fmt: skip

# Then everything: a title, and how the names of the counts below it begin, in which words.
Sections: TypeAlias = Sequence[tuple[str, dict[str, str]]]
SECTIONS: Final[Sections] = (
    ("faults", {"faults_": ""}),
    ("fault-around", {"fault_around_": ""}),
    ("TLBs", {"tlb_": ""}),
    ("walks", {"walk_references_": "references, ", "walk_saved_": "saved, ",
               "accessed_": "accessed ", "dirty_": "dirty "}),
    ("flushes", {"flushes_": ""}),
    ("IPIs", {"ipis_": ""}),
    ("locks", {"locks.": "", "atomics": "atomics"}),
    ("system calls", {"calls_": "", "calls.": ""}),
    ("reclaim", {"reclaim_": ""}),
    ("page tables", {"tables_allocated_": "allocated, ", "table_pages_": "pages, ",
                     "table_": ""}),
    ("memory", {"frames_": "frames ", "simulated_": "simulated", "resident_": "resident"}),
    ("trace", {"touches": "pages touched", "instructions": "instructions", "loads": "loads",
               "stores": "stores", "modifies": "modifies"}),
    ("others", {"": ""}),
)  # fmt: skip


def text(replayed: Replayed, *, brief: bool = False, full: bool = False) -> str:
    """The table, with what was replayed above it, and the warnings below.

    ``brief``: its first lines only.  ``full``: also what is 0 everywhere.
    """
    parts = [_heading(replayed)]
    sections = () if brief else SECTIONS
    for columns in _blocks(replayed.columns):
        parts.append("\n".join(_table(columns, sections, full)))
    words = [f"warning: {warning}" for warning in replayed.warnings]
    if replayed.ended:
        words.append(f"{replayed.ended}; the counts are of what came before")
    parts += [textwrap.fill(part, WIDTH, subsequent_indent="  ") for part in words]
    return "\n\n".join(parts)


def _heading(replayed: Replayed) -> str:
    lines = [", ".join(replayed.traces)]
    what = [", ".join(dict.fromkeys(replayed.formats)), plural(replayed.lines, "line")]
    accesses = replayed.columns[0].counts.get("accesses", 0)
    what += [plural(accesses, "access"), duration(replayed.seconds)]
    lines.append("  " + ", ".join(what))
    if replayed.settings:
        settings = (f"{name} {value}" for name, value in replayed.settings.items())
        lines.append("  " + ", ".join(settings))
    return "\n".join(lines)


def _blocks(columns: Sequence[Column]) -> Iterator[Sequence[Column]]:
    """As many columns beside each other as a terminal has room for."""
    room = max(1, (WIDTH - NAME_WIDTH) // CELL_WIDTH)
    for first in range(0, len(columns), room):
        yield columns[first : first + room]


def _table(columns: Sequence[Column], sections: Sections, full: bool) -> list[str]:
    lines = [
        _line(name, [column.options.get(name, "") for column in columns])
        for name in dict.fromkeys(name for column in columns for name in column.options)
    ]
    if len(columns) == 2 and lines:
        lines = [_line(lines[0], ["change"], CELL_WIDTH), *lines[1:]]
    lines += ["", *_rows(HEADLINES, columns)]
    left = dict.fromkeys(name for column in columns for name in flat(column.counts))
    for shown in ("faults", "accesses"):  # above
        left.pop(shown, None)
    for title, prefixes in sections:
        rows: list[Row] = []
        for prefix, words in prefixes.items():
            names = [name for name in left if name.startswith(prefix)]
            for name in names:
                del left[name]
            rows += [
                _plain(f"  {_name(name, prefix, words)}", name) for name in names
                if full or any(flat(column.counts).get(name) for column in columns)
            ]  # fmt: skip
        if rows:
            lines += ["", title, *_rows(rows, columns)]
    return lines[1:] if not lines[0] else lines


def _name(count: str, prefix: str, words: str) -> str:
    """How a count is called below the title of its kind."""
    rest = count.removeprefix(prefix).removesuffix("bytes").strip("_")
    return (words + rest.replace("_", " ").replace(".", " ")).strip() or "bytes"


def _rows(rows: Sequence[Row], columns: Sequence[Column]) -> list[str]:
    lines: list[str] = []
    for row in rows:
        values = [row.of(flat(column.counts)) for column in columns]
        if all(value is None for value in values):
            continue
        cells = ["-" if value is None else row.show(value) for value in values]
        if len(values) == 2:
            cells.append(_change(*values))
        lines.append(_line(row.name, cells))
    return lines


def _change(before: float | None, after: float | None) -> str:
    """``+12.5 %``, of two columns."""
    if not before or after is None or before == after:
        return ""
    return f"{100 * (after - before) / before:+.1f} %"


def _line(name: str, cells: Sequence[str], width: int = 0) -> str:
    padded = "".join(cell.rjust(CELL_WIDTH) for cell in cells)
    return (name.ljust(width or NAME_WIDTH) + padded).rstrip()


def to_json(replayed: Replayed) -> str:
    """The same as data."""
    return json.dumps({
        "schema": SCHEMA,
        "traces": [
            {"file": file, "format": format}
            for file, format in zip(replayed.traces, replayed.formats, strict=True)
        ],
        "lines": replayed.lines,
        "seconds": round(replayed.seconds, 3),
        "settings": dict(replayed.settings),
        "configurations": [
            {"options": dict(column.options), "counts": dict(column.counts)}
            for column in replayed.columns
        ],
        "warnings": list(replayed.warnings),
        "complete": not replayed.ended,
        "ended": replayed.ended,
    }, indent=1)  # fmt: skip
