"""How long an author waits for the verdict on the variant that loses a write.

    python bench/edit_to_verdict.py [--size S|M|L] [--runs N] [--workers N] [--json]

All times are of the whole process, from start to exit:

cold    nothing is cached: the first run after installation
edit    the fixed variant was checked before, then the source was edited
again   the same claim was checked before
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import measure


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    about = "Time pagerace from an edit to the verdict."
    options = measure.options(about, 5, "runs of each kind", arguments)
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = _measure(Path(folder), options.size, options.runs, options.workers)
    except measure.PageraceError as error:
        print(f"edit_to_verdict: {error}", file=sys.stderr)
        return 1
    for name, seconds in found.items():
        median = sorted(seconds)[len(seconds) // 2]
        print(f"{name:6}{min(seconds):6.2f} s best{median:8.2f} s median")
    if options.json:
        print(json.dumps({name: round(min(seconds), 3) for name, seconds in found.items()}))
    return 0


def _measure(folder: Path, size: str, runs: int, workers: int) -> dict[str, list[float]]:
    claim, before = f"early_{size}", f"late_{size}"
    found: dict[str, list[float]] = {"cold": [], "edit": [], "again": []}
    for _ in range(runs):
        cache = folder / "cold"
        shutil.rmtree(cache, ignore_errors=True)
        cache.mkdir()
        found["cold"].append(measure.check(claim, cache, workers)[1])
        found["again"].append(measure.check(claim, cache, workers)[1])
        found["edit"].append(measure.edit_to_verdict(claim, before, folder, workers))
    return found


if __name__ == "__main__":
    sys.exit(main())
