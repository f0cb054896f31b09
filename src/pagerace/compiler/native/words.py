"""Code that runs on a packed state: the words of the state are variables."""

from __future__ import annotations

from pagerace.compiler import ir
from pagerace.compiler.interpreter import BLOCKS_MAX
from pagerace.compiler.ir import Const, Program
from pagerace.compiler.layout import Layout
from pagerace.compiler.liveness import members
from pagerace.compiler.native import cells
from pagerace.compiler.native.body import Body, effects, scalar_type
from pagerace.compiler.native.text import I1, I64, Builder, Module, Value


def word_address(b: Builder, base: str, word: int) -> Value:
    return b.element(64, base, I64(word))


class WordsBody(Body):
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
        # Folding may find one word where ``effects`` saw several as written: each must
        # have its value here, for nobody behind will look for it elsewhere.
        for word in members(self.words_touched(instruction)):
            self.word(word)
        value = self.b.resize(
            self.operand(instruction.value), scalar_type(instruction.family.type)
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


def threads_done(b: Builder, program: Program, layout: Layout) -> Value:
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
        word = b.load(I64, word_address(b, "%source", number))
        equal = b.icmp_unsigned("==", b.and_(word, I64(mask)), I64(wanted))
        done = equal if done.constant is not None else b.and_(done, equal)
    return done
