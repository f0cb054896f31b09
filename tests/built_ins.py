"""The built-in claims that tests of the engine go through, one by one."""

from __future__ import annotations

import os

from pagerace.cli.load import Target, built_in_names, targets_of

# Each of them, and not a sample of T1, and of T2 and T5 no mutants.
ALL = bool(os.environ.get("PAGERACE_ALL_CLAIMS"))
# Whole faults take long to compile: two files of T1 do without, and have all its functions.
SAMPLE = ("t1_map_loop", "t1_tables")
WITHOUT_MUTANTS = ("t1_", "t2_", "t5_")


def built_ins(*others: str, mutants: bool = False) -> list[Target]:
    """All claims and those of ``others``; of T1 a sample; mutants of some groups only."""
    targets: list[Target] = []
    for name in built_in_names():
        if ALL or not name.startswith("t1_") or name in SAMPLE:
            wanted = mutants and (ALL or not name.startswith(WITHOUT_MUTANTS))
            targets += targets_of([name], mutants=wanted)
    return targets + (targets_of(others, mutants=mutants) if others else [])
