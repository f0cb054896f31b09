"""From a protocol to a ``Program``: the one entry point of the compiler."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from pagerace.compiler import footprint, interpreter, ir, liveness, points, templates
from pagerace.compiler.builder import Skip, Static
from pagerace.compiler.diagnostic import CompileError, Diagnostic
from pagerace.compiler.fields import FieldError
from pagerace.compiler.fold import fold
from pagerace.compiler.functions import Argument, Scope
from pagerace.compiler.gate import NotOneBlock, gate
from pagerace.compiler.ir import BOOL, NONE, Code, Const, Process, Program, Property, Reg, Where
from pagerace.compiler.kinds import describe, did_you_mean
from pagerace.compiler.leaks import leak_property
from pagerace.compiler.lower import Lowerer
from pagerace.compiler.memory import GlobalObject, Memory
from pagerace.compiler.private import promote
from pagerace.compiler.quiet import no_collection
from pagerace.compiler.reachable import reachable
from pagerace.compiler.source import Edits, function_tree, resolve_name
from pagerace.compiler.templates import Template
from pagerace.lang.constants import Constants
from pagerace.lang.protocol import CPUS_MAX, Function, Protocol, Thread
from pagerace.lang.structures import Pool, bound

LOCKS_MAX = 64
# What the search looks for in every program, beside its properties and checks.
FOUND_BY_SEARCH = ("deadlock", "livelock", "lock-order-inversion", "endless-loop", "data-race")


@no_collection()
def compile_protocol(protocol: Protocol, name: str = "") -> Program:
    """Compile a claim.  Raises CompileError with every mistake that was found."""
    with bound(*protocol.config) as parameters:
        return _Compilation(protocol, name, parameters).run()


def compile_function(function: Function) -> tuple[Code, list[ir.Family]]:
    """One function with its calls inlined, without points, and the memory it names.

    For the interpreter's ``run_code``.  Raises CompileError.
    """
    diagnostics: list[Diagnostic] = []
    memory = _memory_of([function])
    code = lower_function(Lowerer(memory, diagnostics, Edits(())), function)
    if diagnostics:
        raise CompileError(unique(diagnostics))
    _drop_sections(code)
    return code, memory.families


def compile_direct(functions: Sequence[Function]) -> tuple[list[Code], list[ir.Family]]:
    """Functions, and those that they call, with plain calls; and the memory they name.

    For the native direct code.  Raises CompileError.
    """
    diagnostics: list[Diagnostic] = []
    memory = _memory_of(functions)
    codes: dict[str, Code] = {}
    pending = [(function.__name__, Template(function)) for function in functions]
    edits = Edits(())
    while pending:
        name, template = pending.pop(0)
        if name in codes:
            continue
        lowerer = Lowerer(memory, diagnostics, edits, direct=True)
        code = codes[name] = lower_function(lowerer, template.function, template.tables)
        code.name = name
        pending.extend(lowerer.wanted.items())
    if diagnostics:
        raise CompileError(unique(diagnostics))
    for code in codes.values():
        points.clean(code)
    return list(codes.values()), memory.families


def _memory_of(functions: Sequence[Function]) -> Memory:
    """The memory that functions name when they are called by one thread."""
    memory = Memory()
    found, objects = reachable(functions, [])
    memory.build(objects, 1)
    track_allocation(memory, found, objects)
    return memory


def lower_function(
    lowerer: Lowerer, function: Any, tables: Sequence[tuple[str, Constants]] = ()
) -> Code:
    """One function with its parameters in registers and no caller.

    ``tables`` are those that its parameters for constant tables stand for.
    """
    code = lowerer.code
    code.name = function.__name__
    # A refused signature ends the lowering of its function, and nothing else.
    with suppress(Skip), lowerer.entered(function, None) as tree:
        parameters, result = lowerer.signature(function, tree)
        registers: list[Reg] = []
        known = dict(tables)
        for name, scalar in parameters:
            if scalar.kind == "table":
                lowerer.variables[name] = templates.table(
                    lowerer, tree, Static(known.get(name)), scalar
                )
                continue
            register = lowerer.register(scalar, name)
            registers.append(register)
            lowerer.variables[name] = register
        code.parameters, code.result = tuple(registers), result
        if lowerer.direct:
            lowerer.scope = Scope(result, -1)
            lowerer.block(tree.body)
            lowerer.end(ir.Return())
        else:
            value = lowerer.body(tree, result)
            lowerer.end(ir.Return(value if isinstance(value, (Const, Reg)) else None))
    return code


class _Compilation:
    """What is known while one protocol is compiled."""

    def __init__(
        self, protocol: Protocol, name: str, parameters: dict[tuple[type, str], Any]
    ) -> None:
        self.protocol, self.name = protocol, name
        self.parameters = parameters  # those that have been read so far
        self.memory = Memory()
        self.diagnostics: list[Diagnostic] = []
        self.edits = Edits(protocol.edits)

    def run(self) -> Program:
        protocol = self.protocol
        if not any(not t.agent for t in protocol.threads):
            self._refuse(
                "no-threads",
                "a protocol needs at least one thread",
                "threads=[thread(f, cpu=0), ...]",
            )
        self._find_memory()
        setup = self._lower(protocol.setup, None) if protocol.setup is not None else None
        self.memory.compute_owners()
        for family in self.memory.families:
            family.written = False
        cpus = _assign_cpus(protocol.threads)
        processes = [
            Process(i, thread.name, "", cpus[i], thread.agent, self._thread(i, thread, cpus[i]))
            for i, thread in enumerate(protocol.threads)
        ]
        _label(processes)
        properties = [
            self._property(kind, function)
            for kind in ("always", "at_end", "sometimes")
            for function in getattr(protocol, kind)
        ]
        for edit in self.edits.unused():
            self._refuse(
                "unused-edit",
                f"an edit of {edit.inside.__name__}() changes nothing",
                "its function or condition does not appear there",
            )
        if self.diagnostics:
            raise CompileError(unique(self.diagnostics))
        program = Program(
            self.name,
            protocol.file,
            self.memory.families,
            processes,
            [p for p in properties if p is not None],
            [],
            self._bounds(cpus),
        )
        self._initialise(program, setup)
        questions = self._questions(program)
        here = Where(protocol.file, max(protocol.line, 1), 0, 1, "leak")
        leak = leak_property(self.memory, here)
        if leak is not None:
            program.properties.append(leak)
        return self._finish(program, questions)

    # -- steps ------------------------------------------------------------------

    def _find_memory(self) -> None:
        protocol = self.protocol
        starts: list[Function] = [t.function for t in protocol.threads]
        starts += [protocol.setup] if protocol.setup is not None else []
        starts += [protocol.schedulable] if protocol.schedulable is not None else []
        starts += [*protocol.always, *protocol.at_end, *protocol.sometimes]
        try:
            arguments = [a for t in protocol.threads for a in t.args]
            functions, objects = reachable(starts, arguments)
            self.memory.build(objects, len(protocol.threads))
        except FieldError as error:
            self.diagnostics.append(error.diagnostic())
            raise CompileError(self.diagnostics) from None
        except (TypeError, NameError) as error:
            self._refuse("unknown-type", str(error), "")
            raise CompileError(self.diagnostics) from None
        track_allocation(self.memory, functions, objects)

    def _lower(self, function: Function, process: int | None, cpu: int = 0) -> Code:
        lowerer = Lowerer(self.memory, self.diagnostics, self.edits)
        lowerer.process, lowerer.cpu = process, cpu
        return lower_function(lowerer, function)

    def _thread(self, index: int, thread: Thread, cpu: int) -> Code:
        lowerer = Lowerer(self.memory, self.diagnostics, self.edits)
        lowerer.process, lowerer.cpu = index, cpu
        function: Any = thread.function
        lowerer.code.name = thread.name
        with suppress(Skip), lowerer.entered(function, None) as tree:
            parameters, result = lowerer.signature(function, tree)
            if len(parameters) != len(thread.args):
                lowerer.fail(
                    tree,
                    "wrong-arguments",
                    f"{function.__name__}() takes {_number(len(parameters), 'argument')}; "
                    f"its thread gives {len(thread.args) or 'none'}",
                    help=f"thread({', '.join([function.__name__, *(n for n, _ in parameters)])}"
                    ", cpu=0)",
                )
            operands: list[Argument] = []
            for (_, scalar), given in zip(parameters, thread.args, strict=True):
                value = lowerer.static(tree, given)
                if scalar.kind == "table":
                    operands.append(templates.table(lowerer, tree, value, scalar))
                    continue
                operand = lowerer.as_operand(tree, value, scalar)  # pyright: ignore
                operands.append(lowerer.convert(tree, operand, scalar))
            lowerer.bind_parameters(tree, parameters, operands)
            lowerer.body(tree, result)
            lowerer.end(ir.Return())
        return lowerer.code

    def _property(self, kind: Any, function: Function) -> Property | None:
        mistakes = len(self.diagnostics)
        code = self._lower(function, None)
        where = _definition(function)
        if code.parameters:
            what = f"property {function.__name__}() takes no arguments"
            self._at(where, "wrong-arguments", what, "it looks at the globals")
        if code.result != BOOL and len(self.diagnostics) == mistakes:
            self._at(
                where,
                "type-mismatch",
                f"property {function.__name__}() must return bool",
                f"returns {'nothing' if code.result == NONE else describe(code.result)}",
            )
        what = f"property {function.__name__}()"
        self._refuse_effects(code, what, (ir.Store, ir.Choose, ir.Wait))
        return Property(kind, function.__name__, code, where)

    def _refuse_effects(self, code: Code, what: str, kinds: tuple[type, ...]) -> None:
        """What runs between steps, once, must not be one: it would decide unseen."""
        for block in code.blocks:
            for instruction in block.instructions:
                if isinstance(instruction, kinds):
                    names: dict[Any, str] = {ir.Store: "write", ir.Choose: "choose"}
                    name = names.get(type(instruction), "wait")
                    where: Any = getattr(instruction, "where")  # noqa: B009
                    message = f"{what} may not {name}"
                    self._at(where, "unsupported-statement", message, "")

    def _initialise(self, program: Program, setup: Code | None) -> None:
        """Run the set-up; from then on a family that no thread writes is a constant."""
        if setup is not None:
            self._refuse_effects(setup, "the set-up", (ir.Choose,))
            points.clean(setup)
            cells = [list(family.initial) for family in program.families]
            try:
                interpreter.run_code(program, setup, cells)
            except interpreter.CheckFailed as error:
                slug, where = error.check.slug, error.check.where
                self._at(where, slug, "the set-up fails", error.check.text)
            except (interpreter.NotPossible, interpreter.EndlessLoop) as error:
                if error.where is not None:
                    self._at(error.where, "deadlock", "the set-up never ends", "it runs alone")
            if self.diagnostics:
                raise CompileError(self.diagnostics)
            for family, values in zip(program.families, cells, strict=True):
                family.initial = values

    def _questions(self, program: Program) -> dict[int, Code]:
        """What each thread asks before each of its steps, by the thread's number."""
        function = self.protocol.schedulable
        if function is None:
            return {}
        found: dict[int, Code] = {}
        for process in program.processes:
            if not process.agent:
                code = found[process.index] = self._lower(function, process.index, process.cpu)
                if code.result != BOOL:
                    self._refuse("type-mismatch", f"{code.name}() must return bool", "")
                self._refuse_effects(code, f"{code.name}()", (ir.Store, ir.Choose, ir.Wait))
        return found

    def _finish(self, program: Program, questions: dict[int, Code]) -> Program:
        for process in program.processes:
            promote(process.code, self.memory.private_cells(process.index))
            fold(process.code)
            process.points = points.place_points(process.code, tidy=True)
            if process.index in questions:
                self._gate(process, questions[process.index])
            unset = liveness.compute(process.code)
            self._refuse_unset(process, unset)
            footprint.compute(process.code, [r.number for r in unset])
        for prop in program.properties:
            fold(prop.code)
            _drop_sections(prop.code)
        for family in program.families:
            family.written &= not family.private  # the registers have taken their place
        if self.diagnostics:
            raise CompileError(unique(self.diagnostics))
        codes = [p.code for p in program.processes] + [p.code for p in program.properties]
        for code in codes:
            for block in code.blocks:
                for instruction in block.instructions:
                    if isinstance(instruction, ir.Check):
                        instruction.number = len(program.checks)
                        program.checks.append(instruction)
                    elif isinstance(instruction, ir.LockOrder):
                        _count_locks(program, instruction.lock.type)
        self._refuse_expectation(program)
        self._start(program)
        return program

    def _refuse_unset(self, process: Process, unset: list[Reg]) -> None:
        """A local that some path leaves without a value is read as Python would not."""
        for register in unset:
            name = process.code.names[register.number]
            if name.isidentifier():  # not what the compiler made itself, nor per-thread memory
                where = liveness.first_read(process.code, register)
                where = where or _definition(self.protocol.threads[process.index].function)
                self._at(where, "unknown-name", f"{name!r} may have no value here",
                         "some path does not set it")  # fmt: skip

    def _refuse_expectation(self, program: Program) -> None:
        """A violation is expected of something that this claim can violate."""
        expected = self.protocol.expect.violated
        names = [p.name for p in program.properties] + [c.slug for c in program.checks]
        if expected is not None and expected not in [*names, *FOUND_BY_SEARCH]:
            message = f"{expected} is expected to be violated, and is no property of the claim"
            self._refuse("unknown-name", message, did_you_mean(expected, names))
            raise CompileError(self.diagnostics)

    def _gate(self, process: Process, question: Code) -> None:
        fold(question)
        _drop_sections(question)
        try:
            gate(process.code, question)
        except NotOneBlock:
            self._refuse(
                "unsupported-statement",
                f"{question.name}() may not branch",
                "return one expression without `and`, `or` or `if`",
            )

    def _start(self, program: Program) -> None:
        """Local work up to the first point must succeed: no search could show it."""
        try:
            interpreter.initial(program)
        except interpreter.CheckFailed as error:
            self._at(
                error.check.where,
                error.check.slug,
                "this fails in every run, before any shared memory is touched",
                error.check.text,
            )
        except interpreter.EndlessLoop as error:
            message = "a loop without end that touches nothing"
            function = self.protocol.threads[error.process or 0].function
            where = error.where or _definition(function)
            self._at(where, "endless-loop", message, "nobody else can run meanwhile")
        if self.diagnostics:
            raise CompileError(self.diagnostics)

    def _bounds(self, cpus: list[int]) -> dict[str, str]:
        bounds = {"CPUs": str(len(set(cpus)))}
        for (config, name), value in self.parameters.items():
            if name != "cpus" and isinstance(value, int) and not isinstance(value, bool):
                if value or type.__getattribute__(config, name):  # none, as ever, is no bound
                    bounds[name] = str(value)
        bounds["switches"] = "unbounded"
        bounds["order"] = "sc"
        return bounds

    # -- mistakes ---------------------------------------------------------------

    def _at(self, where: Where, slug: str, message: str, label: str) -> None:
        self.diagnostics.append(
            Diagnostic(
                slug, message, where.file, where.line, where.column, where.end_column, label
            )
        )

    def _refuse(self, slug: str, message: str, help: str) -> None:
        """A mistake in the call of ``protocol(...)`` itself."""
        self.diagnostics.append(
            Diagnostic(slug, message, self.protocol.file, self.protocol.line, 0, 1, "", help)
        )
        if slug == "no-threads":
            raise CompileError(self.diagnostics)


def track_allocation(
    memory: Memory, functions: Iterable[Function], objects: dict[str, GlobalObject]
) -> None:
    """Give the pools that some function allocates from or frees to their bits."""
    for value in objects.values():
        if isinstance(value, Pool) and any(_allocates(f, value) for f in functions):
            memory.track_allocation(value)
    memory.compute_owners()


def _allocates(function: Function, pool: Pool[Any]) -> bool:
    """Does a function call ``alloc`` or ``free`` of this very pool?"""
    mentioned = function.__code__.co_names
    if "alloc" not in mentioned and "free" not in mentioned:
        return False
    return any(
        isinstance(node, ast.Attribute)
        and node.attr in ("alloc", "free")
        and resolve_name(node.value, function.__globals__) is pool
        for node in ast.walk(function_tree(function))
    )


def _definition(function: Function) -> Where:
    """The line ``def name``."""
    tree = function_tree(function)
    end = tree.col_offset + 4 + len(tree.name)
    file = function.__code__.co_filename
    return Where(file, tree.lineno, tree.col_offset, end, tree.name)


def _number(count: int, what: str) -> str:
    """``1 argument``, ``2 arguments``, ``no arguments``."""
    return f"{count or 'no'} {what}{'' if count == 1 else 's'}"


def _count_locks(program: Program, scalar: ir.Scalar) -> None:
    """The classes of locks are all that their type can name; an enum names them well."""
    names = [member.name for member in scalar.cls] if scalar.kind == "enum" else []  # pyright: ignore
    program.locks = max(program.locks, min(len(names) or 1 << scalar.bits, LOCKS_MAX))
    program.lock_names = max(program.lock_names, names, key=len)


def _drop_sections(code: Code) -> None:
    """Code that has no points needs no atomic sections."""
    for block in code.blocks:
        block.instructions = [
            i for i in block.instructions if not isinstance(i, (ir.Begin, ir.End))
        ]
    points.clean(code)


def _assign_cpus(threads: Sequence[Thread]) -> list[int]:
    """Given CPUs, and for the rest the lowest that nobody has."""
    taken = {t.cpu for t in threads if t.cpu is not None}
    cpus: list[int] = []
    for thread in threads:
        cpu = thread.cpu
        if cpu is None:
            cpu = next(c for c in range(CPUS_MAX) if c not in taken)
            taken.add(cpu)
        cpus.append(cpu)
    return cpus


def _label(processes: list[Process]) -> None:
    """``1`` for the one thread of CPU 1; ``1.name`` for agents and where there are more."""
    used: set[str] = set()
    for process in processes:
        same = [p for p in processes if p.cpu == process.cpu and not p.agent]
        alone = not process.agent and len(same) == 1
        label = str(process.cpu) if alone else f"{process.cpu}.{process.name}"
        count = 2
        while label in used:
            label = f"{process.cpu}.{process.name}#{count}"
            count += 1
        used.add(label)
        process.label = label


def unique(diagnostics: list[Diagnostic]) -> list[Diagnostic]:
    """Each mistake once, in the order of files and lines, however often it is inlined."""
    seen = dict.fromkeys(diagnostics)
    return sorted(seen, key=lambda d: (d.file, d.line, d.column))
