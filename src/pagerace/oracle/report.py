"""What a run of many programs came to, as text and as JSON."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from itertools import groupby
from typing import Any

from pagerace.oracle.compare import Difference
from pagerace.oracle.document import observation_to_json, program_to_json
from pagerace.oracle.printing import line, to_c, to_python
from pagerace.oracle.program import ELSEWHERE, END_OF_FILE, KINDS, Observation
from pagerace.oracle.session import Found, Outcome

SCHEMA = "pagerace-diff/1"


def text(outcome: Outcome) -> str:
    """The whole result: the difference first, then what was compared."""
    parts: list[str] = []
    if outcome.found:
        parts += [difference(outcome.found, outcome), programs(outcome.found), ""]
    parts.append(summary(outcome))
    return "\n".join(parts)


def summary(outcome: Outcome) -> str:
    """What was compared, and what was not."""
    if outcome.cannot and not outcome.compared.calls:
        return f"diff   INCONCLUSIVE: {outcome.cannot}"
    compared = outcome.compared
    lines = [f"{_headline(outcome)}", f"  kernel     {outcome.kernel}"]
    lines.append(f"  model      {outcome.model}")
    lines.append(
        f"  compared   {compared.programs:,} programs, {compared.calls:,} calls, "
        f"{compared.pages:,} pages, {compared.mappings:,} mappings, {outcome.seconds:.1f} s"
    )
    lines.append(
        f"             {compared.errors:,} errors, {compared.signals:,} signals, "
        f"{compared.faults:,} faults"
    )
    if compared.unrepeatable:
        lines.append(
            f"             {compared.unrepeatable:,} programs differ, but the kernel does not "
            "repeat what it said"
        )
    calls = [f"{count:,} {name}" for name, count in compared.operations.most_common()]
    lines += _wrapped("  calls      ", calls)
    kinds = [kind for kind in KINDS if kind not in outcome.not_compared]
    lines += _wrapped("  seen       ", kinds)
    for number, (name, count) in enumerate(compared.known.most_common()):
        title = "known" if number == 0 else ""
        lines.append(f"  {title:<10} {count:>9,} {name}")
    for number, (kind, reason) in enumerate(outcome.not_compared.items()):
        title = "not seen" if number == 0 else ""
        lines += _wrapped(f"  {title:<10} ", [f"{kind}: {reason}"], ", ")
    for name, reason in outcome.unmade.items():
        lines += _wrapped("  not made   ", [f"{name}: {reason}"], ", ")
    for kind, reason in outcome.disturbed.items():
        lines += _wrapped("  disturbed  ", [f"{kind}: {reason}"])
    return "\n".join(lines)


def _headline(outcome: Outcome) -> str:
    if outcome.verdict == "differs":
        return "diff   DIFFERS"
    if outcome.verdict == "agrees":
        return "diff   HOLDS: no unexplained difference"
    reason = "interrupted" if outcome.interrupted else outcome.cannot or "nothing was compared"
    return f"diff   INCONCLUSIVE: {reason}"


def _wrapped(head: str, words: Sequence[str], between: str = ", ") -> list[str]:
    lines, current = [], head
    for number, word in enumerate(words):
        piece = word + (between if number + 1 < len(words) else "")
        if len(current) + len(piece.rstrip()) > 92 and current.strip() and current != head:
            lines.append(current.rstrip())
            current = " " * len(head)
        current += piece
    return [*lines, current.rstrip()]


def difference(found: Found, outcome: Outcome) -> str:
    """What differs, and the calls up to there with what both said."""
    first = found.differences[0]
    calls = found.program.calls
    name = type(calls[first.step]).__name__.lower()
    lines = [
        f"BUG: {first.what} differs after {name}()",
        f"{found.name}{_shorter(found)}",
        "",
    ]
    for number, file in enumerate(found.program.files):
        access = "" if file.writable else ", read-only"
        lines.append(f"    file {number}: {file.kind} of {file.pages} pages{access}")
    for step, call in enumerate(calls[: first.step + 1]):
        mark = ">" if step == first.step else " "
        lines.append(f"  {mark} {line(call)}")
        lines.append(f"        = {outcome_of(found.kernel[step])}")
    lines += ["", f"    {'':<34} {'kernel':<20} mm/"]
    for item in found.differences[:12]:
        lines += _compared(item)
    if len(found.differences) > 12:
        lines.append(f"    and {len(found.differences) - 12} more")
    return "\n".join(lines)


def _shorter(found: Found) -> str:
    now, first = len(found.program.calls), found.calls_at_first
    if now == first:
        return ""
    return f": {now} of its {first} calls {'is' if now == 1 else 'are'} enough"


def _compared(item: Difference) -> Iterable[str]:
    where = f"process {item.process} " if item.process >= 0 else ""
    if item.page >= 0 and item.what != "mappings":
        where += f"page {item.page}"
        where += f"-{item.page + item.count - 1}" if item.count > 1 else ""
    if item.what == "mappings":
        yield f"    {where}mappings"
        for title, shapes in (("kernel", item.kernel), ("mm/", item.model)):
            for number, words in enumerate(shapes or ["none"]):
                yield f"      {title if number == 0 else '':<8} {words}"
        return
    values = [value(item.what, one) for one in (item.kernel, item.model)]
    yield f"    {f'{where} {item.what}'.strip():<34} {values[0]:<20} {values[1]:<20}".rstrip()


def value(what: str, number: Any) -> str:
    """A value as people read it."""
    if what == "result" and isinstance(number, int):
        return result(number)
    if what == "signal":
        name, code, page = number
        return f"{name} {code} at {page}".replace("  ", " ") if name else "none"
    if isinstance(number, bool):
        return "yes" if number else "no"
    return str(number)


def result(number: int) -> str:
    """A result as strace prints it."""
    if number == ELSEWHERE:
        return "outside the window"
    if number == END_OF_FILE:
        return "end of file"
    if number < 0:
        return f"-{errno.errorcode.get(-number, str(-number))}"
    return str(number)


def outcome_of(observation: Observation) -> str:
    """The result or the signal of a call."""
    if observation.signal:
        return f"{observation.signal} {observation.code} at page {observation.fault_page}"
    faults = f"  ({observation.minor} faults)" if observation.minor else ""
    return result(observation.result) + _told(observation.vector) + faults


def _told(vector: Sequence[int]) -> str:
    """The vector of mincore(); a long row of the same is counted."""
    parts: list[str] = []
    for number, row in groupby(vector):
        size = len([*row])
        short = str(number) * size if size <= 8 else f"{number} x{size}"
        together = bool(parts) and size <= 8 and " " not in parts[-1]
        parts[-1:] = [parts[-1] + short] if together else [*parts[-1:], short]
    return f", told {', '.join(parts)}" if parts else ""


def programs(found: Found) -> str:
    """The short program as Python; the C file is what --save writes."""
    body = to_python(found.program).rstrip().replace("\n", "\n  ")
    head = "Program (Python; --save FILE.c writes it as C, FILE.json for --program):"
    return f"\n{head}\n\n  {body}"


def document(outcome: Outcome) -> dict[str, Any]:
    """The JSON document of a run."""
    compared = {
        item.name: dict(found) if isinstance(found, Counter) else found
        for item in fields(outcome.compared)
        if (found := getattr(outcome.compared, item.name)) is not None
    }
    return {
        "schema": SCHEMA,
        "verdict": outcome.verdict,
        "kernel": outcome.kernel,
        "model": outcome.model,
        "seconds": round(outcome.seconds, 3),
        "interrupted": outcome.interrupted,
        "cannot": outcome.cannot,
        "compared": compared,
        "not_compared": dict(outcome.not_compared),
        "disturbed": dict(outcome.disturbed),
        "not_made": dict(outcome.unmade),
        "found": _found(outcome.found) if outcome.found else None,
    }


def _found(found: Found) -> dict[str, Any]:
    step = found.differences[0].step
    return {
        "name": found.name,
        "program": program_to_json(found.program),
        "c": to_c(found.program),
        "python": to_python(found.program),
        "calls_at_first": found.calls_at_first,
        "differences": [asdict(item) for item in found.differences],
        "kernel": observation_to_json(found.kernel[step]),
        "mm": observation_to_json(found.model[step]),
    }
