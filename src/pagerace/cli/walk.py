"""``pagerace walk``: does a walk with the callbacks of a file handle each page once?"""

from __future__ import annotations

import argparse
import json

from pagerace.cli.arguments import Parser, add_bounds, add_output, add_store
from pagerace.cli.check import check_target
from pagerace.cli.errors import UsageError, did_you_mean
from pagerace.cli.stored import store_for_check
from pagerace.cli.terminal import Terminal
from pagerace.cli.walking import AGAINST, KERNELS, against_all, walk_target
from pagerace.report import verdict
from pagerace.report.summary import SCHEMA, Summary

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
        help=f"what goes on beside the walk: {', '.join(AGAINST)}, or none (default: all, once "
        "of anonymous memory and, where khugepaged needs no mmap_lock, once of a file)",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")
    add_bounds(parser)
    add_store(parser)
    add_output(parser)


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Check the walk; returns the exit code."""
    options.all = options.data_races = False
    given = None if options.against is None else _against(options.against)
    if options.kernel not in KERNELS:
        guess = did_you_mean(options.kernel, KERNELS)
        raise UsageError(
            f"--kernel {options.kernel}: there is no such walk",
            guess or f"there are {', '.join(KERNELS)}",
        )
    store = store_for_check(options, terminal)
    summaries: list[Summary] = []
    for against in against_all(options.kernel) if given is None else [given]:
        target = walk_target(options.file, options.kernel, against)
        summary = check_target(target, options, terminal, store)
        if options.format == "text":
            _print(summary, options, terminal, first=not summaries)
        summaries.append(summary)
    if options.format == "json":
        results = [summary.to_document() for summary in summaries]
        document = {"schema": SCHEMA, "results": results, "errors": []}
        terminal.out(json.dumps(document, indent=1))
    verdicts = {summary.verdict for summary in summaries}
    return 1 if "violated" in verdicts else 0 if verdicts == {"holds"} else 3


def _print(
    summary: Summary, options: argparse.Namespace, terminal: Terminal, *, first: bool
) -> None:
    if options.quiet:
        terminal.out(verdict.short(summary))
    else:
        text = verdict.text(summary, verbose=options.verbose)
        terminal.out(text if first else "\n" + text)


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
