"""``pagerace rule``: the page of a rule, or the list of all of them."""

from __future__ import annotations

import argparse

from pagerace.cli.arguments import Parser, add_output
from pagerace.cli.errors import UsageError, did_you_mean
from pagerace.cli.terminal import Terminal
from pagerace.report.rules import index, page, slugs


def add_arguments(parser: Parser) -> None:
    """The options of ``rule``."""
    parser.add_argument("slug", nargs="?", metavar="SLUG", help="a rule (default: list them)")
    add_output(parser)


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Print the page."""
    if options.slug is None:
        terminal.out(index())
        return 0
    if options.slug not in slugs():
        guess = did_you_mean(options.slug, slugs())
        raise UsageError(f"no rule {options.slug!r}", guess or "`pagerace rule` lists them")
    terminal.out(page(options.slug))
    return 0
