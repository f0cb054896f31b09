"""Every slug that a person can meet has a rule page."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.tidy.sources import PACKAGE, python_files, tree_of

RULES = PACKAGE / "report" / "rules"

# Callee -> which argument is the slug.
SLUG_ARGUMENT = {
    "Check": 1,
    "Diagnostic": 0,
    "Violation": 0,
    "_at": 1,
    "_refuse": 0,
    "bug_on": 1,
    "check": 2,
    "fail": 1,
}
# What the search itself finds; no call has these written out.
FOUND_BY_SEARCH = {"assert", "deadlock", "livelock", "lock-order-inversion"}


def _slugs() -> dict[str, str]:
    """Slug -> a place where it is used, from calls with the slug written out."""
    found = dict.fromkeys(FOUND_BY_SEARCH, "search")
    folders = [PACKAGE / name for name in ("compiler", "machine", "mm", "search")]
    for path in python_files():
        if not any(path.is_relative_to(folder) for folder in folders):
            continue
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call):
                slug = _slug(node)
                if slug is not None:
                    found.setdefault(slug, f"{path.relative_to(PACKAGE)}:{node.lineno}")
    return found


def _slug(node: ast.Call) -> str | None:
    name = getattr(node.func, "attr", None) or getattr(node.func, "id", "")
    position = SLUG_ARGUMENT.get(name)
    if position is None or len(node.args) <= position:
        return None
    argument = node.args[position]
    value = argument.value if isinstance(argument, ast.Constant) else None
    return value if isinstance(value, str) and value else None


def test_slugs_are_found_at_all() -> None:
    assert {"unsupported-statement", "use-after-free", "counter-below-zero"} <= set(_slugs())


def test_every_slug_has_a_page() -> None:
    pages = {path.stem for path in RULES.iterdir()}
    assert {slug: place for slug, place in _slugs().items() if slug not in pages} == {}


@pytest.mark.parametrize("path", sorted(RULES.glob("*.md")), ids=lambda path: path.stem)
def test_every_page_has_a_wrong_and_a_right_example(path: Path) -> None:
    text = path.read_text(encoding="utf-8").lower()
    assert "wrong" in text
    assert "right" in text
