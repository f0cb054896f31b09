"""T2 in figures, as counts_t4.py has those of T4."""

from __future__ import annotations

# Claims that hold: different states without reductions, and steps to the farthest of them.
HOLDS: dict[str, tuple[int, int]] = {
    "t2_install::v6_6": (1_693, 34),
    "t2_munmap::by_ipi": (405, 49),
    "t2_munmap::by_rcu": (490, 49),
    "t2_munmap::one_by_ipi": (572, 50),
    "t2_munmap::one_by_rcu": (550, 50),
    "t2_munmap::by_rmap": (590, 47),
}

# Claims and mutants that are violated: steps of a shortest execution.
VIOLATED: dict[str, int] = {
    "t2_install::v6_6[not_looked_at_again]": 25,
    "t2_install::v6_6[no_locks]": 19,
    "t2_install::v6_6[spare_table_kept]": 33,
    "t2_install::v6_6[not_counted]": 20,
    "t2_install::v6_6[no_mmap_lock]": 16,
    "t2_munmap::by_ipi[interrupts_on]": 38,
    "t2_munmap::by_ipi[free_before_flush]": 33,
    "t2_munmap::by_ipi[not_counted]": 44,
    "t2_munmap::by_ipi[never_freed]": 44,
    "t2_munmap::no_ipi": 36,
    "t2_munmap::by_rcu[interrupts_on]": 36,
    "t2_munmap::by_rcu[no_grace_period]": 37,
    "t2_munmap::by_rcu[never_freed]": 43,
    "t2_munmap::one_by_ipi[not_interrupted]": 37,
    "t2_munmap::one_by_rcu[no_grace_period]": 38,
    "t2_munmap::by_rmap[unlinked_after_it]": 45,
}
