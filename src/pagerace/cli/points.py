"""``pagerace points``: the source of a claim with every point marked."""

from __future__ import annotations

import argparse

from pagerace.cli.arguments import Parser, add_output
from pagerace.cli.load import targets_of
from pagerace.cli.terminal import Terminal


def add_arguments(parser: Parser) -> None:
    """The options of ``points``."""
    parser.add_argument("claim", metavar="FILE", help="FILE, FILE::CLAIM, or a built-in")
    add_output(parser)


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Print the marked source of the file, and of the functions that it calls."""
    from pagerace.api import points_of
    from pagerace.report.diagnostics import read_source
    from pagerace.report.marked import marked_source

    targets = targets_of([options.claim])
    marks = points_of([target.protocol for target in targets])
    files = list(dict.fromkeys(target.protocol.file for target in targets))
    terminal.out(marked_source(marks, files, read_source))
    return 0
