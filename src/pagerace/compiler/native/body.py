"""One function's instructions as LLVM text: what stepped and direct code share.

A subclass says where variables come from at the start, how memory families are reached
and what a failed check does.  Variable ``n`` is register ``n``; variables from
``len(code.registers)`` on are the subclass's own (the words of a state).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pagerace.compiler import ir, ops
from pagerace.compiler.ir import Code, Const, Operand, Reg, Scalar
from pagerace.compiler.liveness import members, operands
from pagerace.compiler.native import text
from pagerace.compiler.native.cells import known_index
from pagerace.compiler.native.flow import Flow
from pagerace.compiler.native.text import I64, Builder, Module, Type, Value


def scalar_type(scalar: Scalar) -> Type:
    """The LLVM type of a value; what has no bits is carried as a zero bit."""
    if scalar.kind == "ptr":
        return text.POINTER
    return text.integer(scalar.bits or 1)


def stored_bits(bits: int) -> int:
    """The width of an element in an array that others read: 8, 16, 32 or 64."""
    return max(8, 1 << (max(1, bits) - 1).bit_length())


def constant(value: int, scalar: Scalar) -> Value:
    return scalar_type(scalar)(value)


class Body:
    """Emits the blocks of ``code`` into ``builder``; labels start with ``prefix``."""

    def __init__(self, module: Module, builder: Builder, code: Code, prefix: str) -> None:
        self.module = module
        self.b = builder
        self.code = code
        self.prefix = prefix
        self.splits = 0
        self.flow: Flow
        self.node = -1
        self.values: dict[int, Value] = {}
        self.dirty = 0  # merged variables to write back at the end of the node
        self.ends: dict[int, dict[int, Value]] = {}

    # -- what a subclass defines ------------------------------------------------------

    def initial(self, variable: int) -> Value:
        """The variable's value if nothing was assigned to it since the start."""
        raise NotImplementedError

    def load_cell(self, instruction: ir.Load) -> Value:
        raise NotImplementedError

    def store_cell(self, instruction: ir.Store) -> None:
        raise NotImplementedError

    def failed(self, check: ir.Check) -> str:
        """The label to go to where ``check`` does not hold; called in its block."""
        raise NotImplementedError

    def blocked(self) -> str:
        """The label to go to where the step is not possible."""
        raise NotImplementedError

    def choose(self, instruction: ir.Choose) -> None:
        raise NotImplementedError

    def returns(self, terminator: ir.Return) -> None:
        raise NotImplementedError

    def lock_order(self, instruction: ir.LockOrder) -> None:
        """Nothing, where nobody asks."""

    def call(self, instruction: ir.Call) -> None:
        raise NotImplementedError

    def block_begins(self, number: int) -> None:
        """After the label of a block."""

    def block_ends(self, number: int) -> None:
        """Before the terminator of a block."""

    # -- variables --------------------------------------------------------------------

    def variable_type(self, variable: int) -> Type:
        if variable < len(self.code.registers):
            return scalar_type(self.code.registers[variable])
        return I64

    def home(self, variable: int) -> str:
        """The name of a merged variable's memory."""
        return f"%{self.prefix}m{variable}"

    def declare_merged(self) -> None:
        """The memory of merged variables; belongs into the function's first block."""
        for variable in members(self.flow.merged):
            name = self.variable_type(variable).name
            self.b.line(f"{self.home(variable)} = alloca {name}")

    def read(self, variable: int) -> Value:
        value = self.values.get(variable)
        if value is None:
            if self.flow.assigned[self.node] >> variable & 1:
                value = self.b.load(self.variable_type(variable), self.home(variable))
            else:
                value = self.initial(variable)
            self.values[variable] = value
        return value

    def write(self, variable: int, value: Value) -> None:
        self.values[variable] = value
        self.dirty |= 1 << variable

    def operand(self, operand: Operand) -> Value:
        if isinstance(operand, Const):
            return constant(operand.value, operand.type)
        return self.read(operand.number)

    def assign(self, register: Reg, value: Value) -> None:
        self.write(register.number, self.b.resize(value, scalar_type(register.type)))

    # -- nodes ------------------------------------------------------------------------

    def label(self, node: int) -> str:
        return f"{self.prefix}b{node}"

    def begin_node(self, node: int) -> None:
        """Start a node with the values of its only predecessor, if it has only one."""
        self.node = node
        parent = self.flow.parent.get(node)
        self.values = {} if parent is None else dict(self.ends[parent])
        self.dirty = 0
        self.b.label(self.label(node))

    def write_back(self) -> None:
        """Bring merged variables to their memory before control leaves the node."""
        wanted = 0
        for node in self.flow.successors[self.node]:
            wanted |= self.flow.wanted[node]
        for variable in members(self.dirty & wanted):
            self.b.store(self.values[variable], self.home(variable))
        self.ends[self.node] = self.values

    def initialise(self, node: int, variables: int) -> None:
        """Give merged variables that ``node`` or what follows reads their initial value.

        In the current block, which leads to ``node``.
        """
        for variable in members(variables & self.flow.wanted[node]):
            self.b.store(self.initial(variable), self.home(variable))

    def block(self, number: int) -> None:
        """The whole of one block."""
        self.begin_node(number)
        self.block_begins(number)
        block = self.code.blocks[number]
        for instruction in block.instructions:
            _EMIT[type(instruction)](self, instruction)
        self.block_ends(number)
        self.write_back()
        terminator = block.terminator
        if isinstance(terminator, ir.Jump):
            self.b.jump(self.target(terminator.target))
        elif isinstance(terminator, ir.Branch):
            then, other = self.target(terminator.then), self.target(terminator.other)
            if then == other:
                self.b.jump(then)
            else:
                self.b.branch(self.operand(terminator.condition), then, other)
        else:
            self.returns(terminator)

    def block_successors(self, number: int) -> Sequence[int]:
        """The blocks that may follow block ``number``."""
        terminator = self.code.blocks[number].terminator
        if isinstance(terminator, ir.Jump):
            return (terminator.target,)
        if isinstance(terminator, ir.Branch):
            then, other = terminator.then, terminator.other
            return (then,) if then == other else (then, other)
        return ()

    def target(self, number: int) -> str:
        """The label of the node that a terminator naming block ``number`` leads to."""
        return self.label(number)

    def split(self) -> str:
        """A fresh label to go on with inside the current block."""
        self.splits += 1
        return f"{self.prefix}s{self.splits}"

    def require(self, condition: Value, other: str) -> None:
        """Go on if ``condition`` holds, else to ``other``."""
        if condition.constant == 1:
            return
        following = self.split()
        self.b.branch(condition, following, other, likely=True)
        self.b.label(following)

    # -- instructions -----------------------------------------------------------------

    def op(self, instruction: ir.Op) -> None:
        operation = ops.TABLE[instruction.name]
        values = [self.operand(arg) for arg in instruction.args]
        first = instruction.args[0].type
        to = scalar_type(instruction.dst.type)
        if instruction.name == "convert":
            value = operation.emit(self.b, first, *values, to=to)
        else:
            value = operation.emit(self.b, first, *values)
        self.assign(instruction.dst, value)

    def lookup(self, instruction: ir.Lookup) -> None:
        index = self.operand(instruction.index)
        type = scalar_type(instruction.dst.type)
        self.assign(instruction.dst, self.table(instruction.table, index, type))

    def table(self, numbers: Sequence[int], index: Value, type: Type) -> Value:
        """``numbers[index]``: shifted out of one word if they fit, else from memory."""
        b = self.b
        if index.constant is not None:
            return type(numbers[known_index(index, len(numbers))])
        if len(set(numbers)) == 1:
            return type(numbers[0])
        if len(numbers) * type.width <= 64:
            packed = sum(number << i * type.width for i, number in enumerate(numbers))
            shift = b.mul(b.resize(index, I64), I64(type.width))
            return b.resize(b.lshr(I64(packed), shift), type)
        bits = stored_bits(type.width)
        name = self.module.table(bits, tuple(numbers))
        return b.load(type, b.element(bits, name, b.resize(index, I64)), bits)

    def load(self, instruction: ir.Load) -> None:
        self.assign(instruction.dst, self.load_cell(instruction))

    def store(self, instruction: ir.Store) -> None:
        self.store_cell(instruction)

    def check(self, instruction: ir.Check) -> None:
        condition = self.operand(instruction.condition)
        if condition.constant != 1:
            self.require(condition, self.failed(instruction))

    def wait(self, instruction: ir.Wait) -> None:
        condition = self.operand(instruction.condition)
        if condition.constant != 1:
            self.require(condition, self.blocked())

    def nothing(self, instruction: Any) -> None:
        """For markers, fences and notes: native code runs one instruction at a time."""

    def pointer_load(self, instruction: ir.PtrLoad) -> None:
        type, bits, address = self.element(instruction.pointer, instruction.index)
        self.assign(instruction.dst, self.b.load(type, address, bits))

    def pointer_store(self, instruction: ir.PtrStore) -> None:
        type, bits, address = self.element(instruction.pointer, instruction.index)
        value = self.b.resize(self.operand(instruction.value), type)
        self.b.store(value, address, bits)

    def pointer_offset(self, instruction: ir.PtrOffset) -> None:
        self.assign(instruction.dst, self.element(instruction.pointer, instruction.index)[2])

    def prefetch(self, instruction: ir.Prefetch) -> None:
        address = self.element(instruction.pointer, instruction.index)[2]
        self.module.declare("llvm.prefetch", "void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        # For reading (0), with high locality (3), data (1).
        self.b.line(f"call void @llvm.prefetch.p0(ptr {address.text}, i32 0, i32 3, i32 1)")

    def element(self, pointer: Operand, index: Operand) -> tuple[Type, int, Value]:
        """The type of an element, its width in memory, and its address."""
        scalar = pointer.type.element
        assert scalar is not None, "a pointer has an element type"
        type = scalar_type(scalar)
        bits = 64 if type is text.POINTER else stored_bits(scalar.bits)
        place = self.operand(index)
        extend = self.b.sext if index.type.signed else self.b.zext
        place = extend(place, I64) if place.type.width < 64 else place
        return type, bits, self.b.element(bits, self.operand(pointer).text, place)


def effects(code: Code, number: int) -> tuple[int, int]:
    """The registers that a block reads before it writes them, and those it writes."""
    reads = writes = 0
    for instruction in code.blocks[number].instructions:
        # A Note's arguments are only for the interpreter.
        args = () if isinstance(instruction, ir.Note) else operands(instruction)
        for operand in args:
            if isinstance(operand, Reg):
                reads |= 1 << operand.number & ~writes
        register = getattr(instruction, "dst", None)
        if register is not None:
            writes |= 1 << register.number
    terminator = code.blocks[number].terminator
    last = getattr(terminator, "condition", None) or getattr(terminator, "value", None)
    if isinstance(last, Reg):
        reads |= 1 << last.number & ~writes
    return reads, writes


_EMIT: dict[type, Callable[[Any, Any], None]] = {
    ir.Op: Body.op,
    ir.Lookup: Body.lookup,
    ir.Load: Body.load,
    ir.Store: Body.store,
    ir.Check: Body.check,
    ir.Wait: lambda body, i: body.wait(i),
    ir.Choose: lambda body, i: body.choose(i),
    ir.Begin: Body.nothing,
    ir.End: Body.nothing,
    ir.Fence: Body.nothing,
    ir.Note: Body.nothing,
    ir.LockOrder: lambda body, i: body.lock_order(i),
    ir.Call: lambda body, i: body.call(i),
    ir.PtrLoad: lambda body, i: body.pointer_load(i),
    ir.PtrStore: lambda body, i: body.pointer_store(i),
    ir.PtrOffset: Body.pointer_offset,
    ir.Prefetch: Body.prefetch,
}
