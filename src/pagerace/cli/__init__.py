"""The command line.  One file a command; a command's file is imported when it runs."""

from __future__ import annotations

import gc
from collections.abc import Sequence

# Objects made between two looks for cycles.  There are few cycles, and Python's own 700
# costs a tenth of a short check.
OBJECTS = 100_000


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line (default: that of the process) and return its exit code."""
    if argv is None:  # the process is ours
        gc.set_threshold(OBJECTS)
    from pagerace.cli.command_line import run

    return run(argv)
