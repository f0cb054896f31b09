"""All that is said about one run of one claim, as data."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from pagerace.report.execution import DocumentError, Execution

SCHEMA = "pagerace-check/1"
FAILURE_SCHEMA = "pagerace-failure/1"  # of the files in a store


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The verdict on a claim, with what it covers.

    ``claim`` is the address that a command line takes.  ``verdict`` is "holds",
    "violated" or "inconclusive"; ``reason`` says what stopped an inconclusive search.
    ``expect`` is "" where the claim should hold, else what should be violated.
    ``never_executed`` maps a file to its lines that no execution ran.
    ``reductions``: those in use, with how far each goes (see ``search.Result``), and
    ``told_apart``, shown on request only: why some symmetry is not.
    ``data_races``: were they looked for?
    ``known``: the date of a known failure that was replayed; ``reason`` then says what
    stopped a search for a shorter one, or is "" if none was needed.
    ``bytes_per_state`` and ``compile_seconds`` are shown on request only.
    """

    claim: str
    verdict: str
    reason: str = ""
    expect: str = ""
    title: str = ""
    execution: Execution | None = None
    bounds: dict[str, str] = field(default_factory=dict[str, str])
    states: int = 0
    seen: int = 0
    depth: int = 0
    seconds: float = 0.0
    reductions: dict[str, int] = field(default_factory=dict[str, int])
    told_apart: tuple[str, ...] = ()
    reached: tuple[str, ...] = ()
    unreached: tuple[str, ...] = ()
    never_executed: dict[str, list[int]] = field(default_factory=dict[str, "list[int]"])
    data_races: bool = False
    state_bits: int = 0
    bytes_per_state: float = 0.0
    workers: int = 0
    compile_seconds: float = 0.0
    known: str = ""

    @property
    def violated(self) -> str:
        """The property that is violated, or the detector's slug; "" where none is."""
        if self.verdict != "violated" or self.execution is None:
            return ""
        violation = self.execution.violation
        return (violation.property or violation.slug) if violation else ""

    @property
    def as_expected(self) -> bool:
        """Is the verdict the one that the claim expects?

        A claim that holds because what it is about never happens is not.
        """
        if not self.expect:
            return self.verdict == "holds" and not self.unreached
        violation = self.execution.violation if self.execution else None
        if self.verdict != "violated" or violation is None:
            return False
        return self.expect in (violation.property, violation.slug)

    @property
    def exit_code(self) -> int:
        """0 holds, 1 violated, 3 inconclusive."""
        return {"holds": 0, "violated": 1}.get(self.verdict, 3)

    def to_document(self) -> dict[str, Any]:
        """This as plain dictionaries, for JSON."""
        return {
            "claim": self.claim,
            "title": self.title,
            "verdict": self.verdict,
            "reason": self.reason,
            "expect": self.expect or "holds",
            "as_expected": self.as_expected,
            "violated": self.violated,
            "bounds": self.bounds,
            "states": self.states,
            "seen": self.seen,
            "depth": self.depth,
            "seconds": self.seconds,
            "reductions": self.reductions,
            "reached": list(self.reached),
            "unreached": list(self.unreached),
            "never_executed": self.never_executed,
            "data_races": self.data_races,
            "state_bits": self.state_bits,
            "bytes_per_state": self.bytes_per_state,
            "workers": self.workers,
            "compile_seconds": self.compile_seconds,
            "known": self.known,
            "execution": self.execution.to_document() if self.execution else None,
        }

    def __str__(self) -> str:
        from pagerace.report import verdict

        return verdict.text(self)


def saved_execution(text: str) -> Execution:
    """The execution in a saved document, or the first in the results of a check.

    A known failure in a store is one, too.  Raises DocumentError if there is none.
    """
    try:
        document = json.loads(text)
    except json.JSONDecodeError:
        return Execution.from_json(text)
    if isinstance(document, dict) and document.get("schema") == FAILURE_SCHEMA:
        return Execution.from_document(document.get("execution"))
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        return Execution.from_document(document)
    for result in document.get("results", []):
        if result.get("execution") is not None:
            return Execution.from_document(result["execution"])
    raise DocumentError("none of its results has an execution")
