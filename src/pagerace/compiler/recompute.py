"""Fewer registers in a state: what follows from the others there is computed again.

    page = convert i            state at the point: i, page, cell
    cell = mul page, 4    ==>   state at the point: i
    (point)                     (point) page = convert i; cell = mul page, 4
"""

from __future__ import annotations

from collections.abc import Iterable

from pagerace.compiler.facts import Facts
from pagerace.compiler.ir import Code, Instruction, Lookup, Op, Reg, Where
from pagerace.compiler.liveness import live_registers


def recompute(code: Code, entries: list[Facts | None]) -> None:
    """After each point compute the live registers that follow from other live ones.

    They are then not live at the point, so no state has to keep them.  ``entries``: what
    holds at the start of each block, as found by ``simplify``.
    """
    live = live_registers(code)
    for number, block in enumerate(code.blocks):
        facts = entries[number]
        if block.point is not None and facts is not None:
            added = _Recomputed(facts, live[number], block.point.where).instructions()
            block.instructions = added + block.instructions


class _Recomputed:
    """The operations that give one point's live registers from fewer of them."""

    def __init__(self, facts: Facts, live: set[int], where: Where) -> None:
        self.facts, self.live, self.where = facts, live, where
        self.follows: dict[int, bool] = {}
        self.done: set[int] = set()

    def instructions(self) -> list[Instruction]:
        added: list[Instruction] = []
        for number in sorted(self.live):
            if self._follows(number):
                added += self._compute(number)
        return added

    def _follows(self, number: int) -> bool:
        """Can the register be computed from live ones?  Facts have no cycles."""
        if number not in self.follows:
            fact = self.facts.get(number)
            self.follows[number] = fact is not None and all(
                arg.number in self.live or self._follows(arg.number)
                for arg in fact.args
                if isinstance(arg, Reg)
            )
        return self.follows[number]

    def _compute(self, number: int) -> Iterable[Instruction]:
        """The operations for a register, after those for what it is computed from."""
        if number in self.done or not self._follows(number):
            return
        self.done.add(number)
        fact = self.facts[number]
        for arg in fact.args:
            if isinstance(arg, Reg):
                yield from self._compute(arg.number)
        target = Reg(number, fact.type)
        if fact.name == "lookup":
            yield Lookup(target, fact.table, fact.args[0], self.where)
        else:
            yield Op(target, fact.name, fact.args, self.where)
