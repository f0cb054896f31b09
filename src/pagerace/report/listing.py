"""The claims of some files, with the verdicts that they expect."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Listed:
    """A claim or a mutant.  ``expect`` is "" for holds, else what is violated."""

    claim: str
    expect: str
    title: str = ""
    mutant: bool = False


@dataclass(frozen=True)
class Kept:
    """A failure in a store: what was violated, when it was found, and the file."""

    claim: str
    violated: str
    steps: int
    found: str
    file: str


def failures(kept: Sequence[Kept], format: str = "text") -> str:
    """The known failures as lines, or as a JSON list."""
    if format == "json":
        return json.dumps([asdict(failure) for failure in kept], indent=1)
    rows = [("claim", "violated", "steps", "found", "file")]
    rows += [(f.claim, f.violated, f"{f.steps:,}", f.found, f.file) for f in kept]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return "\n".join(
        f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:>{widths[2]}}  "
        f"{row[3]:<{widths[3]}}  {row[4]}"
        for row in rows
    )


def listing(claims: Sequence[Listed], format: str = "text") -> str:
    """The claims as lines, or as a JSON list."""
    if format == "json":
        return json.dumps([asdict(claim) for claim in claims], indent=1)
    rows = [("claim", "expected")]
    for claim in claims:
        expected = f"violated {claim.expect}" if claim.expect else "holds"
        rows.append(("  " * claim.mutant + claim.claim, expected))
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    titles = ["title", *(claim.title for claim in claims)]
    return "\n".join(
        f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {title}".rstrip()
        for row, title in zip(rows, titles, strict=True)
    )
