"""pyright: strict on what authors write and import, basic on the engine."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from tests.tidy.sources import ROOT


@pytest.mark.skipif(
    importlib.util.find_spec("pyright") is None, reason="pyright is not installed"
)
def test_pyright() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--pythonpath", sys.executable],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
