"""Properties as tables name them: by the id in the docstring, else by the function's name."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

COLUMNS_MAX = 100  # of tables and of the legend below them
LABEL_MAX = 10

_ID = re.compile(r"(?P<group>[A-Z]+\d*)-(?P<id>[A-Z]+\d+)\b")


@dataclass(frozen=True)
class Property:
    """``kind`` is "always" or "at_end"; ``doc`` the docstring's first sentence.

    ``home`` is the module of the function: two files may each have a property of one name.
    """

    name: str
    kind: str
    doc: str = ""
    home: str = ""

    @property
    def id(self) -> str:
        """``T4-S2``, if the docstring begins with it, else ""."""
        match = _ID.match(self.doc)
        return match[0] if match else ""

    @property
    def short(self) -> str:
        """The id without its group, ``S2``, or the name."""
        match = _ID.match(self.doc)
        return match["id"] if match else self.name


def first_sentence(doc: str) -> str:
    """The first sentence of a docstring, in one line."""
    words = " ".join(doc.split())
    match = re.match(r".*?\.(?= |$)", words)
    return (match[0] if match else words).rstrip(".")


def labels(properties: Sequence[Property]) -> dict[Property, str]:
    """What a column is called.  Where two have one id, a letter tells them apart."""
    groups = {p.id.partition("-")[0] for p in properties if p.id}
    stems = {p: p.short if len(groups) == 1 else p.id or p.name for p in properties}
    found: dict[Property, str] = {}
    for item, stem in stems.items():
        same = [other for other, name in stems.items() if name == stem]
        letter = "abcdefghijklmnopqrstuvwxyz"[same.index(item) % 26] if len(same) > 1 else ""
        found[item] = stem + letter
    return found


def legend(rows: Iterable[tuple[str, str]]) -> list[str]:
    """``label  what it means``, aligned, in lines of at most ``COLUMNS_MAX``.

    A long label stands before its meaning, so that it does not move all others.
    """
    listed = list(rows)
    width = max((len(name) for name, _ in listed if len(name) <= LABEL_MAX), default=0)
    lines: list[str] = []
    for label, words in listed:
        is_long = len(label) > LABEL_MAX
        lines += textwrap.wrap(
            f"{label}: {words}" if is_long else words,
            COLUMNS_MAX,
            initial_indent="" if is_long else f"{label:<{width}}  ",
            subsequent_indent=" " * (width + 2),
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines
