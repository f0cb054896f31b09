"""Measure pagerace against Spin on the same model, in alternation on one core.

    python bench/spin_ratio.py --size S|M|L [--runs N] [--workers N] [--json]

What is measured, of each tool the best run:

states_per_second  unique states per second of search, without reductions, of the variant
                   that holds; more is better
bytes_per_state    memory of that search per unique state
verdict_seconds    from an edit to the verdict on the variant that loses a write; Spin:
                   generate, compile and run; pagerace: the whole process
proof_seconds      the same for the variant that holds, with what each tool can leave out

Each setting of Spin gets a line with pagerace's ratio to it, and the one that is best for
Spin is marked.  A ratio of pagerace with two workers to one follows, where there are two
cores.  With --json the last line is an object with the ratios to Spin's best setting and
the numbers behind them.  Exit code 2: Spin or a C compiler is missing.
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
VERDICT_FLAGS = (("-O0",), ("-O1",), ("-O2",), ("-O2", "-DNOREDUCE"))

BARS = {
    "states_per_second": "at least 2.5",
    "bytes_per_state": "at most 0.33",
    "verdict_seconds": "less than 1",
    "proof_seconds": "at most 0.2 at L",
}
WORKERS_BAR = "at least 1.7"


@dataclass
class Numbers:
    """The runs of one tool in one setting."""

    name: str
    states_per_second: list[float] = field(default_factory=list[float])
    bytes_per_state: list[float] = field(default_factory=list[float])
    verdict_seconds: list[float] = field(default_factory=list[float])
    proof_seconds: list[float] = field(default_factory=list[float])

    def best(self, name: str) -> float | None:
        """The best run, None where this was not measured."""
        values = getattr(self, name)
        if not values:
            return None
        return max(values) if name == "states_per_second" else min(values)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    about = "Measure pagerace against Spin."
    options = measure.options(about, 3, "runs of each tool", arguments)
    try:
        spin.require()
        with (
            measure.on_cores(options.workers),
            tempfile.TemporaryDirectory() as folder,
        ):
            table, two = _measure(Path(folder), options.size, options.runs, options.workers)
    except spin.SpinError as error:
        print(f"spin_ratio: {error}", file=sys.stderr)
        return 2
    except measure.PageraceError as error:
        print(f"spin_ratio: {error}", file=sys.stderr)
        return 1
    _print(table, two, options.size)
    if options.json:
        print(json.dumps(_document(table, two, options.size)))
    return 0


def _measure(
    folder: Path, size: str, runs: int, workers: int
) -> tuple[list[Numbers], Numbers | None]:
    """pagerace first, then Spin's settings; and pagerace with two workers.

    In each round every one of them runs once.
    """
    bound = delayed_rmap.SIZES[size]
    sizes = (bound.users, bound.pages, bound.stores, bound.rounds)
    mine = Numbers("pagerace")
    two = Numbers("two workers") if workers == 1 and len(measure.CORES) > 1 else None
    theirs = {setting: Numbers(setting.name) for setting in (*spin.FAST, spin.SMALL)}
    compiled = {flags: Numbers(" ".join(["spin", *flags])) for flags in VERDICT_FLAGS}
    pans: dict[spin.Setting, Path] = {}
    for setting in theirs:
        home = _folder(folder, setting.name)
        pans[setting] = spin.build(home, sizes, LATE, setting.flags)
    early, late = f"early_{size}", f"late_{size}"
    for _ in range(runs):
        _search(mine, size, folder, workers)
        for setting, numbers in theirs.items():
            _run(numbers, setting, pans[setting], size)
        if two is not None:
            with measure.on_cores(2):
                _search(two, size, folder, 2)
        seconds = measure.edit_to_verdict(early, late, folder, workers)
        mine.verdict_seconds.append(seconds)
        seconds = measure.edit_to_verdict(late, early, folder, workers)
        mine.proof_seconds.append(seconds)
        for flags, numbers in compiled.items():
            home = _folder(folder, numbers.name)
            seconds = spin.edit_to_verdict(home, sizes, EARLY, flags, holds=False)
            numbers.verdict_seconds.append(seconds)
            seconds = spin.edit_to_verdict(home, sizes, LATE, flags, holds=True)
            numbers.proof_seconds.append(seconds)
    return [mine, *theirs.values(), *compiled.values()], two


def _search(mine: Numbers, size: str, folder: Path, workers: int) -> None:
    """One search of the variant that holds."""
    cache = _folder(folder, "cache")
    result, _ = measure.check(f"late_{size}", cache, workers, reductions="none")
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
    path = folder / name.replace(" ", "")
    path.mkdir(exist_ok=True)
    return path


def _ratios(table: list[Numbers], name: str) -> dict[str, float]:
    """pagerace's best run to the best of each setting of Spin, Spin's best setting first."""
    mine, *theirs = table
    own = mine.best(name)
    found = {numbers.name: numbers.best(name) for numbers in theirs}
    ratios = {setting: own / best for setting, best in found.items() if own and best}
    more_is_better = name == "states_per_second"
    return dict(sorted(ratios.items(), key=lambda r: r[1], reverse=not more_is_better))


def _document(table: list[Numbers], two: Numbers | None, size: str) -> dict[str, object]:
    """The ratios to Spin's best, and each side's best."""
    document: dict[str, object] = {"size": size, "states": STATES[size]}
    mine: dict[str, float] = {}
    theirs: dict[str, float] = {}
    for name in BARS:
        ratios = _ratios(table, name)
        setting, ratio = next(iter(ratios.items()))
        document[f"{name}_ratio"] = round(ratio, 3)
        document[f"{name}_ratios"] = {key: round(value, 3) for key, value in ratios.items()}
        mine[name] = round(table[0].best(name) or 0, 3)
        theirs[name] = round(next(n.best(name) or 0 for n in table if n.name == setting), 3)
    if two is not None:
        document["two_workers_ratio"] = round(_speedup(table[0], two), 3)
    return document | {"pagerace": mine, "spin": theirs}


def _speedup(one: Numbers, two: Numbers) -> float:
    return max(two.states_per_second) / max(one.states_per_second)


def _print(table: list[Numbers], two: Numbers | None, size: str) -> None:
    print(f"size {size}: {STATES[size]:,} states; best of {len(table[0].verdict_seconds)} runs")
    print(f"{'':20}{'states/s':>12}{'bytes/state':>13}{'verdict s':>11}{'proof s':>9}")
    for numbers in table:
        cells = [_cell(numbers, name, form) for name, form in
                 zip(BARS, (",.0f", ".1f", ".2f", ".2f"), strict=True)]  # fmt: skip
        row = f"{numbers.name:20}{cells[0]:>12}{cells[1]:>13}{cells[2]:>11}{cells[3]:>9}"
        print(row.rstrip())
    for name, bar in BARS.items():
        print(f"{name}: pagerace to each setting of Spin (to its best {bar})")
        for position, (setting, ratio) in enumerate(_ratios(table, name).items()):
            print(f"    {setting:20}{ratio:6.2f}{'' if position else '   Spin at its best'}")
    if two is not None:
        print(f"two workers to one ({WORKERS_BAR}): {_speedup(table[0], two):.2f}")


def _cell(numbers: Numbers, name: str, form: str) -> str:
    best = numbers.best(name)
    return "" if best is None else format(best, form)


if __name__ == "__main__":
    sys.exit(main())
