"""T3 in figures: see counts_t4.py."""

from __future__ import annotations

HOLDS: dict[str, tuple[int, int]] = {
    "t3_private::fork_beside_store": (1270, 114),
    "t3_private::mprotect_beside_store": (529, 65),
    "t3_private::truncate_beside_store": (4105, 86),
}

VIOLATED: dict[str, int] = {
    "t3_private::fork_beside_store[no_flush]": 57,
    "t3_private::fork_beside_store[not_write_protected]": 62,
    "t3_private::fork_beside_store[still_exclusive]": 87,
    "t3_private::mprotect_beside_store[no_flush]": 50,
    "t3_private::mprotect_beside_store[no_flush_at_the_end]": 48,
    "t3_private::mprotect_beside_store[write_given_back]": 50,
    "t3_private::truncate_beside_store[unmapped_once]": 49,
    "t3_private::truncate_beside_store[length_not_looked_at]": 57,
    "t3_private::truncate_beside_store[unlocked_before_it_is_mapped]": 56,
}
