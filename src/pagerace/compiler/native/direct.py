"""Native code for plain functions: no points, no packing, calls stay calls.

The search's own loops are such functions, and so is kernel Python under replay.  A
function ``f(a: u8, b: ptr[u64]) -> bool`` becomes the symbol ``f`` with C's calling
convention: an integer or bool is a ``u64`` whose upper bits are zero, also as a result;
a pointer is a pointer.  What a pointer points to has 8, 16, 32 or 64 bits an element,
the least that holds its type; element values have their upper bits zero.

A function that touches memory families, or calls one that does, has a first parameter
``ptr memory`` more.  It is a table of pointers:

    memory[0]      the status, a u64, 0 at first
    memory[1 + f]  the cells of family number f, in elements as above

If a Check fails there, the status becomes 1 + the Check's index in the list that ``emit``
returns; if a Wait does not hold or there is nothing to choose, NOT_POSSIBLE.  Then the
function and all its callers return at once, 0 where they have a result, and what they
stored so far stays.  In a function without ``memory`` a failed Check or Wait traps, which
ends the program, as a division by zero in C does.

``choose`` takes 0.  Sections, fences, notes and lock orders leave no code.  A callee that
is not among the functions is ``step`` (then it is inlined as far as the call of the
process's own function), ``check_state``, ``threads_done`` or a C function of the process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pagerace.compiler import ir
from pagerace.compiler.ir import Code, Scalar
from pagerace.compiler.native import stepped
from pagerace.compiler.native.body import Body, effects, scalar_type, stored_bits
from pagerace.compiler.native.flow import analyse
from pagerace.compiler.native.text import I64, POINTER, Builder, Module, Type, Value

NOT_POSSIBLE = 1 << 63

_INVARIANT = "!1"  # of loads that give the same value each time


@dataclass(frozen=True)
class Function:
    """What a caller must know: ``memory`` tells whether the first parameter is a table."""

    name: str
    parameters: tuple[Scalar, ...]
    result: Scalar
    memory: bool


@dataclass(frozen=True)
class Direct:
    """``checks[i]`` failed if a status is ``1 + i``.  ``calls``: symbols used, not defined."""

    functions: dict[str, Function]
    checks: list[ir.Check]
    calls: set[str]


def emit(module: Module, codes: Sequence[Code], step: tuple[int, int] | None = None) -> Direct:
    """Append the functions; ``step``: the program's numbers of processes and words."""
    with_memory = _with_memory(codes)
    functions = {
        code.name: Function(
            code.name,
            tuple(register.type for register in code.parameters),
            code.result,
            code.name in with_memory,
        )
        for code in codes
    }
    direct = Direct(functions, [], set())
    for code in codes:
        DirectFunction(module, code, direct).emit()
    if "step" in direct.calls and step is not None:
        _define_step(module, *step)
    return direct


def _define_step(module: Module, processes: int, words: int) -> None:
    """A ``step`` of this module's own, to be inlined; the processes are elsewhere."""
    for number in range(processes):
        name = f"process.{number}"
        module.declare(name, f"i64 @{name}({stepped.SIGNATURE}) nounwind")
    del module.declarations["step"]
    stepped.emit_step(module, processes, words, "internal", "alwaysinline")


def _with_memory(codes: Sequence[Code]) -> set[str]:
    """The functions that reach families, themselves or through those they call."""
    found = {code.name for code in codes if _any(code, ir.Load) or _any(code, ir.Store)}
    callers: dict[str, set[str]] = {}
    for code in codes:
        for block in code.blocks:
            for instruction in block.instructions:
                if isinstance(instruction, ir.Call):
                    callers.setdefault(instruction.callee, set()).add(code.name)
    stack = list(found)
    while stack:
        for caller in callers.get(stack.pop(), set()) - found:
            found.add(caller)
            stack.append(caller)
    return found


def _any(code: Code, kind: type) -> bool:
    return any(isinstance(i, kind) for block in code.blocks for i in block.instructions)


class DirectFunction(Body):
    """One function; variables are its registers."""

    memory_parameter = "ptr noalias readonly %memory"
    linkage = ""
    pointer = POINTER

    entry_values: dict[int, Value]

    def __init__(self, module: Module, code: Code, direct: Direct) -> None:
        super().__init__(module, Builder(), code, "")
        self.direct = direct
        self.function = direct.functions[code.name]
        self.arguments = {
            register.number: Value(_passed(register.type), f"%a{index}")
            for index, register in enumerate(code.parameters)
        }
        self.failures: list[tuple[Value, str]] = []
        self.aborts = False

    def emit(self) -> None:
        self.flow = analyse([0], self.block_successors, lambda n: effects(self.code, n))
        b = self.b
        b.label("entry")
        self.declare_merged()
        for number, value in self.arguments.items():
            self.values[number] = b.resize(value, self.variable_type(number))
        self.entry_values = dict(self.values)
        self.initialise(0, -1)
        b.jump(self.label(0))
        for node in self.flow.order:
            self.block(node)
        self.ends_of_function()
        parameters = [f"{value.type.name} {value.text}" for value in self.arguments.values()]
        if self.function.memory:
            parameters.insert(0, self.memory_parameter)
        result = f"{self.linkage}{_result_name(self.code.result)}"
        self.module.function(f"{result} @{self.code.name}({', '.join(parameters)}) nounwind", b)

    def ends_of_function(self) -> None:
        b = self.b
        if self.failures:
            b.label("failed")
            status = b.phi(I64, self.failures)
            if self.function.memory:
                self.store_status(status)
                self.aborts = True
                b.jump("abort")
            else:
                self.module.declare("llvm.trap", "void @llvm.trap()")
                b.line("call void @llvm.trap()")
                b.line("unreachable")
        if self.aborts:
            b.label("abort")
            self.result(None)

    def begin_node(self, node: int) -> None:
        super().begin_node(node)
        if node not in self.flow.parent:
            unassigned = {
                number: value
                for number, value in self.entry_values.items()
                if not self.flow.assigned[node] >> number & 1
            }
            self.values.update(unassigned)

    def initial(self, variable: int) -> Value:
        value = self.entry_values.get(variable)
        return self.variable_type(variable)(0) if value is None else value

    # -- memory --------------------------------------------------------------------------

    def status(self) -> Value:
        return self.constant_load("%memory")

    def load_status(self) -> Value:
        return self.b.load(I64, self.status())

    def store_status(self, status: Value) -> None:
        self.b.store(status, self.status())

    def constant_load(self, address: str) -> Value:
        """From the table of pointers, which does not change while code runs."""
        self.module.metadata[_INVARIANT] = "!{}"
        return self.b.value(POINTER, f"load ptr, ptr {address}, !invariant.load {_INVARIANT}")

    def cell(self, access: ir.Load | ir.Store) -> tuple[int, Value]:
        """The width of a cell in memory, and its address."""
        b = self.b
        slot = b.element(64, "%memory", I64(1 + access.family.number))
        base = self.constant_load(slot.text)
        bits = stored_bits(access.family.type.bits)
        index = b.resize(self.operand(access.index), I64)
        return bits, b.element(bits, base.text, index)

    def load_cell(self, instruction: ir.Load) -> Value:
        bits, address = self.cell(instruction)
        return self.b.load(scalar_type(instruction.family.type), address, bits)

    def store_cell(self, instruction: ir.Store) -> None:
        bits, address = self.cell(instruction)
        type = scalar_type(instruction.family.type)
        self.b.store(self.b.resize(self.operand(instruction.value), type), address, bits)

    # -- control -------------------------------------------------------------------------

    def failed(self, check: ir.Check) -> str:
        self.direct.checks.append(check)
        return self.fail(len(self.direct.checks))

    def blocked(self) -> str:
        return self.fail(NOT_POSSIBLE)

    def fail(self, status: int) -> str:
        self.failures.append((I64(status), self.b.block))
        return "failed"

    def choose(self, instruction: ir.Choose) -> None:
        n = self.b.resize(self.operand(instruction.n), I64)
        if n.constant is None or n.constant == 0:
            self.require(self.b.icmp_unsigned("!=", n, I64(0)), self.blocked())
        self.assign(instruction.dst, I64(0))

    def returns(self, terminator: ir.Return) -> None:
        self.result(None if terminator.value is None else self.operand(terminator.value))

    def result(self, value: Value | None) -> None:
        scalar = self.code.result
        if scalar.kind == "none":
            self.b.line("ret void")
            return
        type = _passed(scalar)
        value = type(0) if value is None else self.b.resize(value, type)
        self.b.line(f"ret {type.name} {value.text}")

    def call(self, instruction: ir.Call) -> None:
        b = self.b
        known = self.direct.functions.get(instruction.callee)
        if known is None:
            self.external_call(instruction)
            return
        arguments = ["ptr %memory"] if known.memory else []
        for operand, scalar in zip(instruction.args, known.parameters, strict=True):
            value = b.resize(self.operand(operand), _passed(scalar))
            arguments.append(f"{value.type.name} {value.text}")
        call = f"@{instruction.callee}({', '.join(arguments)})"
        result = None
        if known.result.kind == "none":
            b.line(f"call void {call}")
        else:
            result = b.value(_passed(known.result), f"call {_result_name(known.result)} {call}")
        if known.memory:
            self.aborts = True
            fine = b.icmp_unsigned("==", self.load_status(), I64(0))
            self.require(fine, "abort")
        if instruction.dst is not None and result is not None:
            self.assign(instruction.dst, result)

    def external_call(self, instruction: ir.Call) -> None:
        """A call of a C function, whose types are those of the operands."""
        b = self.b
        name = instruction.callee
        self.direct.calls.add(name)
        arguments: list[str] = []
        for operand in instruction.args:
            value, c_type = self.operand(operand), _c_type(operand.type)
            if c_type not in ("ptr", "i64") and value.constant is None:
                convert = "zext" if value.type.name == "i1" else "trunc"
                value = b.value(
                    value.type, f"{convert} {value.type.name} {value.text} to {c_type}"
                )
            arguments.append(f"{c_type}{_extension(operand.type)} {value.text}")
        dst = instruction.dst
        c_type = "void" if dst is None else _c_type(dst.type)
        types = ", ".join(
            _c_type(operand.type) + _extension(operand.type) for operand in instruction.args
        )
        self.module.declare(name, f"{c_type} @{name}({types})")
        call = f"call {c_type} @{name}({', '.join(arguments)})"
        if dst is None:
            b.line(call)
            return
        result = b.value(scalar_type(dst.type), call)
        if c_type not in ("ptr", "i64"):
            result = b.value(I64, f"zext {c_type} {result.text} to i64")
        self.assign(dst, result)


def _passed(scalar: Scalar) -> Type:
    """How our own functions take and return a value."""
    return POINTER if scalar.kind == "ptr" else I64


def _result_name(scalar: Scalar) -> str:
    return "void" if scalar.kind == "none" else _passed(scalar).name


def _c_type(scalar: Scalar) -> str:
    return "ptr" if scalar.kind == "ptr" else f"i{stored_bits(scalar.bits)}"


def _extension(scalar: Scalar) -> str:
    """Who widens an argument narrower than a register, and how: the caller, on most."""
    if scalar.kind == "ptr" or stored_bits(scalar.bits) == 64:
        return ""
    return " signext" if scalar.signed else " zeroext"
