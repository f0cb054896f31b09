"""Native code that tells which cells a step would touch: what data races are found with.

    u64 accesses(u64 process, ptr source, ptr record, ptr context)

runs a step as ``step`` does, with the same results and choices, but keeps nothing of it.
In ``record`` word 0 becomes the number of the point that the process is at, among all
points of the program; then four masks, of ``masks`` words each, get a bit for each cell
that is touched: read plainly, written plainly, and the same of other accesses.
"""

from __future__ import annotations

from pagerace.compiler import ir
from pagerace.compiler.ir import Program
from pagerace.compiler.layout import Layout
from pagerace.compiler.native import cells, context
from pagerace.compiler.native.stepped import ARGUMENTS, SIGNATURE, Stepper
from pagerace.compiler.native.text import I64, Builder, Module, Value
from pagerace.compiler.native.words import word_address
from pagerace.compiler.points import is_shared

# The masks, in this order.
PLAIN_READ, PLAIN_WRITE, OTHER_READ, OTHER_WRITE = range(4)


class Bits:
    """Which bit of a mask stands for a cell: ``first[family]`` for its cell 0."""

    def __init__(self, program: Program) -> None:
        self.first: dict[int, int] = {}
        total = 0
        for family in program.families:
            if is_shared(family):
                self.first[family.number] = total
                total += family.count
        self.masks = max(1, (total + 63) // 64)
        self.record_words = 1 + 4 * self.masks
        self.points: list[int] = []  # of each process, the number of its point 0
        self.all_points = 0
        for process in program.processes:
            self.points.append(self.all_points)
            self.all_points += len(process.points) + 1  # one for where it has returned


def mask_of(access: ir.Load | ir.Store) -> int:
    """The mask that an access belongs to."""
    if isinstance(access, ir.Store):
        return PLAIN_WRITE if access.plain else OTHER_WRITE
    return PLAIN_READ if access.plain else OTHER_READ


def emit(module: Module, program: Program, layout: Layout) -> None:
    """Append ``accesses``.  Raises TooManyChoices."""
    bits = Bits(program)
    for process in program.processes:
        _Recorder(module, process, layout, bits).emit()
    b = Builder()
    b.label("entry")
    b.store(I64(0), "%context")
    numbers = [(process.index, f"p{process.index}") for process in program.processes]
    b.switch(Value(I64, "%process"), "none", numbers)
    for process in program.processes:
        b.label(f"p{process.index}")
        slot = layout.pc[process.index]
        word = b.load(I64, word_address(b, "%source", slot.word))
        point = b.resize(cells.extract(b, word, slot), I64)
        b.store(b.add(point, I64(bits.points[process.index])), "%target")
        result = b.value(I64, f"tail call i64 @accesses.{process.index}({ARGUMENTS})")
        b.line(f"ret i64 {result.text}")
    b.label("none")
    b.line(f"ret i64 {context.FINISHED}")
    header = f"i64 @accesses(i64 %process, {SIGNATURE}) noinline nounwind"
    module.function(header, b)


class _Recorder(Stepper):
    """The function ``accesses.N``; ``%target`` is the record."""

    symbol = "accesses"

    def __init__(
        self, module: Module, process: ir.Process, layout: Layout, bits: Bits
    ) -> None:
        super().__init__(module, process, layout, 0)
        self.bits = bits

    def effects(self, number: int) -> tuple[int, int]:
        return super().effects(number) if number < self.exit else (0, 0)

    def leave(self, node: int) -> None:
        self.begin_node(node)
        self.b.line(f"ret i64 {context.OK}")
        self.ends[node] = self.values

    def block_ends(self, number: int) -> None:
        pass  # it has not run

    def lock_order(self, instruction: ir.LockOrder) -> None:
        pass  # nor taken a lock

    def load_cell(self, instruction: ir.Load) -> Value:
        self.record(instruction)
        return super().load_cell(instruction)

    def store_cell(self, instruction: ir.Store) -> None:
        self.record(instruction)
        super().store_cell(instruction)

    def record(self, access: ir.Load | ir.Store) -> None:
        """Set the bit of the cell."""
        first = self.bits.first.get(access.family.number)
        if first is None:
            return
        b = self.b
        bit = b.add(b.resize(self.operand(access.index), I64), I64(first))
        start = 1 + mask_of(access) * self.bits.masks
        word = b.add(b.lshr(bit, I64(6)), I64(start))
        address = b.element(64, "%target", word)
        mask = b.shl(I64(1), b.and_(bit, I64(63)))
        b.store(b.or_(b.load(I64, address), mask), address)
