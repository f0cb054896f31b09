"""Sizes and times of claims."""

from __future__ import annotations

import json
import os
import sys

import pytest

from tests.protocols.counts_t4 import HOLDS
from tests.tidy.sources import ROOT

sys.path.insert(0, str(ROOT / "bench"))
import claims

CLAIM = "t4_torn_twice::force_flush"


def test_the_whole_benchmark(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", os.environ.get("XDG_CACHE_HOME", ""))
    assert claims.main([CLAIM, "--json"]) == 0
    *table, last = capsys.readouterr().out.splitlines()
    (figures,) = json.loads(last)
    assert (figures["states"], figures["depth"]) == HOLDS[CLAIM]
    assert figures["reduced"] < figures["states"]
    assert figures["ratio"] > 0
    assert table[-1].startswith(f"| `{CLAIM}` | holds | {figures['states']:,} |")


def test_a_claim_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert claims.main(["t4_torn_twice::none"]) == 2
    assert "no claim 'none' in t4_torn_twice" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        claims.main([CLAIM, "--runs", "0"])
