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

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

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
from pagerace.compiler.liveness import destination, live_at_entry, successors
from pagerace.compiler.ranges import COMPARISONS, decided, interval, intervals


@dataclass(frozen=True, slots=True)
class Fact:
    """A register of ``type`` holds ``name(args)``, or ``table[args[0]]`` of a Lookup."""

    name: str
    args: tuple[Operand, ...]
    type: Scalar
    table: tuple[int, ...] = ()


Facts: TypeAlias = "dict[int | Fact, Fact]"  # of a register number or a comparison
Readers: TypeAlias = "dict[int, set[int | Fact]]"  # whose facts may mention the register

# What holds at a block changes as more ways there are found.  So often it may do so;
# then facts only become fewer, which ends.
_VISITS_MAX = 20


# -- facts -----------------------------------------------------------------------


def _facts_at_entry(
    code: Code, needed: list[int] | None = None
) -> tuple[list[Facts | None], Readers]:
    """What holds at the start of each block on every way there; None: no way there.

    ``needed``: for each block a mask of the only registers to know about there.
    """
    entries: list[Facts | None] = [None] * len(code.blocks)
    arriving: list[dict[int, Facts]] = [{} for _ in code.blocks]  # by edge
    visits = [0] * len(code.blocks)
    entries[0] = arriving[0][-1] = {}  # nothing is known at the beginning
    readers: Readers = {}
    pending = {0}
    while pending:
        number = min(pending)  # most blocks are numbered after those that lead to them
        pending.remove(number)
        entry = entries[number]
        assert entry is not None
        facts = dict(entry)
        if not _passes(code.blocks[number], facts, readers):
            continue
        for side, (successor, known) in enumerate(
            _facts_on_edges(code.blocks[number], facts, readers)
        ):
            if needed is not None:
                known = _about(known, needed[successor])
            arriving[successor][2 * number + side] = known
            both = _common(arriving[successor].values())
            earlier = entries[successor]
            visits[successor] += 1
            if earlier is not None and visits[successor] > _VISITS_MAX:
                both = _common([earlier, both])
            if earlier is None or both != earlier:
                entries[successor] = both
                pending.add(successor)
    return entries, readers


def _passes(block: Block, facts: Facts, readers: Readers) -> bool:
    """Bring ``facts`` to the end of a block; False if that is never reached."""
    for instruction in block.instructions:
        if isinstance(instruction, (Op, Lookup)):
            _learn(facts, _simpler(facts, instruction), readers)
        elif _fails(facts, instruction):
            return False
        else:
            _learn(facts, instruction, readers)
    return True


def _fails(facts: Facts, instruction: Instruction) -> bool:
    """Is it a Check that is known to fail?"""
    if not isinstance(instruction, Check):
        return False
    condition = _known(facts, instruction.condition)
    return isinstance(condition, Const) and not condition.value


def _learn(facts: Facts, instruction: Instruction, readers: Readers) -> None:
    """Bring ``facts`` past an instruction."""
    if isinstance(instruction, (Check, Wait)):
        _learn_value(facts, instruction.condition, 1, readers)
        return
    target = destination(instruction)
    if target is None:
        return
    fact = _fact_of(instruction) if isinstance(instruction, (Op, Lookup)) else None
    facts.pop(target.number, None)
    for reader in readers.get(target.number, ()):
        known = facts.get(reader)
        if known is not None and (isinstance(reader, Fact) or _reads(known, target.number)):
            del facts[reader]
    if fact is not None and not _reads(fact, target.number):
        facts[target.number] = fact
        _mention(readers, fact, target.number)


def _reads(fact: Fact, number: int) -> bool:
    return any(isinstance(arg, Reg) and arg.number == number for arg in fact.args)


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
    condition = _known(facts, end.condition)
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


def simplify(code: Code) -> None:
    """Use what is known of values.  The code does the same; its graph stays as it is.

    What has become unused or unreachable is left for ``points.clean``.
    """
    _decide_comparisons(code)
    entries, readers = _facts_at_entry(code, live_at_entry(code))
    for block, entry in zip(code.blocks, entries, strict=True):
        if entry is not None:
            _simplify_block(block, dict(entry), readers)
            end_at_failure(code, block)


def _decide_comparisons(code: Code) -> None:
    """Replace each comparison that the intervals of its operands decide."""
    found = intervals(code)
    for block in code.blocks:
        for index, op in enumerate(block.instructions):
            if isinstance(op, Op) and len(op.args) == 2:
                one, other = op.args
                sides = interval(found, one), interval(found, other)
                result = decided(op.name, one.type, *sides)
                if result is not None:
                    value = Const(result, op.dst.type)
                    block.instructions[index] = Op(op.dst, "convert", (value,), op.where)


def _simplify_block(block: Block, facts: Facts, readers: Readers) -> None:
    kept: list[Instruction] = []
    computed = _Computed()
    for instruction in block.instructions:
        if isinstance(instruction, (Op, Lookup)):
            new = computed.reuse(_simpler(facts, instruction))
        else:
            new = instruction
            _replace_operands(facts, instruction)
        if isinstance(new, Check) and isinstance(new.condition, Const) and new.condition.value:
            continue
        kept.append(new)
        _learn(facts, new, readers)
        target = destination(new)
        if target is not None:
            computed.note(target, facts.get(target.number))
    block.instructions = kept
    end = block.terminator
    if isinstance(end, Branch):
        block.terminator = Branch(_known(facts, end.condition), end.then, end.other)
    elif isinstance(end, Return) and end.value is not None:
        block.terminator = Return(_known(facts, end.value))


def end_at_failure(code: Code, block: Block) -> None:
    """Drop what stands after a Check that always fails: its index may be out of range."""
    for index, instruction in enumerate(block.instructions):
        if _fails({}, instruction):
            del block.instructions[index + 1 :]
            nothing = None if code.result.bits == 0 else Const(0, code.result)
            block.terminator = Return(nothing)
            return


class _Computed:
    """What the block has computed so far and where it still is, not to do it twice.

    Only within a block: a result kept over a point would be one more local.
    """

    def __init__(self) -> None:
        self.registers: dict[Fact, Reg] = {}
        self.mentions: dict[int, list[Fact]] = {}

    def reuse(self, op: Op | Lookup) -> Op | Lookup:
        register = self.registers.get(_fact_of(op))
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


def _replace_operands(facts: Facts, instruction: Instruction) -> None:
    """Put what is known into an instruction other than an Op.  Pointers stay."""
    for name in _FIELDS.get(type(instruction), ()):
        setattr(instruction, name, _known(facts, getattr(instruction, name)))
    if isinstance(instruction, (Note, Call)):
        instruction.args = tuple(_known(facts, arg) for arg in instruction.args)


# -- recompute -------------------------------------------------------------------


def recompute(code: Code) -> None:
    """After each point compute the live registers that follow from other live ones.

    They are then not live at the point, so no state has to keep them.
    """
    entries, _ = _facts_at_entry(code)
    live = live_at_entry(code)
    for number, block in enumerate(code.blocks):
        facts = entries[number]
        if block.point is not None and facts is not None:
            added = _Recomputed(facts, live[number], block.point.where).instructions(code)
            block.instructions = added + block.instructions


class _Recomputed:
    """The operations that give one point's live registers from fewer of them."""

    def __init__(self, facts: Facts, live: int, where: Where) -> None:
        self.facts, self.live, self.where = facts, live, where
        self.follows: dict[int, bool] = {}
        self.done: set[int] = set()

    def instructions(self, code: Code) -> list[Instruction]:
        added: list[Instruction] = []
        for number in range(len(code.registers)):
            if self.live >> number & 1 and self._follows(number):
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
