"""Native code for the search: one step of a process, and the properties of a state.

    u64 step(u64 process, ptr source, ptr target, ptr context)
    u64 check_state(ptr source, ptr context)
    u64 threads_done(ptr source)
    u64 chosen(ptr source)
    void canonicalise(ptr state, ptr spare)

A state is ``Layout.words`` 64-bit words.  ``step`` reads ``source`` and writes
``target``, which means something only if it returns OK; the two must not overlap.
``check_state`` returns 0 or 1 + the index of the first property that is violated.  What
else they read and write is in ``context``; they keep nothing between calls, so that
threads may call at once, each with a context.

What makes a step take 10 ns: words and registers are values, never memory; a register
that the step leaves alone stays in its word, neither unpacked nor packed; the words that
a step changes are known at each of its ends.
"""

from __future__ import annotations

from collections.abc import Sequence

from pagerace.compiler import ir
from pagerace.compiler.ir import Process, Program
from pagerace.compiler.layout import Layout, points_of
from pagerace.compiler.native import cells, context, properties, reductions
from pagerace.compiler.native.flow import analyse, forward
from pagerace.compiler.native.text import I64, Builder, Module, Value
from pagerace.compiler.native.words import WordsBody, word_address
from pagerace.compiler.reductions import NO_REDUCTIONS, Reductions


class TooManyChoices(ValueError):
    """A step can make more than context.CHOICES_MAX choices.  ``where`` one of them stands."""

    def __init__(self, where: ir.Where) -> None:
        super().__init__(f"a step with more than {context.CHOICES_MAX} calls of choose()")
        self.where = where


def emit(
    module: Module, program: Program, layout: Layout, reduced: Reductions = NO_REDUCTIONS
) -> None:
    """Append all of these.  Raises TooManyChoices."""
    for process, base in zip(program.processes, context.block_base(program), strict=True):
        Stepper(module, process, layout, base).emit()
    emit_step(module, len(program.processes), layout.words)
    properties.emit(module, program, layout)
    reductions.emit(module, layout, reduced)


SIGNATURE = "ptr noalias readonly %source, ptr noalias %target, ptr noalias %context"
ARGUMENTS = "ptr %source, ptr %target, ptr %context"


def emit_step(
    module: Module, processes: int, words: int, linkage: str = "", attributes: str = "noinline"
) -> None:
    """Append ``step``: copy the state, let the process's function store what changes."""
    b = Builder()
    b.label("entry")
    word = 0
    while word < words:
        run = next(length for length in (4, 2, 1) if word + length <= words)
        name = f"<{run} x i64>"
        here, there = (word_address(b, base, word).text for base in ("%source", "%target"))
        copy = b.value(I64, f"load {name}, ptr {here}, align 8")
        b.line(f"store {name} {copy.text}, ptr {there}, align 8")
        word += run
    b.store(I64(0), "%context")
    b.switch(Value(I64, "%process"), "none", [(n, f"p{n}") for n in range(processes)])
    for number in range(processes):
        b.label(f"p{number}")
        result = b.value(I64, f"tail call i64 @process.{number}({ARGUMENTS})")
        b.line(f"ret i64 {result.text}")
    b.label("none")
    b.line(f"ret i64 {context.FINISHED}")
    header = f"{linkage} i64 @step(i64 %process, {SIGNATURE}) {attributes} nounwind"
    module.function(header.lstrip(), b)


class Stepper(WordsBody):
    """The function ``process.N``, or another one that runs a step.

    Nodes are the blocks and, from ``exit`` on, one exit per point at which a step may
    end, the last for a process that has returned.
    """

    symbol = "process"

    def __init__(self, module: Module, process: Process, layout: Layout, base: int) -> None:
        super().__init__(module, process.code, "", layout, Builder())
        self.process = process
        self.points = points_of(process)
        self.slots = layout.locals[process.index]
        self.pc = layout.pc[process.index]
        self.coverage = context.COVERAGE_BYTES + base
        self.exit = len(process.code.blocks)
        self.failures: list[tuple[Value, str]] = []

    def emit(self) -> None:
        self.flow = analyse(self.process.points, self.successors, self.effects)
        self.choosing = self.check_choices()
        live = {
            number: self.bits_of(point.live)
            for number, point in zip(self.process.points, self.points, strict=True)
        }
        self.occupied = forward(self.flow, live)
        self.dispatch()
        for node in self.flow.order:
            if node < self.exit:
                self.block(node)
            else:
                self.leave(node)
        self.ends_of_function()
        self.module.function(
            f"i64 @{self.symbol}.{self.process.index}({SIGNATURE}) noinline nounwind", self.b
        )

    # -- the graph --------------------------------------------------------------------

    def successors(self, node: int) -> Sequence[int]:
        if node >= self.exit:
            return ()
        if isinstance(self.code.blocks[node].terminator, ir.Return):
            return (self.exit + len(self.points),)
        following = [self.node_of(number) for number in self.block_successors(node)]
        return list(dict.fromkeys(following))

    def node_of(self, number: int) -> int:
        point = self.code.blocks[number].point
        return number if point is None else self.exit + point.number

    def target(self, number: int) -> str:
        return self.label(self.node_of(number))

    def effects(self, number: int) -> tuple[int, int]:
        if number < self.exit:
            return super().effects(number)
        return _registers(self.live(number)) | -1 << self.first_word, 0

    def live(self, node: int) -> tuple[ir.Reg, ...]:
        """The registers kept at the exit ``node``."""
        number = node - self.exit
        return self.points[number].live if number < len(self.points) else ()

    def bits_of(self, registers: Sequence[ir.Reg]) -> int:
        """The bits of the state that hold these registers; word w from bit 64 * w."""
        return sum(
            cells.mask_of(slot) << 64 * slot.word
            for slot in (self.slots[register.number] for register in registers)
        )

    def check_choices(self) -> set[int]:
        """Blocks with a Choose that a loop can reach again; others are counted here."""
        counts = {
            node: sum(isinstance(i, ir.Choose) for i in self.code.blocks[node].instructions)
            for node in self.flow.order
            if node < self.exit
        }
        most = dict.fromkeys(self.flow.order, 0)
        for node in self.flow.order:
            after = most[node] + counts.get(node, 0)
            if after > context.CHOICES_MAX:
                chooses = [i for i in self.code.blocks[node].instructions
                           if isinstance(i, ir.Choose)]  # fmt: skip
                raise TooManyChoices(chooses[-1].where)
            for target in self.flow.successors[node]:
                most[target] = max(most[target], after)
        return {node for node in self.flow.counted if counts.get(node)}

    # -- start and end -----------------------------------------------------------------

    def initial(self, variable: int) -> Value:
        slot = self.slots.get(variable)
        if variable >= self.first_word or slot is None:
            return super().initial(variable)
        return cells.extract(self.b, self.source_word(slot.word), slot)

    def dispatch(self) -> None:
        """The function's first block, and what leads from it to the points."""
        b = self.b
        b.label("entry")
        self.declare_merged()
        self.declare_counter()
        pc = cells.extract(b, self.source_word(self.pc.word), self.pc)
        self.entry_values = dict(self.values)
        starts: list[tuple[int, str]] = []
        late: list[tuple[int, int]] = []
        for point, block in zip(self.points, self.process.points, strict=True):
            variables = _registers(point.live) | -1 << self.first_word
            needed = bool(variables & self.flow.wanted[block])
            starts.append((point.number, f"start{block}" if needed else self.label(block)))
            if needed:
                late.append((block, variables))
        if starts:
            b.switch(pc, "finished", starts)
        else:
            b.jump("finished")
        for block, variables in late:
            b.label(f"start{block}")
            self.values = dict(self.entry_values)
            self.initialise(block, variables)
            b.jump(self.label(block))

    def begin_node(self, node: int) -> None:
        super().begin_node(node)
        if node not in self.flow.parent:
            self.values.update(self.entry_values)

    def leave(self, node: int) -> None:
        """Pack what is live, clear what was, set the program counter, write the target.

        A live register that was not assigned is already where it belongs.
        """
        b = self.b
        self.begin_node(node)
        assigned = self.flow.assigned[node]
        live = self.live(node)
        changed = [r for r in live if assigned >> r.number & 1]
        unchanged = [r for r in live if not assigned >> r.number & 1]
        clear = self.occupied[node] & ~self.bits_of(unchanged) | self.bits_of(changed)
        clear |= cells.mask_of(self.pc) << 64 * self.pc.word
        number = node - self.exit
        added: dict[int, list[Value]] = {self.pc.word: [I64(number << self.pc.shift)]}
        for register in changed:
            slot = self.slots[register.number]
            value = b.resize(self.read(register.number), I64)
            added.setdefault(slot.word, []).append(b.shl(value, I64(slot.shift)))
        words: dict[int, Value] = {}
        for word in range(self.layout.words):
            mask = clear >> 64 * word & cells.ONES
            dirty = assigned >> (self.first_word + word) & 1
            if not mask and not dirty and word not in added:
                continue
            value = self.word(word)
            if mask:
                value = b.and_(value, I64(~mask))
            for part in added.get(word, []):
                value = b.or_(value, part) if part.constant != 0 else value
            words[word] = value
        for word, value in words.items():
            b.store(value, word_address(b, "%target", word))
        b.line(f"ret i64 {context.OK}")
        self.ends[node] = self.values

    def ends_of_function(self) -> None:
        b = self.b
        if self.failures:
            b.label("failed")
            number = b.phi(I64, self.failures)
            b.store(number, word_address(b, "%context", context.CHECK))
            b.line(f"ret i64 {context.FAILED}")
        for name, status in RETURNS.items():
            b.label(name)
            b.line(f"ret i64 {status}")

    # -- instructions ---------------------------------------------------------------------

    def block_begins(self, number: int) -> None:
        self.count_block(number, "endless")

    def block_ends(self, number: int) -> None:
        address = self.b.element(8, "%context", I64(self.coverage + number))
        self.b.store(I64(1), address, 8)

    def failed(self, check: ir.Check) -> str:
        self.failures.append((I64(check.number), self.b.block))
        return "failed"

    def blocked(self) -> str:
        return "blocked"

    def returns(self, terminator: ir.Return) -> None:
        self.b.jump(self.label(self.exit + len(self.points)))

    def choose(self, instruction: ir.Choose) -> None:
        b = self.b
        n = b.resize(self.operand(instruction.n), I64)
        if n.constant is None or n.constant == 0:
            self.require(b.icmp_unsigned("!=", n, I64(0)), "blocked")
        made = b.load(I64, "%context")
        if self.node in self.choosing:
            room = b.icmp_unsigned("<", made, I64(context.CHOICES_MAX))
            self.require(room, "too_many_choices")
        given = b.load(I64, word_address(b, "%context", context.GIVEN))
        address = b.element(64, "%context", b.add(made, I64(context.CHOICES)))
        known = b.icmp_unsigned("<", made, given)
        choice = b.select(known, b.load(I64, address), I64(0))
        b.store(choice, address)
        b.store(n, b.element(64, "%context", b.add(made, I64(context.RADICES))))
        b.store(b.add(made, I64(1)), "%context")
        self.assign(instruction.dst, choice)

    def lock_order(self, instruction: ir.LockOrder) -> None:
        b = self.b
        lock = b.and_(b.resize(self.operand(instruction.lock), I64), I64(context.LOCKS_MAX - 1))
        held = b.resize(self.operand(instruction.held), I64)
        address = b.element(64, "%context", b.add(lock, I64(context.LOCKS)))
        b.store(b.or_(b.load(I64, address), held), address)


RETURNS = {
    "blocked": context.BLOCKED,
    "finished": context.FINISHED,
    "endless": context.ENDLESS,
    "too_many_choices": context.TOO_MANY_CHOICES,
}


def _registers(registers: Sequence[ir.Reg]) -> int:
    return sum(1 << register.number for register in registers)
