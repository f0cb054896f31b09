"""Variants against properties: what holds of which claim."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field

from pagerace.report.properties import COLUMNS_MAX, Property, labels, legend
from pagerace.report.words import plural

SCHEMA = "pagerace-table/1"
HOLDS, VIOLATED, OPEN, UNKNOWN, ABSENT = "holds", "violated", "open", "unknown", ""
PART_MAX = 7  # columns of a heading; longer names are broken at their underscores

ENDS = "no deadlock; from every state the threads can still all return (progress: P1, P2)"
DETECTED = "what the detectors find in any claim: a use after free, a leak, a lock order, ..."
WORDS = {
    "holds": "in every state that the variant can reach",
    "FAILS": "violated, though the claim states it: the claim expects this, or is wrong",
    "fails": "violated; the claim does not state it",
    "open": "the search met a bound before it was decided",
    "?": "not decided: the search ends at what 'ends' or 'detected' says",
    "-": "not applicable: no claim of this file with the same set-up states it",
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One claim.  ``cells`` has HOLDS, VIOLATED, OPEN or UNKNOWN for what was tried.

    ``expect`` is "" for holds.  ``ends`` is "yes", "deadlock", "livelock", OPEN or UNKNOWN;
    ``detected`` a detector's slug or "".  ``remark`` says why ``as_expected`` is not true;
    it is None where that is not decided.  ``steps`` are of shortest violations.
    """

    claim: str
    file: str
    expect: str
    stated: frozenset[Property]
    cells: dict[Property, str]
    steps: dict[Property, int] = field(default_factory=dict[Property, int])
    ends: str = "yes"
    detected: str = ""
    as_expected: bool | None = True
    remark: str = ""
    searches: int = 1
    states: int = 0
    seconds: float = 0.0

    def cell(self, item: Property) -> str:
        """The cell as text shows it."""
        value = self.cells.get(item, ABSENT)
        if value == VIOLATED:
            return "FAILS" if item in self.stated else "fails"
        return {ABSENT: "-", UNKNOWN: "?"}.get(value, value)


def text(rows: Sequence[Row]) -> str:
    """One table a file, then what the columns and the cells mean."""
    names = labels(_properties(rows))
    files = dict.fromkeys(row.file for row in rows)
    parts = [block([row for row in rows if row.file == file], names) for file in files]
    return "\n\n".join([*parts, closing(rows, names)])


def block(rows: Sequence[Row], names: dict[Property, str]) -> str:
    """The table of one file; ``names`` is what the columns are called."""
    columns = [p for p in names if any(p in row.cells for row in rows)]
    return "\n".join(_blocks(rows[0].file, rows, columns, names))


def closing(rows: Sequence[Row], names: dict[Property, str]) -> str:
    """What the columns and the cells mean."""
    used = {p for row in rows for p in row.cells}
    meanings = [(name, _meaning(p)) for p, name in names.items() if p in used]
    parts = [*legend([*meanings, ("ends", ENDS), ("detected", DETECTED)]), ""]
    shown = {row.cell(p) for row in rows for p in row.cells} | {"holds"}
    if any(len(row.cells) < len(_properties(_of_file(rows, row))) for row in rows):
        shown.add("-")
    return "\n".join(parts + legend([(w, WORDS[w]) for w in WORDS if w in shown]))


def markdown(rows: Sequence[Row]) -> str:
    """The same as a table of Markdown; what is violated stands out."""
    properties = _properties(rows)
    names = labels(properties)
    parts: list[str] = []
    for file in dict.fromkeys(row.file for row in rows):
        mine = [row for row in rows if row.file == file]
        columns = [p for p in properties if any(p in row.cells for row in mine)]
        heads = [file, *(names[p] for p in columns), "ends", "detected"]
        parts.append("| " + " | ".join(heads) + " |")
        parts.append("|---" * len(heads) + "|")
        for row in mine:
            cells = [row.cell(p) for p in columns]
            cells = [f"**{c}**" if c == "FAILS" else c for c in cells]
            line = [f"`{_name(row)}`", *cells, row.ends, row.detected or "nothing"]
            parts.append("| " + " | ".join(line) + " |")
        parts.append("")
    parts += [f"* `{names[p]}`: {_meaning(p)}" for p in properties]
    return "\n".join(parts)


def to_json(rows: Sequence[Row]) -> str:
    """The same as data."""
    properties = _properties(rows)
    names = labels(properties)
    document = {
        "schema": SCHEMA,
        "properties": [asdict(p) | {"id": p.id, "label": names[p]} for p in properties],
        "claims": [
            {
                "claim": row.claim,
                "expect": row.expect or "holds",
                "as_expected": row.as_expected,
                "remark": row.remark,
                "cells": {names[p]: cell for p, cell in row.cells.items()},
                "stated": [names[p] for p in row.cells if p in row.stated],
                "steps": {names[p]: steps for p, steps in row.steps.items()},
                "ends": row.ends,
                "detected": row.detected,
                "searches": row.searches,
                "states": row.states,
                "seconds": row.seconds,
            }
            for row in rows
        ],
    }
    return json.dumps(document, indent=1)


def tally(rows: Sequence[Row], refused: int = 0) -> str:
    """How many claims are as they expect, in one line."""
    words = f"{plural(len(rows) + refused, 'claim')}: "
    words += f"{sum(row.as_expected is True for row in rows)} as expected"
    remarks = {
        "not": sum(row.as_expected is False for row in rows),
        "not decided": sum(row.as_expected is None for row in rows),
        "refused": refused,
    }
    words += "".join(f", {count} {what}" for what, count in remarks.items() if count)
    return f"{words}; {plural(sum(row.searches for row in rows), 'search')}"


def _of_file(rows: Sequence[Row], row: Row) -> list[Row]:
    return [other for other in rows if other.file == row.file]


def ordered(properties: Iterable[Property]) -> list[Property]:
    """By id, T4-S2 before T4-S10, and those that have none last."""
    order = {p: (not p.id, p.id.rstrip("0123456789"), _number(p.id)) for p in properties}
    return sorted(order, key=lambda p: order[p])


def _properties(rows: Sequence[Row]) -> list[Property]:
    """All columns of the rows."""
    return ordered(p for row in rows for p in row.cells)


def _number(id: str) -> int:
    return int("".join(c for c in id.rpartition("-")[2] if c.isdigit()) or 0)


def _meaning(item: Property) -> str:
    """``no_lost_write(), T4-S1, at every step: ...``."""
    words = f"{item.name}()" if item.id or "_" not in item.name else ""
    if item.kind == "at_end" and "at the end" not in item.doc:
        words += ", at the end" if words else "at the end"
    return ": ".join(part for part in (words, item.doc) if part) or item.name


def _name(row: Row) -> str:
    return row.claim.rpartition("::")[2]


def _blocks(
    file: str, rows: Sequence[Row], columns: Sequence[Property], names: dict[Property, str]
) -> list[str]:
    """The lines of one file; columns that do not fit are put below the others."""
    named = [file, *(f"  {_name(row)}" for row in rows)]
    table = [[names[p], *(row.cell(p) for row in rows)] for p in columns]
    table.append(["ends", *(row.ends for row in rows)])
    table.append(["detected", *(row.detected or "nothing" for row in rows)])
    room = COLUMNS_MAX - max(map(len, named))
    remarks = [f"  {_name(row)}: {row.remark}" for row in rows if row.remark]
    if sum(_width(column) + 1 for column in table) > room and not any(r.detected for r in rows):
        table.pop()  # the least telling column
        remarks.append("  detected: nothing in any of them")
    gap = 2 if sum(_width(column) + 2 for column in table) <= room else 1
    lines: list[str] = []
    while table:
        taken, used = 0, 0
        while taken < len(table):
            used += _width(table[taken]) + gap
            if taken and used > room:
                break
            taken += 1
        part, table = table[:taken], table[taken:]
        lines += [*_block(named, part, " " * gap), ""]
    lines.pop()
    return lines + (["", *remarks] if remarks else [])


def _block(named: Sequence[str], table: Sequence[Sequence[str]], gap: str) -> list[str]:
    """The names, then the columns; headings of several lines end at the same line."""
    heads = [_parts(column[0]) for column in table]
    height = max(map(len, heads))
    rows = [["" for _ in range(height - 1)] + [named[0]]]
    rows += [[""] * (height - len(head)) + head for head in heads]
    columns = [
        [*head, *cells]
        for head, cells in zip(
            rows, [named[1:], *(column[1:] for column in table)], strict=True
        )
    ]
    widths = [max(map(len, column)) for column in columns]
    return [
        gap.join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in zip(*columns, strict=True)
    ]


def _width(column: Sequence[str]) -> int:
    return max(*(len(part) for part in _parts(column[0])), *map(len, column[1:]))


def _parts(head: str) -> list[str]:
    """A heading in lines: ``fsync_``, ``keeps_``, ``its_``, ``promise``."""
    lines = [""]
    for word in head.replace("_", "_ ").split():
        if lines[-1] and len(lines[-1]) + len(word) > PART_MAX:
            lines.append("")
        lines[-1] += word
    return lines
