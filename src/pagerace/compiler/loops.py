"""``if``, ``while``, ``for`` and ``match``."""

from __future__ import annotations

import ast
from typing import Any

from pagerace.compiler import ir
from pagerace.compiler.builder import Elements, Literal, Static, Value
from pagerace.compiler.expressions import Expressions
from pagerace.compiler.ir import INT, Const, Operand, Reg, Scalar
from pagerace.compiler.kinds import is_plain, limits, plain, smallest
from pagerace.compiler.source import stores
from pagerace.lang.structures import Pool, resolve_length


class Loops(Expressions):
    """Control flow inside one function."""

    scope: Any
    tree: ast.FunctionDef

    def block(self, statements: list[ast.stmt]) -> None:
        raise NotImplementedError

    def unwind(self, keep: int, node: ast.AST) -> None:
        raise NotImplementedError

    def do_if(self, node: ast.If) -> None:
        condition = self.truth(node.test)
        if isinstance(condition, Const):
            self.block(node.body if condition.value else node.orelse)
            return
        then, other, done = self.new_block(), self.new_block(), self.new_block()
        self.branch(condition, then, other, then)
        self.block(node.body)
        self.jump(done, other)
        self.block(node.orelse)
        self.jump(done, done)

    def do_while(self, node: ast.While) -> None:
        if node.orelse:
            self.fail(node, "unsupported-statement", "`while` has no `else` here")
        head, body, done = self.new_block(), self.new_block(), self.new_block()
        self.jump(head, head)
        self.branch(self.truth(node.test), body, done, body)
        self._loop_body(node.body, head, done)
        self.jump(head, done)

    def _loop_body(self, body: list[ast.stmt], again: int, done: int) -> None:
        self.scope.loops.append((again, done, len(self.scope.cleanups)))
        self.block(body)
        self.scope.loops.pop()

    def do_break(self, node: ast.Break) -> None:
        _, done, keep = self.scope.loops[-1]
        self.unwind(keep, node)
        self.jump(done)

    def do_continue(self, node: ast.Continue) -> None:
        again, _, keep = self.scope.loops[-1]
        self.unwind(keep, node)
        self.jump(again)

    def do_for(self, node: ast.For) -> None:
        if node.orelse:
            self.fail(node, "unsupported-statement", "`for` has no `else` here")
        if not isinstance(node.target, ast.Name):
            self.fail(node.target, "unsupported-statement", "a loop has one variable")
        call = node.iter
        if isinstance(call, ast.Call) and self.value(call.func) == Static(range):
            self._for_range(node, node.target.id, call)
            return
        sequence = self.value(node.iter)
        if isinstance(sequence, Elements):
            sequence = self._pinned(node, sequence)
            length = sequence.lengths[0]
        elif isinstance(sequence, Static) and isinstance(sequence.value, Pool):
            length = resolve_length(sequence.value.length)
        else:
            self.fail(
                node.iter,
                "unbounded-for",
                "the number of rounds is not known",
                help="for i in range(n), or over an array or a pool",
            )
        counter = self.register(smallest(length), f"<{node.target.id}>")
        hidden, whole = (f"<{what} {len(self.variables)}>" for what in ("index", "sequence"))
        self.variables[hidden], self.variables[whole] = counter, sequence

        def element() -> None:
            index = ast.copy_location(ast.Name(hidden, ast.Load()), node.iter)
            base = ast.copy_location(ast.Name(whole, ast.Load()), node.iter)
            item = ast.copy_location(ast.Subscript(base, index, ast.Load()), node.iter)
            self._bind_target(node.target, self.operand(item))  # pyright: ignore

        zero = Const(0, counter.type)
        self._counted(node, counter, zero, Const(length, counter.type), 1, element)

    def _pinned(self, node: ast.For, sequence: Elements) -> Elements:
        """The array as it is now: the body may change the variables that lead to it."""
        owner = sequence.owner
        if owner is not None:
            owner = (owner[0], self.kept(node, owner[1]))
        return Elements(
            sequence.place, self.kept(node, sequence.index), sequence.lengths, owner
        )

    def kept(self, node: ast.AST, value: Operand) -> Operand:
        """A copy of what an author's variable holds, which the author may change."""
        if not isinstance(value, Reg) or not self.code.names[value.number]:
            return value
        copy = self.register(value.type)
        self.emit(ir.Op(copy, "convert", (value,), self.where(node)))
        return copy

    def _bind_target(self, target: ast.Name, value: Operand) -> None:
        known = self.variables.get(target.id)
        if not isinstance(known, Reg):
            scalar = value.type
            if is_plain(scalar) and not self._is_set_here_alone(target.id):
                scalar = INT if scalar.bits <= INT.bits else Scalar(64, signed=True, cls=int)
            known = self.variables[target.id] = self.register(scalar, target.id)
        self.assign(target, known, self.convert(target, value, known.type))

    def _for_range(self, node: ast.For, name: str, call: ast.Call) -> None:
        if not 1 <= len(call.args) <= 3 or call.keywords:
            self.fail(call, "wrong-arguments", "range() takes one to three numbers")
        values = [self.value(argument) for argument in call.args]
        step = 1
        if len(values) == 3:
            last = values.pop()
            if not isinstance(last, Literal) or last.value < 1:
                self.fail(call.args[2], "unbounded-for", "the step is a positive constant")
            step = last.value
        start: Value = values[0] if len(values) == 2 else Literal(0)
        stop = values[-1]
        if isinstance(start, Literal) and isinstance(stop, Literal):
            rounds = len(range(start.value, stop.value, step))
            if rounds <= 1 and self._is_set_here_alone(name):
                self._straight(node, name, start.value, rounds)
                return
        scalar = self._range_type(call, start, stop, step)
        first = self.convert(call, self.as_operand(call, start, scalar), scalar)
        limit = self.convert(call, self.as_operand(call, stop, scalar), scalar)
        if isinstance(limit, Reg) and self.code.names[limit.number]:
            # range() looks at its argument once, whatever the body does to it.
            kept = self.register(scalar)
            self.emit(ir.Op(kept, "convert", (limit,), self.where(call)))
            limit = kept
        private = self._needs_own_counter(node, name)
        known = self.variables.get(name)
        if not private and isinstance(known, Reg) and known.type != scalar:
            private = True
        counter = self.register(scalar, f"<{name}>" if private else name)
        if not private:
            self.variables[name] = counter

        def target() -> None:
            if private:
                self._bind_target(node.target, counter)  # pyright: ignore

        self._counted(node, counter, first, limit, step, target)

    def _is_set_here_alone(self, name: str) -> bool:
        """Is this loop all that gives the variable a value in the function?"""
        return stores(self.tree)[name] == 1

    def _straight(self, node: ast.For, name: str, start: int, rounds: int) -> None:
        """A loop of one round at most is no loop."""
        if rounds == 0:
            return
        self.variables[name] = Literal(start)
        done = self.new_block()
        self._loop_body(node.body, done, done)
        self.jump(done, done)

    def _range_type(self, node: ast.AST, start: Value, stop: Value, step: int) -> Scalar:
        """Holds every value of the counter, the one that ends the loop included."""
        if isinstance(start, Literal) and isinstance(stop, Literal):
            highest = max(start.value, stop.value) + step - 1
            return plain(min(start.value, stop.value, 0), highest)
        low, high = 0, 0
        for value in (start, stop):
            if isinstance(value, Literal):
                lowest = highest = value.value
            else:
                lowest, highest = limits(self._type_of(node, value))
            low, high = min(low, lowest), max(high, highest)
        return plain(low, high + step - 1)

    def _type_of(self, node: ast.AST, value: Value) -> Scalar:
        if isinstance(value, (Const, Reg)):
            return value.type
        leaf = getattr(value, "leaf", None)
        if leaf is None:
            self.fail(node, "type-mismatch", "range() takes numbers")
        return leaf.family.type

    def _needs_own_counter(self, node: ast.For, name: str) -> bool:
        """Is the loop variable changed in the loop, or read after it?"""
        inside = {id(part) for part in ast.walk(node)}
        if any(name in stores(statement) for statement in node.body):
            return True
        # What another loop over the same name reads is that loop's own.
        own = set(inside)
        for other in ast.walk(self.tree):
            if (
                isinstance(other, ast.For)
                and getattr(other.target, "id", "") == name
                and all(part is not node for part in ast.walk(other))
            ):
                own |= {id(part) for body in other.body for part in ast.walk(body)}
        return any(
            isinstance(part, ast.Name)
            and part.id == name
            and id(part) not in own
            and isinstance(part.ctx, ast.Load)
            for part in ast.walk(self.tree)
        )

    def _counted(
        self,
        node: ast.For,
        counter: Reg,
        first: Operand,
        limit: Operand,
        step: int,
        target: Any,
    ) -> None:
        where = self.where(node.target)
        self.emit(ir.Op(counter, "convert", (first,), where))
        head, body, again, done = (self.new_block() for _ in range(4))
        self.jump(head, head)
        self.branch(self.op(node.target, "lt", counter, limit), body, done, body)
        target()
        self._loop_body(node.body, again, done)
        self.jump(again, again)
        one = Const(step, counter.type)
        self.emit(ir.Op(counter, "add", (counter, one), where))
        self.jump(head, done)

    def do_match(self, node: ast.Match) -> None:
        subject = self.value(node.subject)
        if not isinstance(subject, (Literal, Static)):
            subject = self.as_operand(node.subject, subject)
        self.variables["<subject>"] = subject
        done = self.new_block()
        left = self._members(subject)
        for case in node.cases:
            condition = self._pattern(case.pattern, node.subject)
            if left and case.guard is None:
                left -= self._covered(case.pattern)
                # The last of an enum's members needs no test: there is no other value.
                condition = condition if left else None
            if case.guard is not None:
                guard = case.guard
                condition = (
                    guard
                    if condition is None
                    else ast.copy_location(
                        ast.BoolOp(ast.And(), [condition, guard]), case.guard
                    )
                )
            if condition is None:
                self.block(case.body)
                self.jump(done, done)
                return
            then, other = self.new_block(), self.new_block()
            self.branch(self.truth(condition), then, other, then)
            self.block(case.body)
            self.jump(done, other)
            self.variables["<subject>"] = subject
        self.jump(done, done)

    def _members(self, subject: Value) -> set[int]:
        """The bit patterns of an enum that a case has to cover; none for other types."""
        if isinstance(subject, Reg) and subject.type.kind == "enum":
            return set(range(len(list(subject.type.cls))))  # pyright: ignore
        return set()

    def _covered(self, pattern: ast.pattern) -> set[int]:
        if isinstance(pattern, ast.MatchValue):
            value = self.value(pattern.value)
            return {value.value} if isinstance(value, Const) else set()
        if isinstance(pattern, ast.MatchOr):
            return set().union(*(self._covered(part) for part in pattern.patterns))
        return set()

    def _pattern(self, pattern: ast.pattern, subject: ast.expr) -> ast.expr | None:
        """The condition under which a pattern matches; None for one that always does."""
        name = ast.copy_location(ast.Name("<subject>", ast.Load()), subject)

        def equals(value: ast.expr) -> ast.expr:
            return ast.copy_location(ast.Compare(name, [ast.Eq()], [value]), pattern)

        if isinstance(pattern, ast.MatchValue):
            return equals(pattern.value)
        if isinstance(pattern, ast.MatchSingleton):
            return equals(ast.copy_location(ast.Constant(pattern.value), pattern))
        if isinstance(pattern, ast.MatchOr):
            parts = [self._pattern(part, subject) for part in pattern.patterns]
            known = [part for part in parts if part is not None]
            if len(known) < len(parts):
                return None
            return ast.copy_location(ast.BoolOp(ast.Or(), known), pattern)
        if (
            isinstance(pattern, ast.MatchAs)
            and pattern.pattern is None
            and pattern.name is None
        ):
            return None
        self.fail(
            pattern,
            "unsupported-statement",
            "this pattern takes a value apart",
            help="cases are constants, enum members, alternatives or _",
        )
