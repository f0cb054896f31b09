"""Calls: of the author's functions, which are inlined, and of what ``lang`` provides."""

from __future__ import annotations

import ast
import enum
import types
import typing
from collections.abc import Callable
from typing import Any

from pagerace.compiler import free_objects, ir
from pagerace.compiler.builder import Elements, Literal, Place, Static, Value
from pagerace.compiler.expressions import Expressions
from pagerace.compiler.ir import BOOL, Const, Operand, Scalar
from pagerace.compiler.kinds import describe, limits, plain, result_type, smallest
from pagerace.compiler.show import places
from pagerace.compiler.sparse import SparseMemory
from pagerace.lang import access, direct, flow
from pagerace.lang.integers import SizedInt
from pagerace.lang.structures import BitStruct, Pool, resolve_length


class Calls(Expressions):
    """Lowers calls; a subclass adds statements and with them whole functions."""

    cpu: int = 0

    def inline(self, node: ast.Call, function: types.FunctionType) -> Value:
        raise NotImplementedError

    def call(self, node: ast.Call) -> Value:
        callee = self.value(node.func)
        target = callee.value if isinstance(callee, Static) else None
        handler = INTRINSICS.get(target) if _hashable(target) else None
        if handler is not None:
            return handler(self, node)
        if isinstance(target, tuple):
            return self._pool_method(node, *target)
        if isinstance(target, type):
            return self._class(node, target)
        if isinstance(target, types.FunctionType):
            return self.inline(node, target)
        if not isinstance(callee, Static) or callee.value is None:
            self.fail(
                node,
                "unsupported-expression",
                "only functions can be called",
                help=self._replace_help(node),
            )
        self.fail(
            node,
            "unsupported-expression",
            f"{ast.unparse(node.func)}() is not kernel Python",
            label="what a decorator made of it cannot be read"
            if hasattr(target, "__wrapped__")
            else "this function has no meaning in a kernel",
        )

    def _replace_help(self, node: ast.Call) -> str:
        return (
            ""
            if not isinstance(node.func, ast.Attribute)
            else (
                "of methods there are only pool.alloc, free, index, allocated and bits.replace"
            )
        )

    def _call(self, node: ast.Call) -> Value:
        if isinstance(node.func, ast.Attribute) and node.func.attr == "replace":
            base = self.value(node.func.value)
            if not isinstance(base, (Static, Literal, Elements)):
                operand = self.as_operand(node.func.value, base)
                if operand.type.kind == "bits":
                    return self.with_fields(node, operand)
        return self.call(node)

    def arguments(self, node: ast.Call, count: int) -> list[ast.expr]:
        """Exactly ``count`` positional arguments."""
        if len(node.args) != count or node.keywords:
            self.fail(
                node,
                "wrong-arguments",
                f"{ast.unparse(node.func)}() takes {count} argument"
                f"{'' if count == 1 else 's'}, not {len(node.args) + len(node.keywords)}",
            )
        return node.args

    # -- classes ----------------------------------------------------------------

    def _class(self, node: ast.Call, target: type) -> Value:
        if issubclass(target, BitStruct):
            scalar = self.memory.scalar(target)
            assert scalar is not None
            if node.args:
                self.fail(
                    node,
                    "wrong-arguments",
                    "bit fields are given by name",
                    help=f"{target.__name__}({next(iter(self.memory.bit_fields(target)))}=...)",
                )
            return self.with_fields(node, Const(self.memory.encode(scalar, target()), scalar))
        if target is bool:
            return self.truth(self.arguments(node, 1)[0])
        scalar = self.memory.scalar(target)
        if scalar is None or not (target is int or issubclass(target, SizedInt)):
            self.fail(
                node,
                "unsupported-expression",
                f"{target.__name__}() makes no value here",
                help="objects come from globals and pools",
            )
        (argument,) = self.arguments(node, 1)
        value = self.value(argument)
        if isinstance(value, Literal):
            return Const(value.value & ((1 << scalar.bits) - 1), scalar)
        operand = self.as_operand(argument, value)
        if operand.type.kind not in ("int", "bool") and not _counts_up(operand.type.cls):
            self.fail(argument, "type-mismatch", f"{describe(operand.type)} is no number")
        if target is int:  # Python's, which holds every number
            scalar = plain(*limits(operand.type)) if operand.type.kind == "int" else plain(0, 1)
        return self.op(node, "convert", operand, to=scalar)

    def with_fields(self, node: ast.Call, value: Operand) -> Operand:
        """``value`` with the bit fields of the keyword arguments changed."""
        cls: Any = value.type.cls
        fields = self.memory.bit_fields(cls)
        raw = Scalar(value.type.bits)
        bits = self.op(node, "convert", value, to=raw)
        for keyword in node.keywords:
            if keyword.arg not in fields:
                self.fail(
                    keyword.value,
                    "unknown-name",
                    f"{cls.__name__} has no field {keyword.arg!r}",
                )
            start, scalar = fields[keyword.arg]
            given = self.value(keyword.value)
            if isinstance(given, Literal):
                part: Operand = self.literal(keyword.value, given.value, scalar)
            else:
                loaded = self.as_operand(keyword.value, given, scalar)
                part = self.convert(keyword.value, loaded, scalar)
            if scalar.bits == 0:
                continue
            mask = ((1 << scalar.bits) - 1) << start
            wide = self.op(
                node, "convert", self.op(node, "convert", part, to=Scalar(scalar.bits)), to=raw
            )
            placed = self.op(node, "shl", wide, Const(start, raw))
            kept = self.op(node, "and", bits, Const(~mask & ((1 << raw.bits) - 1), raw))
            bits = self.op(node, "or", kept, placed)
        return self.op(node, "convert", bits, to=value.type)

    # -- pools ------------------------------------------------------------------

    def _pool_method(self, node: ast.Call, pool: Pool[Any], name: str) -> Value:
        structure = self.memory.structures[pool.cls]
        first, length = self.memory.first[id(pool)], resolve_length(pool.length)
        reference = self.memory.reference(pool.cls, False)
        if name == "alloc":
            self.arguments(node, 0)
            return self._alloc(node, pool, first, length)
        if name not in ("free", "index", "allocated"):
            self.fail(node, "unknown-name", f"a pool has no method {name!r}")
        (argument,) = self.arguments(node, 1)
        item = self.convert(argument, self.operand(argument), reference)
        one = Const(first + 1, item.type)
        null = Const(0, item.type)
        if item.type.nullable:
            self.check(node, self.op(node, "ne", item, null), "null-dereference", name)
        if name == "index":
            number = self.op(node, "sub", item, one)
            return self.op(node, "convert", number, to=plain(0, max(length - 1, 1)))
        family = self.memory.track_allocation(pool)
        cell = self.op(node, "sub", item, Const(1, item.type))
        where, why = self.where(node), f"{name} {structure.cls.__name__}"
        self.emit(ir.Begin(where, why))
        loaded = self.register(BOOL)
        self.emit(ir.Load(loaded, family, cell, "atomic", where))
        if name == "free":
            family.written = True
            self.check(node, loaded, "double-free", "")
            self.emit(ir.Store(family, cell, Const(0, BOOL), "atomic", where))
            if isinstance(self.memory, SparseMemory):
                free_objects.give(self, self.memory, node, pool, item)
        self.emit(ir.End(where))
        return loaded if name == "allocated" else Static(None)

    def _alloc(self, node: ast.Call, pool: Pool[Any], first: int, length: int) -> Operand:
        """The first free object: one step, however many are looked at."""
        family = self.memory.track_allocation(pool)
        family.written = True
        if isinstance(self.memory, SparseMemory):
            return free_objects.take(self, self.memory, node, pool)
        scalar = self.memory.reference(pool.cls, True)
        result = self.register(scalar)
        where, done = self.where(node), self.new_block()
        self.emit(ir.Begin(where, f"alloc {pool.cls.__name__}"))
        for i in range(first, first + length):
            cell = Const(i, smallest(max(family.count - 1, 1)))
            loaded = self.register(BOOL)
            self.emit(ir.Load(loaded, family, cell, "atomic", where))
            taken, free = self.new_block(), self.new_block()
            self.branch(loaded, taken, free, free)
            self.emit(ir.Store(family, cell, Const(1, BOOL), "atomic", where))
            self.assign(node, result, Const(i + 1, scalar))
            self.jump(done, taken)
        self.assign(node, result, Const(0, scalar))
        self.jump(done, done)
        self.emit(ir.End(where))
        return result

    # -- what lang provides -------------------------------------------------------

    def place(self, node: ast.expr) -> Place:
        """The first argument of READ_ONCE() and its kin: a field or an element."""
        value = self.value(node)
        if not isinstance(value, Place):
            self.fail(
                node,
                "not-a-place",
                "this is not a place in shared memory",
                label="a value, not a place",
                help="name a field or an array element: page.flags, table.pte[i]",
            )
        return value

    def read(self, node: ast.Call, kind: ir.Access) -> Value:
        (argument,) = self.arguments(node, 1)
        value = self.value(argument)
        if isinstance(value, Place):
            return self.load(node, value, kind)
        return self.load(node, self.place(argument), kind)

    def write(self, node: ast.Call, kind: ir.Access) -> Value:
        target, source = self.arguments(node, 2)
        place = self.place(target)
        self.store(node, place, self.operand(source, place.leaf.family.type), kind)
        return Static(None)

    def exchange(self, node: ast.Call) -> Value:
        compare = self.value(node.func) == Static(access.cmpxchg)
        parts = self.arguments(node, 3 if compare else 2)
        place = self.place(parts[0])
        scalar = place.leaf.family.type
        values = [self.operand(part, scalar) for part in parts[1:]]
        name = ast.unparse(node.func)
        self.emit(ir.Begin(self.where(node), f"{name} {place.leaf.family.name}"))
        old = self.load(node, place, "atomic")
        if compare:
            then, done = self.new_block(), self.new_block()
            self.branch(self.op(node, "eq", old, values[0]), then, done, then)
            self.store(node, place, values[1], "atomic")
            self.jump(done, done)
        else:
            self.store(node, place, values[0], "atomic")
        self.emit(ir.End(self.where(node)))
        return old

    def wait(self, node: ast.Call) -> Value:
        (argument,) = self.arguments(node, 1)
        self.emit(ir.Begin(self.where(node), "wait_until"))
        self.emit(ir.Wait(self.truth(argument), self.where(node)))
        self.emit(ir.End(self.where(node)))
        return Static(None)

    def choice(self, node: ast.Call) -> Value:
        (argument,) = self.arguments(node, 1)
        value = self.value(argument)
        if isinstance(value, Literal):
            if value.value < 1:
                self.fail(
                    argument,
                    "choose-range",
                    f"choose({value.value}) has nothing to choose",
                    help="the argument is the number of choices, 1 or more",
                )
            n: Operand = Const(value.value, smallest(value.value))
        else:
            n = self.as_operand(argument, value)
        if isinstance(n, Const):
            if n.value == 1:
                return Literal(0)
            scalar = plain(0, n.value - 1)
        else:
            scalar = Scalar(n.type.bits, cls=int)
        result = self.register(scalar)
        self.emit(ir.Choose(result, n, self.where(node)))
        return result

    def note(self, node: ast.Call) -> Value:
        if not node.args or not (
            isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)
        ):
            self.fail(
                node,
                "wrong-arguments",
                "trace() takes a text and then values",
                help='trace("page {}", pfn)',
            )
        text = node.args[0].value
        wanted, given = places(text), len(node.args) - 1
        if wanted != given:
            values = "1 value" if given == 1 else f"{given} values"
            self.fail(node, "wrong-arguments", f"the text has {wanted} {{}} for {values}")
        values = tuple(self.operand(argument) for argument in node.args[1:])
        self.emit(ir.Note("trace", text, values, self.where(node)))
        return Static(None)

    def bug(self, node: ast.Call) -> Value:
        condition, slug = self.arguments(node, 2)
        name = self.value(slug)
        if not isinstance(name, Static) or not isinstance(name.value, str):
            self.fail(slug, "not-constant", "the name of a bug is a text known beforehand")
        holds = self.op(node, "not", self.truth(condition))
        self.check(node, holds, name.value, ast.unparse(condition))
        return Static(None)

    def length(self, node: ast.Call) -> Value:
        (argument,) = self.arguments(node, 1)
        value = self.value(argument)
        if isinstance(value, Elements):
            return Literal(value.lengths[0])
        if isinstance(value, Static) and isinstance(value.value, Pool):
            return Literal(resolve_length(value.value.length))
        if (
            isinstance(value, Static)
            and isinstance(value.value, type)
            and issubclass(value.value, enum.Enum)
        ):
            return Literal(len(value.value))
        self.fail(node, "wrong-arguments", "only arrays and pools have a length")

    def least(self, node: ast.Call) -> Value:
        """min() and max() of two numbers."""
        left, right = self.arguments(node, 2)
        a, b = self.value(left), self.value(right)
        smaller = self.value(node.func) == Static(min)
        if isinstance(a, Literal) and isinstance(b, Literal):
            return Literal((min if smaller else max)(a.value, b.value))
        x, y = self._pair(left, a, right, b)
        want = result_type("or", x.type, y.type)
        x, y = self.convert(left, x, want), self.convert(right, y, want)
        chosen = self.op(node, "le" if smaller else "ge", x, y)
        return self.op(node, "select", chosen, x, y, to=want)

    def fence(self, node: ast.Call, kind: str) -> Value:
        self.arguments(node, 0)
        self.emit(ir.Fence(kind, self.where(node)))
        return Static(None)

    def order(self, node: ast.Call) -> Value:
        lock, held = self.arguments(node, 2)
        self.emit(ir.LockOrder(self.operand(lock), self.operand(held), self.where(node)))
        return Static(None)

    def number(self, node: ast.Call, value: int | None) -> Value:
        self.arguments(node, 0)
        if value is None:
            self.fail(node, "private-type", f"{ast.unparse(node)}: no thread runs here")
        return Literal(value)

    def processor(self, node: ast.Call) -> Value:
        """smp_processor_id(): of a thread, or at full size what the caller has set."""
        if not isinstance(self.memory, SparseMemory):
            return self.number(node, None if self.process is None else self.cpu)
        self.arguments(node, 0)
        family = self.memory.processor()
        result = self.register(family.type)
        zero = Const(0, smallest(0))
        self.emit(ir.Load(result, family, zero, "plain", self.where(node)))
        return result

    def move(self, node: ast.Call) -> Value:
        """offset(pointer, n) of direct code."""
        pointer, count = (self.operand(argument) for argument in self.arguments(node, 2))
        result = self.register(pointer.type)
        self.emit(ir.PtrOffset(result, pointer, count, self.where(node)))
        return result

    def fetch(self, node: ast.Call) -> Value:
        """prefetch(pointer, n) of direct code."""
        pointer, count = (self.operand(argument) for argument in self.arguments(node, 2))
        self.emit(ir.Prefetch(pointer, count, self.where(node)))
        return Static(None)


def _hashable(value: Any) -> bool:
    return isinstance(value, (types.FunctionType, types.BuiltinFunctionType)) or value is cast


cast = typing.cast

INTRINSICS: dict[Any, Callable[[Calls, ast.Call], Value]] = {
    access.READ_ONCE: lambda self, node: self.read(node, "once"),
    access.smp_load_acquire: lambda self, node: self.read(node, "acquire"),
    access.WRITE_ONCE: lambda self, node: self.write(node, "once"),
    access.smp_store_release: lambda self, node: self.write(node, "release"),
    access.xchg: Calls.exchange,
    access.cmpxchg: Calls.exchange,
    access.smp_mb: lambda self, node: self.fence(node, "mb"),
    access.smp_rmb: lambda self, node: self.fence(node, "rmb"),
    access.smp_wmb: lambda self, node: self.fence(node, "wmb"),
    flow.wait_until: Calls.wait,
    flow.choose: Calls.choice,
    flow.trace: Calls.note,
    flow.bug_on: Calls.bug,
    flow.lock_order: Calls.order,
    flow.thread_index: lambda self, node: self.number(node, self.process),
    flow.smp_processor_id: Calls.processor,
    direct.offset: Calls.move,
    direct.prefetch: Calls.fetch,
    len: Calls.length,
    min: Calls.least,
    max: Calls.least,
    cast: lambda self, node: self.value(node.args[1]),
}


def _counts_up(cls: type | None) -> bool:
    """Is it an IntEnum whose members are 0, 1 and so on, as an enum is kept?"""
    if cls is None or not issubclass(cls, enum.IntEnum):
        return False
    return [member.value for member in cls] == list(range(len(cls)))
