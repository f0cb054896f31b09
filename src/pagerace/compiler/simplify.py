"""Knowing values beforehand: fewer operations, and fewer ways through the code.

Going forward through the graph facts about registers are kept (see ``facts``).
``simplify`` replaces operands that are known, and drops a Check or a Branch that is
decided; ``recompute`` takes out of a state what the facts there give.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from heapq import heappop, heappush
from typing import Any, TypeAlias

from pagerace.compiler import ops
from pagerace.compiler.facts import (
    Fact,
    Facts,
    Key,
    Readers,
    about,
    common,
    decide,
    fact_of,
    forget,
    is_about,
    learn,
    root,
)
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
    Store,
    Wait,
)
from pagerace.compiler.liveness import (
    blocks_in_order,
    destination,
    live_registers,
    loops,
    read_first,
    successors,
)
from pagerace.compiler.ranges import COMPARISONS, decided, interval, intervals

Edge: TypeAlias = tuple[int, int]  # the block that it leaves, and which of its ways on

# What holds at a block changes as more ways there are found.  So often it may do so;
# then facts only become fewer, which ends.
_CHANGES_MAX = 20


class _Forward:
    """Brings facts forward through the graph, and simplifies each block by them.

    ``entries``: what holds at the start of a block on every way there; None: no way there.
    ``simplified``: what becomes of a block then.
    """

    def __init__(self, code: Code, needed: list[set[int]] | None = None) -> None:
        """``needed``: for each block the only registers to know about there."""
        self.code, self.needed = code, needed
        self.entries: list[Facts | None] = [None] * len(code.blocks)
        self.simplified: list[Block | None] = [None] * len(code.blocks)
        self.arriving: list[dict[Edge, Facts]] = [{} for _ in code.blocks]
        self.changes = [0] * len(code.blocks)
        self.visited: list[_Simplified | None] = [None] * len(code.blocks)
        self.reads: list[list[int] | None] = [None] * len(code.blocks)
        self.waiting = [False] * len(code.blocks)  # is it among the pending ones?
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
        self.waiting[number] = False
        visited = self.visited[number]
        if visited is not None and visited.stands(entry):
            facts = visited.facts_after(entry, self.readers)
        else:
            facts = dict(entry)
            visited = _Simplified(self.code, self.code.blocks[number], facts, self.readers)
            visited.remember(self._read_first(number), entry)
            self.visited[number] = visited
        block = visited.block
        self.simplified[number] = block
        end = block.terminator
        if not isinstance(end, Branch):
            for successor in successors(end):
                self._arrive((number, 0), successor, self._known(facts, successor))
            return
        side = 0
        for value, successor in ((1, end.then), (0, end.other)):
            if isinstance(end.condition, Const) and bool(end.condition.value) != bool(value):
                continue  # this way is never taken
            known = self._known(facts, successor, end.condition, value)
            self._arrive((number, side), successor, known)
            side += 1

    def _known(
        self, facts: Facts, successor: int, condition: Operand | None = None, value: int = 0
    ) -> Facts:
        """What is known on the way to a successor, on which ``condition`` is ``value``."""
        needed = None if self.needed is None else self.needed[successor]
        new = [] if condition is None else decide(facts, condition, value, self.readers)
        if needed is not None:
            facts = about(facts, needed)
        elif new:
            facts = dict(facts)
        facts.update((k, fact) for k, fact in new if needed is None or is_about(k, needed))
        return facts

    def _read_first(self, number: int) -> list[int]:
        """The registers that a block reads before it writes them."""
        found = self.reads[number]
        if found is None:
            found = self.reads[number] = read_first(self.code.blocks[number])
        return found

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
        both = common(self.arriving[number].values())
        earlier = self.entries[number]
        if earlier is not None and self.changes[number] > _CHANGES_MAX:
            both = common([earlier, both])
        if earlier is None or both != earlier:
            self.entries[number] = both
            self.changes[number] += 1
            if not self.waiting[number]:
                self.waiting[number] = True
                heappush(self.pending, self.position[number])

    def _forget(self, loop: Collection[int]) -> None:
        """What came round a loop followed from what held before it, which is another now."""
        for number in loop:
            arriving = self.arriving[number]
            for edge in [edge for edge in arriving if edge[0] in loop]:
                del arriving[edge]
            self.entries[number] = None


# -- simplify --------------------------------------------------------------------


def simplify(code: Code, *, dead: bool = False) -> list[Facts | None]:
    """Use what is known of values.  The code does the same; its graph stays as it is.

    What has become unused or unreachable is left for ``points.clean``.  Returns what
    holds at the start of each block; of registers that are dead there only on request,
    since that takes longer.
    """
    live = live_registers(code)
    _decide_comparisons(code, live[0])
    forward = _Forward(code, None if dead else live)
    for block, new in zip(code.blocks, forward.simplified, strict=True):
        if new is not None:
            block.instructions, block.terminator = new.instructions, new.terminator
    return forward.entries


def _decide_comparisons(code: Code, unset: set[int]) -> None:
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


class _Simplified:
    """A block with what is known at its start, and what that came to.

    ``block``: what became of it.  When other facts arrive that agree on all that was asked
    of these, it becomes the same again, so that only what holds behind it is new.
    """

    def __init__(self, code: Code, block: Block, facts: Facts, readers: Readers) -> None:
        """``facts`` hold at the start, and are brought to the end."""
        self.compared: list[Fact] = []  # the comparisons that were looked up
        self.written: dict[int, None] = {}
        touched: list[Key] = []
        self.block = self._run(code, block, facts, readers, touched)
        self.learned = {key: facts[key] for key in touched if key in facts}

    def remember(self, reads: Iterable[int], entry: Facts) -> None:
        """Keep what depended on ``entry``, what is known at the start."""
        asked: dict[Key, Fact | None] = {}
        for number in reads:
            while number not in asked:
                fact = asked[number] = entry.get(number)
                if fact is None or fact.name != "convert":
                    break
                source = fact.args[0]
                if isinstance(source, Const):
                    break
                number = source.number
        for key in self.compared:
            asked[key] = entry.get(key)
        self.asked = list(asked.items())

    def stands(self, entry: Facts) -> bool:
        """Does the same become of the block where ``entry`` is known at its start?"""
        for key, fact in self.asked:
            known = entry.get(key)
            if known is not fact and known != fact:
                return False
        return True

    def facts_after(self, entry: Facts, readers: Readers) -> Facts:
        """What holds at the end, if it ``stands``."""
        facts = dict(entry)
        for number in self.written:
            forget(facts, number, readers)
        facts.update(self.learned)
        return facts

    def _run(
        self, code: Code, block: Block, facts: Facts, readers: Readers, touched: list[Key]
    ) -> Block:
        kept: list[Instruction] = []
        computed = _Computed()
        for instruction in block.instructions:
            fact: Fact | None = None
            if isinstance(instruction, (Op, Lookup)):
                new = _simpler(facts, instruction, self.compared)
                fact = fact_of(new)
                new = computed.reuse(new, fact)
            else:
                new = _with_known(facts, instruction)
            if isinstance(new, Check):
                outcome = _decision(new)
                if outcome == 1:
                    continue
                if outcome == 0:
                    kept.append(new)
                    return Block(kept, _end(code))
            kept.append(new)
            target = destination(new)
            if target is not None:
                number = target.number
                self.written[number] = None
                forget(facts, number, readers)
                if fact is not None and learn(facts, number, fact, readers):
                    touched.append(number)
                else:
                    fact = None
                computed.note(target, fact)
            elif isinstance(new, (Check, Wait)):
                for key, known in decide(facts, new.condition, 1, readers):
                    facts[key] = known
                    touched.append(key)
        end = block.terminator
        if isinstance(end, Branch):
            end = Branch(root(facts, end.condition), end.then, end.other)
        elif isinstance(end, Return) and end.value is not None:
            end = Return(root(facts, end.value))
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


def _simpler(facts: Facts, op: Op | Lookup, compared: list[Fact]) -> Op | Lookup:
    """What gives the same, as a "convert" where no more is needed.

    What is asked of ``facts`` beside the operands' own is added to ``compared``.
    """
    if isinstance(op, Lookup):
        index = root(facts, op.index)
        if isinstance(index, Const) and index.value < len(op.table):
            value = Const(op.table[index.value], op.dst.type)
            return Op(op.dst, "convert", (value,), op.where)
        return Lookup(op.dst, op.table, index, op.where)
    args = op.args
    for arg in args:
        if type(arg) is Reg and root(facts, arg) is not arg:
            args = tuple([root(facts, arg) for arg in args])
            break
    value = _value(facts, op, args, compared)
    if value is not None:
        return Op(op.dst, "convert", (value,), op.where)
    return op if args is op.args else Op(op.dst, op.name, args, op.where)


def _value(
    facts: Facts, op: Op, args: tuple[Operand, ...], compared: list[Fact]
) -> Operand | None:
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
        key = Fact(name, args, op.dst.type)
        compared.append(key)
        fact = facts.get(key)
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
        known = root(facts, operand)
        if known is not operand:
            changed[name] = known
    if isinstance(instruction, (Note, Call)):
        args = tuple(root(facts, arg) for arg in instruction.args)
        if args != instruction.args:
            changed["args"] = args
    return replace(instruction, **changed) if changed else instruction
