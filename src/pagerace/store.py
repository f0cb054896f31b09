"""``.pagerace/``: the failures that checks have found, to be replayed first the next time.

One JSON file a failure, so that a person can read it, ``pagerace show`` can print it, and
two checks at once cannot harm each other: a file is written beside its place and renamed.
The store only saves time.  What goes wrong with it is noted, and never ends a check.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pagerace.report.execution import DocumentError, Execution
from pagerace.report.summary import FAILURE_SCHEMA as SCHEMA
from pagerace.report.words import PACKAGE, short_path

FOLDER = ".pagerace"
ROOT_MARKS = ("pyproject.toml", ".git")
INSTALLED = ("site-packages", "dist-packages")

IGNORE = "# Made by pagerace: failures that it has found.  Delete what you like.\n*\n"

# What is noted, and whether it matters even to those who did not ask for details.
Note = Callable[[str, bool], object]


@dataclass(frozen=True)
class Failure:
    """An execution that violated something.  ``model`` is the digest of its program.

    ``claim`` is an address from the root of the project, ``found`` a date (ISO 8601).
    """

    claim: str
    found: str
    model: str
    execution: Execution
    path: Path = field(default=Path(), compare=False)

    @property
    def violated(self) -> str:
        """The property, or the detector's slug."""
        violation = self.execution.violation
        return (violation.property or violation.slug) if violation else ""

    def to_json(self) -> str:
        """The file."""
        document = {
            "schema": SCHEMA,
            "claim": self.claim,
            "violated": self.violated,
            "found": self.found,
            "model": self.model,
            "execution": self.execution.to_document(),
        }
        return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


class Foreign(ValueError):
    """A file that another version of pagerace wrote."""


def _ignore(text: str, important: bool) -> None:
    pass


class Store:
    """The failures of a project, in ``folder``.  Addresses are relative to ``root``."""

    def __init__(
        self, folder: Path | None, root: Path | None = None, note: Note = _ignore
    ) -> None:
        self.folder, self.root, self._note = folder, root or Path.cwd(), note

    @staticmethod
    def of_project(note: Note = _ignore, *, start: Path | None = None) -> Store:
        """The store of the project around ``start`` (default: the working directory)."""
        root = project_root(start or Path.cwd())
        if set(root.parts) & set(INSTALLED) or root.is_relative_to(PACKAGE):
            note(f"failures are not kept: {root} belongs to an installed package", False)
            return Store(None, root, note)
        return Store(root / FOLDER, root, note)

    @property
    def exists(self) -> bool:
        """Has anything been kept here yet?"""
        return self.folder is not None and self.folder.is_dir()

    @property
    def place(self) -> str:
        """The folder, for people."""
        return short_path(str(self.folder)) if self.folder else "this place"

    def note(self, text: str, *, important: bool = True) -> None:
        """Say something about a failure."""
        self._note(text, important)

    # -- reading ------------------------------------------------------------------------

    def failures(self, address: str | None = None) -> list[Failure]:
        """What is known of one claim, or of all; the newest first."""
        found = list(self._read(self._name(address) + "-*.json" if address else "*.json"))
        if address:
            found = [failure for failure in found if failure.claim == self.claim_of(address)]
        return sorted(found, key=lambda failure: failure.found, reverse=True)

    def _read(self, pattern: str) -> Iterator[Failure]:
        if self.folder is None:
            return
        try:
            paths = sorted(self.folder.glob(pattern))
        except OSError as error:
            self.note(f"failures are not read: {_words(error, self.folder)}", important=False)
            return
        for path in paths:
            try:
                yield _failure(path)
            except Foreign as error:
                self.note(f"{short_path(str(path))} is left alone: {error}", important=False)
            except FileNotFoundError:
                pass  # somebody else has deleted it
            except OSError as error:
                self.note(f"a failure is not read: {_words(error, path)}", important=False)
            except (ValueError, RecursionError) as error:
                self._damaged(path, error)

    def _damaged(self, path: Path, error: Exception) -> None:
        """Say so once: the file gets another name, under which nobody looks for it."""
        words = f"{short_path(str(path))} is damaged and ignored"
        is_read = isinstance(error, DocumentError)
        reason = (str(error) if is_read else "") or "it holds no JSON"
        with contextlib.suppress(OSError):
            path.replace(path.with_suffix(".damaged"))
            words += f" (it is now {path.with_suffix('.damaged').name})"
        self.note(f"{words}: {reason}")

    # -- writing ------------------------------------------------------------------------

    def keep(self, address: str, model: str, execution: Execution, found: str = "") -> None:
        """Keep an execution of the claim in place of an older one of the same violation."""
        if self.folder is None:
            return
        found = found or today()
        failure = Failure(self.claim_of(address), found, model, execution)
        name = f"{self._name(address)}-{_plain(failure.violated)}.json"
        try:
            if not self.folder.is_dir():
                self.folder.mkdir(parents=True)
            ignore = self.folder / ".gitignore"
            if not ignore.exists():
                ignore.write_text(IGNORE, encoding="utf-8")
            _write(self.folder / name, failure.to_json())
        except OSError as error:
            self.note(f"failures are not kept: {_words(error, self.folder)}", important=False)

    def forget(self, failure: Failure) -> None:
        """Delete a failure that does not happen any more."""
        with contextlib.suppress(OSError):
            failure.path.unlink()

    # -- names --------------------------------------------------------------------------

    def claim_of(self, address: str) -> str:
        """The address of a claim from the root, from wherever it was named."""
        file, colons, name = address.partition("::")
        if file.endswith(".py"):
            path = Path(os.path.realpath(file))
            root = Path(os.path.realpath(self.root))
            file = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
        return f"{file}{colons}{name}"

    def _name(self, address: str) -> str:
        """The beginning of the names of a claim's files."""
        claim = self.claim_of(address)
        digest = hashlib.sha256(claim.encode()).hexdigest()[:8]
        return f"{_plain(claim.rpartition('::')[2])}-{digest}"


def today() -> str:
    """The date that a failure is found on."""
    import datetime

    return datetime.date.today().isoformat()


def project_root(start: Path) -> Path:
    """The nearest folder upward with a pyproject.toml or .git, else ``start`` itself."""
    start = Path(os.path.abspath(start))
    for folder in (start, *start.parents):
        if any((folder / mark).exists() for mark in ROOT_MARKS):
            return folder
    return start


def _failure(path: Path) -> Failure:
    """Read a file.  Raises Foreign, another ValueError if it is damaged, or OSError."""
    document: Any = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict):
        raise DocumentError("it holds no object")
    schema = document.get("schema")
    if isinstance(schema, str) and schema != SCHEMA and schema.startswith("pagerace-"):
        raise Foreign(f"its schema is {schema!r}; this version reads {SCHEMA!r}")
    for key in ("claim", "found", "model"):
        if not isinstance(document.get(key), str):
            raise DocumentError(f"key {key!r} is missing, or no text")
    execution = Execution.from_document(document.get("execution"))
    if execution.violation is None:
        raise DocumentError("its execution violates nothing")
    return Failure(document["claim"], document["found"], document["model"], execution, path)


def _write(path: Path, text: str) -> None:
    """Others see all of the file or none of it.  Raises OSError."""
    import tempfile

    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix="new-", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _plain(name: str) -> str:
    """A name as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-")[:60]


def _words(error: OSError, path: Path) -> str:
    return f"{short_path(str(path))}: {error.strerror or error}"
