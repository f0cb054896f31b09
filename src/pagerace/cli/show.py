"""``pagerace show``: an execution in a form to paste."""

from __future__ import annotations

import argparse
import os

from pagerace.cli.arguments import Parser, add_bounds, add_data_races, add_output
from pagerace.cli.errors import UsageError
from pagerace.cli.terminal import Terminal
from pagerace.report.execution import DocumentError, Execution
from pagerace.report.formats import FORMATS, render
from pagerace.report.summary import saved_execution


def add_arguments(parser: Parser) -> None:
    """The options of ``show``."""
    parser.add_argument(
        "claim", metavar="CLAIM", help="FILE::CLAIM, a built-in, or a saved execution (JSON)"
    )
    parser.add_argument("--format", choices=tuple(FORMATS), default="commit")
    add_data_races(parser)
    add_bounds(parser)
    add_output(parser)


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Print the execution.  A claim is checked first, for it is what the check finds."""
    if os.path.isfile(options.claim) and not options.claim.endswith(".py"):
        execution = _read(options.claim)
    else:
        from pagerace.cli.check import check_target
        from pagerace.cli.load import one_target

        summary = check_target(one_target(options.claim), options, terminal)
        if summary.execution is None:
            terminal.error(str(summary))
            terminal.error("There is no execution to show.")
            return 3 if summary.verdict == "inconclusive" else 2
        execution = summary.execution
    terminal.out(render(execution, options.format, verbose=options.verbose))
    return 0


def _read(path: str) -> Execution:
    """A saved execution: of ``show --format json``, or the first of ``check``."""
    try:
        with open(path, encoding="utf-8") as file:
            return saved_execution(file.read())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except (DocumentError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path} is not an execution: {error}",
            "`pagerace show FILE::CLAIM --format json` writes one",
        ) from None
