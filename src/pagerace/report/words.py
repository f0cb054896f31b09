"""Numbers, places and lists in the words in which every report says them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SHARED = ("machine", "mm")  # packages of it that every protocol draws on


def short_path(path: str) -> str:
    """``path`` as a reader wants it: from the working directory, or from ``pagerace/``."""
    if not os.path.isabs(path):
        return path
    here = os.getcwd()
    for base in (here, os.path.realpath(here)):
        if path.startswith(base.rstrip(os.sep) + os.sep):
            return os.path.relpath(path, base)
    if path.startswith(PACKAGE + os.sep):
        return os.path.relpath(path, os.path.dirname(PACKAGE))
    return path


def is_shared(path: str) -> bool:
    """Is it code of the kernel or the machine, which all protocols share?"""
    return path.startswith(tuple(os.path.join(PACKAGE, part, "") for part in SHARED))


def duration(seconds: float) -> str:
    """A time span: ``0.02 s``, ``0.8 s``, ``12 s``, ``3 min 5 s``."""
    if seconds < 0.095:
        return f"{seconds:.2f} s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def size(count: float) -> str:
    """A number of bytes: ``512 B``, ``1.5 MiB``."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def plural(count: int, word: str) -> str:
    """``1 step``, ``1,204 steps``."""
    if count == 1:
        return f"1 {word}"
    if word.endswith("data"):
        return f"{count:,} {word}"
    if word.endswith("y") and word[-2:-1] not in tuple("aeiou"):
        return f"{count:,} {word[:-1]}ies"
    ending = "es" if word.endswith(("s", "x", "z", "ch", "sh")) else "s"
    return f"{count:,} {word}{ending}"


def bounds_in_words(bounds: Mapping[str, str]) -> str:
    """``2 CPUs, 1 pmd, switches unbounded, order sc``: numbers stand first."""
    parts: list[str] = []
    for name, value in bounds.items():
        if value.isdigit():
            stem = name if name.endswith("ss") else name.removesuffix("s")
            if stem.endswith("ie"):
                stem = stem.removesuffix("ie") + "y"
            parts.append(plural(int(value), stem.replace("_", " ")))
        else:
            parts.append(f"{name} {value}")
    return ", ".join(parts)


def line_ranges(lines: Iterable[int]) -> str:
    """``77-78,90``: line numbers with runs shortened."""
    ranges: list[list[int]] = []
    for line in sorted(set(lines)):
        if ranges and line == ranges[-1][1] + 1:
            ranges[-1][1] = line
        else:
            ranges.append([line, line])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges)


def places(lines_of: Mapping[str, Iterable[int]]) -> str:
    """``mm.py:77-78,90 rmap.py:12``."""
    return " ".join(f"{short_path(f)}:{line_ranges(lines_of[f])}" for f in sorted(lines_of))
