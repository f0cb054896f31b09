"""``pagerace dump``: what a claim is compiled to, for other tools and for the curious."""

from __future__ import annotations

import argparse

from pagerace.cli.arguments import Parser, add_output
from pagerace.cli.load import one_target
from pagerace.cli.terminal import Terminal

FORMATS = ("ir", "promela", "llvm")


def add_arguments(parser: Parser) -> None:
    """The options of ``dump``."""
    parser.add_argument("claim", metavar="CLAIM", help="FILE::CLAIM or a built-in")
    parser.add_argument(
        "--format", choices=FORMATS, default="ir",
        help="the flat IR, the same as Promela for Spin, or the native code as LLVM text",
    )  # fmt: skip
    add_output(parser)


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Print the claim in the form that is asked for."""
    from pagerace.api import dump

    target = one_target(options.claim)
    terminal.out(dump(target.protocol, options.format, claim=target.address).rstrip("\n"))
    return 0
