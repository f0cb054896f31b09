"""Which variable lives where: the little data flow that native code needs.

A node is a block or an exit (the pseudo-block at which a step ends).  A variable is a
bit of a mask: a register or a word of the state.  A node with one predecessor inherits
its values; only where paths meet must an assigned variable pass through memory, which
LLVM's SROA then turns into a phi.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Flow:
    """``order``: the nodes reached, each after its only predecessor, ``parent``.

    ``assigned``: variables that some path assigns before the node.  ``merged``: those
    that need memory.  ``wanted``: those of ``merged`` read at the node or later.
    ``counted``: nodes on a path that can loop.
    """

    order: list[int]
    successors: dict[int, Sequence[int]]
    parent: dict[int, int] = field(default_factory=dict[int, int])
    assigned: dict[int, int] = field(default_factory=dict[int, int])
    merged: int = 0
    wanted: dict[int, int] = field(default_factory=dict[int, int])
    counted: set[int] = field(default_factory=set[int])


def analyse(
    roots: Sequence[int],
    successors: Callable[[int], Sequence[int]],
    effects: Callable[[int], tuple[int, int]],
) -> Flow:
    """The flow from ``roots``.

    ``effects(node)``: the variables read there before they are written, those written.
    """
    flow = _order(roots, successors)
    reads: dict[int, int] = {}
    written: dict[int, int] = {}
    for node in flow.order:
        reads[node], written[node] = effects(node)
    predecessors: dict[int, list[int]] = {node: [] for node in flow.order}
    for node in flow.order:
        for target in flow.successors[node]:
            predecessors[target].append(node)
    entered = set(roots)
    for node, before in predecessors.items():
        if len(before) == 1 and node not in entered:
            flow.parent[node] = before[0]
    flow.assigned = forward(flow, written)
    exposed = {node: reads[node] & flow.assigned[node] for node in flow.order}
    _merged(flow, written, exposed)
    _wanted(flow, exposed)
    _counted(flow, predecessors)
    return flow


def _order(roots: Sequence[int], successors: Callable[[int], Sequence[int]]) -> Flow:
    """Reverse postorder."""
    known: dict[int, Sequence[int]] = {}
    finished: list[int] = []
    for root in reversed(roots):
        if root in known:
            continue
        known[root] = successors(root)
        stack = [(root, iter(known[root]))]
        while stack:
            node, rest = stack[-1]
            for target in rest:
                if target not in known:
                    known[target] = successors(target)
                    stack.append((target, iter(known[target])))
                    break
            else:
                finished.append(node)
                stack.pop()
    return Flow(finished[::-1], known)


def forward(flow: Flow, generated: dict[int, int]) -> dict[int, int]:
    """For each node the union of what is generated on any path before it."""
    before = dict.fromkeys(flow.order, 0)
    changed = True
    while changed:
        changed = False
        for node in flow.order:
            after = before[node] | generated.get(node, 0)
            for target in flow.successors[node]:
                if after & ~before[target]:
                    before[target] |= after
                    changed = True
    return before


def _merged(flow: Flow, written: dict[int, int], exposed: dict[int, int]) -> None:
    inherited: dict[int, int] = {}
    for node in flow.order:
        parent = flow.parent.get(node)
        inherited[node] = 0 if parent is None else inherited[parent] | written[parent]
        flow.merged |= exposed[node] & ~inherited[node]


def _wanted(flow: Flow, exposed: dict[int, int]) -> None:
    wanted = {node: exposed[node] & flow.merged for node in flow.order}
    changed = True
    while changed:
        changed = False
        for node in reversed(flow.order):
            for target in flow.successors[node]:
                if wanted[target] & ~wanted[node]:
                    wanted[node] |= wanted[target]
                    changed = True
    flow.wanted = wanted


def _counted(flow: Flow, predecessors: dict[int, list[int]]) -> None:
    """An edge against the order closes a cycle: all before and after it is counted."""
    position = {node: index for index, node in enumerate(flow.order)}
    heads = {
        target
        for node in flow.order
        for target in flow.successors[node]
        if position[target] <= position[node]
    }
    flow.counted = _reach(heads, flow.successors) | _reach(heads, predecessors)


def _reach(start: set[int], edges: dict[int, Sequence[int]] | dict[int, list[int]]) -> set[int]:
    found, stack = set(start), list(start)
    while stack:
        for target in edges[stack.pop()]:
            if target not in found:
                found.add(target)
                stack.append(target)
    return found
