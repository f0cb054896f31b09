"""Variants beside each other: is each safe, and what does it cost?

As text, as Markdown and as data.  An *operation* is what an author of page-table code counts:
an atomic instruction, or a lock that is taken.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from pagerace.report.words import duration, plural

SCHEMA: Final = "pagerace-compare/1"
WIDTH: Final = 96

# Classes of the locks that were proposed for tables.
TABLE_LOCKS: Final = ("table_lock", "table_lock_nested")

SAFE, UNSAFE, OPEN, NONE = "safe", "unsafe", "open", ""

# Operations that a fault, a walk and an unmap stand for, by their names in the counts.
KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "fault": ("fault",), "walk": ("gup", "gup_fast", "rmap", "hmm"), "unmap": ("unmap",),
}  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """``number`` operations of one kind: their atomics, and the locks they took, by class."""

    number: int = 0
    atomics: int = 0
    locks: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def acquisitions(self) -> int:
        """Of locks of all classes."""
        return sum(self.locks.values())

    @property
    def total(self) -> int:
        """Atomics and acquisitions; what a lock of tables does is among the atomics already."""
        return self.atomics + sum(
            taken for name, taken in self.locks.items() if name not in TABLE_LOCKS
        )


@dataclass(frozen=True)
class Claim:
    """What came of one claim about a variant; ``violated`` in ``steps``, or "" and 0."""

    address: str
    verdict: str
    violated: str = ""
    steps: int = 0
    states: int = 0
    as_expected: bool = True
    reason: str = ""


@dataclass(frozen=True)
class Latency:
    """Of one thread of a claim, in ticks; ``schedules`` were tried."""

    claim: str
    thread: str
    alone: float
    median: float
    mean: float
    worst: int
    schedules: int
    failed: int = 0


@dataclass(frozen=True)
class Variant:
    """One row.  Bytes are of page tables of all levels; ``latencies`` are by ``KINDS``."""

    name: str
    title: str = ""
    source: str = ""
    claims: Sequence[Claim] = ()
    costs: Mapping[str, Cost] = field(default_factory=dict[str, Cost])
    table_bytes_peak: int = 0
    table_bytes_mean: int = 0
    table_bytes_end: int = 0
    latencies: Mapping[str, Latency] = field(default_factory=dict[str, Latency])

    @property
    def latency(self) -> Latency | None:
        """Of a fault."""
        return self.latencies.get("fault")

    @property
    def verdict(self) -> str:
        """UNSAFE if any claim is violated, OPEN if any is not decided, NONE if none is made."""
        verdicts = {claim.verdict for claim in self.claims}
        if "violated" in verdicts:
            return UNSAFE
        if "inconclusive" in verdicts:
            return OPEN
        return SAFE if verdicts else NONE

    @property
    def shortest(self) -> Claim | None:
        """Of the violated claims the one with the fewest steps."""
        violated = [claim for claim in self.claims if claim.verdict == "violated"]
        return min(violated, key=lambda claim: claim.steps, default=None)

    def per(self, kind: str, count: Callable[[Cost], int]) -> float | None:
        """A count per fault, walk or unmap; None where there was none."""
        costs = [self.costs[name] for name in KINDS[kind] if name in self.costs]
        number = sum(cost.number for cost in costs)
        return sum(map(count, costs)) / number if number else None


@dataclass(frozen=True)
class Comparison:
    """``variants[0]`` is what the others are set against.  ``every``: faults to a walk."""

    group: str
    traces: Sequence[str]
    variants: Sequence[Variant]
    accesses: int = 0
    every: int = 0
    seconds: float = 0.0
    warnings: Sequence[str] = ()


@dataclass(frozen=True)
class Change:
    """How much dearer than with another variant each kind is; None: not known.

    ``operations``: atomics and locks, as a factor.  ``ticks``: how much later the thread is
    done where it is unlucky, in ticks: that is where a lock shows that somebody else holds.
    """

    operations: Mapping[str, float | None]
    ticks: Mapping[str, int | None]

    @property
    def known(self) -> bool:
        """Is there anything to tell?"""
        return any(v is not None for v in (*self.operations.values(), *self.ticks.values()))

    @property
    def favour(self) -> int | None:
        """By how many ticks more an unmap may be delayed than a walk; None: not known.

        A walk only looks, an unmap changes tables, and a fault does both.
        """
        walk, mutation = self.ticks["walk"], self.ticks["unmap"]
        return mutation - walk if walk is not None and mutation is not None else None


def change(variant: Variant, base: Variant) -> Change:
    """A variant against another one."""

    def factor(kind: str) -> float | None:
        now, before = variant.per(kind, _total), base.per(kind, _total)
        return now / before if now is not None and before else None

    def later(kind: str) -> int | None:
        now, before = variant.latencies.get(kind), base.latencies.get(kind)
        if now is None or before is None or not now.worst or not before.worst:
            return None
        return now.worst - before.worst

    return Change({kind: factor(kind) for kind in KINDS}, {kind: later(kind) for kind in KINDS})


def _total(cost: Cost) -> int:
    return cost.total


def _atomics(cost: Cost) -> int:
    return cost.atomics


def _acquisitions(cost: Cost) -> int:
    return cost.acquisitions


# -- cells ---------------------------------------------------------------------------------


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _ticks(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


_KIB: Final = 1024
HEADS: Final = (
    ("variant", ""), ("verdict", ""),
    ("atomics per", "fault"), ("atomics per", "walk"), ("atomics per", "unmap"),
    ("locks per", "fault"), ("locks per", "walk"), ("locks per", "unmap"),
    ("tables, KiB", "peak"), ("tables, KiB", "mean"), ("tables, KiB", "end"),
    ("fault, ticks", "alone"), ("fault, ticks", "median"), ("fault, ticks", "worst"),
)  # fmt: skip


def cells(variant: Variant) -> list[str]:
    """A row of the table, in the order of ``HEADS``."""
    found = [variant.name, variant.verdict or "-"]
    for count in (_atomics, _acquisitions):
        found += [_number(variant.per(kind, count)) for kind in KINDS]
    sizes = variant.table_bytes_peak, variant.table_bytes_mean, variant.table_bytes_end
    found += [_ticks(size / _KIB) if variant.costs else "-" for size in sizes]
    latency = variant.latency
    if latency is None or not latency.worst:
        return [*found, "-", "-", "-"]
    return [*found, *map(_ticks, (latency.alone, latency.median, latency.worst))]


# -- text ----------------------------------------------------------------------------------


def text(comparison: Comparison, *, verbose: bool = False) -> str:
    """The table, the races, and who favours whom."""
    parts = [_heading(comparison), "\n".join(_table(comparison.variants))]
    parts += ["\n".join(lines) for lines in (races(comparison), favours(comparison)) if lines]
    if verbose:
        parts += ["\n".join(_details(variant)) for variant in comparison.variants]
    parts += [_meaning(comparison)]
    parts += [_filled(f"warning: {warning}") for warning in comparison.warnings]
    return "\n\n".join(parts)


def _heading(comparison: Comparison) -> str:
    first = comparison.variants[0].costs
    what = [plural(comparison.accesses, "access")]
    what += [
        plural(first[name].number, name) for name in ("fault", "unmap") if name in first
    ]
    walks = sum(first[name].number for name in KINDS["walk"] if name in first)
    what += [plural(walks, "walk"), duration(comparison.seconds)]
    return f"{comparison.group}: {', '.join(comparison.traces)}\n  {', '.join(what)}"


def _table(variants: Sequence[Variant]) -> list[str]:
    rows = [cells(variant) for variant in variants]
    columns = list(zip(*rows, strict=True))
    widths = [
        max(len(head), *map(len, column))
        for (_, head), column in zip(HEADS, columns, strict=True)
    ]
    widths[0], widths[1] = max(widths[0], len("variant")), max(widths[1], len("verdict"))
    above, at = "", 0
    while at < len(HEADS):
        group = HEADS[at][0]
        span = sum(1 for head in HEADS[at:] if head[0] == group)
        room = sum(widths[at : at + span]) + span - 1
        if span > 1 and room < len(group):
            widths[at] += len(group) - room
            room = len(group)
        above += (group if span > 1 else "").center(room) + _gap(at + span)
        at += span
    below = [head or group for group, head in HEADS]
    return [above.rstrip(), _line(below, widths), *(_line(row, widths) for row in rows)]


def _gap(column: int) -> str:
    """Between two columns: groups of them stand apart."""
    return "  " if column < len(HEADS) and HEADS[column][0] != HEADS[column - 1][0] else " "


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    line = ""
    for at, (cell, width) in enumerate(zip(row, widths, strict=True)):
        line += cell.ljust(width) if at < 2 else cell.rjust(width)
        line += _gap(at + 1)
    return line.rstrip()


def races(comparison: Comparison) -> list[str]:
    """The shortest race of each variant that has one, and how to see it."""
    found = [(v, v.shortest) for v in comparison.variants if v.shortest is not None]
    width = max((len(variant.name) for variant, _ in found), default=0)
    lines: list[str] = []
    for variant, claim in found:
        assert claim is not None
        what = f"{claim.violated} in {plural(claim.steps, 'step')}"
        lines.append(f"  {variant.name:<{width}}  {what}: pagerace check {claim.address}")
    return ["shortest races", *lines] if lines else []


def favours(comparison: Comparison) -> list[str]:
    """By how much each variant favours walking and penalizes mutation."""
    base = comparison.variants[0]
    rows = [(variant, change(variant, base)) for variant in comparison.variants[1:]]
    rows = [(variant, found) for variant, found in rows if found.known]
    if not rows:
        return []
    width = max(len(variant.name) for variant, _ in rows) + 2
    group = FACTOR * len(KINDS)
    lines = [
        f"against {base.name}".ljust(width + 2)
        + "atomics and locks".rjust(group) + "ticks at worst".rjust(group + 2),
        " " * (width + 2) + "  ".join("".join(k.rjust(FACTOR) for k in KINDS) for _ in "12"),
    ]  # fmt: skip
    for variant, found in rows:
        shown = "".join(_percent(factor).rjust(FACTOR) for factor in found.operations.values())
        shown += "  " + "".join(_more(ticks).rjust(FACTOR) for ticks in found.ticks.values())
        lines.append(f"  {variant.name:<{width}}{shown}  {_favour(found.favour)}".rstrip())
    return lines


FACTOR: Final = 9  # columns


def _percent(factor: float | None) -> str:
    """``+12 %``; what cannot be told from 1 is ``same``."""
    if factor is None:
        return "-"
    rounded = round(100 * (factor - 1))
    return f"{rounded:+,} %" if rounded else "same"


def _more(ticks: int | None) -> str:
    """``+15``."""
    if ticks is None:
        return "-"
    return f"{ticks:+,}" if ticks else "same"


def _favour(ticks: int | None) -> str:
    """Whom a variant favours, and by how much."""
    if not ticks:
        return ""
    return f"favours {'walking' if ticks > 0 else 'mutation'} by {abs(ticks)}"


def _details(variant: Variant) -> list[str]:
    """All kinds of operations, with the locks by class."""
    source = f" ({variant.source})" if variant.source else ""
    lines = [f"{variant.name}: {variant.title}{source}"]
    for name, cost in variant.costs.items():
        if not cost.number:
            continue
        locks = ", ".join(
            f"{key} {_number(taken / cost.number)}" for key, taken in cost.locks.items()
        )
        words = f"{cost.number:,} times, atomics {_number(cost.atomics / cost.number)}"
        lines.append(f"  {name:<9} {words}" + (f", {locks}" if locks else ""))
    for claim in variant.claims:
        what = f"violates {claim.violated}" if claim.violated else claim.verdict
        lines.append(f"  {claim.address}: {what}, {plural(claim.states, 'state')}")
    return lines


def _meaning(comparison: Comparison) -> str:
    words = [
        "verdict: of all interleavings of the variant's claims; - where it has none.",
        "walk: of one page, by who neither faults nor unmaps it"
        + (f", after every {comparison.every} faults." if comparison.every else "."),
        "tables: bytes of all levels, until the program exits.",
        "ticks: steps of a thread, and of what it waits for, in schedules drawn at random.",
    ]
    if any(" favours " in line for line in favours(comparison)):
        words.append(
            "favours walking: it penalizes mutation, for who unmaps has so many ticks more to "
            "lose than who walks."
        )
    return _filled(" ".join(words))


def _filled(words: str) -> str:
    return textwrap.fill(words, WIDTH, break_on_hyphens=False)


# -- other forms ---------------------------------------------------------------------------


def markdown(comparison: Comparison) -> str:
    """For a mail's archive, an issue or a web page."""
    heads = [f"{group} {head}".strip() for group, head in HEADS]
    lines = [f"| {' | '.join(heads)} |", "|---|---|" + "---:|" * (len(HEADS) - 2)]
    lines += [f"| {' | '.join(cells(variant))} |" for variant in comparison.variants]
    for block in (races(comparison), favours(comparison)):
        if block:
            lines += ["", "```", *block, "```"]
    return "\n".join([*lines, "", _meaning(comparison)])


def to_json(comparison: Comparison) -> str:
    """The same as data; factors are against the first variant."""
    base = comparison.variants[0]
    return json.dumps({
        "schema": SCHEMA,
        "group": comparison.group,
        "traces": list(comparison.traces),
        "accesses": comparison.accesses,
        "faults_to_a_walk": comparison.every,
        "seconds": round(comparison.seconds, 3),
        "against": base.name,
        "variants": [_document(variant, base) for variant in comparison.variants],
        "warnings": list(comparison.warnings),
    }, indent=1)  # fmt: skip


def _document(variant: Variant, base: Variant) -> dict[str, Any]:
    shortest, found = variant.shortest, change(variant, base)
    return {
        "name": variant.name,
        "title": variant.title,
        "source": variant.source,
        "verdict": variant.verdict or "none",
        "shortest_race": asdict(shortest) if shortest else None,
        "claims": [asdict(claim) for claim in variant.claims],
        "atomics_per": {kind: variant.per(kind, _atomics) for kind in KINDS},
        "locks_per": {kind: variant.per(kind, _acquisitions) for kind in KINDS},
        "operations": {name: asdict(cost) for name, cost in variant.costs.items()},
        "table_bytes_peak": variant.table_bytes_peak,
        "table_bytes_mean": variant.table_bytes_mean,
        "table_bytes_end": variant.table_bytes_end,
        "latency": {kind: asdict(one) for kind, one in variant.latencies.items()},
        "factors": asdict(found) | {"favours_walking_by": found.favour},
    }


# What a plot shows: a title, and the number of each variant.
PANELS: Final[Sequence[tuple[str, Callable[[Variant], float | None]]]] = (
    ("atomics per fault", lambda v: v.per("fault", _atomics)),
    ("atomics per walk", lambda v: v.per("walk", _atomics)),
    ("atomics per unmap", lambda v: v.per("unmap", _atomics)),
    ("locks per fault", lambda v: v.per("fault", _acquisitions)),
    ("locks per walk", lambda v: v.per("walk", _acquisitions)),
    ("locks per unmap", lambda v: v.per("unmap", _acquisitions)),
    ("tables at the peak, KiB", lambda v: v.table_bytes_peak / _KIB if v.costs else None),
    ("tables at the end, KiB", lambda v: v.table_bytes_end / _KIB if v.costs else None),
    ("fault alone, ticks", lambda v: v.latency.alone if v.latency else None),
    ("fault contended, ticks", lambda v: v.latency.median if v.latency else None),
)
