"""Per-thread memory becomes registers, so that it is cleared where it is dead.

No other thread sees a ``per_thread`` object, so its fields are locals in all but name.
As registers they cost nothing where they are not live, share their bits, and constants
are followed through them.  An element whose index is not known is picked by selects.
"""

from __future__ import annotations

from pagerace.compiler import ir
from pagerace.compiler.ir import BOOL, Code, Const, Family, Operand, Reg, Scalar, Where


def promote(code: Code, cells: dict[int, list[int]]) -> None:
    """Replace the accesses of one thread to private families.

    ``cells``: family number -> the cells that belong to this thread.
    """
    _Promotion(code, cells).run()


class _Promotion:
    def __init__(self, code: Code, cells: dict[int, list[int]]) -> None:
        self.code, self.cells = code, cells
        self.registers: dict[tuple[int, int], Reg] = {}
        self.start: list[ir.Instruction] = []
        self.out: list[ir.Instruction] = []

    def run(self) -> None:
        for block in self.code.blocks:
            self.out = []
            for instruction in block.instructions:
                if isinstance(instruction, ir.Load) and instruction.family.private:
                    self._load(instruction)
                elif isinstance(instruction, ir.Store) and instruction.family.private:
                    self._store(instruction)
                else:
                    self.out.append(instruction)
            block.instructions = self.out
        self.code.blocks[0].instructions[:0] = self.start

    def _cell(self, family: Family, cell: int, where: Where) -> Reg:
        """The register of a cell; it starts as the cell starts, and others are 0."""
        key = (family.number, cell)
        if key not in self.registers:
            register = self.registers[key] = self._new(family.type, family.names[cell])
            if family.initial[cell]:
                value = Const(family.initial[cell], family.type)
                self.start.append(ir.Op(register, "convert", (value,), where))
        return self.registers[key]

    def _new(self, scalar: Scalar, name: str = "") -> Reg:
        self.code.registers.append(scalar)
        self.code.names.append(name)
        return Reg(len(self.code.registers) - 1, scalar)

    def _op(self, name: str, type: Scalar, where: Where, *args: Operand) -> Reg:
        result = self._new(type)
        self.out.append(ir.Op(result, name, args, where))
        return result

    def _is(self, index: Operand, cell: int, where: Where) -> Reg | None:
        """Whether the index is that of ``cell``; None if its type cannot hold it."""
        if cell >= 1 << index.type.bits:
            return None
        return self._op("eq", BOOL, where, index, Const(cell, index.type))

    def _load(self, load: ir.Load) -> None:
        family, index, where = load.family, load.index, load.where
        if isinstance(index, Const):
            cell: Operand = self._cell(family, index.value, where)
            self.out.append(ir.Op(load.dst, "convert", (cell,), where))
            return
        value: Operand = Const(0, family.type)
        for cell_number in self.cells[family.number]:
            chosen = self._is(index, cell_number, where)
            if chosen is not None:
                cell = self._cell(family, cell_number, where)
                value = self._op("select", family.type, where, chosen, cell, value)
        self.out.append(ir.Op(load.dst, "convert", (value,), where))

    def _store(self, store: ir.Store) -> None:
        family, index, where = store.family, store.index, store.where
        if isinstance(index, Const):
            cell = self._cell(family, index.value, where)
            self.out.append(ir.Op(cell, "convert", (store.value,), where))
            return
        for cell_number in self.cells[family.number]:
            chosen = self._is(index, cell_number, where)
            if chosen is not None:
                cell = self._cell(family, cell_number, where)
                self.out.append(ir.Op(cell, "select", (chosen, store.value, cell), where))
