"""Names of objects, shortened for narrow columns as far as they stay unambiguous."""

from __future__ import annotations

from collections.abc import Iterable

# A structure around one number, as atomic_t is: its field says nothing more.
WRAPPED = ("counter", "value")


class Names:
    """The objects of one execution, by name.

    ``short``: no more of a path than its last two parts, or one if that is an element of
    an array, where no other object is meant by it.
    """

    def __init__(self, objects: Iterable[str], *, short: bool = False) -> None:
        self._short = short
        self._uses: dict[str, set[str]] = {}
        for name in set(objects):
            for shorter in _shortened(name):
                self._uses.setdefault(shorter, set()).add(name)

    def of(self, name: str) -> list[str]:
        """The name, then shorter ones that mean the same object, each shorter yet."""
        names = [s for s in _shortened(name) if self._uses.get(s, {name}) == {name}]
        if not self._short or names[0].count(".") < 2:
            return names
        shorter = [s for s in names if s.count(".") < 2]
        return [s for s in shorter if s.endswith("]") and "." not in s] or shorter or names


def _shortened(name: str) -> list[str]:
    """``a.b.c``, ``b.c``, ``c``; and without the field of a wrapped number."""
    parts = name.split(".")
    names = [name]
    if len(parts) > 2 and parts[-1] in WRAPPED:
        parts = parts[:-1]
        names.append(".".join(parts))
    names += [".".join(parts[i:]) for i in range(1, len(parts))]
    return list(dict.fromkeys(names))
