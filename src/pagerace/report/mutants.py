"""Mutants with what kills them, and the properties that kill none."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import TypeAlias

from pagerace.report.properties import Property
from pagerace.report.summary import Summary
from pagerace.report.words import duration, plural

SCHEMA = "pagerace-mutants/1"
SURVIVES = "nothing: it SURVIVES"
HEADINGS = ("mutant", "killed by", "states", "steps", "time")


@dataclass(frozen=True)
class Killing:
    """One mutant of ``claim`` and what the search found; ``declared`` must kill it.

    ``stated`` are the properties of the claim: another file may use the same names.
    """

    claim: str
    mutant: str
    declared: str
    summary: Summary
    stated: Collection[Property] = ()

    @property
    def killer(self) -> Property | None:
        """The property that is violated; None for a survivor, and for a detector."""
        return next((item for item in self.stated if item.name == self.found), None)

    @property
    def found(self) -> str:
        """The property that is violated, or a detector's slug; "" for a survivor."""
        return self.summary.violated

    @property
    def is_open(self) -> bool:
        """Has the search met a bound?"""
        return self.summary.verdict == "inconclusive"

    @property
    def is_right(self) -> bool:
        """Is it killed by what it declares?"""
        return self.summary.verdict == "violated" and self.summary.as_expected

    @property
    def steps(self) -> int:
        """The length of the execution that kills it; for a survivor the search's depth."""
        execution = self.summary.execution
        return len(execution.steps) if execution else self.summary.depth


class Table:
    """Lines to print as the mutants are decided.  ``mutants`` are (mutant, declared)."""

    def __init__(self, mutants: Sequence[tuple[str, str]]) -> None:
        known = [declared for _, declared in mutants]
        self.widths = (
            max(len(text) + 2 for text in [HEADINGS[0], *(name for name, _ in mutants)]),
            max(len(text) for text in [SURVIVES, *known]),
            len("99,999,999"),
            len("steps"),
            len("59 min"),
        )

    def heading(self) -> str:
        """The first line."""
        return self._line(HEADINGS)

    def row(self, killing: Killing) -> str:
        """The line of one mutant, and one below it if it is not killed as it should be."""
        summary = killing.summary
        killer = killing.found or ("not decided" if killing.is_open else SURVIVES)
        line = self._line(
            (
                f"  {killing.mutant}",
                killer,
                f"{summary.states:,}",
                f"{killing.steps:,}",
                duration(summary.seconds),
            )
        )
        if killing.is_right:
            return line
        reason = f"; {summary.reason}" if killing.is_open else ""
        return f"{line}\n    <- should be killed by {killing.declared}{reason}"

    def refused(self, mutant: str) -> str:
        """The line of a mutant that could not be compiled."""
        return self._line((f"  {mutant}", "refused", "", "", ""))

    def _line(self, row: tuple[str, ...]) -> str:
        aligned = [
            f"{text:{'<' if i < 2 else '>'}{width}}"
            for i, (text, width) in enumerate(zip(row, self.widths, strict=True))
        ]
        return "  ".join(aligned).rstrip()


Counts: TypeAlias = "dict[Property, int | None]"


def kills(
    properties: Sequence[Property], killings: Sequence[Killing], undecided: Collection[str]
) -> Counts:
    """How many mutants each property kills.

    None where it kills none of those that were decided, and is declared by others.
    """
    killers = [killing.killer for killing in killings]
    counts: Counts = {item: killers.count(item) for item in properties}
    return {p: None if not n and p.name in undecided else n for p, n in counts.items()}


def properties_text(counts: Counts) -> str:
    """Each property with the number of mutants that it kills."""
    width = max(len(item.name) for item in counts)
    ids = max(len(item.id) for item in counts)
    lines = [f"{'property':<{width + ids + 2 * bool(ids)}}  mutants killed"]
    for item, count in counts.items():
        name = f"{item.id:<{ids}}  {item.name:<{width}}" if ids else f"{item.name:<{width}}"
        remark = "  <- no mutant here makes it fail" if count == 0 else ""
        lines.append(f"{name}  {'?' if count is None else count:>14}{remark}")
    return "\n".join(lines)


def tally(killings: Sequence[Killing], counts: Counts, refused: int = 0) -> str:
    """How many are killed as declared, in one line."""
    total = plural(len(killings) + refused, "mutant")
    words = f"{total}: {sum(k.is_right for k in killings)} killed as declared"
    remarks = {
        "killed by something else": sum(bool(k.found) and not k.is_right for k in killings),
        "survived": sum(k.summary.verdict == "holds" for k in killings),
        "not decided": sum(k.is_open for k in killings),
        "refused": refused,
    }
    words += "".join(f", {count} {what}" for what, count in remarks.items() if count)
    if idle := sum(count == 0 for count in counts.values()):
        words += f"; {plural(idle, 'property')} kill{'s' if idle == 1 else ''} none"
    return words


def to_json(killings: Sequence[Killing], counts: Counts) -> str:
    """All of it as data."""
    document = {
        "schema": SCHEMA,
        "mutants": [
            {
                "claim": killing.claim,
                "mutant": killing.mutant,
                "declared": killing.declared,
                "found": killing.found,
                "killed_as_declared": killing.is_right,
                "verdict": killing.summary.verdict,
                "reason": killing.summary.reason,
                "states": killing.summary.states,
                "steps": killing.steps,
                "seconds": killing.summary.seconds,
            }
            for killing in killings
        ],
        "properties": [
            asdict(item) | {"id": item.id, "mutants_killed": count}
            for item, count in counts.items()
        ],
    }
    return json.dumps(document, indent=1)
