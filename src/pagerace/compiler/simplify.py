"""Knowing values beforehand: fewer operations, and fewer registers in a state.

Going forward through the graph one fact is kept for each register: the operation on
other registers and constants whose result it holds; and for each comparison that a
Check or a Branch has decided: how.  ``simplify`` replaces operands
that are known, and drops a Check or a Branch that is decided.  ``recompute`` takes
out of a state each register that can be computed from the others there.

    page = convert i            state at the point: i, page, cell
    cell = mul page, 4    ==>   state at the point: i
    (point)                     (point) page = convert i; cell = mul page, 4
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from heapq import heappop, heappush
from typing import Any, NamedTuple, TypeAlias

from pagerace.compiler import ops
from pagerace.compiler.ir import (
    Block,
    Branch,
    Call,
    Check,
    Choose,
    Code,
    Const,
    Instruction,
    Load,
    LockOrder,
    Lookup,
    Note,
    Op,
    Operand,
    Reg,
    Return,
    Scalar,
    Store,
    Wait,
    Where,
)
from pagerace.compiler.liveness import (
    blocks_in_order,
    destination,
    live_at_entry,
    loops,
    members,
    successors,
)
from pagerace.compiler.ranges import COMPARISONS, decided, interval, intervals


class Fact(NamedTuple):
    """A register of ``type`` holds ``name(args)``, or ``table[args[0]]`` of a Lookup."""

    name: str
    args: tuple[Operand, ...]
    type: Scalar
    table: tuple[int, ...] = ()


Facts: TypeAlias = "dict[int | Fact, Fact]"  # of a register number or a comparison
Readers: TypeAlias = "dict[int, set[int | Fact]]"  # whose facts may mention the register

Edge: TypeAlias = tuple[int, int]  # the block that it leaves, and which of its ways on

# What holds at a block changes as more ways there are found.  So often it may do so;
# then facts only become fewer, which ends.
_CHANGES_MAX = 20


class _Forward:
    """Brings facts forward through the graph, and simplifies each block by them.

    ``entries``: what holds at the start of a block on every way there; None: no way there.
    ``simplified``: what becomes of a block then.
    """

    def __init__(self, code: Code, needed: list[int] | None = None) -> None:
        """``needed``: for each block a mask of the only registers to know about there."""
        self.code, self.needed = code, needed
        self.entries: list[Facts | None] = [None] * len(code.blocks)
        self.simplified: list[Block | None] = [None] * len(code.blocks)
        self.arriving: list[dict[Edge, Facts]] = [{} for _ in code.blocks]
        self.changes = [0] * len(code.blocks)
        self.readers: Readers = {}
        self.order = blocks_in_order(code)
        self.position = {number: index for index, number in enumerate(self.order)}
        self.loops = loops(code, self.order)
        self.pending: list[int] = []  # positions, a heap: a loop settles before what follows
        self._arrive((-1, 0), 0, {})  # nothing is known at the beginning
        while self.pending:
            self._visit(self.order[heappop(self.pending)])

    def _visit(self, number: int) -> None:
        """Simplify a block, and tell those that may come next what holds then."""
        entry = self.entries[number]
        assert entry is not None
        facts = dict(entry)
        block = _simplified(self.code, self.code.blocks[number], facts, self.readers)
        self.simplified[number] = block
        for side, (successor, known) in enumerate(_facts_on_edges(block, facts, self.readers)):
            if self.needed is not None:
                known = _about(known, self.needed[successor])
            self._arrive((number, side), successor, known)

    def _arrive(self, edge: Edge, number: int, known: Facts) -> None:
        """Facts come to a block over an edge."""
        arriving = self.arriving[number]
        if arriving.get(edge) == known:
            return
        arriving[edge] = known
        loop = self.loops.get(number, ())
        if loop and edge[0] not in loop and self.changes[number] <= _CHANGES_MAX:
            self._forget(loop)
        self._settle(number)

    def _settle(self, number: int) -> None:
        """See what all that arrives at a block has in common."""
        both = _common(self.arriving[number].values())
        earlier = self.entries[number]
        if earlier is not None and self.changes[number] > _CHANGES_MAX:
            both = _common([earlier, both])
        if earlier is None or both != earlier:
            self.entries[number] = both
            self.changes[number] += 1
            if self.position[number] not in self.pending:
                heappush(self.pending, self.position[number])

    def _forget(self, loop: Collection[int]) -> None:
        """What came round a loop followed from what held before it, which is another now."""
        for number in loop:
            arriving = self.arriving[number]
            for edge in [edge for edge in arriving if edge[0] in loop]:
                del arriving[edge]
            self.entries[number] = None


def _learn(facts: Facts, number: int, fact: Fact | None, readers: Readers) -> None:
    """Register ``number`` has been written: what was known of its old value is no more."""
    facts.pop(number, None)
    for reader in readers.get(number, ()):
        known = facts.get(reader)
        if known is not None and (isinstance(reader, Fact) or _reads(known, number)):
            del facts[reader]
    if fact is not None and not _reads(fact, number):
        facts[number] = fact
        _mention(readers, fact, number)


def _reads(fact: Fact, number: int) -> bool:
    for arg in fact.args:
        if isinstance(arg, Reg) and arg.number == number:
            return True
    return False


def _mention(readers: Readers, fact: Fact, key: int | Fact) -> None:
    for arg in fact.args:
        if isinstance(arg, Reg):
            readers.setdefault(arg.number, set()).add(key)


def _fact_of(op: Op | Lookup) -> Fact:
    if isinstance(op, Op):
        return Fact(op.name, op.args, op.dst.type)
    return Fact("lookup", (op.index,), op.dst.type, op.table)


def _learn_value(facts: Facts, operand: Operand, value: int, readers: Readers) -> None:
    """The operand is ``value``, and so is a comparison whose result it was."""
    if isinstance(operand, Reg):
        known = Fact("convert", (Const(value, operand.type),), operand.type)
        fact = facts.get(operand.number)
        if fact is not None and fact.name in COMPARISONS:
            facts[fact] = known
            _mention(readers, fact, fact)
        facts[operand.number] = known


def _facts_on_edges(
    block: Block, facts: Facts, readers: Readers
) -> Iterator[tuple[int, Facts]]:
    """(successor, what holds on the way there) for each that can come next."""
    end = block.terminator
    if not isinstance(end, Branch):
        for successor in successors(end):
            yield successor, facts
        return
    condition = end.condition
    if not (isinstance(condition, Const) and not condition.value):
        taken = dict(facts)
        _learn_value(taken, end.condition, 1, readers)
        yield end.then, taken
    if not (isinstance(condition, Const) and condition.value):
        taken = dict(facts)
        _learn_value(taken, end.condition, 0, readers)
        yield end.other, taken


def _about(facts: Facts, live: int) -> Facts:
    """What is known of registers that are still needed; the rest only takes time."""
    return {
        key: fact
        for key, fact in facts.items()
        if (
            all(live >> arg.number & 1 for arg in key.args if isinstance(arg, Reg))
            if isinstance(key, Fact)
            else live >> key & 1
        )
    }


def _common(several: Iterable[Facts]) -> Facts:
    """What all of them say."""
    first, *others = several
    for other in others:
        first = {number: fact for number, fact in first.items() if other.get(number) == fact}
    return first


def _known(facts: Facts, operand: Operand) -> Operand:
    """The operand, or the constant or the register that it is a copy of."""
    while isinstance(operand, Reg):
        fact = facts.get(operand.number)
        if fact is None or fact.name != "convert":
            return operand
        (source,) = fact.args
        if source.type.bits != operand.type.bits:
            return operand
        if isinstance(source, Const):
            return Const(source.value, operand.type)
        operand = Reg(source.number, operand.type)
    return operand


# -- simplify --------------------------------------------------------------------


def simplify(code: Code, *, dead: bool = False) -> list[Facts | None]:
    """Use what is known of values.  The code does the same; its graph stays as it is.

    What has become unused or unreachable is left for ``points.clean``.  Returns what
    holds at the start of each block; of registers that are dead there only on request,
    since that takes longer.
    """
    live = live_at_entry(code)
    _decide_comparisons(code, live[0])
    forward = _Forward(code, None if dead else live)
    for block, new in zip(code.blocks, forward.simplified, strict=True):
        if new is not None:
            block.instructions, block.terminator = new.instructions, new.terminator
    return forward.entries


def _decide_comparisons(code: Code, unset: int) -> None:
    """Replace each comparison that the intervals of its operands decide."""
    found = intervals(code, unset)
    for block in code.blocks:
        for index, op in enumerate(block.instructions):
            if isinstance(op, Op) and len(op.args) == 2:
                one, other = op.args
                sides = interval(found, one), interval(found, other)
                result = decided(op.name, one.type, *sides)
                if result is not None:
                    value = Const(result, op.dst.type)
                    block.instructions[index] = Op(op.dst, "convert", (value,), op.where)


def _simplified(code: Code, block: Block, facts: Facts, readers: Readers) -> Block:
    """The block with what is known at its start; ``facts`` are brought to its end."""
    kept: list[Instruction] = []
    computed = _Computed()
    for instruction in block.instructions:
        fact: Fact | None = None
        if isinstance(instruction, (Op, Lookup)):
            new = _simpler(facts, instruction)
            fact = _fact_of(new)
            new = computed.reuse(new, fact)
        else:
            new = _with_known(facts, instruction)
        decided = _decision(new)
        if decided == 1:
            continue
        kept.append(new)
        if decided == 0:
            return Block(kept, _end(code))
        target = destination(new)
        if target is not None:
            _learn(facts, target.number, fact, readers)
            computed.note(target, facts.get(target.number))
        elif isinstance(new, (Check, Wait)):
            _learn_value(facts, new.condition, 1, readers)
    end = block.terminator
    if isinstance(end, Branch):
        end = Branch(_known(facts, end.condition), end.then, end.other)
    elif isinstance(end, Return) and end.value is not None:
        end = Return(_known(facts, end.value))
    return Block(kept, end)


def _decision(instruction: Instruction) -> int | None:
    """1 or 0 for a Check that always holds or always fails."""
    if isinstance(instruction, Check) and isinstance(instruction.condition, Const):
        return instruction.condition.value
    return None


def _end(code: Code) -> Return:
    """What follows a Check that always fails: it is never reached."""
    return Return(None if code.result.bits == 0 else Const(0, code.result))


def end_at_failure(code: Code, block: Block) -> None:
    """Drop what stands after a Check that always fails: its index may be out of range."""
    for index, instruction in enumerate(block.instructions):
        if _decision(instruction) == 0:
            del block.instructions[index + 1 :]
            block.terminator = _end(code)
            return


class _Computed:
    """What the block has computed so far and where it still is, not to do it twice.

    Only within a block: a result kept over a point would be one more local.
    """

    def __init__(self) -> None:
        self.registers: dict[Fact, Reg] = {}
        self.mentions: dict[int, list[Fact]] = {}

    def reuse(self, op: Op | Lookup, fact: Fact) -> Op | Lookup:
        """A copy, if what the operation gives, ``fact``, is in a register already."""
        register = self.registers.get(fact)
        return op if register is None else Op(op.dst, "convert", (register,), op.where)

    def note(self, target: Reg, fact: Fact | None) -> None:
        """``target`` has been written and holds ``fact``."""
        for old in self.mentions.pop(target.number, ()):
            self.registers.pop(old, None)
        if fact is not None and fact not in self.registers:
            self.registers[fact] = target
            for operand in (target, *fact.args):
                if isinstance(operand, Reg):
                    self.mentions.setdefault(operand.number, []).append(fact)


def _simpler(facts: Facts, op: Op | Lookup) -> Op | Lookup:
    """What gives the same, as a "convert" where no more is needed."""
    if isinstance(op, Lookup):
        index = _known(facts, op.index)
        if isinstance(index, Const) and index.value < len(op.table):
            value = Const(op.table[index.value], op.dst.type)
            return Op(op.dst, "convert", (value,), op.where)
        return Lookup(op.dst, op.table, index, op.where)
    args = tuple(_known(facts, arg) for arg in op.args)
    value = _value(facts, op, args)
    if value is not None:
        return Op(op.dst, "convert", (value,), op.where)
    return Op(op.dst, op.name, args, op.where)


def _value(facts: Facts, op: Op, args: tuple[Operand, ...]) -> Operand | None:
    """The operand, of as many bits as the result, that the result is equal to."""
    name, first, last = op.name, args[0], args[-1]
    if name == "select" and isinstance(first, Const):
        return args[1] if first.value else args[2]
    values = [arg.value for arg in args if isinstance(arg, Const)]
    if len(values) == len(args) and not (name in ("div", "mod") and values[1] == 0):
        result = ops.TABLE[name].meaning(first.type, *values)
        return Const(ops.wrap(op.dst.type, result), op.dst.type)
    if name in ("add", "or", "xor") and isinstance(first, Const) and first.value == 0:
        return last
    if name in COMPARISONS:
        fact = facts.get(Fact(name, args, op.dst.type))
        return None if fact is None else fact.args[0]
    if isinstance(last, Const) and len(args) == 2:
        if last.value == 0 and name in ("add", "sub", "or", "xor", "shl", "shr"):
            return first
        if last.value == 1 and name in ("mul", "div"):
            return first if not (last.type.signed and last.type.bits == 1) else None
    return _undone(facts, op, args)


def _undone(facts: Facts, op: Op, args: tuple[Operand, ...]) -> Operand | None:
    """What was there before two operations of which the second undoes the first."""
    fact = facts.get(args[0].number) if isinstance(args[0], Reg) else None
    if fact is None:
        return None
    before = fact.args[0]
    if {op.name, fact.name} == {"add", "sub"} and fact.args[1] == args[1]:
        return before
    if op.name == fact.name == "not":
        return before
    if op.name == fact.name == "convert":
        widened = before.type.bits <= args[0].type.bits
        return before if widened and before.type.bits == op.dst.type.bits else None
    return None


_FIELDS: dict[type, tuple[str, ...]] = {
    Load: ("index",),
    Store: ("index", "value"),
    Check: ("condition",),
    Wait: ("condition",),
    LockOrder: ("lock", "held"),
    Choose: ("n",),
}


def _with_known(facts: Facts, instruction: Instruction) -> Instruction:
    """What is known put into an instruction other than an Op.  Pointers stay."""
    changed: dict[str, Any] = {}
    for name in _FIELDS.get(type(instruction), ()):
        operand = getattr(instruction, name)
        known = _known(facts, operand)
        if known is not operand:
            changed[name] = known
    if isinstance(instruction, (Note, Call)):
        args = tuple(_known(facts, arg) for arg in instruction.args)
        if args != instruction.args:
            changed["args"] = args
    return replace(instruction, **changed) if changed else instruction


# -- recompute -------------------------------------------------------------------


def recompute(code: Code, entries: list[Facts | None]) -> None:
    """After each point compute the live registers that follow from other live ones.

    They are then not live at the point, so no state has to keep them.  ``entries``: what
    holds at the start of each block, as found by ``simplify``.
    """
    live = live_at_entry(code)
    for number, block in enumerate(code.blocks):
        facts = entries[number]
        if block.point is not None and facts is not None:
            added = _Recomputed(facts, live[number], block.point.where).instructions()
            block.instructions = added + block.instructions


class _Recomputed:
    """The operations that give one point's live registers from fewer of them."""

    def __init__(self, facts: Facts, live: int, where: Where) -> None:
        self.facts, self.live, self.where = facts, live, where
        self.follows: dict[int, bool] = {}
        self.done: set[int] = set()

    def instructions(self) -> list[Instruction]:
        added: list[Instruction] = []
        for number in members(self.live):
            if self._follows(number):
                added += self._compute(number)
        return added

    def _follows(self, number: int) -> bool:
        """Can the register be computed from live ones?  Facts have no cycles."""
        if number not in self.follows:
            fact = self.facts.get(number)
            self.follows[number] = fact is not None and all(
                self.live >> arg.number & 1 or self._follows(arg.number)
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
