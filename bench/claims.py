"""How large the claims of a group are, and how long they take beside one that stays as it is.

    python bench/claims.py [GROUP|FILE|FILE::CLAIM ...] [--runs N] [--json]

For each claim, its mutants left out: the verdict, states and depth of the whole search without
reductions, the states of a search with them, and the seconds of this process on one core: for
compiling it, for making native code of it, and for a check with reductions that finds that in
the cache.  The last column is all three over those of `t4_lost_write::v6_2`, which is
measured again before every tenth claim: on a busy machine that ratio can be compared.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import NamedTuple

from pagerace.cli.errors import UsageError
from pagerace.cli.load import Target, targets_of
from pagerace.compiler.layout import Layout
from pagerace.compiler.native import build
from pagerace.compiler.program import compile_protocol
from pagerace.compiler.reductions import NAMES, Reductions
from pagerace.search import check

YARDSTICK = "t4_lost_write::v6_2"
EVERY = 10  # claims, after which the yardstick is measured again
GROUPS = ("T2", "T5")


class Figures(NamedTuple):
    """What is printed of a claim; ``states`` and ``depth`` as they are without reductions."""

    claim: str
    verdict: str
    states: int
    depth: int
    reduced: int
    compile: float
    native: float
    check: float
    ratio: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(description="Sizes and times of claims.")
    parser.add_argument("claims", nargs="*", default=GROUPS, metavar="CLAIM")
    parser.add_argument("--runs", type=int, default=1, help="the best of so many (default 1)")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    chosen = parser.parse_args(arguments)
    if chosen.runs < 1:
        parser.error("--runs must be 1 or more")
    try:
        targets = targets_of(chosen.claims)
        yardstick = targets_of([YARDSTICK])[0]
    except UsageError as error:
        print(f"claims: {error}", file=sys.stderr)
        return 2
    print("| claim | verdict | states | depth | reduced | compile | native | check | ratio |")
    print("|---|---|---|---|---|---|---|---|---|")
    found: list[Figures] = []
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        timed(yardstick)  # the search's own loops are compiled now, and kept
        beside = 0.0
        for number, target in enumerate(targets):
            if number % EVERY == 0:
                beside = min(sum(timed(yardstick)[1:]) for _ in range(chosen.runs))
            found.append(measured(target, beside, chosen.runs))
            print(row(found[-1]), flush=True)
    if chosen.json:
        print(json.dumps([item._asdict() for item in found]))
    return 0


def measured(target: Target, beside: float, runs: int) -> Figures:
    """The figures of one claim, where the yardstick took so many seconds."""
    result = check(compile_protocol(target.protocol), reductions="none", workers=1)
    best = min((timed(target) for _ in range(runs)), key=lambda t: sum(t[1:]))
    states, compiling, making, checking = best
    return Figures(
        target.address, result.verdict, result.states, result.depth, states,
        round(compiling, 2), round(making, 2), round(checking, 2),
        round((compiling + making + checking) / beside, 2),
    )  # fmt: skip


def timed(target: Target) -> tuple[int, float, float, float]:
    """States, and the seconds to compile, to make native code, and to check."""
    start = time.process_time()
    program = compile_protocol(target.protocol)
    compiled = time.process_time()
    layout = Layout.of(program)
    reductions = Reductions.of(program, layout, NAMES)
    build.compile_program(program, layout, reductions=reductions, cached=False)
    made = time.process_time()
    check(program, workers=1)  # puts the native code in the cache
    ready = time.process_time()
    result = check(program, workers=1)
    end = time.process_time()
    return result.states, compiled - start, made - compiled, end - ready


def row(item: Figures) -> str:
    """The line of the table."""
    return (
        f"| `{item.claim}` | {item.verdict} | {item.states:,} | {item.depth:,} "
        f"| {item.reduced:,} "
        f"| {item.compile:.2f} | {item.native:.2f} | {item.check:.2f} | {item.ratio:.2f} |"
    )


if __name__ == "__main__":
    sys.exit(main())
