"""``pagerace list``: the claims there are, and the verdicts they expect."""

from __future__ import annotations

import argparse

from pagerace.cli.arguments import Parser, add_output
from pagerace.cli.load import built_in_names, targets_of
from pagerace.cli.terminal import Terminal
from pagerace.report.listing import Listed, listing


def add_arguments(parser: Parser) -> None:
    """The options of ``list``."""
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="a protocol file, a built-in, or a group (T4); default: all built-ins",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")
    add_output(parser)


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Print the claims."""
    targets = targets_of(options.files or built_in_names(), mutants=True)
    claims = [
        Listed(t.address, t.protocol.expect.violated or "", t.title, bool(t.mutant))
        for t in targets
    ]
    terminal.out(listing(claims, options.format))
    return 0
