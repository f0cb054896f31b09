"""What ends a command early, and the code that it ends with."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

HOLDS, VIOLATED, USAGE, INCONCLUSIVE, INTERNAL = 0, 1, 2, 3, 4


class UsageError(Exception):
    """The command line asks for what cannot be done.  ``help`` says what can."""

    def __init__(self, message: str, help: str = "") -> None:
        super().__init__(message)
        self.help = help


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """``did you mean 'x'?`` for the nearest known name; empty where none is near."""
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else ""


def development() -> bool:
    """Is this a run of somebody who works on pagerace itself (PAGERACE_DEV=1)?"""
    import os

    return os.environ.get("PAGERACE_DEV", "") not in ("", "0")


def internal_error(error: BaseException, arguments: Sequence[str]) -> str:
    """The report of a bug in pagerace, with what its authors need to know."""
    import platform
    import shlex

    from pagerace import __version__
    from pagerace.report.words import short_path

    lines = ["This is a bug in pagerace, not in your protocol.", ""]
    words = str(error).splitlines() or [""]
    lines.append(f"  {type(error).__name__}: {words[0]}".rstrip(": "))
    lines += [f"    {line}" for line in words[1:]]
    frames = traceback.extract_tb(error.__traceback__)
    if frames:
        last = frames[-1]
        lines.append(f"  in {last.name}() at {short_path(last.filename)}:{last.lineno}")
    lines.append(
        f"  pagerace {__version__}, Python {platform.python_version()}, "
        f"{sys.platform} {platform.machine()}"
    )
    lines += [f"  command: {shlex.join(['pagerace', *arguments])}", ""]
    lines.append("Please report it with this text and the protocol file.")
    lines.append("PAGERACE_DEV=1 in the environment shows the whole traceback.")
    return "\n".join(lines)
