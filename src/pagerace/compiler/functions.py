"""Functions: signatures, parameters, and calls that are inlined or kept."""

from __future__ import annotations

import ast
import types
import typing
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pagerace.compiler import ir, templates
from pagerace.compiler.builder import Static, Value, nothing
from pagerace.compiler.calls import Calls
from pagerace.compiler.diagnostic import Diagnostic
from pagerace.compiler.ir import NONE, Const, Operand, Scalar, Where
from pagerace.compiler.kinds import describe, did_you_mean
from pagerace.compiler.liveness import successors
from pagerace.compiler.loops import Loops
from pagerace.compiler.memory import Memory, may_be_none
from pagerace.compiler.source import Edits, call_as_written, stores
from pagerace.compiler.templates import Template

Argument: TypeAlias = Operand | Static  # a Static is a constant table

Signature: TypeAlias = tuple[list[tuple[str, Scalar]], Scalar]  # parameters, and the result


@dataclass
class Scope:
    """One function being lowered: where ``return`` goes, and what must run before."""

    result: Scalar
    exit: int
    returns: list[tuple[int, Operand | None]] = field(
        default_factory=list["tuple[int, Operand | None]"]
    )
    cleanups: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])
    # (continue target, break target, number of cleanups outside the loop)
    loops: list[tuple[int, int, int]] = field(default_factory=list[tuple[int, int, int]])


class Functions(Loops, Calls):
    """Lowers whole functions; a subclass adds statements."""

    def __init__(
        self,
        memory: Memory,
        diagnostics: list[Diagnostic],
        edits: Edits,
        *,
        direct: bool = False,
    ) -> None:
        super().__init__(memory, diagnostics)
        self.edits, self.direct = edits, direct
        self.stack: list[types.FunctionType] = []
        self.wanted: dict[str, Template] = {}
        self.signatures: dict[types.FunctionType, Signature] = {}
        self.globals: dict[str, Any] = {}
        self.variables: dict[str, Any] = {}
        self.scope = Scope(NONE, -1)
        self.tree: ast.FunctionDef

    # -- functions --------------------------------------------------------------

    def signature(
        self, function: types.FunctionType, tree: ast.FunctionDef
    ) -> Signature:
        """Parameter names and types, and the result's type."""
        arguments = tree.args
        if arguments.vararg or arguments.kwarg or arguments.kwonlyargs or arguments.defaults:
            self.fail(
                tree,
                "unsupported-statement",
                f"{function.__name__}() has parameters of a kind the kernel has not",
                help="plain parameters without defaults",
            )
        hints = self.hints(function, tree)
        parameters: list[tuple[str, Scalar]] = []
        for argument in arguments.args:
            if argument.arg not in hints and argument.arg == "self":
                cls: Any = function.__globals__.get(function.__qualname__.split(".")[0])
                parameters.append(("self", self.memory.reference(cls, False)))
            elif argument.arg not in hints:
                self.fail(
                    argument,
                    "missing-annotation",
                    f"parameter {argument.arg!r} of {function.__name__}() has no type",
                    help=f"{argument.arg}: u8",
                )
            else:
                hint = hints[argument.arg]
                scalar = templates.of_table(hint) or self.hint(argument, hint)
                parameters.append((argument.arg, scalar))
        if "return" not in hints:
            self.fail(
                tree,
                "missing-annotation",
                f"{function.__name__}() has no result type",
                help="it returns a value: `-> bool:`, `-> u8:`"
                if any(isinstance(n, ast.Return) and n.value for n in ast.walk(tree))
                else "a function that returns nothing ends in `-> None:`",
            )
        result = self.hint(tree.returns or tree, hints["return"])
        return parameters, result

    def hints(self, function: types.FunctionType, tree: ast.FunctionDef) -> dict[str, Any]:
        """Annotations, strings resolved.  A wrong one is a mistake of the author's."""
        cached = function.__dict__.get("_pagerace_hints")
        if cached is not None:
            return cached
        try:
            hints = typing.get_type_hints(function, include_extras=True)
        except (NameError, AttributeError, TypeError, SyntaxError) as error:
            self.fail(
                tree,
                "unknown-type",
                f"an annotation of {function.__name__}() is wrong",
                label=str(error),
            )
        function.__dict__["_pagerace_hints"] = hints
        return hints

    def hint(self, node: ast.AST, hint: Any) -> Scalar:
        try:
            scalar = self.memory.scalar(hint)
        except TypeError as error:
            self.fail(node, "unknown-type", str(error))
        if scalar is None:
            name = getattr(hint, "__name__", str(hint))
            self.fail(
                node,
                "unknown-type",
                f"{name} is not a type of kernel Python",
                help="u1 to u64, s8 to s64, int, bool, an Enum, a BitStruct, a Struct",
            )
        return scalar

    @contextmanager
    def entered(self, function: types.FunctionType, caller: Where | None) -> Any:
        """Names, places and the call stack of ``function`` while its body is lowered."""
        saved: Any = (
            self.globals,
            self.variables,
            self.scope,
            self.file,
            self.function,
            self.caller,
            self.places,
            getattr(self, "tree", None),
        )
        self.stack.append(function)
        self.globals, self.variables = function.__globals__, {}
        self.file, self.function = function.__code__.co_filename, function.__name__
        self.caller, self.places = caller, {}
        try:
            self.tree = self.edits.tree(function)
            yield self.tree
        finally:
            self.stack.pop()
            (
                self.globals,
                self.variables,
                self.scope,
                self.file,
                self.function,
                self.caller,
                self.places,
                self.tree,
            ) = saved

    def inline(self, node: ast.Call, function: types.FunctionType) -> Value:
        where = self.where(node)
        if function in self.stack:
            path = " -> ".join(f.__name__ for f in [*self.stack, function])
            self.fail(
                node,
                "recursion",
                f"{function.__name__}() calls itself",
                label=path,
                help="write it as a loop: kernel stacks are small",
            )
        parameters, result = self._signature_of(function)
        operands = self._bind(node, function, parameters)
        if self.direct and self.stays_call(function):
            arguments = dict(zip((name for name, _ in parameters), operands, strict=True))
            return self._plain_call(node, function, arguments, result)
        self.emit(ir.Note("call", call_as_written(node, function), (), where))
        with self.entered(function, where) as tree:
            self.bind_parameters(tree, parameters, operands)
            value = self.body(tree, result)
        return value

    def _signature_of(self, function: types.FunctionType) -> Signature:
        """The signature, looked at once."""
        known = self.signatures.get(function)
        if known is None:
            with self.at_signature(function):
                known = self.signature(function, self.edits.tree(function))
            self.signatures[function] = known
        return known

    @contextmanager
    def at_signature(self, function: types.FunctionType) -> Any:
        saved = (self.file, self.function, self.places)
        self.file, self.function = function.__code__.co_filename, function.__name__
        self.places = {}
        try:
            yield
        finally:
            self.file, self.function, self.places = saved

    def _bind(
        self, node: ast.Call, function: types.FunctionType, parameters: list[tuple[str, Scalar]]
    ) -> list[Argument]:
        given: dict[str, ast.expr] = dict(
            zip((p for p, _ in parameters), node.args, strict=False)
        )
        for keyword in node.keywords:
            given[keyword.arg or ""] = keyword.value
        names = [name for name, _ in parameters]
        for name in given.keys() - set(names):
            self.fail(
                node,
                "wrong-arguments",
                f"{function.__name__}() has no parameter {name!r}",
                help=did_you_mean(name, names),
            )
        twice = len(node.args) + len(node.keywords) != len(given)
        if twice or sorted(given) != sorted(names):
            wanted = ", ".join(names) or "no arguments"
            self.fail(
                node,
                "wrong-arguments",
                f"{function.__name__}() takes {wanted}; got {len(node.args)} value"
                + ("" if len(node.args) == 1 else "s")
                + "".join(f", {k.arg}" for k in node.keywords),
            )
        types = dict(parameters)
        # As they are written: an argument given by name may stand before one that is not.
        values = {name: self._argument(given[name], types[name]) for name in given}
        return [values[name] for name in names]

    def _argument(self, node: ast.expr, want: Scalar) -> Argument:
        if want.kind == "table":
            return templates.table(self, node, self.value(node), want)
        return self.operand(node, want)

    def bind_parameters(
        self,
        tree: ast.FunctionDef,
        parameters: list[tuple[str, Scalar]],
        operands: list[Argument],
    ) -> None:
        """A parameter is its argument's value; a copy only where it is assigned to."""
        changed = stores(tree)
        for (name, scalar), operand in zip(parameters, operands, strict=True):
            if isinstance(operand, Static):
                self.variables[name] = operand
            elif name in changed:
                variable = self.register(scalar, name)
                self.emit(ir.Op(variable, "convert", (operand,), self.where(tree)))
                self.variables[name] = variable
            else:
                self.variables[name] = operand

    def body(self, tree: ast.FunctionDef, result: Scalar) -> Value:
        """Lower a function's body up to a common exit; the value it returns."""
        self.scope = scope = Scope(result, self.new_block())
        mistakes = len(self.diagnostics)
        start = self.current
        self.block(tree.body)
        complete = len(self.diagnostics) == mistakes
        if complete and result != NONE and self._falls_through(start):
            self.fail(
                tree,
                "missing-return",
                f"{tree.name}() can end without a result",
                label=f"returns {describe(result)}",
                help="every path needs a return",
            )
        self.jump(scope.exit, scope.exit)
        values = [value for _, value in scope.returns if value is not None]
        if not values:
            return Static(None) if result == NONE else Const(0, result)
        if result.bits == 0:
            return nothing(result)
        if len(values) == 1 or all(v == values[0] and isinstance(v, Const) for v in values):
            return values[0]
        merged = self.register(may_be_none(result))
        for block, value in scope.returns:
            assert value is not None
            last = self.code.blocks[block].instructions
            last.append(ir.Op(merged, "convert", (value,), self.where(tree)))
        return merged

    def _falls_through(self, start: int) -> bool:
        """Is the end of the body reached from its ``start``?  By the graph, not the text."""
        if self.current == self.unreached:
            return False
        reached = {start}
        pending = [start]
        while pending:
            terminator = self.code.blocks[pending.pop()].terminator
            new = set(successors(terminator)) - reached
            reached |= new
            pending.extend(new)
        return self.current in reached

    def stays_call(self, function: types.FunctionType) -> bool:
        """Is a call in direct code a call, and not what the function does?"""
        return True

    def symbol(self, function: types.FunctionType) -> str:
        """What direct code calls a function."""
        return function.__name__

    def _plain_call(
        self,
        node: ast.Call,
        function: types.FunctionType,
        arguments: dict[str, Argument],
        result: Scalar,
    ) -> Value:
        name = function.__name__
        tables = {n: a.value for n, a in arguments.items() if isinstance(a, Static)}
        operands = [a for a in arguments.values() if not isinstance(a, Static)]
        if not function.__dict__.get("external"):
            name = templates.symbol(self, self.symbol(function), list(tables.values()))
            self.wanted[name] = Template(function, tuple(tables.items()))
        destination = None if result.bits == 0 else self.register(result)
        self.emit(ir.Call(destination, name, tuple(operands), self.where(node)))
        if destination is None:
            return Static(None) if result == NONE else nothing(result)
        return destination
