"""Every built-in claim says what it is about, and stays short enough to be read."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from pagerace.lang.protocol import Protocol
from tests.tidy.sources import PACKAGE, python_files

LINES_MAX = 220  # the shapes of a file are 60 to 150 lines; set-up and variants add some
FILES = [
    path
    for path in python_files()
    if path.parent == PACKAGE / "protocols" and not path.name.startswith("_")
]


def _claims(path: Path) -> dict[str, Protocol]:
    module = importlib.import_module(f"pagerace.protocols.{path.stem}")
    return {n: value for n, value in vars(module).items() if isinstance(value, Protocol)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_claims_say_what_they_claim_and_of_which_kernel(path: Path) -> None:
    claims = _claims(path)
    assert claims
    silent = [name for name, claim in claims.items() if not (claim.title and claim.kernel)]
    assert silent == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_commits_are_given_by_twelve_digits(path: Path) -> None:
    commits = {claim.commit for claim in _claims(path).values() if claim.commit}
    assert commits
    assert {commit for commit in commits if not re.match(r"[0-9a-f]{12}\b", commit)} == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_mutant_names_the_property_that_kills_it(path: Path) -> None:
    nameless = [
        f"{name}[{key}]"
        for name, claim in _claims(path).items()
        for key, mutant in claim.mutants.items()
        if not mutant.killed_by
    ]
    assert nameless == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_length(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES_MAX
