"""The built-in claims that tests of the engine go through, one by one."""

from __future__ import annotations

import os

from pagerace.cli.load import Target, built_in_names, targets_of

# Each of them, and not a sample of T1 and T5, and of T2 and T5 no mutants.
ALL = bool(os.environ.get("PAGERACE_ALL_CLAIMS"))
# Whole faults take long to compile: two files of T1 do without, and have all its functions.
# The claims about answers are one walk eleven times, which the other files of T5 do as well.
OMITTED = (
    "t1_ageing", "t1_alloc_set_pte", "t1_map_pages", "t1_progress", "t1_proposals",
    "t5_answers",
)  # fmt: skip
WITHOUT_MUTANTS = ("t1_", "t2_", "t5_")


def built_ins(*others: str, mutants: bool = False) -> list[Target]:
    """All claims, of T1 and T5 a sample, and ``others``; mutants of some groups only."""
    targets: list[Target] = []
    for name in built_in_names():
        if ALL or name not in OMITTED:
            wanted = mutants and (ALL or not name.startswith(WITHOUT_MUTANTS))
            targets += targets_of([name], mutants=wanted)
    return targets + (targets_of(others, mutants=mutants) if others else [])
