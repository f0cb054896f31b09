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
    # Named, for pyright would prefer the configuration of any folder further up.
    command = [sys.executable, "-m", "pyright", "--project", "pyproject.toml"]
    command += ["--pythonpath", sys.executable]
    done = subprocess.run(
        command,
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
