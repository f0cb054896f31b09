"""The Promela that is written: every operation as Spin computes it, and what is refused."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from pagerace.compiler import ir, ops, promela
from pagerace.compiler.ir import Const, Op, Reg, Scalar, Where
from pagerace.compiler.program import compile_protocol
from pagerace.compiler.promela import terms
from pagerace.lang import Struct, protocol, thread, u32, u64
from tests.agree import spin
from tests.search import samples

HERE = Where("file.py", 1, 0, 1, "f")
TYPES = [Scalar(bits, signed) for bits in (1, 3, 8, 31, 32) for signed in (False, True)]
UNARY = ("invert", "neg", "truth")


def _values(type: Scalar) -> list[int]:
    top = 1 << (type.bits - 1)
    found = {0, 1, 3, top - 1, top, 2 * top - 1}
    return sorted(value for value in found if 0 <= value < 2 * top)


def _number(value: int) -> int:
    return value - (1 << 32) if value >> 31 else value


def _cases() -> list[tuple[str, Scalar, Scalar]]:
    cases: list[tuple[str, Scalar, Scalar]] = []
    for name, operation in ops.TABLE.items():
        for type in TYPES:
            if name == "convert":
                cases += [(name, type, to) for to in TYPES]
            elif name not in ("select", "not"):
                cases.append((name, type, ir.BOOL if operation.result == "bool" else type))
    return cases


def _assertions(name: str, type: Scalar, to: Scalar) -> list[str]:
    """What must hold of an operation on the variables ``a`` and ``b``."""
    unary = name in (*UNARY, "convert")
    a, b = terms.name("a", ir.U64), terms.name("b", ir.U64)
    lines: list[str] = []
    for x in _values(type):
        for y in [0] if unary else _values(type):
            if name in ("div", "mod") and y == 0:
                continue
            values = [x] if unary else [x, y]
            # A shift by a constant is written in another way than one by a variable.
            args = [a] if unary else [a, terms.constant(type, y) if x == 1 else b]
            item = Op(Reg(0, to), name, tuple(Const(v, type) for v in values), HERE)
            try:
                text = terms.operation(item, args).text
            except promela.Inexpressible:
                assert type == Scalar(32) and name in ("div", "mod")
                continue
            result = ops.wrap(to, ops.TABLE[name].meaning(type, *values))
            lines.append(f"a = {_number(x)}; b = {_number(y)};")
            lines.append(f"assert(({text}) == {_number(result)});")
    return lines


def _model(lines: list[str]) -> str:
    text = "int a, b;\ninit {\n"
    for first in range(0, len(lines), 200):
        text += "d_step {\n" + "\n".join(lines[first : first + 200]) + "\n}\n"
    return text.replace("-2147483648", "(1 << 31)") + "}\n"


@spin.needed
def test_operations_are_those_of_the_ir(tmp_path: Path) -> None:
    lines = [line for case in _cases() for line in _assertions(*case)]
    assert len(lines) > 2_000
    verified = spin.verify(_model(lines), tmp_path)
    assert verified.errors == 0, verified.said


@spin.needed
def test_a_wrong_operation_is_noticed(tmp_path: Path) -> None:
    lines = _assertions("div", Scalar(8, True), Scalar(8, True))
    wrong = [line.replace("!= 0 &&", "== 0 &&") for line in lines]
    assert wrong != lines
    assert spin.verify(_model(wrong), tmp_path).errors == 1


class Clock(Struct):
    now: u64


clock = Clock()


def tick() -> None:
    clock.now += 1


def test_what_is_too_wide_is_refused() -> None:
    program = compile_protocol(protocol(threads=[thread(tick)]), "ticks")
    with pytest.raises(promela.Inexpressible, match="64 bits") as refused:
        promela.write(program)
    assert refused.value.where is not None
    assert refused.value.where.function == "tick"


def test_text() -> None:
    """A step is one d_step; what is needed once is written where it is needed."""
    text = promela.write(samples.program("lost_update"))
    expected = """\
    active proctype increment_0()
    {
       byte r_2 = 0;
    end:
       do
       /* 0: load counter.value, increment:42 */
       :: d_step { pc_increment_0 == 0 ->
             r_2 = (Counter_value + 1) & 255;
             pc_increment_0 = 1
          }
       /* 1: store counter.value, increment:43 */
       :: d_step { pc_increment_0 == 1 ->
             Counter_value = r_2;  /* increment:43 */
             r_2 = 0;
             pc_increment_0 = 2
          }
       :: timeout && pc_increment_0 != 2 -> assert(false)  /* deadlock */
       od
    }
    """
    assert textwrap.dedent(expected) in text


def test_a_wait_is_a_guard() -> None:
    text = promela.write(samples.program("locked"))
    assert "(pc_locked_increment_0 == 0) && (!Lock_taken[0]) ->" in text


def test_a_choice_is_a_step_each() -> None:
    text = promela.write(samples.program("with_agent"))
    assert text.count("(pc_hardware_1 == 0) && (Counter_value != 0) ->") == 3


def test_all_lines_are_short_but_expressions() -> None:
    text = promela.write(samples.program("with_agent"))
    assert max(len(line) for line in text.splitlines() if "#define" not in line) <= 96


class Table(Struct):
    entries: u32 = 3


table = Table()


def scaled() -> None:
    """In the IR the product has 34 bits, of which the store takes 32."""
    table.entries = u32(int(table.entries) * 2 - 7)


def one_below() -> bool:
    return table.entries == 3 or table.entries == 0xFFFFFFFF


@spin.needed
def test_only_the_lower_bits_of_what_is_wide(tmp_path: Path) -> None:
    claim = protocol(threads=[thread(scaled)], always=[one_below])
    program = compile_protocol(claim, "scaled")
    widest = max(scalar.bits for scalar in program.processes[0].code.registers)
    assert widest > 32
    verified = spin.verify(promela.write(program), tmp_path)
    assert (verified.errors, verified.states) == (0, 3)
