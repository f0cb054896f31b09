"""``pagerace check``: search the claims that are named, and print the verdicts."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pagerace.cli.arguments import (
    Parser,
    add_bounds,
    add_claim_names,
    add_data_races,
    add_output,
    add_store,
)
from pagerace.cli.errors import UsageError
from pagerace.cli.load import Target, built_in_names, script, targets_of
from pagerace.cli.stored import store_for_check
from pagerace.cli.terminal import Terminal
from pagerace.compiler.diagnostic import CompileError, Diagnostic
from pagerace.report import verdict
from pagerace.report.summary import SCHEMA, Summary

if TYPE_CHECKING:
    from pagerace.store import Store


def add_arguments(parser: Parser) -> None:
    """The options of ``check``."""
    add_claim_names(parser, "*")
    parser.add_argument(
        "--all",
        action="store_true",
        help="every claim and mutant (of all built-ins, or of FILE); "
        "fails where a verdict differs from the expected one",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument(
        "--python", action="store_true", help="print a script that does the same, and stop"
    )
    add_data_races(parser)
    add_bounds(parser)
    add_store(parser)
    add_output(parser)


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Check the claims; returns the exit code."""
    if not options.claims and not options.all:
        raise UsageError("nothing to check", "name a FILE, FILE::CLAIM or built-in, or --all")
    addresses = options.claims or built_in_names()
    targets = targets_of(addresses, mutants=options.all)
    if options.python:
        terminal.out(script(targets, _bounds(options)))
        return 0
    table = verdict.Table([(t.address, t.protocol.expect.violated or "") for t in targets])
    printer = _printer(table, options, terminal)
    summaries: list[Summary] = []
    errors: list[Diagnostic] = []
    refused = 0
    store = store_for_check(options, terminal)
    try:
        for target in targets:
            try:
                summaries.append(check_target(target, options, terminal, store))
            except CompileError as error:  # of this claim; the others are checked all the same
                errors += error.diagnostics
                refused += 1
                if options.all and options.format == "text":
                    expect = target.protocol.expect.violated or ""
                    terminal.out(table.refused(target.address, expect))
                continue
            printer(summaries[-1])
            if summaries[-1].reason == "interrupted":
                break
    finally:
        # Whatever ends the run, what it has found is not lost.
        if options.format == "json":
            terminal.out(_document(summaries, errors))
    if options.all and options.format == "text":
        for summary in summaries:
            if not summary.as_expected:
                terminal.out("\n" + verdict.text(summary))
        terminal.note(f"\n{verdict.tally(summaries, refused)}")
    if errors:
        raise CompileError(errors)
    return _exit_code(summaries, compare=options.all)


def _document(summaries: list[Summary], errors: list[Diagnostic]) -> str:
    document = {
        "schema": SCHEMA,
        "results": [summary.to_document() for summary in summaries],
        "errors": [dataclasses.asdict(error) for error in CompileError(errors).diagnostics],
    }
    return json.dumps(document, indent=1)


def _printer(
    table: verdict.Table, options: argparse.Namespace, terminal: Terminal
) -> Callable[[Summary], None]:
    """What is printed as each claim is decided: a line of the table, or the verdict."""
    printed: list[str] = []
    if options.format == "json":
        return lambda summary: None
    if options.all:
        terminal.out(table.heading())
        return lambda summary: terminal.out(table.row(summary))
    if options.quiet:
        return lambda summary: terminal.out(verdict.short(summary))

    def print_text(summary: Summary) -> None:
        text = verdict.text(summary, verbose=options.verbose)
        terminal.out("\n" + text if printed else text)
        printed.append(summary.claim)

    return print_text


def _bounds(options: argparse.Namespace) -> dict[str, Any]:
    names = ("states_max", "depth_max", "memory_max", "time_max", "workers", "reductions",
             "data_races")  # fmt: skip
    given = {name: getattr(options, name, None) for name in names}
    return {name: value for name, value in given.items() if value is not None}


def check_target(
    target: Target,
    options: argparse.Namespace,
    terminal: Terminal,
    store: Store | None = None,
) -> Summary:
    """Check one claim within the bounds of the command line, with a progress line."""
    from pagerace.api import check

    def progress(text: str, seconds: float) -> None:
        terminal.progress(f"{target.address}: {text}", seconds)

    extra = {} if store is None else {"store": store}
    return check(
        target.protocol, claim=target.address, progress=progress, **extra, **_bounds(options)
    )


def _exit_code(summaries: list[Summary], *, compare: bool) -> int:
    """1 for a violation (``compare``: for a wrong verdict), else 3 where one is open."""
    open_end = 3 if any(s.verdict == "inconclusive" for s in summaries) else 0
    if compare:
        wrong = any(not s.as_expected and s.verdict != "inconclusive" for s in summaries)
        return 1 if wrong else open_end
    return 1 if any(s.verdict == "violated" for s in summaries) else open_end
