"""``pagerace mutants``: is each mutant killed, and by the property that it names?"""

from __future__ import annotations

import argparse

from pagerace.cli.arguments import Parser, add_claims
from pagerace.cli.check import check_target
from pagerace.cli.errors import UsageError
from pagerace.cli.load import Target, mutated, targets_of
from pagerace.cli.properties import stated_by, stated_by_any
from pagerace.cli.terminal import Terminal
from pagerace.compiler.diagnostic import CompileError, Diagnostic
from pagerace.report import mutants as report
from pagerace.report.mutants import Killing


def add_arguments(parser: Parser) -> None:
    """The options of ``mutants``."""
    add_claims(parser, ("text", "json"))


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Check the mutants; 1 if one is not killed by what it declares."""
    claims = targets_of(options.claims)
    mutants = [(claim, mutant) for claim in claims for mutant in _mutants_of(claim)]
    if not mutants:
        raise UsageError(
            f"{' '.join(options.claims)}: no claim there has a mutant",
            "protocol(..., mutants={'no_flush': mutant(drop(f, flush), killed_by=...)})",
        )
    table = report.Table([(m.mutant, m.protocol.expect.violated or "") for _, m in mutants])
    text = options.format == "text"
    if text:
        terminal.out(table.heading())
    killings: list[Killing] = []
    errors: list[Diagnostic] = []
    refused, heading = 0, ""
    for claim, mutant in mutants:
        if text and claim.address != heading:
            heading = claim.address
            terminal.out(heading)
        try:
            summary = check_target(mutant, options, terminal)
        except CompileError as error:  # of this mutant; the others are checked all the same
            errors += error.diagnostics
            refused += 1
            if text:
                terminal.out(table.refused(mutant.mutant))
            continue
        declared = mutant.protocol.expect.violated or ""
        stated = stated_by(mutant.protocol)
        killings.append(Killing(claim.address, mutant.mutant, declared, summary, stated))
        if text:
            terminal.out(table.row(killings[-1]))
        if summary.reason == "interrupted":
            break
    decided = {(k.claim, k.mutant) for k in killings if not k.is_open}
    undecided = {
        mutant.protocol.expect.violated or ""
        for claim, mutant in mutants
        if (claim.address, mutant.mutant) not in decided
    }
    stated = list(stated_by_any(claim.protocol for claim in claims))
    counts = report.kills(stated, killings, undecided)
    if not text:
        terminal.out(report.to_json(killings, counts))
    elif counts:
        terminal.out(f"\n{report.properties_text(counts)}")
    terminal.note(f"\n{report.tally(killings, counts, refused)}")
    if errors:
        raise CompileError(errors)
    return _exit_code(killings)


def _mutants_of(claim: Target) -> list[Target]:
    if claim.mutant:
        return [claim]
    return [mutated(claim, mutant) for mutant in claim.protocol.mutants]


def _exit_code(killings: list[Killing]) -> int:
    if any(not killing.is_right and not killing.is_open for killing in killings):
        return 1
    return 3 if any(killing.is_open for killing in killings) else 0
