"""``pagerace table``: every variant of a file or group against every property."""

from __future__ import annotations

import argparse
import dataclasses
import time

from pagerace.cli.arguments import Parser, add_claims
from pagerace.cli.check import check_target
from pagerace.cli.load import Target, targets_of
from pagerace.cli.properties import KINDS, stated_by, stated_by_any
from pagerace.cli.terminal import Terminal
from pagerace.compiler.diagnostic import CompileError, Diagnostic
from pagerace.lang.protocol import HOLDS, Function
from pagerace.report import table as report
from pagerace.report.properties import Property, labels
from pagerace.report.summary import Summary
from pagerace.report.table import Row


def add_arguments(parser: Parser) -> None:
    """The options of ``table``."""
    add_claims(parser, ("text", "markdown", "json"))


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Print the table; 1 if a claim's own expectation is not met."""
    targets = targets_of(options.claims)
    applicable = {target.address: _applicable(target) for target in targets}
    names = labels(report.ordered(p for found in applicable.values() for p in found))
    rows: list[Row] = []
    pending: list[Row] = []  # of the file at hand
    errors: list[Diagnostic] = []
    refused, start = 0, time.monotonic()

    def show() -> None:
        if pending and options.format == "text":
            terminal.out(report.block(pending, names) + "\n")
        pending.clear()

    try:
        for number, target in enumerate(targets, 1):
            if pending and pending[0].file != _file_of(target):
                show()
            waited = time.monotonic() - start
            terminal.progress(f"{number} of {len(targets)} claims: {target.address}", waited)
            try:
                row = decide(target, applicable[target.address], options, terminal)
            except CompileError as error:  # of this claim; the others are tried all the same
                errors += error.diagnostics
                refused += 1
                continue
            rows.append(row)
            pending.append(row)
            if row.remark == "interrupted":
                break
    finally:
        # Whatever ends the run, what it has found is not lost.
        show()
        if rows and options.format == "text":
            terminal.out(report.closing(rows, names))
        elif rows:
            render = report.markdown if options.format == "markdown" else report.to_json
            terminal.out(render(rows))
    terminal.note(f"\n{report.tally(rows, refused)}")
    if errors:
        raise CompileError(errors)
    if any(row.as_expected is False for row in rows):
        return 1
    return 3 if any(row.as_expected is None for row in rows) else 0


def _file_of(target: Target) -> str:
    return target.address.partition("::")[0]


def _applicable(target: Target) -> dict[Property, Function]:
    """What the claims of the same file with the same set-up state, this one included."""
    claims = [sibling.protocol for sibling in targets_of([_file_of(target)])]
    same = [claim for claim in claims if claim.setup is target.protocol.setup]
    return stated_by_any([*same, target.protocol])


def decide(
    target: Target,
    properties: dict[Property, Function],
    options: argparse.Namespace,
    terminal: Terminal,
) -> Row:
    """One claim against all properties.

    All are searched for at once; one that is violated is noted and left out of the next
    search, until the rest holds.  Raises CompileError if the claim itself is refused.
    """
    try:
        return _decide(target, properties, options, terminal)
    except CompileError:
        # A property of a sibling may not fit here; those of the claim itself must.
        own = stated_by(target.protocol)
        if set(own) == set(properties):
            raise
        return _decide(target, own, options, terminal)


def _decide(
    target: Target,
    properties: dict[Property, Function],
    options: argparse.Namespace,
    terminal: Terminal,
) -> Row:
    left = dict(properties)
    violated: dict[Property, Summary] = {}
    while True:
        summary = check_target(_with(target, left), options, terminal)
        found = next((p for p in left if p.name == summary.violated), None)
        if found is None:
            return _row(target, list(properties), violated, summary)
        violated[found] = summary
        del left[found]


def _with(target: Target, properties: dict[Property, Function]) -> Target:
    """The claim with these properties for its own."""
    parts = {
        kind: tuple(function for item, function in properties.items() if item.kind == kind)
        for kind in KINDS
    }
    protocol = dataclasses.replace(target.protocol, expect=HOLDS, **parts)
    return dataclasses.replace(target, protocol=protocol)


def _row(
    target: Target,
    properties: list[Property],
    violated: dict[Property, Summary],
    last: Summary,
) -> Row:
    """The row; ``last`` is the search that none of the properties left ended."""
    stated = frozenset(stated_by(target.protocol))
    slug = last.violated
    rest = {"holds": report.HOLDS, "inconclusive": report.OPEN}.get(
        last.verdict,
        # Livelock is looked for when all states are known, and so all else is decided.
        report.HOLDS if slug == "livelock" else report.UNKNOWN,
    )
    ends = "yes" if last.verdict == "holds" else rest
    ends = slug if slug in ("deadlock", "livelock") else ends
    searches = [*violated.values(), last]
    row = Row(
        claim=target.address,
        file=_file_of(target),
        expect=target.protocol.expect.violated or "",
        stated=stated,
        cells={p: report.VIOLATED if p in violated else rest for p in properties},
        steps={p: _steps(summary) for p, summary in violated.items()},
        ends="?" if ends == report.UNKNOWN else ends,
        detected="" if slug in ("deadlock", "livelock") else slug,
        searches=len(searches),
        states=max(summary.states for summary in searches),
        seconds=sum(summary.seconds for summary in searches),
    )
    as_expected, remark = _judge(row, last)
    return dataclasses.replace(row, as_expected=as_expected, remark=remark)


def _steps(summary: Summary) -> int:
    return len(summary.execution.steps) if summary.execution else 0


def _judge(row: Row, last: Summary) -> tuple[bool | None, str]:
    """Is the claim as it expects, and if not, why?"""
    violated = {p.name: p for p, cell in row.cells.items() if cell == report.VIOLATED}
    own = [name for name, p in violated.items() if p in row.stated]
    slugs = {row.ends, row.detected}
    if row.expect:
        if row.expect in violated or row.expect in slugs:
            return True, ""
        if last.verdict == "inconclusive":
            return None, last.reason
        return False, f"expected to be violated: {row.expect}"
    wrong = [*own, *(slug for slug in (last.violated,) if slug)]
    if wrong:
        return False, f"expected to hold; violated: {', '.join(wrong)}"
    if last.verdict == "inconclusive":
        return None, last.reason
    if last.unreached:
        return False, f"never reached: {', '.join(last.unreached)}"
    return True, ""
