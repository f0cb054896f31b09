"""Each wrong file of tests/bad is refused: exit code 2, and the message of the snapshot.

The files are what people write who do not know the language yet, a mistake each.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from pagerace.report import rules
from pagerace.report.verdict import SENTENCES
from tests.cli.conftest import CommandLine, Run

FOLDER = Path(__file__).parents[1] / "bad"
# What cannot stand in a repository of tidy files.
MADE_HERE = {"empty": b"", "not_utf8": b'"""Not UTF-8."""\n\nname = "caf\xe9"\n'}
FILES = sorted([*(path.stem for path in FOLDER.glob("*.py")), *MADE_HERE])
# The mistake is in a mutant, which is compiled when it is asked for.
MUTANTS = {"unused_drop": "::claim[no_flush]", "unused_force": "::claim[always]"}


def check(name: str, pagerace: CommandLine) -> Run:
    """``pagerace check`` of a copy of the file."""
    source = MADE_HERE[name] if name in MADE_HERE else (FOLDER / f"{name}.py").read_bytes()
    (pagerace.folder / f"{name}.py").write_bytes(source)
    return pagerace("check", f"{name}.py{MUTANTS.get(name, '')}")


@pytest.mark.parametrize("name", FILES)
def test_message(name: str, pagerace: CommandLine, snapshot: SnapshotAssertion) -> None:
    run = check(name, pagerace)
    assert (run.code, run.out) == (2, "")
    assert run.err == snapshot


def test_there_are_many() -> None:
    assert len(FILES) >= 60


def test_every_rule_is_broken(pagerace: CommandLine) -> None:
    """The slugs that the files are refused for are all that a file can be refused for."""
    met: set[str] = set()
    for name in FILES:
        met |= set(re.findall(r"error: ([a-z-]+): ", check(name, pagerace).err))
    only_dumped = {"not-in-promela"}
    assert set(rules.slugs()) - set(SENTENCES) - only_dumped - met == set()
