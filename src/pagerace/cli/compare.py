"""``pagerace compare T2``: variants side by side, whether each is safe and what it costs."""

from __future__ import annotations

import argparse
import importlib
import os
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pagerace.cli.arguments import Parser, add_bounds, add_output, count
from pagerace.cli.check import check_target
from pagerace.cli.errors import INCONCLUSIVE, USAGE, VIOLATED, UsageError, did_you_mean
from pagerace.cli.load import Target, targets_of
from pagerace.cli.terminal import Terminal, cannot_write
from pagerace.report import compare as report

if TYPE_CHECKING:
    from pagerace.replay.compared import Compared
    from pagerace.replay.reader import Trace
    from pagerace.report.summary import Summary

# Groups that can be compared, and where the claims about their variants are.
CLAIMS = {"T2": "t2_variants"}
SCHEDULES = 1000
VARIANTS_MAX = 32
# What a thread does, by what its name has in it.
ROLES = {
    "fault": ("fault",), "walk": ("walk", "rmap", "gup"), "unmap": ("unmap", "dontneed", "zap"),
}  # fmt: skip


def add_arguments(parser: Parser) -> None:
    """The options of ``compare``."""
    parser.add_argument("group", metavar="GROUP", help=f"of claims: {', '.join(CLAIMS)}")
    parser.add_argument(
        "--trace",
        action="append",
        default=[],
        dest="traces",
        metavar="FILE",
        help="what is replayed, as for `replay`; several run at once (default: sqlite3 with "
        "jemalloc, recorded)",
    )
    parser.add_argument(
        "--variant",
        action="append",
        default=[],
        dest="variants",
        metavar="NAME",
        help="only this one, and others that are named; the first is what they are set "
        "against (default: all)",
    )
    parser.add_argument(
        "--list", action="store_true", help="list the variants, and where they come from"
    )
    parser.add_argument(
        "--walks",
        type=count,
        metavar="N",
        help="after each N faults somebody walks to that page (default: 8)",
    )
    parser.add_argument("--cpus", type=count, default=1, metavar="N", help="CPUs (default: 1)")
    parser.add_argument(
        "--schedules",
        type=count,
        default=SCHEDULES,
        metavar="N",
        help=f"schedules that are drawn for a latency (default: {SCHEDULES})",
    )
    parser.add_argument("--format", choices=("text", "markdown", "json"), default="text")
    parser.add_argument("--plot", metavar="FILE", help="draw it: .png, .svg or .pdf")
    parser.add_argument("--from", dest="form", metavar="FORMAT", help="the traces' format")
    add_bounds(parser)
    add_output(parser)


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Print the comparison; 1 where a claim is not as it expects, 3 where one is open."""
    from pagerace.replay import compared

    claims = _claims_of(options.group)
    names = _chosen(options.variants, compared.names())
    if options.list:
        terminal.out("\n".join(listed(names, compared.title)))
        return 0
    _look_ahead(options)
    targets = _targets(claims, compared.names())
    if not any(targets.get(name) for name in names):
        what = names[0] if len(names) == 1 else "any of them"
        help = f"`pagerace list {claims}` names them"
        raise UsageError(f"no claim in {claims} is about {what}", help)
    start = time.monotonic()
    result, errors = _compare(options, terminal, names, targets, start)
    _print(result, options, terminal)
    for error in errors:
        terminal.error(f"error: {error}" + (f"\n  {error.help}" if error.help else ""))
    return _exit_code(result, bool(errors))


def _claims_of(group: str) -> str:
    if group in CLAIMS:
        return CLAIMS[group]
    known = list(CLAIMS)
    guess = did_you_mean(group.upper(), known) or f"there is {', '.join(known)}"
    raise UsageError(f"no variants of {group!r} to compare", guess)


def _chosen(wanted: Sequence[str], known: Sequence[str]) -> list[str]:
    """The variants that are named, or all.  Raises UsageError."""
    for name in wanted:
        if name not in known:
            guess = did_you_mean(name, known) or f"they are {', '.join(known)}"
            raise UsageError(f"--variant: no variant {name!r}", guess)
    return list(dict.fromkeys(wanted)) or list(known)


def listed(names: Sequence[str], title: Callable[[str], tuple[str, str]]) -> list[str]:
    """A line for each variant."""
    width = max(map(len, names)) + 2
    lines: list[str] = []
    for name in names:
        words, source = title(name)
        lines.append(f"{name:<{width}}{words}" + (f" ({source})" if source else ""))
    return lines


def _look_ahead(options: argparse.Namespace) -> None:
    """What can only fail after a long run fails at once.  Raises UsageError."""
    from pagerace.report import plot

    if options.plot:
        if problem := plot.problem(options.plot):
            raise UsageError(f"--plot: {problem}")
        if problem := cannot_write(options.plot):
            raise UsageError(f"cannot write {options.plot}: {problem}")


def _targets(claims: str, variants: Sequence[str]) -> dict[str, list[Target]]:
    """The claims of each variant: those whose names begin with its name.

    ``v6_14_first`` is of v6.14-first, and not of v6.14.
    """
    slugs = {slug(name): name for name in variants}
    found: dict[str, list[Target]] = {}
    for target in targets_of([claims]):
        fit = [s for s in slugs if target.name == s or target.name.startswith(f"{s}_")]
        if fit:
            found.setdefault(slugs[max(fit, key=len)], []).append(target)
    return found


def slug(name: str) -> str:
    """``pmd-rwsem`` -> ``pmd_rwsem``: a variant's name as the name of a claim."""
    return name.replace("-", "_").replace(".", "_")


# -- the three parts of it -----------------------------------------------------------------


def _compare(
    options: argparse.Namespace, terminal: Terminal, names: Sequence[str],
    targets: dict[str, list[Target]], start: float,
) -> tuple[report.Comparison, list[Any]]:  # fmt: skip
    from pagerace.replay import compared

    def told(text: str) -> None:
        terminal.progress(text, time.monotonic() - start)

    traces = _open(options, compared.TRACE)
    every = options.walks or compared.EVERY
    try:
        machines, errors = _replay(options, names, traces, every, told)
        costs = machines.costs()
        warnings = _warnings(machines)
        accesses = machines.accesses
        shown = [os.path.basename(trace.source.name) for trace in traces]
        machines.close()
    finally:
        for trace in traces:
            trace.close()
    rows: list[report.Variant] = []
    for name in names:
        title, source = compared.title(name)
        summaries = [check_target(t, options, terminal) for t in targets.get(name, [])]
        told(f"latencies of {name}")
        latencies = _latencies(targets.get(name, []), options.schedules)
        found = costs[name]
        rows.append(report.Variant(
            name=name, title=title, source=source,
            claims=[claim_of(summary) for summary in summaries],
            costs={
                kind: report.Cost(cost.number, cost.atomics, dict(cost.locks))
                for kind, cost in found.of.items()
            },
            table_bytes_peak=found.table_bytes_peak,
            table_bytes_mean=found.table_bytes_mean,
            table_bytes_end=found.table_bytes_end,
            latencies=latencies,
        ))  # fmt: skip
    seconds = time.monotonic() - start
    return report.Comparison(
        options.group, shown, rows, accesses, every, seconds, warnings
    ), errors


def _open(options: argparse.Namespace, default: os.PathLike[str]) -> list[Trace]:
    """The traces.  Raises UsageError."""
    from pagerace.cli.replay import open_trace

    given = options.traces or [os.fspath(default)]
    traces: list[Trace] = []
    try:
        for number, name in enumerate(given, 1):
            traces.append(open_trace(name, number, options))
    except UsageError:
        for trace in traces:
            trace.close()
        raise
    return traces


def _replay(
    options: argparse.Namespace, names: Sequence[str], traces: Sequence[Trace], every: int,
    told: Callable[[str], None],
) -> tuple[Compared, list[Any]]:  # fmt: skip
    """Feed the traces to a machine of each variant.  Raises UsageError."""
    from pagerace.replay import compared, engine

    machines = compared.Compared(
        names, every=every, cpus=options.cpus, made=lambda name: told(f"compiling {name}")
    )
    try:
        errors = machines.run(traces, lambda done: told(f"replaying, {100 * done:.0f} %"))
    except engine.NoMemory as error:
        raise UsageError(f"out of simulated memory: {error}") from None
    if errors and not machines.accesses:
        raise UsageError(str(errors[0]), errors[0].help)
    return machines, errors


def _warnings(machines: Compared) -> list[str]:
    words: list[str] = []
    if machines.faults_differ():
        words.append("the variants did not take the same number of faults")
    return words


def _latencies(
    targets: Sequence[Target], schedules: int
) -> dict[str, report.Latency]:
    """Of who faults, walks and unmaps, each in the first claim that has such a thread."""
    from pagerace.api import latencies

    found: dict[str, report.Latency] = {}
    for target in targets:
        names = [thread.name for thread in target.protocol.threads if not thread.agent]
        roles = {role: _named(names, parts) for role, parts in ROLES.items()}
        roles = {role: name for role, name in roles.items() if name and role not in found}
        if not roles:
            continue
        measured = latencies(target.protocol, list(roles.values()), schedules=schedules)
        for role, one in zip(roles, measured, strict=True):
            found[role] = report.Latency(
                target.address, one.thread, one.alone.median, one.contended.median,
                round(one.contended.mean, 2), one.contended.worst, schedules,
                one.contended.failed,
            )  # fmt: skip
    return found


def _named(names: Sequence[str], parts: Sequence[str]) -> str:
    """The first name that has one of these parts in it; "" if none has."""
    return next((name for part in parts for name in names if part in name), "")


def claim_of(summary: Summary) -> report.Claim:
    """What a check found, as a row has it."""
    steps = len(summary.execution.steps) if summary.execution else 0
    return report.Claim(
        address=summary.claim,
        verdict=summary.verdict,
        violated=summary.violated,
        steps=steps if summary.violated else 0,
        states=summary.states,
        as_expected=summary.as_expected,
        reason=summary.reason,
    )


# -- what is printed -----------------------------------------------------------------------


def _print(result: report.Comparison, options: argparse.Namespace, terminal: Terminal) -> None:
    if options.format == "json":
        terminal.out(report.to_json(result))
    elif options.format == "markdown":
        terminal.out(report.markdown(result))
    else:
        terminal.out(report.text(result, verbose=options.verbose))
    if options.plot:
        plot = importlib.import_module("pagerace.report.plot")
        try:
            plot.save_comparison(result, options.plot)
        except plot.CannotPlot as error:
            raise UsageError(f"--plot: {error}") from None


def _exit_code(result: report.Comparison, damaged: bool) -> int:
    """2 for a damaged trace, 1 for an unexpected verdict, 3 for what is not decided."""
    if damaged:
        return USAGE
    claims = [claim for variant in result.variants for claim in variant.claims]
    decided = [claim for claim in claims if claim.verdict != "inconclusive"]
    if not all(claim.as_expected for claim in decided):
        return VIOLATED
    unknown = any(v.verdict in (report.OPEN, report.NONE) for v in result.variants)
    return INCONCLUSIVE if unknown else 0
