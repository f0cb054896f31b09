"""Native code for the search: one step of a process, and the properties of a state.

    u64 step(u64 process, ptr source, ptr target, ptr context)
    u64 check_state(ptr source, ptr context)
    u64 threads_done(ptr source)

A state is ``Layout.words`` 64-bit words.  ``step`` reads ``source`` and, if the step is
possible, writes every word of ``target``; the two must not overlap.  Nothing else is
kept between calls, so that threads may call with a context each.

The context, in 64-bit words (``CONTEXT_*``):

    0        out: choices made in the step
    1..8     in: the first [17] choices; out: all that were made
    9..16    out: of how many each was
    17       in: how many choices are given; those beyond are 0
    18       out: number of the Check that failed; after check_state 2**64-1 if none did
    20       bit i is set where "sometimes" property i holds
    32..95   bit mask of locks held when lock [i - 32] was taken, accumulated
    96..     a byte a block (see ``block_base``), set to 1 where the block ran to its end
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pagerace.compiler import ir
from pagerace.compiler.ir import Const, Process, Program, Property
from pagerace.compiler.layout import Layout, points_of
from pagerace.compiler.native import cells
from pagerace.compiler.native.body import Body, effects, resize, scalar_type
from pagerace.compiler.native.flow import analyse, forward, members
from pagerace.compiler.native.text import I1, I8, I64, Builder, Module, Type, Value

OK, BLOCKED, FINISHED, FAILED, ENDLESS, TOO_MANY_CHOICES = range(6)

CHOICES_MAX = 8
PROPERTIES_MAX = 64
LOCKS_MAX = 64
BLOCKS_MAX = 1_000_000  # executed in one step, as in the interpreter

CONTEXT_CHOICES = 1
CONTEXT_RADICES = 9
CONTEXT_GIVEN = 17
CONTEXT_CHECK = 18
CONTEXT_SOMETIMES = 20
CONTEXT_LOCKS = 32
CONTEXT_COVERAGE = 768  # bytes

NO_CHECK = (1 << 64) - 1


class TooManyChoices(ValueError):
    """A step can make more than CHOICES_MAX choices.  ``where`` one of them stands."""

    def __init__(self, where: ir.Where) -> None:
        super().__init__(f"a step with more than {CHOICES_MAX} calls of choose()")
        self.where = where


def block_base(program: Program) -> list[int]:
    """The coverage byte of each process's block 0, counted from CONTEXT_COVERAGE."""
    bases = [0]
    for process in program.processes:
        bases.append(bases[-1] + len(process.code.blocks))
    return bases[:-1]


def context_bytes(program: Program) -> int:
    """The size of a context: a multiple of 64, so that contexts share no cache line."""
    blocks = sum(len(process.code.blocks) for process in program.processes)
    return (CONTEXT_COVERAGE + blocks + 63) // 64 * 64


def emit(module: Module, program: Program, layout: Layout) -> None:
    """Append ``step``, ``check_state`` and ``threads_done``.  Raises TooManyChoices."""
    for process, base in zip(program.processes, block_base(program), strict=True):
        _Stepper(module, process, layout, base).emit()
    _emit_step(module, len(program.processes))
    _emit_threads_done(module, program, layout)
    _emit_check_state(module, program, layout)


def _emit_step(module: Module, processes: int) -> None:
    b = Builder()
    b.label("entry")
    b.store(I64(0), "%context")
    b.switch(I64_PROCESS, "none", [(n, f"p{n}") for n in range(processes)])
    for number in range(processes):
        b.label(f"p{number}")
        result = b.value(
            I64,
            f"tail call i64 @process.{number}(ptr %source, ptr %target, ptr %context)",
        )
        b.line(f"ret i64 {result.text}")
    b.label("none")
    b.line(f"ret i64 {FINISHED}")
    module.function("i64 @step(i64 %process, ptr %source, ptr %target, ptr %context)", b)


I64_PROCESS = Value(I64, "%process")


def word_address(b: Builder, base: str, word: int) -> Value:
    return b.element(I64, base, I64(word))


class _WordsBody(Body):
    """A body whose variables after the registers are the words of the source state."""

    def __init__(
        self, module: Module, code: ir.Code, prefix: str, layout: Layout, builder: Builder
    ) -> None:
        super().__init__(module, builder, code, prefix)
        self.layout = layout
        self.first_word = len(code.registers)

    def source_word(self, word: int) -> Value:
        """As it is in the source; loaded once per run of blocks."""
        key = -1 - word
        value = self.values.get(key)
        if value is None:
            value = self.b.load(I64, word_address(self.b, "%source", word))
            self.values[key] = value
        return value

    def word(self, word: int) -> Value:
        """As it is now."""
        return self.read(self.first_word + word)

    def set_word(self, word: int, value: Value) -> None:
        self.write(self.first_word + word, value)

    def initial(self, variable: int) -> Value:
        if variable >= self.first_word:
            return self.source_word(variable - self.first_word)
        return self.variable_type(variable)(0)

    def effects(self, number: int) -> tuple[int, int]:
        """``body.effects`` with the words."""
        reads, writes = effects(self.code, number)
        words_read = words_written = 0
        for instruction in self.code.blocks[number].instructions:
            if isinstance(instruction, ir.Load | ir.Store):
                words = self.words_touched(instruction)
                words_read |= words & ~words_written
                if isinstance(instruction, ir.Store):
                    words_written |= words
        return reads | words_read << self.first_word, writes | words_written << self.first_word

    def words_touched(self, access: ir.Load | ir.Store) -> int:
        slots = self.layout.cells.get(access.family.number)
        if slots is None:
            return 0
        index = access.index.value if isinstance(access.index, Const) else None
        return cells.words_of(slots, index)

    def load_cell(self, instruction: ir.Load) -> Value:
        family = instruction.family
        slots = self.layout.cells.get(family.number)
        index = self.operand(instruction.index)
        if slots is None:
            return self.table(family.initial, index, scalar_type(family.type))
        return cells.load(self.b, slots, index, self.word)

    def store_cell(self, instruction: ir.Store) -> None:
        slots = self.layout.cells.get(instruction.family.number)
        if slots is None:
            return  # of no bits: there is nothing to keep
        index = self.operand(instruction.index)
        value = resize(
            self.b, self.operand(instruction.value), scalar_type(instruction.family.type)
        )
        cells.store(self.b, slots, index, value, self.word, self.set_word)

    def count_block(self, number: int, endless: str) -> None:
        """Count where a loop is possible, for a step must end."""
        if number not in self.flow.counted:
            return
        counter = f"%{self.prefix}count"
        count = self.b.add(self.b.load(I64, counter), I64(1))
        self.b.store(count, counter)
        self.require(self.b.icmp_unsigned("<=", count, I64(BLOCKS_MAX)), endless)

    def declare_counter(self) -> None:
        if self.flow.counted:
            self.b.line(f"%{self.prefix}count = alloca i64")
            self.b.store(I64(0), f"%{self.prefix}count")


class _Stepper(_WordsBody):
    """The function ``process.N``.

    Nodes are the blocks and, from ``exit`` on, one exit per point at which a step may
    end, the last for a process that has returned.
    """

    def __init__(self, module: Module, process: Process, layout: Layout, base: int) -> None:
        super().__init__(module, process.code, "", layout, Builder())
        self.process = process
        self.points = points_of(process)
        self.slots = layout.locals[process.index]
        self.pc = layout.pc[process.index]
        self.coverage = CONTEXT_COVERAGE + base
        self.exit = len(process.code.blocks)
        self.failures: list[tuple[Value, str]] = []

    def emit(self) -> None:
        self.flow = analyse(
            self.process.points, self.successors, lambda node: self.node_effects(node)[1],
            self.reads,
        )  # fmt: skip
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
            f"internal i64 @process.{self.process.index}(ptr noalias readonly %source, "
            "ptr noalias %target, ptr noalias %context) noinline nounwind",
            self.b,
        )

    # -- the graph --------------------------------------------------------------------

    def successors(self, node: int) -> Sequence[int]:
        if node >= self.exit:
            return ()
        terminator = self.code.blocks[node].terminator
        if isinstance(terminator, ir.Jump):
            return (self.node_of(terminator.target),)
        if isinstance(terminator, ir.Branch):
            then, other = self.node_of(terminator.then), self.node_of(terminator.other)
            return (then,) if then == other else (then, other)
        return (self.exit + len(self.points),)

    def node_of(self, number: int) -> int:
        point = self.code.blocks[number].point
        return number if point is None else self.exit + point.number

    def target(self, number: int) -> str:
        return self.label(self.node_of(number))

    def node_effects(self, node: int) -> tuple[int, int]:
        return (0, 0) if node >= self.exit else self.effects(node)

    def reads(self, node: int, assigned: int) -> int:
        if node < self.exit:
            return self.effects(node)[0]
        registers = sum(1 << register.number for register in self.live(node))
        return (registers | -1 << self.first_word) & assigned

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
            if after > CHOICES_MAX:
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
        b = self.b
        b.label("entry")
        self.declare_merged()
        self.declare_counter()
        self.node, self.values = -1, {}
        pc = cells.extract(b, self.source_word(self.pc.word), self.pc)
        entry_values = dict(self.values)
        words = -1 << self.first_word
        starts: list[tuple[int, str]] = []
        late: list[tuple[int, int]] = []
        for number, (block, point) in enumerate(
            zip(self.process.points, self.points, strict=True)
        ):
            registers = sum(1 << register.number for register in point.live)
            wanted = (registers | words) & self.flow.wanted[block]
            starts.append((number, f"start{number}" if wanted else self.label(block)))
            if wanted:
                late.append((number, wanted))
        if starts:
            b.switch(pc, "finished", starts)
        else:
            b.jump("finished")
        for number, wanted in late:
            block = self.process.points[number]
            b.label(f"start{number}")
            self.values = dict(entry_values)
            for variable in members(wanted):
                b.store(self.initial(variable), self.home(variable))
            b.jump(self.label(block))
        self.entry_values = entry_values

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
            value = resize(b, self.read(register.number), I64)
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
        self.write_target(words)
        b.line(f"ret i64 {OK}")
        self.ends[node] = self.values

    def write_target(self, words: dict[int, Value]) -> None:
        """Store ``words``; copy the others from the source, in runs of 4, 2 or 1."""
        b = self.b
        word = 0
        while word < self.layout.words:
            value = words.get(word)
            if value is not None:
                b.store(value, word_address(b, "%target", word), ", align 8")
                word += 1
                continue
            run = 1
            while word + run < self.layout.words and word + run not in words and run < 4:
                run += 1
            run = 4 if run == 4 else min(run, 2)
            type = I64 if run == 1 else VECTORS[run]
            copy = b.load(type, word_address(b, "%source", word), ", align 8")
            b.store(copy, word_address(b, "%target", word), ", align 8")
            word += run

    def ends_of_function(self) -> None:
        b = self.b
        if self.failures:
            b.label("failed")
            number = b.phi(I64, self.failures)
            b.store(number, word_address(b, "%context", CONTEXT_CHECK))
            b.line(f"ret i64 {FAILED}")
        for name, status in RETURNS.items():
            b.label(name)
            b.line(f"ret i64 {status}")

    # -- instructions ---------------------------------------------------------------------

    def block_begins(self, number: int) -> None:
        self.count_block(number, "endless")

    def block_ends(self, number: int) -> None:
        address = self.b.element(I8, "%context", I64(self.coverage + number))
        self.b.store(I8(1), address)

    def failed(self, check: ir.Check) -> str:
        self.failures.append((I64(check.number), self.b.block))
        return "failed"

    def blocked(self) -> str:
        return "blocked"

    def returns(self, terminator: ir.Return) -> None:
        self.b.jump(self.label(self.exit + len(self.points)))

    def choose(self, instruction: ir.Choose) -> None:
        b = self.b
        n = resize(b, self.operand(instruction.n), I64)
        if n.constant is None or n.constant == 0:
            self.require(b.icmp_unsigned("!=", n, I64(0)), "blocked")
        made = b.load(I64, "%context")
        if self.node in self.choosing:
            self.require(b.icmp_unsigned("<", made, I64(CHOICES_MAX)), "too_many_choices")
        given = b.load(I64, word_address(b, "%context", CONTEXT_GIVEN))
        address = b.element(I64, "%context", b.add(made, I64(CONTEXT_CHOICES)))
        known = b.icmp_unsigned("<", made, given)
        choice = b.select(known, b.load(I64, address), I64(0))
        b.store(choice, address)
        b.store(n, b.element(I64, "%context", b.add(made, I64(CONTEXT_RADICES))))
        b.store(b.add(made, I64(1)), "%context")
        self.assign(instruction.dst, choice)

    def lock_order(self, instruction: ir.LockOrder) -> None:
        b = self.b
        lock = b.and_(resize(b, self.operand(instruction.lock), I64), I64(LOCKS_MAX - 1))
        held = resize(b, self.operand(instruction.held), I64)
        address = b.element(I64, "%context", b.add(lock, I64(CONTEXT_LOCKS)))
        b.store(b.or_(b.load(I64, address), held), address)


RETURNS = {
    "blocked": BLOCKED,
    "finished": FINISHED,
    "endless": ENDLESS,
    "too_many_choices": TOO_MANY_CHOICES,
}


def _vector(words: int) -> Type:
    type = Type(64 * words)
    type.name = f"<{words} x i64>"
    return type


VECTORS = {2: _vector(2), 4: _vector(4)}


# -- properties -----------------------------------------------------------------------


def _done(b: Builder, program: Program, layout: Layout, word: Callable[[int], Value]) -> Value:
    """Have all threads returned?  One comparison per word that has program counters."""
    masks: dict[int, list[int]] = {}
    for process in program.processes:
        slot = layout.pc[process.index]
        if not process.agent and slot.bits:
            pair = masks.setdefault(slot.word, [0, 0])
            pair[0] |= cells.mask_of(slot)
            pair[1] |= len(process.points) << slot.shift
    done = I1(1)
    for number, (mask, wanted) in sorted(masks.items()):
        equal = b.icmp_unsigned("==", b.and_(word(number), I64(mask)), I64(wanted))
        done = equal if done.constant is not None else b.and_(done, equal)
    return done


def _emit_threads_done(module: Module, program: Program, layout: Layout) -> None:
    b = Builder()
    b.label("entry")
    done = _done(
        b, program, layout, lambda word: b.load(I64, word_address(b, "%source", word))
    )
    b.line(f"ret i64 {b.zext(done, I64).text}")
    module.function("i64 @threads_done(ptr readonly %source)", b)


class _PropertyBody(_WordsBody):
    """The code of a property, between the labels ``q<i>.start`` and ``q<i>.end``.

    It arrives at the end with (does it hold, number of the Check that failed).
    """

    def __init__(
        self, module: Module, code: ir.Code, prefix: str, layout: Layout, builder: Builder,
        done: Value,
    ) -> None:  # fmt: skip
        super().__init__(module, code, prefix, layout, builder)
        self.done = done
        self.arrivals: list[tuple[Value, Value, str]] = []
        self.flow = analyse(
            [0], self.successors, lambda node: self.effects(node)[1],
            lambda node, assigned: self.effects(node)[0],
        )  # fmt: skip

    def successors(self, node: int) -> Sequence[int]:
        terminator = self.code.blocks[node].terminator
        if isinstance(terminator, ir.Jump):
            return (terminator.target,)
        if isinstance(terminator, ir.Branch):
            then, other = terminator.then, terminator.other
            return (then,) if then == other else (then, other)
        return ()

    def emit(self) -> tuple[Value, Value]:
        b = self.b
        b.label(f"{self.prefix}start")
        self.initialise(0, -1)
        if self.flow.counted:
            b.store(I64(0), f"%{self.prefix}count")
        b.jump(self.label(0))
        for node in self.flow.order:
            self.block(node)
        b.label(f"{self.prefix}never")  # where a Wait or a loop leads: it does not hold
        self.arrive(I1(0), I64(NO_CHECK))
        b.label(f"{self.prefix}end")
        holds = b.phi(I1, [(value, label) for value, _, label in self.arrivals])
        check = b.phi(I64, [(number, label) for _, number, label in self.arrivals])
        return holds, check

    def arrive(self, holds: Value, check: Value) -> None:
        self.arrivals.append((holds, check, self.b.block))
        self.b.jump(f"{self.prefix}end")

    def initial(self, variable: int) -> Value:
        if any(variable == register.number for register in self.code.parameters):
            return resize(self.b, self.done, self.variable_type(variable))
        return super().initial(variable)

    def block_begins(self, number: int) -> None:
        self.count_block(number, f"{self.prefix}never")

    def failed(self, check: ir.Check) -> str:
        self.arrivals.append((I1(0), I64(check.number), self.b.block))
        return f"{self.prefix}end"

    def blocked(self) -> str:
        return f"{self.prefix}never"

    def choose(self, instruction: ir.Choose) -> None:
        self.assign(instruction.dst, I64(0))

    def returns(self, terminator: ir.Return) -> None:
        assert terminator.value is not None, "a property returns a bool"
        self.arrive(resize(self.b, self.operand(terminator.value), I1), I64(NO_CHECK))


def _emit_check_state(module: Module, program: Program, layout: Layout) -> None:
    assert len(program.properties) <= PROPERTIES_MAX, "a bit each in one word"
    b = Builder()
    done = Value(I1, "%done")
    bodies = [
        _PropertyBody(module, property.code, f"q{index}.", layout, b, done)
        for index, property in enumerate(program.properties)
    ]
    b.label("entry")
    for body in bodies:
        body.declare_merged()
        body.declare_counter()
    for name, number in (("%first", 0), ("%failing", NO_CHECK), ("%reached", 0)):
        b.line(f"{name} = alloca i64")
        b.store(I64(number), name)
    known = _done(
        b, program, layout, lambda word: b.load(I64, word_address(b, "%source", word))
    )
    b.line(f"%done = and i1 {known.text}, true")
    for index, (body, property) in enumerate(zip(bodies, program.properties, strict=True)):
        _emit_property(body, index, property)
    address = word_address(b, "%context", CONTEXT_CHECK)
    b.store(b.load(I64, "%failing"), address)
    if any(property.kind == "sometimes" for property in program.properties):
        address = word_address(b, "%context", CONTEXT_SOMETIMES)
        b.store(b.or_(b.load(I64, address), b.load(I64, "%reached")), address)
    b.line(f"ret i64 {b.load(I64, '%first').text}")
    module.function(
        "i64 @check_state(ptr noalias readonly %source, ptr noalias %context)", b
    )


def _emit_property(body: _PropertyBody, index: int, property: Property) -> None:
    """Evaluate one property and note the result; end in the label ``q<i>.next``."""
    b = body.b
    start, after = f"{body.prefix}start", f"{body.prefix}next"
    if property.kind == "at_end":
        b.branch(body.done, start, after)
    else:
        b.jump(start)
    holds, check = body.emit()
    if property.kind == "sometimes":
        bit = b.shl(b.zext(holds, I64), I64(index))
        b.store(b.or_(b.load(I64, "%reached"), bit), "%reached")
        violated = b.icmp_unsigned("!=", check, I64(NO_CHECK))
    else:
        violated = b.not_(holds)
    first = b.load(I64, "%first")
    news = b.and_(violated, b.icmp_unsigned("==", first, I64(0)))
    b.store(b.select(news, I64(index + 1), first), "%first")
    b.store(b.select(news, check, b.load(I64, "%failing")), "%failing")
    b.jump(after)
    b.label(after)
