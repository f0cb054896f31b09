"""The README and the tutorial show what really happens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pagerace.cli.load import targets_of
from tests.docs.documents import UPDATE, _replace, comparable, execute, sessions
from tests.tidy.sources import ROOT

DOCUMENTS = [
    "README.md", "docs/tutorial.md", "docs/kernel-python.md", "docs/fault-around.md",
    "docs/pagewalk.md", "docs/walkers.md",
]  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTS)
def test_document(name: str, tmp_path: Path) -> None:
    results = execute(ROOT / name, tmp_path)
    assert results
    if UPDATE:
        pytest.skip("the outputs in the document were replaced")
    for session, output in results:
        assert comparable(output) == comparable(session.shown), session.command


@pytest.mark.parametrize("name", DOCUMENTS)
def test_diagrams_are_plain_ascii_of_75_columns_in_a_margin_of_4(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert text.isascii()
    for body in re.findall(r"^```console[^\n]*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        assert [li for li in body.splitlines() if li.startswith("    ") and len(li) > 79] == []


@pytest.mark.parametrize("name", [*DOCUMENTS, "docs/ARCHITECTURE.md", "bench/README.md"])
def test_links_lead_somewhere(name: str) -> None:
    document = ROOT / name
    links = re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_sessions_of_a_block() -> None:
    found = sessions("$ a b\none\ntwo\n$ c\n")
    assert [(s.command, s.shown) for s in found] == [("a b", "one\ntwo\n"), ("c", "")]


def test_a_block_replaces_what_it_names() -> None:
    text = "import x\n\n\ndef f():\n    pass\n\n\ng = 1\n"
    assert _replace(text, ["f"], "def f():\n    return 2\n") == (
        "import x\n\n\ndef f():\n    return 2\n\n\ng = 1\n"
    )


def test_times_and_kernels_compare_equal() -> None:
    assert comparable("12 states in 0.02 s") == comparable("12 states in  14 s")
    assert comparable("2 passed in 0.31s") == comparable("2 passed in 12.5s")
    assert comparable("found 2026-11-21") == comparable("found 2027-01-02")
    assert comparable("Linux 6.18.1, x86_64, root") == comparable("Linux 6.1, x86_64, not root")
    assert comparable("2 passed in 1s") != comparable("3 passed in 1s")


@pytest.mark.parametrize("name", ["fault-around", "pagewalk", "walkers"])
def test_claims_that_are_named_exist(name: str) -> None:
    text = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    named = set(re.findall(r"t\d_\w+::\w+(?:\[\w+\])?", text))
    assert len(named) > 15
    assert {target.address for target in targets_of(sorted(named))} == named
