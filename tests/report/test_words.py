"""Numbers, places and lists in words."""

from __future__ import annotations

import pytest

from pagerace.report import words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.00 s"),
        (0.02, "0.02 s"),
        (0.81, "0.8 s"),
        (9.94, "9.9 s"),
        (12.3, "12 s"),
        (185, "3 min 5 s"),
        (7384, "2 h 3 min"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(512, "512 B"), (1536, "1.5 KiB"), (3 << 20, "3.0 MiB"), (5 << 30, "5.0 GiB")],
)
def test_size(count: int, text: str) -> None:
    assert words.size(count) == text


def test_plural() -> None:
    assert [words.plural(n, "state") for n in (0, 1, 1204)] == [
        "0 states",
        "1 state",
        "1,204 states",
    ]


def test_bounds() -> None:
    bounds = {"CPUs": "1", "page": "2", "frame": "1", "order": "sc"}
    assert words.bounds_in_words(bounds) == "1 CPU, 2 pages, 1 frame, order sc"


def test_line_ranges() -> None:
    assert words.line_ranges([78, 77, 90, 5, 77]) == "5,77-78,90"


def test_short_path(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    assert words.short_path(str(tmp_path / "a" / "numa.py")) == "a/numa.py"
    assert words.short_path("numa.py") == "numa.py"
    assert words.short_path(words.PACKAGE + "/mm/rmap.py") == "pagerace/mm/rmap.py"
    assert words.short_path("/elsewhere/x.py") == "/elsewhere/x.py"
