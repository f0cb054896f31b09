"""Statements and functions: from an author's function to a control-flow graph.

A thread becomes one ``Code`` with every call inlined; ``Where.caller`` keeps the call
stack.  Direct code keeps its calls.
"""

from __future__ import annotations

import ast
import types
import typing
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pagerace.compiler import ir
from pagerace.compiler.builder import Literal, Place, Skip, Static, Value
from pagerace.compiler.calls import Calls
from pagerace.compiler.diagnostic import Diagnostic
from pagerace.compiler.expressions import Poison
from pagerace.compiler.kinds import describe, is_plain
from pagerace.compiler.operators import ARITHMETIC
from pagerace.compiler.ir import INT, NONE, Const, Operand, Reg, Scalar, Where
from pagerace.compiler.loops import Loops
from pagerace.compiler.memory import Memory
from pagerace.compiler.source import Edits, call_as_written
from pagerace.lang.flow import atomic
from pagerace.lang.structures import Struct

UNSUPPORTED = {
    "Try": "kernel code has no exceptions", "Raise": "kernel code has no exceptions",
    "Import": "imports stand at the top of the file",
    "ImportFrom": "imports stand at the top of the file",
    "FunctionDef": "functions stand at the top level of the file",
    "AsyncFunctionDef": "functions stand at the top level of the file",
    "ClassDef": "classes stand at the top level of the file",
    "Global": "shared state lives in structures, not in bare names",
    "Nonlocal": "shared state lives in structures, not in bare names",
    "Delete": "objects go back to their pool with free()",
    "AsyncFor": "there is no async", "AsyncWith": "there is no async",
    "TryStar": "kernel code has no exceptions",
}  # fmt: skip


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


class Lowerer(Loops, Calls):
    """Lowers one thread, property or function.  Use ``lower_thread`` and its kin."""

    def __init__(
        self, memory: Memory, diagnostics: list[Diagnostic], edits: Edits, *, direct: bool = False
    ) -> None:
        super().__init__(memory, diagnostics)
        self.edits, self.direct = edits, direct
        self.stack: list[types.FunctionType] = []
        self.wanted: dict[str, types.FunctionType] = {}
        self.globals: dict[str, Any] = {}
        self.variables: dict[str, Any] = {}
        self.scope = Scope(NONE, -1)
        self.tree: ast.FunctionDef

    # -- functions --------------------------------------------------------------

    def signature(
        self, function: types.FunctionType, tree: ast.FunctionDef
    ) -> tuple[list[tuple[str, Scalar]], Scalar]:
        """Parameter names and types, and the result's type."""
        arguments = tree.args
        if arguments.vararg or arguments.kwarg or arguments.kwonlyargs or arguments.defaults:
            self.fail(tree, "unsupported-statement",
                      f"{function.__name__}() has parameters of a kind the kernel has not",
                      help="plain parameters without defaults")  # fmt: skip
        hints = self._hints(function, tree)
        parameters: list[tuple[str, Scalar]] = []
        for argument in arguments.args:
            if argument.arg not in hints and argument.arg == "self":
                cls = function.__globals__.get(function.__qualname__.split(".")[0])
                parameters.append(("self", self.memory.reference(cls, False)))
            elif argument.arg not in hints:
                self.fail(argument, "missing-annotation",
                          f"parameter {argument.arg!r} of {function.__name__}() has no type",
                          help=f"{argument.arg}: u8")  # fmt: skip
            else:
                parameters.append((argument.arg, self.hint(argument, hints[argument.arg])))
        if "return" not in hints:
            self.fail(tree, "missing-annotation", f"{function.__name__}() has no result type",
                      help="a function that returns nothing ends in `-> None:`")  # fmt: skip
        result = self.hint(tree.returns or tree, hints["return"])
        return parameters, result

    def _hints(self, function: types.FunctionType, tree: ast.FunctionDef) -> dict[str, Any]:
        """Annotations, strings resolved.  A wrong one is a mistake of the author's."""
        cached = function.__dict__.get("_pagerace_hints")
        if cached is not None:
            return cached
        try:
            hints = typing.get_type_hints(function, include_extras=True)
        except (NameError, AttributeError, TypeError, SyntaxError) as error:
            self.fail(tree, "unknown-type", f"an annotation of {function.__name__}() is wrong",
                      label=str(error))  # fmt: skip
        function.__dict__["_pagerace_hints"] = hints
        return hints

    def hint(self, node: ast.AST, hint: Any) -> Scalar:
        scalar = self.memory.scalar(hint)
        if scalar is None:
            name = getattr(hint, "__name__", str(hint))
            self.fail(node, "unknown-type", f"{name} is not a type of kernel Python",
                      help="u1 to u64, s8 to s64, int, bool, an Enum, a BitStruct, a Struct")  # fmt: skip
        return scalar

    @contextmanager
    def entered(self, function: types.FunctionType, caller: Where | None) -> Any:
        """Names, places and the call stack of ``function`` while its body is lowered."""
        saved = (self.globals, self.variables, self.scope, self.file, self.function,
                 self.caller, getattr(self, "tree", None))  # fmt: skip
        self.stack.append(function)
        self.globals, self.variables = function.__globals__, {}
        self.file, self.function = function.__code__.co_filename, function.__name__
        self.caller = caller
        try:
            self.tree = self.edits.tree(function)
            yield self.tree
        finally:
            self.stack.pop()
            (self.globals, self.variables, self.scope, self.file, self.function,
             self.caller, self.tree) = saved  # fmt: skip

    def inline(self, node: ast.Call, function: types.FunctionType) -> Value:
        where = self.where(node)
        if function in self.stack:
            path = " -> ".join(f.__name__ for f in [*self.stack, function])
            self.fail(node, "recursion", f"{function.__name__}() calls itself",
                      label=path, help="write it as a loop: kernel stacks are small")  # fmt: skip
        saved_tree = self.edits.tree(function)
        with self._signature_place(function):
            parameters, result = self.signature(function, saved_tree)
        operands = self._bind(node, function, parameters)
        if self.direct:
            return self._plain_call(node, function, operands, result)
        self.emit(ir.Note("call", call_as_written(node, function), (), where))
        with self.entered(function, where) as tree:
            self.bind_parameters(tree, parameters, operands)
            value = self.body(tree, result)
        return value

    @contextmanager
    def _signature_place(self, function: types.FunctionType) -> Any:
        saved = (self.file, self.function)
        self.file, self.function = function.__code__.co_filename, function.__name__
        try:
            yield
        finally:
            self.file, self.function = saved

    def _bind(
        self, node: ast.Call, function: types.FunctionType, parameters: list[tuple[str, Scalar]]
    ) -> list[Operand]:
        given: dict[str, ast.expr] = dict(zip((p for p, _ in parameters), node.args, strict=False))
        for keyword in node.keywords:
            given[keyword.arg or ""] = keyword.value
        names = [name for name, _ in parameters]
        if len(node.args) > len(names) or list(sorted(given)) != sorted(names):
            wanted = ", ".join(names) or "no arguments"
            self.fail(node, "wrong-arguments",
                      f"{function.__name__}() takes {wanted}; got {len(node.args)} values"
                      + "".join(f", {k.arg}" for k in node.keywords))  # fmt: skip
        return [self.operand(given[name], scalar) for name, scalar in parameters]

    def bind_parameters(
        self, tree: ast.FunctionDef, parameters: list[tuple[str, Scalar]], operands: list[Operand]
    ) -> None:
        """A parameter is its argument's value; a copy only where it is assigned to."""
        changed = assigned_names(tree)
        for (name, scalar), operand in zip(parameters, operands, strict=True):
            if name in changed:
                variable = self.register(scalar, name)
                self.emit(ir.Op(variable, "convert", (operand,), self.where(tree)))
                self.variables[name] = variable
            else:
                self.variables[name] = operand

    def body(self, tree: ast.FunctionDef, result: Scalar) -> Value:
        """Lower a function's body up to a common exit; the value it returns."""
        self.scope = scope = Scope(result, self.new_block())
        mistakes = len(self.diagnostics)
        self.block(tree.body)
        complete = len(self.diagnostics) == mistakes
        if complete and result != NONE and self._falls_through(tree):
            self.fail(tree, "missing-return", f"{tree.name}() can end without a result",
                      label=f"returns {describe(result)}",
                      help="every path needs a return")  # fmt: skip
        self.jump(scope.exit, scope.exit)
        values = [value for _, value in scope.returns if value is not None]
        if not values:
            return Static(None) if result == NONE else Const(0, result)
        if len(values) == 1 or all(v == values[0] and isinstance(v, Const) for v in values):
            return values[0]
        merged = self.register(result)
        for block, value in scope.returns:
            assert value is not None
            last = self.code.blocks[block].instructions
            last.append(ir.Op(merged, "convert", (value,), self.where(tree)))
        return merged

    def _falls_through(self, tree: ast.FunctionDef) -> bool:
        """Can the end of the body be reached?  Looks at the graph, not at the text."""
        targets: set[int] = {0}
        pending = [0]
        while pending:
            terminator = self.code.blocks[pending.pop()].terminator
            if isinstance(terminator, ir.Jump):
                successors = [terminator.target]
            elif isinstance(terminator, ir.Branch):
                successors = [terminator.then, terminator.other]
            else:
                successors = []
            for successor in successors:
                if successor not in targets:
                    targets.add(successor)
                    pending.append(successor)
        return self.current in targets

    def _plain_call(
        self, node: ast.Call, function: types.FunctionType, operands: list[Operand], result: Scalar
    ) -> Value:
        if not function.__dict__.get("external"):
            self.wanted[function.__name__] = function
        destination = None if result == NONE else self.register(result)
        self.emit(ir.Call(destination, function.__name__, tuple(operands), self.where(node)))
        return Static(None) if destination is None else destination

    # -- statements -------------------------------------------------------------

    def block(self, statements: list[ast.stmt]) -> None:
        """Lower statements; a refused one is recorded and the next is looked at."""
        for statement in statements:
            try:
                self.statement(statement)
            except Skip:
                for name in assigned_names(statement):
                    self.variables.setdefault(name, Poison())

    def statement(self, node: ast.stmt) -> None:
        method = getattr(self, f"do_{type(node).__name__.lower()}", None)
        if method is None:
            name = type(node).__name__
            kind = "import" if name in ("Import", "ImportFrom") else "statement"
            self.fail(node, f"unsupported-{kind}",
                      f"`{ast.unparse(node).split()[0]}` cannot be used in kernel Python",
                      label=UNSUPPORTED.get(name, ""))  # fmt: skip
        method(node)

    def do_pass(self, node: ast.Pass) -> None:
        pass

    def do_expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant):
            return  # a docstring
        value = self.value(node.value)
        if isinstance(value, Place):
            self.load(node.value, value)

    def do_assign(self, node: ast.Assign) -> None:
        if len(node.targets) != 1:
            self.fail(node, "unsupported-statement", "one assignment, one target",
                      help="write two assignments")  # fmt: skip
        self.assign_to(node.targets[0], node.value)

    def do_annassign(self, node: ast.AnnAssign) -> None:
        if not isinstance(node.target, ast.Name) or node.value is None:
            self.fail(node, "unsupported-statement", "a local needs a first value",
                      help="n: u8 = 0")  # fmt: skip
        name = node.target.id
        if name not in self.variables:
            scalar = self.hint(node.annotation, self._evaluate(node.annotation))
            value = self.operand(node.value, scalar)
            self.variables[name] = self.register(scalar, name)
            self.assign(node, self.variables[name], value)
        else:
            self.assign_to(node.target, node.value)

    def _evaluate(self, annotation: ast.expr) -> Any:
        """The type that a local's annotation names."""
        text = annotation.value if isinstance(annotation, ast.Constant) else ast.unparse(annotation)
        try:
            return eval(str(text), self.globals)  # the author's own module, as Python does
        except (NameError, AttributeError, TypeError, SyntaxError) as error:
            self.fail(annotation, "unknown-type", f"{text} is not a type", label=str(error))

    def assign_to(self, target: ast.expr, source: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self._assign_name(target, source)
        elif isinstance(target, (ast.Attribute, ast.Subscript)):
            self._assign_place(target, self.value(source), source)
        else:
            self.fail(target, "unsupported-statement", "one assignment, one target")

    def _assign_name(self, target: ast.Name, source: ast.expr) -> None:
        known = self.variables.get(target.id)
        if isinstance(known, Reg) and self.code.names[known.number] == target.id:
            self.assign(target, known, self.operand(source, known.type))
            return
        value = self.value(source)
        if isinstance(value, Static) and value.value is None:
            self.fail(source, "type-mismatch", "None of which type?",
                      help=f"{target.id}: Page | None = None")  # fmt: skip
        operand = self.as_operand(source, value, INT)
        scalar = operand.type
        if is_plain(scalar) and (isinstance(value, Literal) or self._assigned_again(target.id)):
            scalar = INT if scalar.bits <= INT.bits else Scalar(64, signed=True, cls=int)
            operand = self.op(source, "convert", operand, to=scalar)
        self.variables[target.id] = self.register(scalar, target.id)
        self.assign(target, self.variables[target.id], operand)

    def _assigned_again(self, name: str) -> bool:
        """Is a local assigned to more than once?  Then it needs room for any int."""
        stores = (
            node.id == name and isinstance(node.ctx, ast.Store)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Name)
        )
        return sum(stores) > 1

    def _assign_place(self, target: ast.expr, value: Value, source: ast.expr) -> None:
        if isinstance(target, ast.Attribute):
            self._refuse_bit_store(target)
        if not isinstance(value, (Literal, Static)):
            value = self.as_operand(source, value)
        if isinstance(target, ast.Subscript):
            base = self.value(target.value)
            if isinstance(base, (Const, Reg)) and base.type.kind == "ptr":
                assert base.type.element is not None
                index = self.operand(target.slice)
                stored = self.convert(
                    source, self.as_operand(source, value, base.type.element), base.type.element
                )
                self.emit(ir.PtrStore(base, index, stored, self.where(target)))
                return
        place = self.value(target)
        if not isinstance(place, Place):
            self.fail(target, "not-a-place", "this cannot be assigned to",
                      help="assign to a field or to an array element")  # fmt: skip
        want = place.leaf.family.type
        operand = self.narrow(source, self.as_operand(source, value, want), want)
        self.store(target, place, operand)

    def narrow(self, node: ast.AST, value: Operand, want: Scalar) -> Operand:
        """A store wraps to the width of its field, as it does in plain Python."""
        if value.type.kind == want.kind == "int":
            return self.op(node, "convert", value, to=want)
        return self.convert(node, value, want)

    def _refuse_bit_store(self, target: ast.Attribute) -> None:
        base = target.value
        if isinstance(base, ast.Name) and isinstance(self.variables.get(base.id), (Const, Reg)):
            kind = self.variables[base.id].type.kind
        elif isinstance(base, (ast.Attribute, ast.Subscript)):
            place = self.value(base)
            kind = place.leaf.family.type.kind if isinstance(place, Place) else "ref"
        else:
            return
        if kind == "bits":
            self.fail(target, "bit-store", "one bit of a word cannot be stored alone",
                      label="part of a BitStruct",
                      help=f"x = x.replace({target.attr}=...), then store x whole")  # fmt: skip

    def do_augassign(self, node: ast.AugAssign) -> None:
        """``p.n += 1`` is a load and then a store: two steps, as in C."""
        name = ARITHMETIC.get(type(node.op))
        if name is None:
            self.fail(node, "unsupported-expression", "there is no such operator")
        if isinstance(node.target, ast.Name):
            known = self.value(node.target)
            if not isinstance(known, Reg) or not self.code.names[known.number]:
                self.fail(node, "unknown-name", f"{node.target.id!r} has no value yet")
            result = self.arithmetic(node, name, known, self.value(node.value))
            operand = self.as_operand(node.value, result, known.type)
            self.assign(node, known, self.narrow(node, operand, known.type))
            return
        place = self.value(node.target)
        if isinstance(place, Place):
            old = self.load(node.target, place)
            result = self.arithmetic(node, name, old, self.value(node.value))
            want = place.leaf.family.type
            operand = self.narrow(node, self.as_operand(node, result, want), want)
            self.store(node.target, place, operand)
            return
        load: Any = type(node.target)(
            **{f: getattr(node.target, f) for f in node.target._fields}
        )  # pyright: ignore
        load.ctx = ast.Load()
        whole = ast.BinOp(ast.copy_location(load, node.target), node.op, node.value)
        self.assign_to(node.target, ast.copy_location(whole, node))

    def do_return(self, node: ast.Return) -> None:
        scope = self.scope
        value: Operand | None = None
        if node.value is not None and scope.result != NONE:
            value = self.operand(node.value, scope.result)
        elif scope.result != NONE:
            self.fail(node, "missing-return", f"a {describe(scope.result)} must be returned")
        elif node.value is not None and self.value(node.value) != Static(None):
            self.fail(node, "type-mismatch", "this function is annotated `-> None`")
        if isinstance(value, Reg) and self.code.names[value.number] and scope.cleanups:
            copy = self.register(value.type)
            self.emit(ir.Op(copy, "convert", (value,), self.where(node)))
            value = copy
        self.unwind(0, node)
        if scope.exit < 0:  # direct code; a lock's __enter__ is inlined there too
            self.end(ir.Return(value))
            return
        values = () if value is None else (value,)
        self.emit(ir.Note("return", self.function, values, self.where(node)))
        scope.returns.append((self.current, value))
        self.jump(scope.exit)

    def unwind(self, keep: int, node: ast.AST) -> None:
        """Run what leaves the ``with`` sections down to the first ``keep``."""
        for cleanup in reversed(self.scope.cleanups[keep:]):
            cleanup()

    def do_assert(self, node: ast.Assert) -> None:
        text = ast.unparse(node.test)
        if node.msg is not None:
            message = self.value(node.msg)
            if not isinstance(message, Static) or not isinstance(message.value, str):
                self.fail(node.msg, "not-constant", "the text of an assert is a plain string")
            text = message.value
        condition = self.truth(node.test)
        self.check(node, condition, "assert", text)

    def do_with(self, node: ast.With) -> None:
        for item in node.items:
            self._enter(item)
        self.block(node.body)
        for _ in node.items:
            self.scope.cleanups.pop()()

    def _enter(self, item: ast.withitem) -> None:
        context = item.context_expr
        if item.optional_vars is not None:
            self.fail(item.optional_vars, "unsupported-with", "`as` has no meaning here")
        if isinstance(context, ast.Call) and self.value(context.func) == Static(atomic):
            self.emit(ir.Begin(self.where(context)))
            self.scope.cleanups.append(lambda: self.emit(ir.End(self.where(context))))
            return
        name = context.func if isinstance(context, ast.Call) else context
        target = self.value(name) if isinstance(name, (ast.Name, ast.Attribute)) else None
        if isinstance(target, Static) or target is None:
            label = "a Python file; kernel code has no files" if ast.unparse(name) == "open" else ""
            self.fail(context, "unsupported-with", "not a lock or an atomic section", label=label,
                      help='to note a value in the diagram use trace("unmap {}", addr)'
                      if label else "`with atomic():`, or a structure with __enter__ and __exit__")  # fmt: skip
        lock = self.as_operand(context, self.value(context))
        cls = lock.type.cls
        enter, leave = (getattr(cls, n, None) for n in ("__enter__", "__exit__"))
        if not (isinstance(cls, type) and issubclass(cls, Struct) and enter and leave):
            self.fail(context, "unsupported-with", "not a lock or an atomic section",
                      label=describe(lock.type))  # fmt: skip
        self._guard(context, enter, lock)
        self.scope.cleanups.append(lambda: self._guard(context, leave, lock))

    def _guard(self, node: ast.expr, method: Any, lock: Operand) -> None:
        """Inline ``__enter__`` or ``__exit__``; the names do not appear in a diagram."""
        where = self.where(node)
        with self.entered(method, where) as tree:
            self.variables["self"] = lock
            self.body(tree, NONE)


def assigned_names(tree: ast.AST) -> set[str]:
    """Names that are assigned to somewhere inside."""
    return {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


