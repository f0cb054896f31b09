"""One place owns all output: stdout is data, stderr is talk."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
import time
from typing import Any, TextIO

from pagerace.cli.errors import UsageError

PROGRESS_AFTER = 1.0  # seconds of search before the progress line appears
PROGRESS_EVERY = 0.2

RED, GREEN, YELLOW, BOLD, PLAIN = "\033[31m", "\033[32m", "\033[33m", "\033[1m", "\033[0m"

# What is coloured where: a line's beginning, or the whole of what matches.
_COLOURS = (
    (re.compile(r"^BUG: .*$", re.MULTILINE), BOLD + RED),
    (re.compile(r"\bHOLDS\b"), BOLD + GREEN),
    (re.compile(r"\bINCONCLUSIVE\b"), BOLD + YELLOW),
    (re.compile(r"\berror: [a-z-]+(?=:)|^error(?=:)", re.MULTILINE), BOLD + RED),
    (re.compile(r"\^\^+.*$|\^(?= )|<- .*$|\*\*\* [A-Z]+ \*\*\*", re.MULTILINE), RED),
    (re.compile(r"^(Why|Search|Replay|Expected):", re.MULTILINE), BOLD),
)


def colourful(stream: TextIO | None) -> bool:
    """May this stream be coloured?  Only a terminal, and never under NO_COLOR."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return _is_terminal(stream)


def paint(text: str) -> str:
    """``text`` with what matters in colour."""
    for pattern, colour in _COLOURS:
        text = pattern.sub(lambda match, colour=colour: f"{colour}{match[0]}{PLAIN}", text)
    return text


class Terminal:
    """Where a command prints.  ``out`` is its result; ``note`` and ``error`` are talk."""

    def __init__(self) -> None:
        self.quiet = False
        self.path = ""
        self.collected: list[str] = []
        self._line_shown = False
        self._next = 0.0

    def configure(self, *, quiet: bool = False, output: str | None = None) -> None:
        """Take the options of ``add_output``.  Raises UsageError if FILE cannot be."""
        self.quiet = quiet
        if output and (problem := cannot_write(output)):
            raise UsageError(f"cannot write {output}: {problem}")
        self.path = output or ""

    def out(self, text: str) -> None:
        """Part of the result."""
        self.clear_line()
        if self.path:
            self.collected.append(text)
        else:
            try:
                _write(sys.stdout, text)
            except OSError as error:
                raise UsageError(f"cannot write to stdout: {error.strerror}") from None

    def note(self, text: str) -> None:
        """Talk, which ``-q`` leaves out."""
        if not self.quiet:
            self.error(text)

    def error(self, text: str) -> None:
        """Talk that is never left out."""
        self.clear_line()
        with contextlib.suppress(OSError):  # there is nobody left to tell
            _write(sys.stderr, text)

    def shows_progress(self) -> bool:
        """Is there somebody to look at a progress line?"""
        return not self.quiet and _is_terminal(sys.stderr)

    def progress(self, text: str, seconds: float) -> None:
        """Renew the progress line: on a terminal, and only if the wait is long."""
        now = time.monotonic()
        if self.quiet or seconds < PROGRESS_AFTER or now < self._next:
            return
        if not _is_terminal(sys.stderr):
            return
        self._next = now + PROGRESS_EVERY
        self._line_shown = True
        width = _columns() - 1
        sys.stderr.write("\r" + text[:width].ljust(width))
        sys.stderr.flush()

    def clear_line(self) -> None:
        """Take the progress line away."""
        if self._line_shown:
            self._line_shown = False
            sys.stderr.write("\r" + " " * (_columns() - 1) + "\r")
            sys.stderr.flush()

    def finish(self) -> int:
        """Write the file of ``-o``; returns 0.

        If that fails the result goes to stdout instead, and a UsageError is raised.
        """
        self.clear_line()
        if not self.path:
            return 0
        path, self.path = self.path, ""
        collected, self.collected = self.collected, []
        try:
            with open(path, "w", encoding="utf-8") as file:
                file.write("".join(f"{part}\n" for part in collected))
        except OSError as error:
            for part in collected:
                self.out(part)
            raise UsageError(
                f"cannot write {path}: {error.strerror}", "the result is on stdout instead"
            ) from None
        return 0


def _columns() -> int:
    import shutil

    return shutil.get_terminal_size().columns


def _is_terminal(stream: TextIO | None) -> bool:
    """``stream`` is None where the process was started with it closed."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def cannot_write(path: str) -> str:
    """Why a file could not be written, as far as can be told before; "" if it could."""
    folder = os.path.dirname(os.path.abspath(path))
    if os.path.isdir(path):
        return "it is a directory"
    if not os.path.isdir(folder):
        return f"there is no directory {os.path.dirname(path)}"
    if not os.access(path if os.path.exists(path) else folder, os.W_OK):
        return "permission denied"
    return ""


def _write(stream: Any, text: str) -> None:
    """Print, whatever the stream's encoding; a reader that has gone is no error.

    Raises OSError where the stream takes nothing.
    """
    if stream is None:
        raise OSError(errno.EBADF, "it is closed")
    text = paint(text) if colourful(stream) else text
    try:
        try:
            stream.write(text + "\n")
        except UnicodeEncodeError:
            stream.write(text.encode("ascii", "backslashreplace").decode() + "\n")
        stream.flush()
    except OSError as error:
        # Python flushes once more at exit; give it somewhere to flush to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if not isinstance(error, BrokenPipeError):
            raise
