"""``pagerace walk``: does a walk with the callbacks of a file handle each page once?"""

from __future__ import annotations

import argparse
import json

from pagerace.cli.arguments import Parser, add_bounds, add_output, add_store
from pagerace.cli.check import check_target
from pagerace.cli.errors import UsageError, did_you_mean
from pagerace.cli.stored import store_for_check
from pagerace.cli.terminal import Terminal
from pagerace.cli.walking import AGAINST, KERNELS, walk_target
from pagerace.report import verdict
from pagerace.report.summary import SCHEMA

NEWEST = KERNELS[-1]


def add_arguments(parser: Parser) -> None:
    """The options of ``walk``."""
    parser.add_argument(
        "file",
        metavar="FILE",
        help="kernel Python with pmd_entry, pte_entry, pte_hole and so on, or with tables of "
        "them (mm_walk_ops); FILE::NAME is one of the tables",
    )
    parser.add_argument(
        "--kernel",
        metavar="V",
        default=NEWEST,
        help=f"whose walk_page_range(): {', '.join(KERNELS)} (default: {NEWEST})",
    )
    parser.add_argument(
        "--against",
        metavar="LIST",
        default=",".join(AGAINST),
        help=f"what goes on beside the walk: {', '.join(AGAINST)} (default: all), or none",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")
    add_bounds(parser)
    add_store(parser)
    add_output(parser)


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Check the walk; returns the exit code."""
    options.all = options.data_races = False
    against = _against(options.against)
    if options.kernel not in KERNELS:
        guess = did_you_mean(options.kernel, KERNELS)
        raise UsageError(
            f"--kernel {options.kernel}: there is no such walk",
            guess or f"there are {', '.join(KERNELS)}",
        )
    target = walk_target(options.file, options.kernel, against)
    summary = check_target(target, options, terminal, store_for_check(options, terminal))
    if options.format == "json":
        document = {"schema": SCHEMA, "results": [summary.to_document()], "errors": []}
        terminal.out(json.dumps(document, indent=1))
    elif options.quiet:
        terminal.out(verdict.short(summary))
    else:
        terminal.out(verdict.text(summary, verbose=options.verbose))
    return {"holds": 0, "violated": 1}.get(summary.verdict, 3)


def _against(text: str) -> list[str]:
    """The names in ``--against``, each once and in the order of AGAINST."""
    names = [] if text == "none" else [name.strip() for name in text.split(",")]
    for name in names:
        if name not in AGAINST:
            guess = did_you_mean(name, AGAINST)
            raise UsageError(
                f"--against {text}: nothing is called {name!r}",
                guess or f"there are {', '.join(AGAINST)}, and none",
            )
    return [name for name in AGAINST if name in names]
