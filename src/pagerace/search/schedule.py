"""A schedule is an interleaving as text: ``1:3,0:5?1?0,2.tlb_evict:1``.

``label:steps`` are that many steps of a process in a row; ``?n`` behind it are the data
choices made in them, in order.  It holds no hashes and no addresses, so a person can
write it, change it and commit it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pagerace.compiler.ir import Process

STEPS_MAX = 10_000_000


class ScheduleError(ValueError):
    """A schedule that cannot be read, or that does not fit.

    ``step`` is the number of the first step that is not possible, counted from 1, or
    None if the text is at fault.
    """

    def __init__(self, message: str, step: int | None = None) -> None:
        super().__init__(message)
        self.step = step


@dataclass(frozen=True)
class Group:
    """``steps`` steps of process number ``process`` in a row, with their choices."""

    process: int
    steps: int
    choices: tuple[int, ...] = ()


# A label may hold all that a thread's name may: only a comma would end it.
_GROUP = re.compile(r"(?P<label>[^,]+):(?P<steps>\d+)(?P<choices>(\?\d+)*)")


def parse(text: str, processes: Sequence[Process]) -> list[Group]:
    """Read a schedule; the empty one takes no step.  Raises ScheduleError."""
    if not text.strip():
        return []
    numbers = {process.label: process.index for process in processes}
    groups: list[Group] = []
    for part in text.split(","):
        part = part.strip()
        match = _GROUP.fullmatch(part)
        if match is None:
            raise ScheduleError(
                f"{part!r} is no part of a schedule; it should look like 1:3 or 0:5?1"
            )
        label, steps = match["label"], int(match["steps"])
        if label not in numbers:
            raise ScheduleError(f"there is no process {label!r}; there are {_names(numbers)}")
        if not 1 <= steps <= STEPS_MAX:
            raise ScheduleError(f"{part!r}: the number of steps must be 1 to {STEPS_MAX:,}")
        choices = tuple(map(int, match["choices"].split("?")[1:]))
        groups.append(Group(numbers[label], steps, choices))
    return groups


def format(moves: Iterable[tuple[int, Sequence[int]]], processes: Sequence[Process]) -> str:
    """The schedule of steps given as (process, choices)."""
    groups: list[Group] = []
    for process, choices in moves:
        last = groups[-1] if groups else None
        if last is not None and last.process == process:
            groups[-1] = Group(process, last.steps + 1, (*last.choices, *choices))
        else:
            groups.append(Group(process, 1, tuple(choices)))
    return ",".join(
        f"{processes[group.process].label}:{group.steps}"
        + "".join(f"?{choice}" for choice in group.choices)
        for group in groups
    )


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
