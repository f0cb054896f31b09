"""What is wrong with a protocol file: a place in it, a slug, one cause and one help."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Diagnostic:
    """One error at one place.

    ``slug`` names the rule (``pagerace rule SLUG`` explains it).  ``line`` counts from 1;
    ``column`` and ``end_column`` are UTF-8 byte offsets from 0, as in ``ast``.  ``label``
    stands beside the carets; ``help`` says what to write instead.
    """

    slug: str
    message: str
    file: str
    line: int
    column: int
    end_column: int
    label: str = ""
    help: str = ""


class CompileError(Exception):
    """A protocol was refused.  ``diagnostics`` holds every error found, in file order."""

    diagnostics: list[Diagnostic]

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        self.diagnostics = sorted(set(diagnostics), key=lambda d: (d.file, d.line, d.column))
        super().__init__("; ".join(f"{d.slug}: {d.message}" for d in self.diagnostics))
