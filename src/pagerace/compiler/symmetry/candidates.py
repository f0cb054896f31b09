"""Which CPUs and threads look alike, and which cells would change places with them.

Nothing here has to be right: a candidate is a guess, which ``proof`` proves or refuses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

from pagerace.compiler import ir
from pagerace.compiler.ir import Code, Const, Family, Load, Operand, Process, Program, Store
from pagerace.compiler.ranges import Interval, interval, intervals

# Where an object stands: (its name with numbers left out, which of the numbers).
Dimension: TypeAlias = "tuple[str, int]"

_NUMBER = re.compile(r"\[(\d+)\]")


@dataclass(frozen=True)
class Permutation:
    """Two units change places, and all that is theirs.

    ``processes[p]`` is the process that takes the place of p.  ``cells[f][i]`` is the cell
    that takes the place of cell i of family f; other families stay as they are.  Points and
    registers keep their numbers.  Done twice it changes nothing.
    """

    processes: tuple[int, ...]
    cells: dict[int, tuple[int, ...]]

    def cell(self, family: int, index: int) -> int:
        """The place of a cell after the exchange."""
        moved = self.cells.get(family)
        return index if moved is None else moved[index]


def units(program: Program) -> list[list[tuple[int, ...]]]:
    """Classes of units that look alike, each unit the numbers of its processes in order.

    A unit is all that runs on one CPU, or one of several threads of the same CPU.
    """
    shapes = [_shape(process) for process in program.processes]
    classes: list[list[tuple[int, ...]]] = []
    cpus: dict[tuple[object, ...], list[tuple[int, ...]]] = {}
    for cpu in sorted({process.cpu for process in program.processes}):
        members = [p.index for p in program.processes if p.cpu == cpu]
        members.sort(key=lambda p: (_sort_key(program.processes[p]), p))
        alike: dict[object, list[tuple[int, ...]]] = {}
        for member in members:
            alike.setdefault(shapes[member], []).append((member,))
        classes += [units for units in alike.values() if len(units) > 1]
        signature = tuple(shapes[member] for member in members)
        cpus.setdefault(signature, []).append(tuple(members))
    return classes + [units for units in cpus.values() if len(units) > 1]


def permutations(
    program: Program, one: Sequence[int], other: Sequence[int]
) -> Iterator[Permutation]:
    """Guesses of how two units change places, the likeliest first."""
    processes = list(range(len(program.processes)))
    pairs: dict[int, dict[int, int]] = {}
    for p, q in zip(one, other, strict=True):
        processes[p], processes[q] = q, p
        _pair_cells(program.processes[p].code, program.processes[q].code, pairs)
    dimensions = _dimensions(program, pairs)
    seen: list[Permutation] = []
    for guess in _guesses(program, dimensions):
        cells = _swap(program, guess, pairs)
        found = Permutation(tuple(processes), cells)
        if found not in seen:
            seen.append(found)
            yield found


# -- processes that look alike ---------------------------------------------------------


def _shape(process: Process) -> tuple[object, ...]:
    """What two processes must have in common, so that points and registers correspond."""
    code = process.code
    points = tuple(
        (point.where, tuple((r.number, r.type) for r in point.live))
        for point in (code.blocks[number].point for number in process.points)
        if point is not None
    )
    return (process.agent, code.name if process.agent else "", points)


def _sort_key(process: Process) -> tuple[object, ...]:
    points = (process.code.blocks[number].point for number in process.points)
    places = [(p.where.file, p.where.line, p.where.column) for p in points if p is not None]
    return (process.agent, places, process.code.name)


# -- cells -----------------------------------------------------------------------------


def _pair_cells(one: Code, other: Code, pairs: dict[int, dict[int, int]]) -> None:
    """Add the cells that two codes use at the same places: family -> cell -> cell."""
    ranges: list[list[Interval | None]] = []
    for a, b in zip(one.blocks, other.blocks, strict=False):
        for x, y in zip(_accesses(a), _accesses(b), strict=False):
            if x.family is not y.family or not x.family.written:
                continue
            if not ranges and not (isinstance(x.index, Const) and isinstance(y.index, Const)):
                ranges = [intervals(one), intervals(other)]
            first = _reach(ranges[:1], x.index, x.family)
            second = _reach(ranges[1:], y.index, y.family)
            if len(first) == len(second):
                found = pairs.setdefault(x.family.number, {})
                for i, j in zip(first, second, strict=True):
                    if i != j:
                        found.setdefault(i, j)
                        found.setdefault(j, i)


def _accesses(block: ir.Block) -> list[Load | Store]:
    return [i for i in block.instructions if isinstance(i, Load | Store)]


def _reach(
    found: list[list[Interval | None]], index: Operand, family: Family
) -> range:
    """The cells that an index can name; ``found`` is needed if it is not known."""
    first, last = interval(found[0] if found else [], index)
    return range(first, min(last, family.count - 1) + 1)


def _dimensions(
    program: Program, pairs: dict[int, dict[int, int]]
) -> dict[Dimension, tuple[int, int]]:
    """Dimension -> the two numbers that change places in it.

    Cells that differ in one number say more than others, which follow from them.
    """
    found: dict[Dimension, tuple[int, int]] = {}
    more: dict[Dimension, tuple[int, int]] = {}
    for number, cells in pairs.items():
        names = program.families[number].names
        for i, j in cells.items():
            one, other = _parse(names[i]), _parse(names[j])
            if one[0] != other[0]:
                continue
            numbers = list(zip(one[1], other[1], strict=True))
            differ = [place for place, (a, b) in enumerate(numbers) if a != b]
            for place in differ:
                a, b = numbers[place]
                known = found if len(differ) == 1 else more
                known.setdefault(_dimension(names[i], place), (min(a, b), max(a, b)))
    return found or more


def _parse(name: str) -> tuple[str, tuple[int, ...]]:
    """``cpus[2].tlb[0]`` -> ("cpus[].tlb[]", (2, 0))."""
    return _NUMBER.sub("[]", name), tuple(int(number) for number in _NUMBER.findall(name))


def _dimension(name: str, place: int) -> Dimension:
    """All fields of one object share the numbers in front of them."""
    head = list(_NUMBER.finditer(name))[place]
    return _NUMBER.sub("[]", name[: head.end()]), place


def _guesses(
    program: Program, found: dict[Dimension, tuple[int, int]]
) -> Iterator[dict[Dimension, tuple[int, int]]]:
    """What has been seen; then with it other dimensions that are as long."""
    yield found
    lengths: dict[Dimension, int] = {}
    for family in program.families:
        if family.written:
            for name in family.names:
                for place, number in enumerate(_parse(name)[1]):
                    key = _dimension(name, place)
                    lengths[key] = max(lengths.get(key, 0), number + 1)
    swaps = {(lengths[key], pair) for key, pair in found.items() if key in lengths}
    for length, pair in sorted(swaps):
        more = {
            key: pair for key, size in lengths.items() if size == length and key not in found
        }
        if more:
            yield more | found
        if len(more) <= 4:
            for size in range(len(more) - 1, 0, -1):
                for kept in combinations(sorted(more), size):
                    yield dict.fromkeys(kept, pair) | found


def _swap(
    program: Program,
    dimensions: dict[Dimension, tuple[int, int]],
    pairs: dict[int, dict[int, int]],
) -> dict[int, tuple[int, ...]]:
    """The cells of each family after two numbers have changed places in each dimension."""
    cells: dict[int, tuple[int, ...]] = {}
    for family in program.families:
        if not family.written:
            continue
        places = {name: i for i, name in enumerate(family.names)}
        moved = list(range(family.count))
        for i, name in enumerate(family.names):
            moved[i] = places.get(_renamed(name, dimensions), i)
        if moved == list(range(family.count)):
            # Objects of different names: only what was seen is known.
            seen = pairs.get(family.number, {})
            moved = [j if seen.get(j := seen.get(i, i), j) == i else i for i in moved]
        if moved != list(range(family.count)) and all(moved[moved[i]] == i for i in moved):
            cells[family.number] = tuple(moved)
    return cells


def _renamed(name: str, dimensions: dict[Dimension, tuple[int, int]]) -> str:
    parts: list[str] = []
    end = 0
    for place, match in enumerate(_NUMBER.finditer(name)):
        number = int(match[1])
        swap = dimensions.get(_dimension(name, place))
        if swap is not None and number in swap:
            number = swap[1] if number == swap[0] else swap[0]
        parts += [name[end : match.start()], f"[{number}]"]
        end = match.end()
    return "".join(parts) + name[end:]
