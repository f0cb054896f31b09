"""Native code over memory of full size: all cells in one region, at places known beforehand.

As in direct.py, but every function has ``ptr memory``, the region, as its first parameter:
a cell is at a constant distance from it (compiler/placement.py), and no table is read.

    memory[0]      the status, a u64, 0 at first

If a Check fails, the status becomes 1 + its index in ``checks``; if a Wait does not hold or
there is nothing to choose, NOT_POSSIBLE + 1 + its index in ``waits``.  Then all return.

LLVM is told which accesses cannot meet: those of two families never do.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pagerace.compiler import ir
from pagerace.compiler.ir import Code
from pagerace.compiler.native.body import scalar_type
from pagerace.compiler.native.direct import NOT_POSSIBLE, Direct, DirectFunction, Function
from pagerace.compiler.native.text import I64, Module, Value
from pagerace.compiler.placement import Placement

_ROOT, _STATUS, _POINTED = "!10", "!11", "!12"
_FIRST = 20  # of the metadata of families


@dataclass(frozen=True)
class Whole(Direct):
    """``waits[i]`` cannot end if a status is ``NOT_POSSIBLE + 1 + i``."""

    placement: Placement
    waits: list[ir.Wait | ir.Choose]


def emit(
    module: Module, codes: Sequence[Code], placement: Placement, entries: Collection[str]
) -> Whole:
    """Append the functions; those that are no ``entries`` cannot be called from outside."""
    functions = {
        code.name: Function(
            code.name, tuple(r.type for r in code.parameters), code.result, True
        )
        for code in codes
    }
    whole = Whole(functions, [], set(), placement, [])
    module.metadata[_ROOT] = '!{!"memory"}'
    for name, text in ((_STATUS, "status"), (_POINTED, "pointed at")):
        module.metadata[name] = _type_node(module, int(name[1:]) + 3, text)
    for code in codes:
        _WholeFunction(module, code, whole, code.name not in entries).emit()
    return whole


def _type_node(module: Module, number: int, name: str) -> str:
    """An access tag of a type that is like no other: LLVM's type-based alias analysis."""
    module.metadata[f"!{number}"] = f'!{{!"{name}", {_ROOT}, i64 0}}'
    return f"!{{!{number}, !{number}, i64 0}}"


class _WholeFunction(DirectFunction):
    """One function; the cells that it touches are at known distances from ``%memory``."""

    memory_parameter = "ptr noalias %memory"
    direct: Whole

    def __init__(self, module: Module, code: Code, whole: Whole, internal: bool) -> None:
        super().__init__(module, code, whole)
        self.linkage = "internal " if internal else ""

    def status(self) -> Value:
        return Value(self.pointer, "%memory")

    def load_status(self) -> Value:
        at = len(self.b.lines)
        value = self.b.load(I64, self.status())
        self._tag(at, _STATUS)
        return value

    def store_status(self, status: Value) -> None:
        at = len(self.b.lines)
        self.b.store(status, self.status())
        self._tag(at, _STATUS)

    def _tag(self, first: int, name: str) -> None:
        """Say of the access among the lines from ``first`` on what memory it is of."""
        for number in range(first, len(self.b.lines)):
            line = self.b.lines[number]
            if " = load " in line or line.startswith(" store "):
                self.b.lines[number] = f"{line}, !tbaa {name}"

    def _family(self, family: ir.Family) -> str:
        number = _FIRST + 2 * family.number
        name = f"!{number}"
        if name not in self.module.metadata:
            text = f"family {family.number}"
            self.module.metadata[name] = _type_node(self.module, number + 1, text)
        return name

    def cell(self, access: ir.Load | ir.Store) -> tuple[int, Value]:
        b, place = self.b, self.direct.placement.of[access.family.number]
        index = b.resize(self.operand(access.index), I64)
        offset = b.add(b.mul(index, I64(place.stride)), I64(place.offset))
        return place.size * 8, b.element(8, "%memory", offset)

    def load_cell(self, instruction: ir.Load) -> Value:
        bits, address = self.cell(instruction)
        at = len(self.b.lines)
        value = self.b.load(scalar_type(instruction.family.type), address, bits)
        self._tag(at, self._family(instruction.family))
        return value

    def store_cell(self, instruction: ir.Store) -> None:
        bits, address = self.cell(instruction)
        type = scalar_type(instruction.family.type)
        value = self.b.resize(self.operand(instruction.value), type)
        at = len(self.b.lines)
        self.b.store(value, address, bits)
        self._tag(at, self._family(instruction.family))

    def pointer_load(self, instruction: ir.PtrLoad) -> None:
        at = len(self.b.lines)
        super().pointer_load(instruction)
        self._tag(at, _POINTED)

    def pointer_store(self, instruction: ir.PtrStore) -> None:
        at = len(self.b.lines)
        super().pointer_store(instruction)
        self._tag(at, _POINTED)

    def wait(self, instruction: ir.Wait) -> None:
        condition = self.operand(instruction.condition)
        if condition.constant != 1:
            self.require(condition, self._blocked_at(instruction))

    def choose(self, instruction: ir.Choose) -> None:
        n = self.b.resize(self.operand(instruction.n), I64)
        if n.constant is None or n.constant == 0:
            more = self.b.icmp_unsigned("!=", n, I64(0))
            self.require(more, self._blocked_at(instruction))
        self.assign(instruction.dst, I64(0))

    def _blocked_at(self, instruction: ir.Wait | ir.Choose) -> str:
        self.direct.waits.append(instruction)
        return self.fail(NOT_POSSIBLE + len(self.direct.waits))
