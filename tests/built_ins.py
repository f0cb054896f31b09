"""The built-in claims that tests of the engine go through, one by one."""

from __future__ import annotations

import os

from pagerace.cli.load import Target, built_in_names, targets_of

# Each of them, and not a sample of T1 and T2.
ALL = bool(os.environ.get("PAGERACE_ALL_CLAIMS"))
# Whole faults take long to compile: two files of T1 do without, and have all its functions.
# T2 has many claims of few functions: these have a walker of each class between them.
SAMPLE = ("t1_map_loop", "t1_tables", "t2_collapse", "t2_map_lock", "t2_mremap", "t2_munmap")


def built_ins(*others: str, mutants: bool = False) -> list[Target]:
    """All claims and those of ``others``; of T1 and T2 a sample, without mutants."""
    targets: list[Target] = []
    for name in built_in_names():
        if ALL or not name.startswith(("t1_", "t2_")):
            targets += targets_of([name], mutants=mutants)
        elif name in SAMPLE:
            targets += targets_of([name])
    return targets + (targets_of(others, mutants=mutants) if others else [])
