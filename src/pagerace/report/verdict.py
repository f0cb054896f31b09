"""A verdict in words: the cause first, then the diagram, then what was searched."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Mapping, Sequence

from pagerace.report import races as data_races
from pagerace.report.diagram import WIDTH, diagram
from pagerace.report.execution import Execution, Violation
from pagerace.report.summary import Summary
from pagerace.report.words import (
    bounds_in_words,
    duration,
    is_shared,
    places,
    plural,
    short_path,
    size,
)

PLACES_MAX = 120  # characters of places never executed before some are only counted

# What each detector found, in a sentence that the place stands before.
SENTENCES = {
    "assert": "assertion failed",
    "deadlock": "no thread can go on, and not all of them have returned",
    "livelock": "from here on the threads can no longer all return",
    "use-after-free": "an object is used that is not allocated",
    "detached-table": "an entry is stored into a page table that nothing points to",
    "double-free": "an object is freed that is not allocated",
    "leak": "an object stays allocated that nothing refers to",
    "bad-page-cache": "a folio leaves the page cache while it is mapped",
    "bad-page-state": "a page is freed that is still in use",
    "counter-below-zero": "a counter is taken below zero",
    "counter-overflow": "a counter grows out of its range",
    "sleeping-while-atomic": "a function that may sleep is called while it must not",
    "unlock-by-non-owner": "a lock is released by a thread that does not hold it",
    "lock-order-inversion": "locks are taken in both orders",
    "recursive-locking": "a thread takes a lock of a class that it holds already",
    "ipi-with-interrupts-off": "a CPU that takes no interrupts waits for others to answer one",
    "null-dereference": "a reference that is None is followed",
    "index-out-of-range": "an index is outside its array",
    "division-by-zero": "a division by zero",
    "data-race": "an access that is not marked",
    "endless-loop": "a loop goes on without end and without shared access",
}


def text(summary: Summary, *, verbose: bool = False) -> str:
    """The verdict on a claim, as the terminal shows it; no newline at the end."""
    if summary.verdict == "violated" and summary.execution is not None:
        body = failure(summary.execution, verbose=verbose)
        lines = [body, *_known(summary), _expected(summary)]
        return "\n".join(lines + (_details(summary) if verbose else []))
    lines = [short(summary)]
    if bounds := bounds_in_words(summary.bounds):
        lines += _item("bounds", bounds)
    if summary.reductions:
        lines += _item("reduced", reductions_in_words(summary.reductions))
    seen = max(summary.seen, summary.states)  # nothing led to the first
    lines += _item(
        "states",
        f"{summary.states:,} unique of {seen:,} seen, depth {summary.depth:,}, "
        f"{duration(summary.seconds)}",
    )
    if summary.data_races:
        lines += _item("races", _no_races(summary))
    lines += _reached(summary, verbose)
    if not summary.as_expected and summary.verdict == "holds":
        lines.append(_expected(summary))
    return "\n".join(lines + (_details(summary) if verbose else []))


def short(summary: Summary) -> str:
    """The verdict on a claim in one line."""
    return f"{summary.claim}   {headline(summary)}"


def reductions_in_words(figures: dict[str, int]) -> str:
    """``by partial order (at 41 points) and symmetry (a group of 6)``."""
    units = {"partial-order": "at {}", "symmetry": "a group of {:,}"}
    words = [
        f"{name.replace('-', ' ')} "
        f"({units[name].format(plural(figure, 'point') if name != 'symmetry' else figure)})"
        for name, figure in figures.items()
    ]
    return "by " + " and ".join(words)


def tally(summaries: Sequence[Summary], refused: int = 0) -> str:
    """How many verdicts are as expected, of all claims but those ``refused``."""
    expected = sum(summary.as_expected for summary in summaries)
    words = f"{plural(len(summaries) + refused, 'claim')}: {expected} as expected"
    if differing := len(summaries) - expected:
        words += f", {differing} not"
    return f"{words}, {refused} refused" if refused else words


def headline(summary: Summary) -> str:
    """The verdict itself: one line, without the claim's name."""
    if summary.verdict == "holds":
        return "HOLDS, complete within these bounds"
    if summary.verdict == "violated":
        known = f" (known failure of {summary.known}, replayed)" if summary.known else ""
        return f"VIOLATED: {summary.violated}{known}"
    return f"INCONCLUSIVE: {summary.reason}"


def failure(execution: Execution, *, verbose: bool = False) -> str:
    """An execution that violates something: header, diagram, why, search, replay."""
    parts = [header(execution), ""]
    if races := execution.violation.races if execution.violation is not None else []:
        parts += [*data_races.details(races[0], execution.processes), ""]
    parts += [diagram(execution, verbose=verbose), ""]
    parts += closing(execution, verbose=verbose)
    return "\n".join(parts)


def header(execution: Execution) -> str:
    """The one-line cause, which also tells equal bugs from different ones, and the place."""
    violation = execution.violation
    if violation is None:
        return f"Execution of {execution.protocol.name}"
    return f"{cause(violation)}\n{place(violation)}{sentence(violation)}"


def cause(violation: Violation) -> str:
    """``BUG: lost-write in zap_pte_range() / folio_mkclean()``."""
    if violation.slug == "data-race":
        functions = " / ".join(f"{function}()" for function in violation.functions)
        return f"BUG: KCSAN-like: data-race in {functions}"
    name = violation.slug or violation.property.strip("_").replace("_", "-")
    functions = " / ".join(f"{function}()" for function in violation.functions)
    return f"BUG: {name} in {functions}" if functions else f"BUG: {name}"


def place(violation: Violation) -> str:
    """``file:line:column: ``, columns from 1; empty where a violation has no place."""
    if not violation.file:
        return ""
    return f"{short_path(violation.file)}:{violation.line}:{violation.column + 1}: "


def sentence(violation: Violation) -> str:
    """What is wrong, in one line."""
    if violation.property and violation.property not in SENTENCES:
        return f"property '{violation.property}' is violated"
    slug = violation.property or violation.slug
    known = SENTENCES.get(slug, f"'{slug}' is violated")
    return f"{known}: {violation.text}" if violation.text else known


def closing(execution: Execution, *, verbose: bool = False) -> list[str]:
    """The lines under the diagram."""
    lines: list[str] = []
    if execution.why:
        lines += _wrap("Why: " + " ".join(execution.why))
    lines += search_lines(execution, verbose=verbose)
    if command := replay_command(execution):
        lines.append(f"Replay: {command}")
    if execution.violation is not None:
        lines += data_races.others(execution.violation.races)
    return lines


def search_lines(execution: Execution, *, verbose: bool = False) -> list[str]:
    """How the execution was found, and within which bounds."""
    length = f"{plural(len(execution.steps), 'step')}, {_switches(execution.switches)}"
    search = execution.search
    if not search.states:
        return [f"Length: {length}."]
    shortest = "shortest" if search.shortest else "reduced (perhaps not shortest)"
    found = (
        f"Search: {shortest}, {length}; {plural(search.states, 'state')} "
        f"in {duration(search.seconds)}"
    )
    bounds = bounds_in_words(execution.bounds)
    if not bounds:
        return [found + "."]
    return [found + ";", *_wrap(bounds + ".", " " * 8, " " * 8)]


def replay_command(execution: Execution) -> str:
    """The command that shows this execution again.  Not wrapped: it is to be copied."""
    if execution.reproduce:
        return execution.reproduce
    if not execution.schedule:
        return ""
    protocol = execution.protocol
    address = (
        f"{short_path(protocol.file)}::{protocol.name}" if protocol.file else protocol.name
    )
    return reproduce_command(address, execution.schedule)


def reproduce_command(claim: str, schedule: str) -> str:
    """The command line that replays ``schedule``, quoted for a shell where it must be."""
    return f"pagerace reproduce {shlex.quote(claim)} --schedule {shlex.quote(schedule)}"


class Table:
    """Expected and found verdicts, one line a claim, printed as they come in.

    ``claims`` are the addresses with what each expects ("" for holds).
    """

    HEADINGS = ("claim", "expected", "verdict", "states", "time", "")

    def __init__(self, claims: Sequence[tuple[str, str]]) -> None:
        expected = [_expectation(expect) for _, expect in claims]
        self.widths = (
            max(len(text) for text in ["claim", *(address for address, _ in claims)]),
            max(len(text) for text in ["expected", *expected]),
            len("as expected"),
            len("99,999,999"),
            len("59 min 59 s"),
        )

    def heading(self) -> str:
        """The first line."""
        return self._line(self.HEADINGS)

    def row(self, summary: Summary) -> str:
        """The line of one claim."""
        found, remark = "as expected", ""
        if not summary.as_expected:
            found = "not decided" if summary.verdict == "inconclusive" else "differs"
            remark = f"<- {summary.verdict} {summary.violated or summary.reason}".rstrip()
            if summary.verdict == "holds" and not summary.expect:
                remark = f"<- never reached: {', '.join(summary.unreached)}"
        states = f"{summary.states:,}"
        expected = _expectation(summary.expect)
        return self._line(
            (summary.claim, expected, found, states, duration(summary.seconds), remark)
        )

    def refused(self, claim: str, expect: str) -> str:
        """The line of a claim that could not be checked."""
        return self._line((claim, _expectation(expect), "refused", "", "", ""))

    def _line(self, row: tuple[str, ...]) -> str:
        aligned = [
            f"{text:{'<' if i < 3 else '>'}{width}}"
            for i, (text, width) in enumerate(zip(row, self.widths, strict=False))
        ]
        return "  ".join([*aligned, row[-1]]).rstrip()


def _expectation(expect: str) -> str:
    return f"violated {expect}" if expect else "holds"


def _wrap(words: str, first: str = "", others: str = "") -> list[str]:
    """``words`` in lines of the diagram's width; names and paths are never broken."""
    return textwrap.wrap(
        words,
        WIDTH,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _switches(count: int) -> str:
    return "1 switch" if count == 1 else f"{count:,} switches"


def _known(summary: Summary) -> list[str]:
    """That the execution was known before, where it was, and what that means."""
    if not summary.known:
        return []
    words = f"Known: failure of {summary.known}, replayed; "
    if summary.reason:
        words += f"a shorter one may exist: {summary.reason}."
    else:
        words += "nothing has changed since, so no search was needed (--no-store searches)."
    return _wrap(words)


def _expected(summary: Summary) -> str:
    if not summary.expect and summary.verdict == "holds":
        return "Expected: holds, and each 'sometimes' is reached."
    if not summary.expect:
        return "Expected: holds. The verdict differs."
    if summary.as_expected:
        return f"Expected: violated ({summary.expect})."
    return f"Expected: violated ({summary.expect}). The verdict differs."


def _item(name: str, words: str) -> list[str]:
    return _wrap(words, f"  {name:<8} ", " " * 11)


def _no_races(summary: Summary) -> str:
    """Said only where they were looked for and there are none."""
    where = "" if summary.verdict == "holds" else " in the states that were searched"
    return f"no plain access races with another{where}"


def _reached(summary: Summary, verbose: bool) -> list[str]:
    """What the search came by, and what it did not: a claim may hold for want of that."""
    never = "never" if summary.verdict == "holds" else "not yet"
    total = len(summary.reached) + len(summary.unreached)
    words = (
        f"{len(summary.reached)} of {total} 'sometimes'" if total else "no 'sometimes' stated"
    )
    if summary.unreached:
        words += f" ({never}: {', '.join(summary.unreached)})"
    missed = summary.never_executed
    if not missed:
        return _item("reached", f"{words}; every line executed")
    words += f"; {never} executed:"
    listed = places(missed)
    if len(listed) <= PLACES_MAX:
        return _item("reached", f"{words} {listed}")
    if not verbose:
        return _item("reached", f"{words} {_counted(missed)} (-v lists them)")
    lines = _item("reached", words)
    for file in sorted(missed):
        place = places({file: missed[file]}).replace(",", ", ")
        lines += _wrap(place, " " * 11, " " * 13)
    return lines


def _counted(missed: Mapping[str, Sequence[int]]) -> str:
    """The places in an author's own files, if they are few, and the number of the others.

    No protocol needs all of the kernel's functions, so lines of these say little; a line
    of its own that never runs says that it does not do what its author thinks.
    """
    own = {file: lines for file, lines in missed.items() if not is_shared(file)}
    count = sum(map(len, missed.values()))
    listed = places(own)
    if len(listed) > PLACES_MAX:
        return f"{plural(count, 'line')} of {plural(len(missed), 'file')}"
    others = plural(count - sum(map(len, own.values())), "line") + " of machine/ and mm/"
    return f"{listed}, and {others}" if own else others


def _details(summary: Summary) -> list[str]:
    lines: list[str] = []
    if summary.state_bits:
        each, total = summary.bytes_per_state, summary.bytes_per_state * summary.states
        words = (
            f"{summary.state_bits} bits a state, {each:.1f} bytes stored, {size(total)} in all"
        )
        lines += _item("memory", words)
    if summary.workers:
        compiled = duration(summary.compile_seconds)
        lines += _item("run", f"{plural(summary.workers, 'worker')}, compiled in {compiled}")
    for reason in summary.told_apart:
        lines += _item("alike?", reason)
    return lines
