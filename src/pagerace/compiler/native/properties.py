"""Native code of a protocol's properties: ``check_state`` and ``threads_done``."""

from __future__ import annotations

from pagerace.compiler import ir
from pagerace.compiler.ir import Program, Property
from pagerace.compiler.layout import Layout
from pagerace.compiler.native import context
from pagerace.compiler.native.flow import analyse
from pagerace.compiler.native.text import I1, I64, Builder, Module, Value
from pagerace.compiler.native.words import WordsBody, threads_done, word_address


def emit(module: Module, program: Program, layout: Layout) -> None:
    """Append ``threads_done`` and ``check_state``."""
    _emit_threads_done(module, program, layout)
    _emit_check_state(module, program, layout)


def _emit_threads_done(module: Module, program: Program, layout: Layout) -> None:
    b = Builder()
    b.label("entry")
    done = threads_done(b, program, layout)
    b.line(f"ret i64 {b.zext(done, I64).text}")
    module.function("i64 @threads_done(ptr readonly %source) noinline nounwind", b)


class _PropertyBody(WordsBody):
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
        self.flow = analyse([0], self.block_successors, self.effects)

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
        self.arrive(I1(0), I64(context.NO_CHECK))
        b.label(f"{self.prefix}end")
        holds = b.phi(I1, [(value, label) for value, _, label in self.arrivals])
        check = b.phi(I64, [(number, label) for _, number, label in self.arrivals])
        return holds, check

    def arrive(self, holds: Value, check: Value) -> None:
        self.arrivals.append((holds, check, self.b.block))
        self.b.jump(f"{self.prefix}end")

    def initial(self, variable: int) -> Value:
        if any(variable == register.number for register in self.code.parameters):
            return self.b.resize(self.done, self.variable_type(variable))
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
        self.arrive(self.b.resize(self.operand(terminator.value), I1), I64(context.NO_CHECK))


def _emit_check_state(module: Module, program: Program, layout: Layout) -> None:
    assert len(program.properties) <= context.PROPERTIES_MAX, "a bit each in one word"
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
    for name, number in (("%first", 0), ("%failing", context.NO_CHECK), ("%reached", 0)):
        b.line(f"{name} = alloca i64")
        b.store(I64(number), name)
    known = threads_done(b, program, layout)
    b.line(f"%done = and i1 {known.text}, true")
    for index, (body, property) in enumerate(zip(bodies, program.properties, strict=True)):
        _emit_property(body, index, property)
    address = word_address(b, "%context", context.CHECK)
    b.store(b.load(I64, "%failing"), address)
    if any(property.kind == "sometimes" for property in program.properties):
        address = word_address(b, "%context", context.SOMETIMES)
        b.store(b.or_(b.load(I64, address), b.load(I64, "%reached")), address)
    b.line(f"ret i64 {b.load(I64, '%first').text}")
    module.function(
        "i64 @check_state(ptr noalias readonly %source, ptr noalias %context) "
        "noinline nounwind",
        b,
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
        violated = b.icmp_unsigned("!=", check, I64(context.NO_CHECK))
    else:
        violated = b.not_(holds)
    first = b.load(I64, "%first")
    news = b.and_(violated, b.icmp_unsigned("==", first, I64(0)))
    b.store(b.select(news, I64(index + 1), first), "%first")
    b.store(b.select(news, check, b.load(I64, "%failing")), "%failing")
    b.jump(after)
    b.label(after)
