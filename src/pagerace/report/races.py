"""Data races in the words of KCSAN: who accesses what, and where from."""

from __future__ import annotations

from collections.abc import Sequence

from pagerace.report.execution import Process, Race, RacingAccess
from pagerace.report.words import short_path


def details(race: Race, processes: Sequence[Process]) -> list[str]:
    """The two accesses with the calls that led there, and what they do to the value."""
    lines: list[str] = []
    for access in race.accesses:
        process = processes[access.process]
        agent = f" ({process.name})" if process.agent else ""
        lines += [f"{kind(access)} {race.object} by CPU{process.cpu}{agent}:"]
        where = access.where
        lines.append(f" {where.function}() {short_path(where.file)}:{where.line}")
        lines += [
            f" {frame.function}() {short_path(frame.file)}:{frame.line}"
            for frame in reversed(where.stack)
        ]
        lines.append("")
    if race.old == race.new:
        return [*lines, f"value written: {race.new} (unchanged)"]
    return [*lines, f"value changed: {race.old} -> {race.new}"]


def kind(access: RacingAccess) -> str:
    """``write to`` or ``read (marked) of``."""
    marked = "" if access.plain else " (marked)"
    return f"write{marked} to" if access.write else f"read{marked} of"


def line(race: Race) -> str:
    """``BUG: ...`` of one more race, in a line: its functions, its object, its places."""
    first, second = race.accesses
    places = " / ".join(
        f"{short_path(access.where.file)}:{access.where.line}" for access in (first, second)
    )
    functions = f"{first.where.function}() / {second.where.function}()"
    return f"{functions}: {kind(first)[:-3]}, {kind(second)[:-3]}, {race.object} ({places})"


def others(races: Sequence[Race]) -> list[str]:
    """The races that are not shown, a line each."""
    if len(races) < 2:
        return []
    more = len(races) - 1
    head = "And one data race more:" if more == 1 else f"And {more} data races more:"
    return [head, *(f"  {line(race)}" for race in races[1:])]
