"""T5 in figures, as counts_t4.py has those of T4."""

from __future__ import annotations

# Claims that hold: different states without reductions, and steps to the farthest of them.
HOLDS: dict[str, tuple[int, int]] = {
    "t5_again::alone": (18, 17),
    "t5_again::reasons": (17_115, 72),
    "t5_answers::v5_6": (122_144, 78),
    "t5_answers::v6_5": (134_844, 83),
    "t5_answers::thomas": (112_043, 75),
    "t5_answers::linus_positive": (121_311, 79),
    "t5_answers::kirill": (122_144, 78),
    "t5_answers::locked": (100_256, 75),
    "t5_collapse::v6_6": (361, 33),
    "t5_collapse::v6_5": (169, 33),
    "t5_dirty::record": (1_314, 44),
    "t5_dirty::huge_v5_6": (9, 8),
    "t5_ptes::error_exit_v5_5": (14, 13),
    "t5_ptes::unlocked_v5_5": (529, 48),
    "t5_walk::actions": (29, 28),
    "t5_walk::huge_only": (14, 13),
    "t5_walk::whole_table": (14, 13),
    "t5_walk::errors": (17, 16),
    "t5_walk::part": (26, 25),
}

# Claims and mutants that are violated: steps of a shortest execution.
VIOLATED: dict[str, int] = {
    "t5_again::alone[always_unstable]": 9,
    "t5_again::reasons[for_no_reason]": 39,
    "t5_again::no_progress": 9,
    "t5_answers::v5_4": 32,
    "t5_answers::thomas[no_unstable_test]": 13,
    "t5_answers::unstable_is_done": 11,
    "t5_answers::linus": 32,
    "t5_answers::retry": 37,
    "t5_answers::locked_and_sleeps": 6,
    "t5_collapse::v6_6[not_looked_at_again]": 17,
    "t5_collapse::not_prepared": 18,
    "t5_dirty::record[no_flush]": 13,
    "t5_dirty::record[not_recorded]": 17,
    "t5_dirty::huge_v5_5": 8,
    "t5_dirty::huge_v5_6[warns_only]": 9,
    "t5_ptes::error_exit": 10,
    "t5_ptes::unlocked": 33,
    "t5_ptes::unlocked_v5_5[no_lock]": 32,
    "t5_walk::actions[not_forgotten]": 14,
    "t5_walk::actions[nothing_is_heard]": 10,
    "t5_walk::huge_only[split_for_nobody]": 10,
    "t5_walk::whole_table[nothing_is_heard]": 13,
    "t5_walk::errors[next_table]": 22,
    "t5_walk::part[to_the_end_of_the_table]": 24,
    "t5_walk::part[again_after_the_ptes]": 22,
    "t5_walk::part[no_lock]": 8,
    "t5_walk::part[not_there]": 2,
}
