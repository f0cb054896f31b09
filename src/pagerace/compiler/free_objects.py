"""Taking an object from a pool, and giving it back, in a few steps however large it is.

Only where one interleaving runs at full size: in a check a pool hands out its first free
object, for which this list would be one more thing that states differ in.
"""

from __future__ import annotations

import ast
from typing import Any

from pagerace.compiler import ir
from pagerace.compiler.builder import Builder
from pagerace.compiler.ir import BOOL, U64, Const, Family, Operand, Scalar
from pagerace.compiler.sparse import SparseMemory
from pagerace.lang.structures import Pool, resolve_length

_ONLY = Const(0, Scalar(1))


def take(b: Builder, memory: SparseMemory, node: ast.AST, pool: Pool[Any]) -> Operand:
    """The object that was given back last, else the first that never was taken, or None."""
    allocated, free = memory.track_allocation(pool), memory.free_lists[id(pool)]
    first, length = memory.first[id(pool)], resolve_length(pool.length)
    scalar, where = memory.reference(pool.cls, True), b.where(node)
    result = b.register(scalar)

    def load(family: Family, index: Operand) -> Operand:
        loaded = b.register(family.type)
        b.emit(ir.Load(loaded, family, index, "atomic", where))
        return loaded

    again, fresh, unused, none, taken, done = (b.new_block() for _ in range(6))
    head = load(free.first, _ONLY)
    b.branch(b.op(node, "ne", head, Const(0, scalar)), again, fresh, again)
    following = load(free.next, b.op(node, "sub", head, Const(1, scalar)))
    b.emit(ir.Store(free.first, _ONLY, following, "atomic", where))
    b.assign(node, result, b.op(node, "add", head, Const(first, scalar)))
    b.jump(taken, fresh)
    used = load(free.used, _ONLY)
    b.branch(b.op(node, "lt", used, Const(length, scalar)), unused, none, unused)
    after = b.op(node, "add", used, Const(1, scalar))
    b.emit(ir.Store(free.used, _ONLY, after, "atomic", where))
    b.assign(node, result, b.op(node, "add", after, Const(first, scalar)))
    b.jump(taken, taken)
    cell = b.op(node, "convert", b.op(node, "sub", result, Const(1, scalar)), to=U64)
    b.emit(ir.Store(allocated, cell, Const(1, BOOL), "atomic", where))
    b.jump(done, none)
    b.assign(node, result, Const(0, scalar))
    b.jump(done, done)
    return result


def give(
    b: Builder, memory: SparseMemory, node: ast.AST, pool: Pool[Any], item: Operand
) -> None:
    """The object, whose check has passed, is the next to be taken."""
    free = memory.free_lists[id(pool)]
    first = memory.first[id(pool)]
    where, scalar = b.where(node), free.first.type
    head = b.register(scalar)
    b.emit(ir.Load(head, free.first, _ONLY, "atomic", where))
    number = b.op(node, "sub", item, Const(first + 1, item.type))
    b.emit(ir.Store(free.next, number, head, "atomic", where))
    one_more = b.op(node, "add", number, Const(1, item.type))
    stored = b.op(node, "convert", one_more, to=scalar)
    b.emit(ir.Store(free.first, _ONLY, stored, "atomic", where))
