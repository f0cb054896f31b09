"""Numbers as people write them."""

from __future__ import annotations

import argparse

import pytest

from pagerace.cli.arguments import count, seconds, size


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("50_000_000", 50_000_000),
        ("50,000,000", 50_000_000),
        ("5M", 5_000_000),
        ("1e6", 1_000_000),
        ("1.5M", 1_500_000),
        ("2k", 2000),
        ("1", 1),
    ],
)
def test_count(text: str, number: int) -> None:
    assert count(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("4GiB", 4 << 30),
        ("4G", 4 << 30),
        ("4gib", 4 << 30),
        ("512MiB", 512 << 20),
        ("1.5GiB", 3 << 29),
        ("1GB", 10**9),
        ("4096", 4096),
    ],
)
def test_size(text: str, number: int) -> None:
    assert size(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("30s", 30.0),
        ("30", 30.0),
        ("5min", 300.0),
        ("5m", 300.0),
        ("500ms", 0.5),
        ("1h", 3600.0),
    ],
)
def test_seconds(text: str, number: float) -> None:
    assert seconds(text) == number


@pytest.mark.parametrize("text", ["", "-1", "0", "many", "5X", "1e999", "1.5", "_5", "5 5"])
def test_no_count(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        count(text)
