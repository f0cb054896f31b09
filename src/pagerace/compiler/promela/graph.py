"""Where the ways through a graph come together again."""

from __future__ import annotations

from collections.abc import Mapping

END = -1  # the node behind all others


def joins(after: Mapping[int, tuple[int, ...]]) -> dict[int, int]:
    """For each node the first other one that every way from it to END comes to.

    ``after`` has the successors of each node but END.  A node from which no way leads to
    END is left out.
    """
    nodes = list(after)
    everything = (1 << (max(nodes, default=0) + 2)) - 1
    behind = dict.fromkeys(nodes, everything) | {END: 1}
    changing = True
    while changing:
        changing = False
        for node in reversed(nodes):
            common = everything
            for follower in after[node]:
                common &= behind[follower]
            common |= 1 << (node + 1)
            if common != behind[node]:
                behind[node] = common
                changing = True
    found: dict[int, int] = {}
    by_set = {mask: node for node, mask in behind.items() if mask != everything}
    for node in nodes:
        if behind[node] != everything:
            # Of those behind it the nearest has all the others behind itself.
            found[node] = by_set[behind[node] & ~(1 << (node + 1))]
    return found


def is_in_loop(after: Mapping[int, tuple[int, ...]], node: int) -> bool:
    """Does a way from the node lead back to it?"""
    seen: set[int] = set()
    pending = list(after[node])
    while pending:
        at = pending.pop()
        if at == node:
            return True
        if at not in seen and at in after:
            seen.add(at)
            pending += after[at]
    return False
