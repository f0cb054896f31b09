"""What is left out of a search because it would show nothing new.

``independence`` proves where one process may go alone, ``symmetry`` which states are the
same but for names.  What stands here says what the search does with either; native code
of it is in ``native/reductions.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import factorial, prod

from pagerace.compiler import independence, symmetry
from pagerace.compiler.independence import Independence
from pagerace.compiler.ir import Program
from pagerace.compiler.layout import Layout
from pagerace.compiler.state import State
from pagerace.compiler.symmetry.canonical import Canonical, canonicals, representative

EVERY = (1 << 64) - 1  # all processes

PARTIAL_ORDER, SYMMETRY = "partial-order", "symmetry"
NAMES = (PARTIAL_ORDER, SYMMETRY)


def names_of(wanted: str | Sequence[str]) -> tuple[str, ...]:
    """The reductions that "none", "all", the name of one or a list of names stands for.

    Raises ValueError for a name that is not known.
    """
    if isinstance(wanted, str):
        wanted = {"none": (), "all": NAMES}.get(wanted, (wanted,))
    for name in wanted:
        if name not in NAMES:
            raise ValueError(f"no reduction {name!r}: there are {', '.join(NAMES)}")
    return tuple(name for name in NAMES if name in wanted)


@dataclass(frozen=True)
class Reductions:
    """The reductions that were found for a program.

    ``figures``: for each in use how far it goes: the number of points at which a process
    may go alone, and the size of the group of symmetries.

    ``groups`` of symmetries, and ``layout`` on whose words they act.  ``told_apart``: why
    CPUs or threads that look alike are not taken to be, or not at all points.
    """

    partial: Independence | None = None
    layout: Layout | None = None
    groups: tuple[Canonical, ...] = ()
    told_apart: tuple[str, ...] = ()

    @staticmethod
    def of(program: Program, layout: Layout, names: Sequence[str]) -> Reductions:
        """Those of ``names`` that are of use for a program."""
        partial = independence.find(program) if PARTIAL_ORDER in names else None
        if partial is not None and not partial.owners:
            partial = None
        if SYMMETRY not in names:
            return Reductions(partial)
        found = symmetry.find(program)
        groups = tuple(canonicals(program, layout, found))
        return Reductions(partial, layout, groups, tuple(found.reasons))

    @property
    def figures(self) -> dict[str, int]:
        found: dict[str, int] = {}
        if self.partial is not None:
            found[PARTIAL_ORDER] = self.partial.points
        if self.groups:
            found[SYMMETRY] = prod(factorial(group.units) for group in self.groups)
        return found

    def chosen(self, pc: Sequence[int]) -> int:
        """The processes to expand where the program counters are these, a bit each."""
        alone = self.partial.chosen(pc) if self.partial is not None else None
        return EVERY if alone is None else alone

    def canonical(self, state: State) -> State:
        """The representative of all states that differ by names only."""
        if self.layout is None or not self.groups:
            return state
        words = self.layout.pack(state)
        return self.layout.unpack(representative(self.groups, words))


NO_REDUCTIONS = Reductions()
