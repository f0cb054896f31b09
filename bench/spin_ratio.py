"""Measure pagerace against Spin on the same model, in alternation on one core.

    python bench/spin_ratio.py --size S|M|L [--runs N] [--workers N] [--json]

Each ratio is pagerace's best run to the best run of Spin's best setting:

states_per_second_ratio  unique states per second of search, without reductions, of the
                         variant that holds; more is better for pagerace
verdict_seconds_ratio    from an edit to the verdict on the variant that loses a write;
                         Spin: generate, compile and run; pagerace: the whole process
bytes_per_state_ratio    memory of the search per unique state, of the variant that holds

With --json the last line is an object with these and the numbers behind them.
Exit code 2: Spin or a C compiler is missing.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import delayed_rmap
import measure
import spin

EARLY, LATE = 0, 1  # VAR of the Promela: loses a write, holds

# Unique states of the variant that holds: Spin's, hence pagerace's.
STATES = {"S": 244_077, "M": 1_043_573, "L": 9_424_522}

# How much optimisation pays when the C compiler's own time counts.
VERDICT_FLAGS = (("-O0", "-DNOREDUCE"), ("-O1", "-DNOREDUCE"), ("-O2", "-DNOREDUCE"))


@dataclass
class Numbers:
    """The runs of one tool in one setting."""

    name: str
    states_per_second: list[float] = field(default_factory=list[float])
    bytes_per_state: list[float] = field(default_factory=list[float])
    verdict_seconds: list[float] = field(default_factory=list[float])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    about = "Measure pagerace against Spin."
    options = measure.options(about, 3, "runs of each tool", arguments)
    try:
        spin.require()
        if options.workers == 1:
            measure.pin_to_one_core()
        with tempfile.TemporaryDirectory() as folder:
            table = _measure(Path(folder), options.size, options.runs, options.workers)
    except spin.SpinError as error:
        print(f"spin_ratio: {error}", file=sys.stderr)
        return 2
    except measure.PageraceError as error:
        print(f"spin_ratio: {error}", file=sys.stderr)
        return 1
    _print(table, options.size)
    if options.json:
        print(json.dumps(_document(table, options.size)))
    return 0


def _measure(folder: Path, size: str, runs: int, workers: int) -> list[Numbers]:
    """pagerace first, then Spin's settings; in each round every one of them runs once."""
    bound = delayed_rmap.SIZES[size]
    sizes = (bound.users, bound.pages, bound.stores, bound.rounds)
    mine = Numbers("pagerace")
    theirs = {setting: Numbers(setting.name) for setting in (*spin.FAST, spin.SMALL)}
    compiled = {flags: Numbers(f"spin {flags[0]}") for flags in VERDICT_FLAGS}
    pans: dict[spin.Setting, Path] = {}
    for setting in theirs:
        home = _folder(folder, setting.name)
        pans[setting] = spin.build(home, sizes, LATE, setting.flags)
    for _ in range(runs):
        _search(mine, size, folder, workers)
        for setting, numbers in theirs.items():
            _run(numbers, setting, pans[setting], size)
        early, late = f"early_{size}", f"late_{size}"
        seconds = measure.edit_to_verdict(early, late, folder, workers)
        mine.verdict_seconds.append(seconds)
        for flags, numbers in compiled.items():
            home = _folder(folder, numbers.name)
            seconds = spin.edit_to_verdict(home, sizes, EARLY, flags)
            numbers.verdict_seconds.append(seconds)
    return [mine, *theirs.values(), *compiled.values()]


def _search(mine: Numbers, size: str, folder: Path, workers: int) -> None:
    """One search of the variant that holds."""
    result, _ = measure.check(f"late_{size}", _folder(folder, "cache"), workers)
    if result["states"] != STATES[size]:
        raise measure.PageraceError(f"{result['states']:,} states, not {STATES[size]:,}")
    mine.states_per_second.append(result["states"] / result["seconds"])
    mine.bytes_per_state.append(result["bytes_per_state"])


def _run(numbers: Numbers, setting: spin.Setting, pan: Path, size: str) -> None:
    """One run of one of Spin's verifiers on the variant that holds."""
    run = spin.run(pan, STATES[size], setting.slots_per_state)
    if run.states != STATES[size] or run.errors:
        raise spin.SpinError(f"{run.states:,} states, {run.errors} errors in {setting.name}")
    # pan tells hundredths of a second; half of one is the least that 0.00 can mean.
    numbers.states_per_second.append(run.states / max(run.seconds, 0.005))
    if run.bytes is not None:
        numbers.bytes_per_state.append(run.bytes / run.states)


def _folder(folder: Path, name: str) -> Path:
    path = folder / name.replace(" ", "-")
    path.mkdir(exist_ok=True)
    return path


def _document(table: list[Numbers], size: str) -> dict[str, object]:
    """The ratios, and each side's best."""
    mine, *theirs = table
    states = max(mine.states_per_second), max(_all(theirs, "states_per_second"))
    verdict = min(mine.verdict_seconds), min(_all(theirs, "verdict_seconds"))
    memory = min(mine.bytes_per_state), min(_all(theirs, "bytes_per_state"))
    return {
        "size": size,
        "states": STATES[size],
        "states_per_second_ratio": round(states[0] / states[1], 3),
        "verdict_seconds_ratio": round(verdict[0] / verdict[1], 3),
        "bytes_per_state_ratio": round(memory[0] / memory[1], 3),
        "pagerace": {
            "states_per_second": round(states[0]),
            "verdict_seconds": round(verdict[0], 3),
            "bytes_per_state": round(memory[0], 1),
        },
        "spin": {
            "states_per_second": round(states[1]),
            "verdict_seconds": round(verdict[1], 3),
            "bytes_per_state": round(memory[1], 1),
        },
    }


def _all(theirs: list[Numbers], name: str) -> list[float]:
    return [value for numbers in theirs for value in getattr(numbers, name)]


def _print(table: list[Numbers], size: str) -> None:
    print(f"size {size}: {STATES[size]:,} states; best of {len(table[0].verdict_seconds)} runs")
    print(f"{'':14}{'states/s':>12}{'bytes/state':>13}{'verdict s':>11}")
    for numbers in table:
        cells = [
            f"{max(numbers.states_per_second):,.0f}" if numbers.states_per_second else "",
            f"{min(numbers.bytes_per_state):.1f}" if numbers.bytes_per_state else "",
            f"{min(numbers.verdict_seconds):.2f}" if numbers.verdict_seconds else "",
        ]
        print(f"{numbers.name:14}{cells[0]:>12}{cells[1]:>13}{cells[2]:>11}".rstrip())
    found = _document(table, size)
    for name in ("states_per_second", "verdict_seconds", "bytes_per_state"):
        print(f"{name}_ratio {found[f'{name}_ratio']}")


if __name__ == "__main__":
    sys.exit(main())
