"""``pagerace list``: the claims there are, and the verdicts they expect."""

from __future__ import annotations

import argparse

from pagerace.cli.arguments import Parser, add_output
from pagerace.cli.errors import UsageError
from pagerace.cli.load import built_in_names, groups, targets_of
from pagerace.cli.stored import open_store
from pagerace.cli.terminal import Terminal
from pagerace.report.listing import Kept, Listed, failures, listing
from pagerace.report.words import short_path


def add_arguments(parser: Parser) -> None:
    """The options of ``list``."""
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="a protocol file, a built-in, or a group (T4); default: all built-ins",
    )
    parser.add_argument(
        "--failures", action="store_true", help="list the known failures (of FILE) instead"
    )
    parser.add_argument("--store", metavar="DIR", help="where they are kept")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    add_output(parser)


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Print the claims, or the known failures."""
    if options.failures:
        return _failures(options, terminal)
    if options.store:
        raise UsageError("--store is where failures are kept", "add --failures to list them")
    targets = targets_of(options.files or built_in_names(), mutants=True)
    claims = [
        Listed(t.address, t.protocol.expect.violated or "", t.title, bool(t.mutant))
        for t in targets
    ]
    terminal.out(listing(claims, options.format))
    return 0


def _failures(options: argparse.Namespace, terminal: Terminal) -> int:
    """What a store has; no protocol file is imported for that."""
    store = open_store(options, terminal)
    known = store.failures()
    if options.files:
        wanted = {name for file in options.files for name in groups().get(file, [file])}
        claims = {store.claim_of(name) for name in wanted}
        known = [f for f in known if claims & {f.claim, f.claim.partition("::")[0]}]
    if not known:
        terminal.note(f"No known failures in {store.place}.")
        return 0
    rows = [
        Kept(f.claim, f.violated, len(f.execution.steps), f.found, short_path(str(f.path)))
        for f in known
    ]
    terminal.out(failures(rows, options.format))
    return 0
