"""What mm/ reads and writes without a lock is marked where the kernel marks it."""

from __future__ import annotations

from pagerace.compiler.ir import Program
from pagerace.report import races as words
from pagerace.report.execution import Race
from pagerace.search import check

# Races that Linux has itself, for all of them are found here.
PLAIN_IN_LINUX = {
    "mapping.truncated": "i_size_read() and i_size_write() of v6.2 are plain on 64 bits",
}
STATES_MAX = 300_000


def races_of_the_kernel(program: Program) -> list[str]:
    """The data races of a claim's mm/ that Linux has not."""
    violation = check(program, data_races=True, states_max=STATES_MAX).violation
    return [
        in_one_line(race)
        for race in (violation.races if violation is not None else [])
        if race.object not in PLAIN_IN_LINUX
        and any(access.plain and "/mm/" in access.where.file for access in race.accesses)
    ]


def in_one_line(race: Race) -> str:
    """``page.flags: read f:1 / write g:2``."""
    sides = [
        f"{words.kind(access)[:-3]} {access.where.function}:{access.where.line}"
        for access in race.accesses
    ]
    return f"{race.object}: {' / '.join(sides)}"
