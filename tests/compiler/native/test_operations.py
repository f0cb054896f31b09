"""Each operation's native code against its meaning: types, signs, borders, constants."""

from __future__ import annotations

import itertools
import random

import pytest

from pagerace.compiler import ir, ops
from pagerace.compiler.ir import BOOL, Const, Operand, Scalar
from pagerace.compiler.native import build
from tests.assembly import Assembly

WIDTHS = [1, 2, 3, 5, 7, 8, 9, 16, 31, 32, 33, 63, 64]
NUMBERS = [Scalar(bits, signed) for bits in WIDTHS for signed in (False, True)]
RESULTS = [Scalar(1), BOOL, Scalar(3), Scalar(8, signed=True), Scalar(32), Scalar(64)]


def interesting(scalar: Scalar) -> list[int]:
    """All values of a narrow type; the borders and a few more of a wide one."""
    if scalar.bits <= 3:
        return list(range(1 << scalar.bits))
    top, bits = (1 << scalar.bits) - 1, scalar.bits
    chosen = {0, 1, 2, bits - 1, bits, bits + 1, top, top - 1, top >> 1, (top >> 1) + 1}
    chosen |= {random.Random(bits).getrandbits(bits) for _ in range(3)}
    return sorted(value & top for value in chosen)


def function(name: str, operation: str, args: list[Operand | Scalar], to: Scalar) -> ir.Code:
    """A function of those operands that are given by type only."""
    a = Assembly(name)
    operands = [a.parameter(x) if isinstance(x, Scalar) else x for x in args]
    known = ops.TABLE[operation].result
    return a.result(a.op(operation, *operands, to=to if known == "given" else None))


def cases(name: str) -> list[tuple[list[Scalar], Scalar]]:
    """(types of the operands, type of the result) on which an operation is tried."""
    if name == "not":
        return [([BOOL], BOOL)]
    if name == "select":
        return [([BOOL, scalar, scalar], scalar) for scalar in NUMBERS]
    if name == "convert":
        return [([scalar], to) for scalar in [*NUMBERS, BOOL] for to in RESULTS]
    count = 1 if name in ("invert", "neg", "truth") else 2
    result = BOOL if ops.TABLE[name].result == "bool" else None
    return [([scalar] * count, result or scalar) for scalar in NUMBERS]


@pytest.mark.parametrize("name", ops.TABLE)
def test_operation(name: str) -> None:
    codes: list[ir.Code] = []
    expected: list[tuple[str, list[int], int]] = []
    for number, (types, result) in enumerate(cases(name)):
        codes.append(function(f"f{number}", name, [*types], result))
        values = [interesting(scalar)[:: 1 if len(types) < 3 else 3] for scalar in types]
        for place, args in enumerate(itertools.product(*values)):
            if name in ("div", "mod") and args[1] == 0:
                continue
            meaning = ops.wrap(result, ops.TABLE[name].meaning(types[0], *args))
            expected.append((f"f{number}", list(args), meaning))
            if place % 11 == number % 11:
                # Again with constants: folded in Python, not computed by the machine.
                known = [Const(v, scalar) for v, scalar in zip(args, types, strict=True)]
                symbol = f"{number}_{place}"
                codes.append(function("k" + symbol, name, [*known], result))
                expected.append(("k" + symbol, [], meaning))
                codes.append(function("g" + symbol, name, [types[0], *known[1:]], result))
                expected.append(("g" + symbol, [args[0]], meaning))
    native = build.compile_direct(codes, cached=False)
    functions = {code.name: native.function(code.name) for code in codes}
    wrong = [
        (symbol, args, functions[symbol](*args), meaning)
        for symbol, args, meaning in expected
        if functions[symbol](*args) != meaning
    ]
    assert not wrong
