"""Symmetry: CPUs and threads that nobody can tell apart, proved from the IR."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import factorial, prod

from pagerace.compiler.ir import Program
from pagerace.compiler.symmetry.candidates import Permutation, permutations, units
from pagerace.compiler.symmetry.proof import Proof, is_useful, prove


@dataclass
class Group:
    """Units, each the numbers of its processes, that may stand in any order.

    ``swaps[i]`` exchanges units i and i + 1.  While a process p is at a point of
    ``marked[p]`` the order still matters.
    """

    units: list[tuple[int, ...]]
    swaps: list[Permutation]
    marked: dict[int, set[int]]

    @property
    def order(self) -> int:
        """The number of permutations."""
        return factorial(len(self.units))


@dataclass
class Symmetry:
    """What was proved of a program; and of what was not, why."""

    groups: list[Group] = field(default_factory=list[Group])
    reasons: list[str] = field(default_factory=list[str])

    @property
    def order(self) -> int:
        """The number of permutations of all groups together: 1 where there are none."""
        return prod(group.order for group in self.groups)


def find(program: Program) -> Symmetry:
    """Look for CPUs and threads that are alike, and prove what can be proved of them."""
    found = Symmetry()
    for alike in units(program):
        left = list(alike)
        while len(left) > 1:
            group, left = _group(program, left, found.reasons)
            if group is not None and is_useful(program, group.marked):
                found.groups.append(group)
    for group in found.groups:
        for other in found.groups:
            _spread(group, other)
    return found


def _group(
    program: Program, alike: list[tuple[int, ...]], reasons: list[str]
) -> tuple[Group | None, list[tuple[int, ...]]]:
    """The units that can be shown to be like the first; and those that cannot."""
    group = Group([alike[0]], [], {})
    left: list[tuple[int, ...]] = []
    for unit in alike[1:]:
        permutation, proof = _best(program, group.units[-1], unit)
        if permutation is None:
            left.append(unit)
            a, b = (program.processes[u[0]].label for u in (group.units[-1], unit))
            reasons.append(f"{a} and {b}: {proof.refused}")
            continue
        group.units.append(unit)
        group.swaps.append(permutation)
        for process, marked in proof.marked.items():
            if marked:
                group.marked.setdefault(process, set()).update(marked)
        reasons += [reason for reason in proof.reasons if reason not in reasons]
    return (group if group.swaps else None), left


def _best(
    program: Program, one: tuple[int, ...], other: tuple[int, ...]
) -> tuple[Permutation | None, Proof]:
    """The first guess that is proved for all points; else the one with the fewest marks."""
    best: tuple[Permutation | None, Proof] = (None, Proof("they use different memory"))
    fewest: int | None = None
    tried: list[tuple[Permutation, set[int]]] = []
    for permutation in permutations(program, one, other):
        if any(
            families
            and all(known.cells.get(f) == permutation.cells.get(f) for f in families)
            for known, families in tried
        ):
            continue  # it is no better where that one fails
        proof = prove(program, permutation)
        tried.append((permutation, proof.families))
        marks = sum(map(len, proof.marked.values()))
        if proof.refused:
            best = best if best[0] else (None, proof)
        elif fewest is None or marks < fewest:
            best, fewest = (permutation, proof), marks
        if fewest == 0:
            break
    return best


def _spread(group: Group, by: Group) -> None:
    """Let marks be the same for processes that change places: orbits stay whole."""
    for unit_points in zip(*by.units, strict=True):
        together: set[int] = set()
        for process in unit_points:
            together |= group.marked.get(process, set())
        for process in unit_points if together else ():
            group.marked[process] = set(together)
