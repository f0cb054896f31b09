"""Direct code: pointers, calls, families as arrays, and what happens when a Check fails."""

from __future__ import annotations

import ctypes
import faulthandler
import multiprocessing
from typing import Any

import pytest

from pagerace.compiler import interpreter, ir
from pagerace.compiler.interpreter import Pointer
from pagerace.compiler.ir import BOOL, NONE, U64, Code, Family, Scalar
from pagerace.compiler.layout import Layout
from pagerace.compiler.native import build, context, direct
from tests.assembly import U8, Assembly, const, family, program

S32 = Scalar(32, signed=True)


def pointer(element: Scalar) -> Scalar:
    return Scalar(64, kind="ptr", element=element)


def finished(a: Assembly) -> Code:
    """A function without a result."""
    a.code.result = NONE
    return a.code


def summing(element: Scalar) -> Code:
    """total += p[i] for i in range(n); the sum is stored at p[-1]; p[n] fetched early."""
    a = Assembly("summing")
    p, n = a.parameter(pointer(element)), a.parameter(Scalar(16))
    one_less, minus = a.register(pointer(element)), const(0xFFFFFFFF, S32)
    total, i, value = a.register(element), a.register(Scalar(16)), a.register(element)
    a.copy(total, 0)
    a.copy(i, 0)
    head, body, after = a.block(), a.block(), a.block()
    a.jump(head)
    a.at(head)
    a.branch(a.op("lt", i, n), body, after)
    a.at(body)
    a.emit(ir.PtrLoad(value, p, i, a.where()))
    a.emit(ir.Prefetch(p, n, a.where()))
    a.op("add", total, value, into=total)
    a.op("add", i, 1, into=i)
    a.jump(head)
    a.at(after)
    a.emit(ir.PtrOffset(one_less, p, minus, a.where()))
    a.emit(ir.PtrStore(one_less, const(0), total, a.where()))
    return a.result(total)


@pytest.mark.parametrize(
    ("element", "ctype"),
    [
        (BOOL, ctypes.c_uint8), (Scalar(3), ctypes.c_uint8), (U8, ctypes.c_uint8),
        (Scalar(12), ctypes.c_uint16), (S32, ctypes.c_uint32), (U64, ctypes.c_uint64),
    ],
)  # fmt: skip
def test_pointers_to_elements_of_each_width(element: Scalar, ctype: Any) -> None:
    code = summing(element)
    top = (1 << element.bits) - 1
    values = [top, 1 & top, top // 3, 5 & top]
    memory = (ctype * 5)(0, *values)
    function = build.compile_direct([code], cached=False).function("summing")
    total = function(ctypes.addressof(memory) + ctypes.sizeof(ctype), 4)
    python = [0, *values]
    assert interpreter.run_code(None, code, [], [Pointer(python, 1), 4]) == total
    assert list(memory) == python


def test_pointers_to_pointers() -> None:
    a = Assembly("second_of")
    table = a.parameter(pointer(pointer(U64)))
    row, value = a.register(pointer(U64)), a.register(U64)
    a.emit(ir.PtrLoad(row, table, const(1), a.where()))
    a.emit(ir.PtrLoad(value, row, const(0), a.where()))
    code = a.result(value)
    number = ctypes.c_uint64(1 << 63)
    rows = (ctypes.c_void_p * 2)(None, ctypes.addressof(number))
    function = build.compile_direct([code], cached=False).function("second_of")
    assert function(ctypes.addressof(rows)) == 1 << 63


def test_calls_among_functions_and_of_c() -> None:
    f = Assembly("f")
    x = f.parameter(S32)
    absolute = f.register(S32)
    f.emit(ir.Call(absolute, "abs", (x,), f.where()))
    inner = f.result(f.op("add", absolute, 1))
    g = Assembly("g")
    y, flag = g.parameter(S32), g.parameter(BOOL)
    once, twice = g.register(S32), g.register(S32)
    g.emit(ir.Call(once, "f", (y,), g.where()))
    g.emit(ir.Call(twice, "f", (once,), g.where()))
    outer = g.result(g.op("select", flag, twice, once, to=S32))
    native = build.compile_direct([outer, inner], cached=False)
    minus_five = (1 << 32) - 5
    assert native.function("f")(minus_five) == 6
    assert native.function("g")(minus_five, 1) == 7
    assert native.function("g")(minus_five, 0) == 6


def test_an_unknown_c_function_is_an_error_not_a_crash() -> None:
    f = Assembly("f")
    f.emit(ir.Call(None, "no_such_function_anywhere", (), f.where()))
    with pytest.raises(LookupError, match="no_such_function_anywhere"):
        build.compile_direct([finished(f)], cached=False)


class Memory:
    """Families as direct code sees them."""

    def __init__(self, families: list[Family]) -> None:
        widths: dict[int, Any] = {
            8: ctypes.c_uint8, 16: ctypes.c_uint16, 32: ctypes.c_uint32, 64: ctypes.c_uint64,
        }  # fmt: skip
        self.status = ctypes.c_uint64(0)
        self.cells = [
            (widths[direct.stored_bits(cells.type.bits)] * cells.count)(*cells.initial)
            for cells in families
        ]
        addresses = [ctypes.addressof(self.status), *map(ctypes.addressof, self.cells)]
        self.table = (ctypes.c_void_p * len(addresses))(*addresses)


def number(families: list[Family]) -> list[Family]:
    for index, cells in enumerate(families):
        cells.number = index
    return families


def test_families_are_arrays() -> None:
    families = number([
        family("F.flag", BOOL, 3), family("F.small", Scalar(13), 4, initial=[9, 8, 7, 6]),
        family("F.wide", U64, 2),
    ])  # fmt: skip
    flag, small, wide = families
    a = Assembly("f")
    index, value = a.parameter(U8), a.parameter(U64)
    old = a.load(small, index)
    a.store(small, a.op("convert", value, to=small.type), index)
    a.store(wide, value, 1)
    a.store(flag, 1, 2)
    code = a.result(old)
    memory, python = Memory(families), [list(cells.initial) for cells in families]
    native = build.compile_direct([code], cached=False)
    assert native.functions["f"].memory
    assert native.function("f")(memory.table, 2, (1 << 64) - 2) == 7
    assert interpreter.run_code(None, code, python, [2, (1 << 64) - 2]) == 7
    assert [list(cells) for cells in memory.cells] == python
    assert memory.status.value == 0


def failing(families: list[Family]) -> list[Code]:
    """outer(x) calls inner(x) and then writes; inner checks x < 3 and waits for x < 2."""
    (cells,) = families
    inner = Assembly("inner")
    x = inner.parameter(U8)
    inner.store(cells, x, 0)
    inner.check(inner.op("lt", x, 3), "too-large")
    inner.wait(inner.op("lt", x, 2))
    outer = Assembly("outer")
    y = outer.parameter(U8)
    result = outer.register(U8)
    outer.emit(ir.Call(result, "inner", (y,), outer.where()))
    outer.store(cells, 1, 1)
    return [outer.result(outer.op("add", result, 1)), inner.result(inner.op("add", x, 10))]


@pytest.mark.parametrize(
    ("argument", "result", "cells", "status"),
    [(1, 12, [1, 1], 0), (2, 0, [2, 0], direct.NOT_POSSIBLE), (3, 0, [3, 0], 1)],
)
def test_a_failure_returns_through_all_callers(
    argument: int, result: int, cells: list[int], status: int
) -> None:
    families = number([family("F.f", U8, 2)])
    native = build.compile_direct(failing(families), cached=False)
    memory = Memory(families)
    assert native.function("outer")(memory.table, argument) == result
    assert memory.status.value == status
    assert list(memory.cells[0]) == cells
    assert [check.slug for check in native.checks] == ["too-large"]


def test_direct_code_steps_a_program() -> None:
    """What the search does: its own loop calls step, which is inlined into it."""
    cells = family("F.f", U8, 9)
    threads = [Assembly(f"t{index}") for index in range(2)]
    for index, thread in enumerate(threads):
        thread.store(cells, index + 1, index)
        thread.store(cells, index + 3, 8)
    generated = program([cells], threads)
    a = Assembly("run")
    process, state, spare, memory = (
        a.parameter(U64), *(a.parameter(pointer(U64)) for _ in range(3))
    )  # fmt: skip
    status, again = a.register(U64), a.register(U64)
    a.emit(ir.Call(status, "step", (process, state, spare, memory), a.where()))
    a.emit(ir.Call(again, "step", (process, spare, state, memory), a.where()))
    code = a.result(a.op("or", status, again))
    layout = Layout.of(generated)
    native = build.compile_program(generated, layout, [code], cached=False)
    words = (ctypes.c_uint64 * layout.words)(*layout.pack(interpreter.initial(generated)))
    spare_words = (ctypes.c_uint64 * layout.words)()
    shared = (ctypes.c_uint64 * (context.context_bytes(generated) // 8))()
    run = native.function("run")
    places = [ctypes.addressof(x) for x in (words, spare_words, shared)]
    assert run(0, *places) == context.OK
    assert run(1, *places) == context.OK
    assert run(1, *places) == context.FINISHED
    assert native.threads_done(words) == 1
    assert layout.unpack(list(words)).memory[0] == [1, 2, 0, 0, 0, 0, 0, 0, 4]


def test_without_memory_a_failed_check_ends_the_process() -> None:
    a = Assembly("f")
    x = a.parameter(U8)
    a.check(a.op("ne", x, 0), "division-by-zero")
    code = a.result(a.op("div", const(100), x))
    native = build.compile_direct([code], cached=False)
    assert native.function("f")(7) == 14
    fork = multiprocessing.get_context("fork")

    def quietly() -> None:
        faulthandler.disable()
        native.function("f")(0)

    child = fork.Process(target=quietly)
    child.start()
    child.join()
    assert child.exitcode is not None and child.exitcode < 0
