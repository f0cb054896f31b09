"""Statements and functions: from an author's function to a control-flow graph.

A thread becomes one ``Code`` with every call inlined; ``Where.caller`` keeps the call
stack.  Direct code keeps its calls.
"""

from __future__ import annotations

import ast
from typing import Any

from pagerace.compiler import ir
from pagerace.compiler.builder import Literal, Place, Skip, Static, Value
from pagerace.compiler.expressions import Poison, has_no_bits, is_pointer
from pagerace.compiler.functions import Functions
from pagerace.compiler.ir import INT, NONE, Const, Operand, Reg, Scalar
from pagerace.compiler.kinds import describe, is_plain
from pagerace.compiler.operators import ARITHMETIC
from pagerace.compiler.source import stores
from pagerace.lang.flow import atomic
from pagerace.lang.structures import Struct

UNSUPPORTED = {
    "Try": "kernel code has no exceptions",
    "Raise": "kernel code has no exceptions",
    "Import": "imports stand at the top of the file",
    "ImportFrom": "imports stand at the top of the file",
    "FunctionDef": "functions stand at the top level of the file",
    "AsyncFunctionDef": "functions stand at the top level of the file",
    "ClassDef": "classes stand at the top level of the file",
    "Global": "shared state lives in structures, not in bare names",
    "Nonlocal": "shared state lives in structures, not in bare names",
    "Delete": "objects go back to their pool with free()",
    "AsyncFor": "there is no async",
    "AsyncWith": "there is no async",
    "TryStar": "kernel code has no exceptions",
}


class Lowerer(Functions):
    """Lowers one thread, property or function: what stands in its body."""

    # -- statements -------------------------------------------------------------

    def block(self, statements: list[ast.stmt]) -> None:
        """Lower statements; a refused one is recorded and the next is looked at.

        What stands behind a return that is always taken, most often because a parameter says
        so, is no part of the program.
        """
        for statement in statements:
            if self.current == self.unreached:
                return
            try:
                self.statement(statement)
            except Skip:
                for name in stores(statement):
                    self.variables.setdefault(name, Poison())

    def statement(self, node: ast.stmt) -> None:
        method = getattr(self, f"do_{type(node).__name__.lower()}", None)
        if method is None:
            name = type(node).__name__
            kind = "import" if name in ("Import", "ImportFrom") else "statement"
            self.fail(
                node,
                f"unsupported-{kind}",
                f"`{ast.unparse(node).split()[0]}` cannot be used in kernel Python",
                label=UNSUPPORTED.get(name, ""),
            )
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
            self.fail(
                node,
                "unsupported-statement",
                "one assignment, one target",
                help="write two assignments",
            )
        self.assign_to(node.targets[0], node.value)

    def do_annassign(self, node: ast.AnnAssign) -> None:
        if not isinstance(node.target, ast.Name) or node.value is None:
            self.fail(
                node, "unsupported-statement", "a local needs a first value", help="n: u8 = 0"
            )
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
        text = (
            annotation.value
            if isinstance(annotation, ast.Constant)
            else ast.unparse(annotation)
        )
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
            self.fail(
                source,
                "type-mismatch",
                "None of which type?",
                help=f"{target.id}: Page | None = None",
            )
        operand = self.as_operand(source, value, INT)
        scalar = operand.type
        assigned_again = stores(self.tree)[target.id] > 1  # then it needs room for any int
        if is_plain(scalar) and (isinstance(value, Literal) or assigned_again):
            scalar = INT if scalar.bits <= INT.bits else Scalar(64, signed=True, cls=int)
            operand = self.op(source, "convert", operand, to=scalar)
        self.variables[target.id] = self.register(scalar, target.id)
        self.assign(target, self.variables[target.id], operand)

    def _assign_place(self, target: ast.expr, value: Value, source: ast.expr) -> None:
        if not isinstance(value, (Literal, Static)):
            value = self.as_operand(source, value)
        if isinstance(target, ast.Subscript):
            base = self.value(target.value)
            if is_pointer(base):
                self._store_pointed_at(target, base, self.operand(target.slice), value, source)
                return
            place = self.element(target, base)
        elif isinstance(target, ast.Attribute):
            base = self.value(target.value)
            self._refuse_bit_store(target, base)
            place = self.member(target, base) if _in_memory(base) else self.value(target)
        else:
            place = self.value(target)
        if not isinstance(place, Place):
            self.fail(
                target,
                "not-a-place",
                "this cannot be assigned to",
                help="assign to a field or to an array element",
            )
        want = place.leaf.family.type
        operand = self.narrow(source, self.as_operand(source, value, want), want)
        self.store(target, place, operand)

    def _store_pointed_at(
        self, target: ast.AST, pointer: Operand, index: Operand, value: Value, source: ast.expr
    ) -> None:
        want = pointer.type.element
        assert want is not None
        stored = self.convert(source, self.as_operand(source, value, want), want)
        self.emit(ir.PtrStore(pointer, index, stored, self.where(target)))

    def narrow(self, node: ast.AST, value: Operand, want: Scalar) -> Operand:
        """A store wraps to the width of its field, as it does in plain Python."""
        if value.type.kind == want.kind == "int":
            return self.op(node, "convert", value, to=want)
        return self.convert(node, value, want)

    def _refuse_bit_store(self, target: ast.Attribute, base: Value) -> None:
        kind = base.leaf.family.type.kind if isinstance(base, Place) else ""
        if isinstance(base, (Const, Reg)):
            kind = base.type.kind
        if kind == "bits":
            self.fail(
                target,
                "bit-store",
                "one bit of a word cannot be stored alone",
                label="part of a BitStruct",
                help=f"x = x.replace({target.attr}=...), then store x whole",
            )

    def do_augassign(self, node: ast.AugAssign) -> None:
        """``p.n += 1`` is a load and then a store: two steps, as in C."""
        name = ARITHMETIC.get(type(node.op))
        if name is None:
            self.fail(node, "unsupported-expression", "there is no such operator")
        if isinstance(node.target, ast.Name):
            known = self.value(node.target)
            if has_no_bits(known):
                self.operand(node.value)
                return
            if not isinstance(known, Reg) or not self.code.names[known.number]:
                self.fail(node, "unknown-name", f"{node.target.id!r} has no value yet")
            result = self.arithmetic(node, name, known, self.value(node.value))
            operand = self.as_operand(node.value, result, known.type)
            self.assign(node, known, self.narrow(node, operand, known.type))
            return
        if isinstance(node.target, ast.Subscript):
            base = self.value(node.target.value)
            if is_pointer(base):
                index = self.operand(node.target.slice)
                old = self.pointed_at(node.target, base, index)
                result = self.arithmetic(node, name, old, self.value(node.value))
                self._store_pointed_at(node.target, base, index, result, node.value)
                return
            place = self.element(node.target, base)
        else:
            place = self.value(node.target)
        if isinstance(place, Place):
            old = self.load(node.target, place)
            result = self.arithmetic(node, name, old, self.value(node.value))
            want = place.leaf.family.type
            operand = self.narrow(node, self.as_operand(node, result, want), want)
            self.store(node.target, place, operand)
            return
        self.assign_to(node.target, node.value)  # which says why that is no place

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
        if isinstance(context, ast.Call) and self.value(context.func) == Static(atomic):
            self._refuse_as(item)
            self.emit(ir.Begin(self.where(context)))
            self.scope.cleanups.append(lambda: self.emit(ir.End(self.where(context))))
            return
        name = context.func if isinstance(context, ast.Call) else context
        is_place = isinstance(name, (ast.Name, ast.Attribute, ast.Subscript))
        target = self.value(name) if is_place else None
        if isinstance(target, Static) or target is None:
            label = (
                "a Python file; kernel code has no files" if ast.unparse(name) == "open" else ""
            )
            self.fail(
                name,
                "unsupported-with",
                "not a lock or an atomic section",
                label=label,
                help='to note a value in the diagram use trace("unmap {}", addr)'
                if label
                else "`with atomic():`, or a structure with __enter__ and __exit__",
            )
        given = self.value(context) if context is not name else target
        lock = self.kept(context, self.as_operand(context, given))
        cls = lock.type.cls
        enter, leave = (getattr(cls, n, None) for n in ("__enter__", "__exit__"))
        if not (isinstance(cls, type) and issubclass(cls, Struct) and enter and leave):
            self.fail(
                context,
                "unsupported-with",
                "not a lock or an atomic section",
                label=describe(lock.type),
            )
        self._refuse_as(item)
        self._guard(context, enter, lock)
        self.scope.cleanups.append(lambda: self._guard(context, leave, lock))

    def _refuse_as(self, item: ast.withitem) -> None:
        if item.optional_vars is not None:
            self.fail(item.optional_vars, "unsupported-with", "`as` has no meaning here")

    def _guard(self, node: ast.expr, method: Any, lock: Operand) -> None:
        """Inline ``__enter__`` or ``__exit__``; the names do not appear in a diagram."""
        where = self.where(node)
        if method in self.stack:
            self.fail(node, "recursion", f"{method.__name__}() enters itself")
        with self.entered(method, where) as tree:
            self.variables["self"] = lock
            self.body(tree, NONE)


def _in_memory(base: Value) -> bool:
    return isinstance(base, (Const, Reg, Place))
