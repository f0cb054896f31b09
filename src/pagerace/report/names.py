"""Names of objects, shortened for narrow columns as far as they stay unambiguous."""

from __future__ import annotations

from collections.abc import Iterable

# A structure around one number, as atomic_t is: its field says nothing more.
WRAPPED = ("counter", "value")


class Names:
    """The objects of one execution, by name."""

    def __init__(self, objects: Iterable[str]) -> None:
        self._uses: dict[str, set[str]] = {}
        for name in set(objects):
            for shorter in _shortened(name):
                self._uses.setdefault(shorter, set()).add(name)

    def of(self, name: str) -> list[str]:
        """The name, then shorter ones that mean the same object, each shorter yet."""
        return [s for s in _shortened(name) if self._uses.get(s, {name}) == {name}]


def _shortened(name: str) -> list[str]:
    """``a.b.c``, ``b.c``, ``c``; and without the field of a wrapped number."""
    parts = name.split(".")
    names = [name]
    if len(parts) > 2 and parts[-1] in WRAPPED:
        parts = parts[:-1]
        names.append(".".join(parts))
    names += [".".join(parts[i:]) for i in range(1, len(parts))]
    return list(dict.fromkeys(names))
