"""The statements of one step: what stands in a ``d_step`` behind its guard.

The blocks of the step become statements, ``if`` where they part, and ``goto`` only where
the ways do not nest.  An operation whose result is needed once, in the same block, is
written where it is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pagerace.compiler import ir
from pagerace.compiler.footprint import blocks_of_step
from pagerace.compiler.interpreter import BLOCKS_MAX
from pagerace.compiler.ir import Code, Reg
from pagerace.compiler.liveness import (
    destination,
    live_at_entry,
    live_at_exit,
    operands,
    successors,
)
from pagerace.compiler.promela import terms
from pagerace.compiler.promela.graph import END, is_in_loop, joins
from pagerace.compiler.promela.symbolic import Names, pick
from pagerace.compiler.promela.terms import Term

INDENT = "   "


@dataclass
class Frame:
    """What the steps of one process have in common.

    ``points``: the block of each point.  ``kept``: the registers that some state has, by
    number.  ``pc`` is the variable that holds the point.  ``scratch`` takes the names of
    the variables that are not part of a state.
    """

    code: Code
    names: Names
    pc: str
    points: list[int]
    kept: set[int]
    scratch: set[str]
    live: list[int] = field(default_factory=list[int])

    def __post_init__(self) -> None:
        self.live = live_at_entry(self.code)


def statements(frame: Frame, start: int, choices: Sequence[int], label: str) -> list[str]:
    """The lines of the step from block ``start``, in which ``choices`` are made.

    ``label`` begins the names of its labels.  Raises Inexpressible.
    """
    return _Step(frame, start, choices, label).lines()


def place(where: ir.Where) -> str:
    """``zap_pte_range:122``: a function and a line of the author's source."""
    return f"{where.function}:{where.line}"


class _Step:
    """Nodes are the blocks, and from ``exit`` on the points at which the step may end."""

    def __init__(self, frame: Frame, start: int, choices: Sequence[int], label: str) -> None:
        self.frame, self.code, self.names = frame, frame.code, frame.names
        self.start, self.choices, self.label = start, choices, label
        self.exit = len(self.code.blocks)
        self.blocks = blocks_of_step(self.code, start)
        self.after = {number: self._after(number) for number in self.blocks}
        exits = {n for after in self.after.values() for n in after if n >= self.exit}
        self.after |= dict.fromkeys(exits, (END,))
        self.join = joins(self.after)
        self.written = {
            target.number
            for number in self.blocks
            for item in self.code.blocks[number].instructions
            if (target := destination(item)) is not None
        }
        self.emitted: set[int] = set()
        self.wanted: set[int] = set()  # nodes that need a label
        self.loops: set[int] = set()
        self.open: set[int] = set()
        self.counts = self._counts_choices()

    def _after(self, number: int) -> tuple[int, ...]:
        end = self.code.blocks[number].terminator
        if isinstance(end, ir.Return):
            return (self.exit + len(self.frame.points),)
        return tuple(self._node(n) for n in successors(end))

    def _node(self, number: int) -> int:
        point = self.code.blocks[number].point
        return number if point is None else self.exit + point.number

    def _counts_choices(self) -> bool:
        """Must it count, as it runs, which choice comes next?"""
        found = [
            number
            for number in self.blocks
            for item in self.code.blocks[number].instructions
            if isinstance(item, ir.Choose)
        ]
        return len(found) > 1 or any(is_in_loop(self.after, n) for n in found)

    def lines(self) -> list[str]:
        """The whole step."""
        body = self.node_lines(self.start, END, 0)
        head: list[str] = []
        if self.counts:
            self.frame.scratch.add("made")
            head.append("made = 0;")
        if self.loops:
            self.frame.scratch.add("rounds")
            head.append("rounds = 0;")
        lines: list[str] = []
        for line in body:
            if isinstance(line, str):
                lines.append(line)
            elif line in self.wanted:
                lines.append(f"{self._label(line)}:")
                lines.append("skip;" if line == END else self._count_rounds(line))
        return head + [line for line in lines if line]

    def _label(self, node: int) -> str:
        return f"{self.label}_end" if node == END else f"{self.label}_{node}"

    def _count_rounds(self, node: int) -> str:
        """A loop must end; an endless one is a violation, and not a verifier that hangs."""
        if node not in self.loops:
            return "skip;"
        return f"rounds++; assert(rounds < {BLOCKS_MAX}); /* endless-loop */"

    # -- the graph --------------------------------------------------------------------

    def node_lines(self, node: int, stop: int, depth: int) -> list[str | int]:
        """From a node to ``stop``.  A number stands where the label of a node belongs."""
        lines: list[str | int] = []
        mine: list[int] = []
        pad = INDENT * depth
        while node != stop:
            if node in self.emitted:
                self.wanted.add(node)
                if node in self.open:
                    self.loops.add(node)
                lines.append(f"{pad}goto {self._label(node)};")
                break
            self.emitted.add(node)
            self.open.add(node)
            mine.append(node)
            lines.append(node)
            if node == END:
                break
            if node >= self.exit:
                lines += [pad + line for line in self.leave(node)]
                node = END
                continue
            block = _Block(self, node)
            lines += [pad + line for line in block.lines()]
            end = self.code.blocks[node].terminator
            if not isinstance(end, ir.Branch):
                node = self.after[node][0]
                continue
            joined = self.join.get(node)
            condition = block.term(end.condition)
            then, other = self.after[node]
            inner = stop if joined is None else joined
            arms = [self.node_lines(n, inner, depth + 1) for n in (then, other)]
            lines += _if(pad, condition, *arms)
            if joined is None:
                break
            node = joined
        self.open.difference_update(mine)
        return lines

    def leave(self, node: int) -> list[str]:
        """The step ends at a point: what is not needed from there on is cleared."""
        number = node - self.exit
        live = self.live_at(node)
        before = self.frame.live[self.start]
        lines = [
            f"{self.names.registers[register]} = 0;"
            for register in sorted(self.frame.kept)
            if not live >> register & 1
            and (before >> register & 1 or register in self.written)
        ]
        return [*lines, f"{self.frame.pc} = {number};"]

    def live_at(self, node: int) -> int:
        """The registers that are needed at a node, as a mask."""
        if node < self.exit:
            return self.frame.live[node]
        points = self.frame.points
        number = node - self.exit
        return self.frame.live[points[number]] if number < len(points) else 0


def _if(
    pad: str, condition: Term, then: list[str | int], other: list[str | int]
) -> list[str | int]:
    lines: list[str | int] = [f"{pad}if"]
    for head, arm in ((f":: {condition.text} ->", then), (":: else ->", other)):
        spoken = any(isinstance(line, str) for line in arm)
        lines.append(f"{pad}{head}" if spoken else f"{pad}{head} skip")
        lines += arm
    return [*lines, f"{pad}fi;"]


class _Block:
    """The statements of one block."""

    def __init__(self, step: _Step, number: int) -> None:
        self.step, self.names = step, step.names
        self.block, self.after = step.code.blocks[number], step.after[number]
        self.out = live_at_exit(self.block, step.frame.live)
        self.waiting: dict[int, Term] = {}  # not yet written down, by register
        self.reads: dict[int, set[str]] = {}  # what those depend on
        self.written: list[str] = []
        self.left = self._count_reads()  # how often each register is still read

    def _count_reads(self) -> dict[int, int]:
        reads: dict[int, int] = {}
        for item in (*self.block.instructions, self.block.terminator):
            if isinstance(item, ir.Note):
                continue
            for operand in operands(item):
                if isinstance(operand, Reg):
                    reads[operand.number] = reads.get(operand.number, 0) + 1
        return reads

    def lines(self) -> list[str]:
        """All but what the terminator does."""
        for item in self.block.instructions:
            if isinstance(item, ir.Note):
                continue
            for operand in operands(item):
                if isinstance(operand, Reg):
                    self.left[operand.number] -= 1
            self.instruction(item)
        for register in list(self.waiting):
            if self.out >> register & 1 and not self._ends_here(register):
                self.settle(register)
        return self.written

    def _ends_here(self, register: int) -> bool:
        """Is it only for the branch at the end of the block?"""
        return not any(self.step.live_at(n) >> register & 1 for n in self.after)

    def term(self, operand: ir.Operand) -> Term:
        """What an operand holds now."""
        if isinstance(operand, ir.Const):
            return terms.constant(operand.type, operand.value)
        waiting = self.waiting.get(operand.number)
        return self.names.register(operand) if waiting is None else waiting

    def instruction(self, item: ir.Instruction) -> None:
        """Write down one instruction, or keep it until its result is needed."""
        if isinstance(item, ir.Op):
            args = [self.term(arg) for arg in item.args]
            self.assign(item.dst, terms.operation(item, args), item.where)
        elif isinstance(item, ir.Lookup):
            table = [terms.constant(item.dst.type, value) for value in item.table]
            self.assign(item.dst, pick(self.term(item.index), table), item.where)
        elif isinstance(item, ir.Load):
            cell = self.names.cell(item.family, self.term(item.index))
            self.assign(item.dst, cell, item.where)
        elif isinstance(item, ir.Store):
            self.store(item)
        elif isinstance(item, ir.Choose):
            self.assign(item.dst, self.chosen(), item.where)
        elif isinstance(item, ir.Check):
            condition = self.term(item.condition)
            if condition is not terms.TRUE:
                self.say(f"assert({condition.text});", item.where, f"{item.slug}, ")

    def chosen(self) -> Term:
        step = self.step
        if not step.counts:  # without a choice given this is not reached
            return terms.number(step.choices[0]) if step.choices else terms.FALSE
        made = terms.name("made", ir.U64)
        self.say("made++;", None)
        table = [terms.FALSE, *(terms.number(choice) for choice in step.choices)]
        return pick(made, table)

    def store(self, item: ir.Store) -> None:
        if item.family.type.bits == 0:
            return
        value = self.term(item.value)
        target = self.names.cell(item.family, self.term(item.index))
        self.settle_readers(self.names.families[item.family.number])
        self.say(f"{target.text} = {value.text};", item.where)

    def assign(self, register: Reg, value: Term, where: ir.Where) -> None:
        """A register takes a value; written down only if it is needed more than once."""
        if register.type.bits == 0:
            return
        self.waiting.pop(register.number, None)
        self.settle_readers(self.names.registers[register.number])
        reads = self.left.get(register.number, 0)
        depends = _variables(value)
        itself = self.names.registers[register.number] in depends
        if (reads > 1 and value.kind != "number") or itself or "made" in depends:
            self.say(self._assignment(register.number, value), where)
        else:
            self.waiting[register.number] = value
            self.reads[register.number] = depends

    def settle_readers(self, variable: str) -> None:
        """Write down what depends on a variable that changes now."""
        for register in [r for r in self.waiting if variable in self.reads[r]]:
            if self.left.get(register, 0) or self.out >> register & 1:
                self.settle(register)
            else:
                del self.waiting[register]

    def settle(self, register: int) -> None:
        value = self.waiting.pop(register)
        self.say(self._assignment(register, value), None)

    def _assignment(self, register: int, value: Term) -> str:
        target = self.names.registers[register]
        if register not in self.step.frame.kept:
            self.step.frame.scratch.add(target)
        return f"{target} = {value.text};"

    def say(self, text: str, where: ir.Where | None, before: str = "") -> None:
        remark = f"  /* {before}{place(where)} */" if where is not None else ""
        self.written.append(text + remark)


def _variables(term: Term) -> set[str]:
    """The variables and arrays that an expression names."""
    found: set[str] = set()
    pending = [term]
    seen: set[int] = set()
    while pending:
        at = pending.pop()
        if id(at) in seen:
            continue
        seen.add(id(at))
        if at.kind == "name":
            found.add(at.text.partition("[")[0])
        pending += at.args
    return found
