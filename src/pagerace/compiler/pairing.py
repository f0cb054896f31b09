"""Which function releases a lock that another one took: a question to the program's text.

A lock is best taken and released in one call of one function: then the lines between the
two are all that it protects, and whoever reads the function sees them.  No execution is
needed to see where that is not so.  All calls are inlined, and the notes "call" in the code
tell where each one began; so a walk through the control-flow graph, with the locks that may
be held at each block, finds every pair.

What folds away is not looked at: a thread that only loads has no pairs of write faults.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass

from pagerace.compiler.ir import Code, Note, Where
from pagerace.compiler.liveness import successors


@dataclass(frozen=True)
class Crossing:
    """A lock is ``taken`` in one call of a function and ``released`` in another.

    Both are places in the functions that are to blame, not in those that only lock.
    """

    taken: Where
    released: Where

    def __str__(self) -> str:
        return f"{_in_words(self.taken)}, released in {_in_words(self.released)}"


def _in_words(where: Where) -> str:
    return f"{where.function}() line {where.line}"


# The locks that may be held, each by the place where it was taken, the last one last.
_Held = tuple[Where, ...]


def crossings(
    code: Code, taking: Set[str], releasing: Set[str], helpers: Set[str] = frozenset()
) -> list[Crossing]:
    """The locks that leave the call in which they are taken, each pair of places once.

    ``taking`` and ``releasing`` name the functions that do so.  ``helpers`` are functions
    that only take or release for their callers, as pte_offset_map_lock() does.  A release
    ends the lock that was taken last.
    """
    inner = taking | releasing | helpers
    found: dict[Crossing, None] = {}
    seen: set[tuple[int, _Held]] = set()
    pending: list[tuple[int, _Held]] = [(0, ())]
    while pending:
        state = pending.pop()
        if state in seen:
            continue
        seen.add(state)
        number, held = state
        for name, where in _calls(code, number):
            if name in taking:
                taken = _blamed(where, inner)
                # A way round a loop that takes it again has released it: no way is both.
                held = (*(other for other in held if other != taken), taken)
            elif name in releasing and held:
                released = _blamed(where, inner)
                if not _same_call(held[-1], released):
                    found[Crossing(held[-1], released)] = None
                held = held[:-1]
        pending += [(after, held) for after in successors(code.blocks[number].terminator)]
    return sorted(found, key=lambda crossing: (crossing.taken.line, crossing.released.line))


def _calls(code: Code, number: int) -> Iterator[tuple[str, Where]]:
    """The functions that a block calls, and where it does."""
    for instruction in code.blocks[number].instructions:
        if isinstance(instruction, Note) and instruction.kind == "call":
            yield instruction.text.partition("(")[0].rpartition(".")[2], instruction.where


def _blamed(where: Where, inner: Set[str]) -> Where:
    """The place in the first caller that does more than lock."""
    while where.function in inner and where.caller is not None:
        where = where.caller
    return where


def _same_call(a: Where, b: Where) -> bool:
    """Are the two places in one call of one function?"""
    return a.function == b.function and a.caller == b.caller
