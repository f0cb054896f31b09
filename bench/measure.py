"""What both benchmarks share: pagerace as a user starts it, on one core."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

BENCH = Path(__file__).parent


def options(
    description: str, runs: int, what_runs: str, arguments: Sequence[str] | None
) -> argparse.Namespace:
    """The options of both benchmarks; ends the process with 2 for a wrong one."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--size", choices=("L", "M", "S"), default="S")
    parser.add_argument("--runs", type=int, default=runs, help=f"{what_runs} (default {runs})")
    parser.add_argument("--workers", type=int, default=1, help="threads of pagerace")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    chosen = parser.parse_args(arguments)
    if chosen.runs < 1 or chosen.workers < 1:
        parser.error("--runs and --workers must be 1 or more")
    return chosen


class PageraceError(Exception):
    """pagerace did not give the verdict that it should."""


CORES = sorted(os.sched_getaffinity(0))


@contextlib.contextmanager
def on_cores(count: int) -> Generator[None]:
    """Keep this process and the children that it starts on so many cores, the last ones."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, CORES[-count:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def check(
    claim: str, cache: Path, workers: int, reductions: str = "all"
) -> tuple[dict[str, Any], float]:
    """Run ``pagerace check`` on a claim of delayed_rmap.py as a process of its own.

    ``cache`` holds what pagerace keeps between runs.  Returns its result as in its JSON,
    and the seconds from start to exit.  Raises PageraceError.
    """
    address = f"{BENCH / 'delayed_rmap.py'}::{claim}"
    command = [sys.executable, "-m", "pagerace", "check", address, "--format", "json"]
    command.append("--no-store")
    command += ["--workers", str(workers), "--reductions", reductions]
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled
    start = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode not in (0, 1):
        raise PageraceError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    (result,) = json.loads(done.stdout)["results"]
    if not result["as_expected"]:
        raise PageraceError(f"{claim}: {result['verdict']}, which is not what is expected")
    return result, seconds


def edit_to_verdict(claim: str, before: str, folder: Path, workers: int) -> float:
    """Seconds for a claim of which nothing is cached, while ``before`` is.

    That is what an author waits who had the verdict of ``before`` and made an edit.
    """
    warm, mine = folder / f"warm-{before}", folder / "mine"
    if not warm.exists():
        warm.mkdir()
        check(before, warm, workers)
    shutil.rmtree(mine, ignore_errors=True)
    shutil.copytree(warm, mine)
    return check(claim, mine, workers)[1]
