"""Options: what they are called, and the numbers that they take."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from pagerace.cli.errors import UsageError, did_you_mean

COUNT_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
SIZE_UNITS = {
    "": 1, "b": 1, "k": 2**10, "kib": 2**10, "kb": 10**3, "m": 2**20, "mib": 2**20, "mb": 10**6,
    "g": 2**30, "gib": 2**30, "gb": 10**9, "t": 2**40, "tib": 2**40, "tb": 10**12,
}  # fmt: skip
TIME_UNITS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}

_NUMBER = re.compile(r"([0-9][0-9_,]*(?:\.[0-9]+)?(?:[eE]\+?[0-9]+)?)\s*([A-Za-z]*)")


def _quantity(text: str, units: dict[str, Any], what: str) -> float:
    match = _NUMBER.fullmatch(text.strip())
    if match is None or match[2].lower() not in units:
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    value = float(match[1].replace("_", "").replace(",", "")) * units[match[2].lower()]
    if not math.isfinite(value) or value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} must be more than 0")
    return value


def count(text: str) -> int:
    """``50_000_000``, ``5M``, ``1e6``."""
    value = _quantity(text, COUNT_UNITS, "a number such as 50_000_000, 5M or 1e6")
    if value != int(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(value)


def size(text: str) -> int:
    """``4GiB``, ``512M``: bytes."""
    return int(_quantity(text, SIZE_UNITS, "a size such as 4GiB or 512MiB"))


def seconds(text: str) -> float:
    """``30s``, ``5min``, ``500ms``: seconds."""
    return _quantity(text, TIME_UNITS, "a time such as 30s, 5min or 500ms")


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Help as newer versions of Python write it: ``-j, --workers N``."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=80)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        metavar = self._format_args(action, action.dest.upper())
        return f"{', '.join(action.option_strings)} {metavar}"


class Parser(argparse.ArgumentParser):
    """A parser that takes no abbreviation and ends in a UsageError."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("allow_abbrev", False)
        options.setdefault("add_help", False)
        options.setdefault("formatter_class", Formatter)
        super().__init__(**options)
        self.command: Parser | None = None  # whose options an unknown one may be meant for
        self.add_argument("--help", action="help", help="show this help and exit")
        self.add_argument("-h", action="help", help=argparse.SUPPRESS)

    def error(self, message: str) -> NoReturn:
        # Newer versions of Python do not quote the choices, and guess themselves.
        head, bracket, choices = message.partition("(choose from ")
        words = head + bracket + choices.replace("'", "")
        raise UsageError(words.replace("argument COMMAND: ", ""), self._hint(words))

    def _hint(self, message: str) -> str:
        """The option that was probably meant, else where the help is."""
        choice = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        if choice and (guess := did_you_mean(choice[1], re.findall(r"[\w-]+", choice[2]))):
            return guess
        asked = self.command or self
        unknown = re.search(r"unrecognized arguments: (--[^ =]+)", message)
        known = [option for action in asked._actions for option in action.option_strings]
        long = [option for option in known if option.startswith("--")]
        if unknown and (guess := did_you_mean(unknown[1], long)):
            return guess
        return f"see `{asked.prog} --help`"


def add_claims(parser: argparse.ArgumentParser, formats: Sequence[str]) -> None:
    """What a command that goes through many claims takes: which, the output, the bounds."""
    add_claim_names(parser, "+")
    parser.add_argument("--format", choices=formats, default="text")
    add_bounds(parser)
    add_output(parser)


def add_claim_names(parser: argparse.ArgumentParser, count: str) -> None:
    """The claims that are meant; ``count`` of them, as argparse writes it."""
    parser.add_argument(
        "claims",
        nargs=count,
        metavar="CLAIM",
        help="FILE, FILE::CLAIM, a built-in NAME[::CLAIM], or a group (T4)",
    )


def add_bounds(parser: argparse.ArgumentParser) -> None:
    """The options that limit a search, and how it is run."""
    group = parser.add_argument_group("bounds (a search that meets one is INCONCLUSIVE)")
    _add(group, "--states-max", count, "N", "unique states: 50_000_000, 5M, 1e6")
    _add(group, "--depth-max", count, "N", "steps from the start")
    _add(group, "--memory-max", size, "SIZE", "memory for states: 4GiB (default: 75%% of free)")
    _add(group, "--time-max", seconds, "TIME", "wall time: 30s, 5min")
    parser.add_argument(
        "-j",
        "--workers",
        type=count,
        metavar="N",
        help="threads that search (default: all cores)",
    )
    parser.add_argument(
        "--reductions",
        choices=("none", "partial-order", "symmetry", "all"),
        metavar="WHICH",
        help="none, partial-order, symmetry or all (the default): to leave out states "
        "that show nothing new; the verdict is the same",
    )


def add_data_races(parser: argparse.ArgumentParser) -> None:
    """The option that asks for more than the claim says."""
    parser.add_argument(
        "--data-races",
        action="store_true",
        default=None,
        help="look for plain data races as KCSAN does, and show those first",
    )


def _add(
    group: Any, name: str, kind: Callable[[str], object], metavar: str, words: str
) -> None:
    group.add_argument(name, type=kind, metavar=metavar, help=words)


def add_store(parser: argparse.ArgumentParser) -> None:
    """Where failures are kept, to be replayed first."""
    group = parser.add_argument_group(
        "known failures (replayed first; kept in .pagerace/ of the project)"
    )
    group.add_argument("--store", metavar="DIR", help="keep them in DIR")
    group.add_argument(
        "--no-store", action="store_true", help="search afresh, and keep nothing"
    )


def add_output(parser: argparse.ArgumentParser) -> None:
    """The options of every command that prints a result."""
    parser.add_argument(
        "-o", metavar="FILE", dest="output", help="write to FILE, not to stdout"
    )
    parser.add_argument(
        "-q", action="store_true", dest="quiet", help="verdicts and errors only"
    )
    parser.add_argument("-v", action="store_true", dest="verbose", help="leave nothing out")
