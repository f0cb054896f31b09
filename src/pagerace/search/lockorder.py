"""Locks taken in both orders: a cycle among "was held when that one was taken"."""

from __future__ import annotations

from collections.abc import Sequence


def shortest_cycle(held_when_taken: Sequence[int]) -> list[int] | None:
    """Locks such that each was held when the next one was taken, the last one the first.

    ``held_when_taken[lock]`` is a bit mask of locks.  Of equally short cycles the one
    with the lowest numbers; None if there is none.
    """
    best: list[int] | None = None
    after = {
        held: [lock for lock, mask in enumerate(held_when_taken) if mask >> held & 1]
        for held in range(len(held_when_taken))
    }
    for first in after:
        cycle = _cycle_through(first, after)
        if cycle is not None and (best is None or len(cycle) < len(best)):
            best = cycle
    return best


def _cycle_through(first: int, after: dict[int, list[int]]) -> list[int] | None:
    """The shortest way from ``first`` back to it, through higher numbers only."""
    came_from: dict[int, int] = {}
    queue = [first]
    for lock in queue:
        for following in after[lock]:
            if following == first:
                way = [lock]
                while way[-1] != first:
                    way.append(came_from[way[-1]])
                return way[::-1]
            if following > first and following not in came_from:
                came_from[following] = lock
                queue.append(following)
    return None


class LockOrders:
    """The orders seen so far, and those that were new on the last level."""

    def __init__(self, locks: int) -> None:
        self.known = [0] * locks
        self.new = [0] * locks
        self.cycle: list[int] | None = None

    def add(self, held_when_taken: Sequence[int]) -> bool:
        """Take over what a level gave; does it close a cycle?"""
        self.new = [
            mask & ~known for mask, known in zip(held_when_taken, self.known, strict=True)
        ]
        self.known = [
            mask | known for mask, known in zip(held_when_taken, self.known, strict=True)
        ]
        if any(self.new):
            self.cycle = shortest_cycle(self.known)
        return self.cycle is not None

    def closing_pairs(self) -> dict[int, int]:
        """Lock -> mask: taken while one of those is held, newly, as part of the cycle."""
        assert self.cycle is not None
        held = self.cycle
        taken = [*self.cycle[1:], self.cycle[0]]
        pairs: dict[int, int] = {}
        for before, lock in zip(held, taken, strict=True):
            if self.new[lock] >> before & 1:
                pairs[lock] = pairs.get(lock, 0) | 1 << before
        return pairs

    def edges(self) -> list[tuple[int, int]]:
        """All (held, taken) pairs."""
        return [
            (held, lock)
            for lock, mask in enumerate(self.known)
            for held in range(len(self.known))
            if mask >> held & 1
        ]
