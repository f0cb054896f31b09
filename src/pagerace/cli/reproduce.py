"""``pagerace reproduce``: the interleaving of a schedule, run again."""

from __future__ import annotations

import argparse

from pagerace.cli.arguments import Parser, add_output
from pagerace.cli.errors import UsageError
from pagerace.cli.load import one_target
from pagerace.cli.terminal import Terminal
from pagerace.report.formats import FORMATS, render
from pagerace.report.verdict import failure


def add_arguments(parser: Parser) -> None:
    """The options of ``reproduce``."""
    parser.add_argument("claim", metavar="CLAIM", help="FILE::CLAIM, or a built-in NAME::CLAIM")
    parser.add_argument(
        "--schedule",
        required=True,
        metavar="S",
        help="steps by CPU in order: 1:3,0:5 is three steps of CPU1, then five of CPU0; "
        "?n is the answer to a choose",
    )
    parser.add_argument("--format", choices=("text", *FORMATS), default="text")
    add_output(parser)


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Run the schedule and print what happens; 1 if it ends in a violation, else 0."""
    from pagerace.api import ScheduleError, reproduce

    target = one_target(options.claim)
    try:
        execution = reproduce(target.protocol, options.schedule, claim=target.address)
    except ScheduleError as error:
        raise UsageError(
            f"the schedule does not fit {target.address}: {error}",
            f"`pagerace check {target.address}` prints one that does, if there is a race",
        ) from None
    if options.format == "text":
        terminal.out(failure(execution, verbose=options.verbose))
    else:
        terminal.out(render(execution, options.format, verbose=options.verbose))
    return 1 if execution.violation else 0
