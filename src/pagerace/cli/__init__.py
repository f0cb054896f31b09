"""The command line.  One file a command; a command's file is imported when it runs."""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line (default: that of the process) and return its exit code."""
    from pagerace.cli.command_line import run

    return run(argv)
