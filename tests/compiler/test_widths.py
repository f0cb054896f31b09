"""Types whose width the bound parameters say, in all that runs kernel Python."""

from __future__ import annotations

import importlib
import inspect
import itertools
import typing
from pathlib import Path
from typing import Any

import pytest

from pagerace.compiler.diagnostic import CompileError, Diagnostic
from pagerace.compiler.interpreter import initial, run_code
from pagerace.compiler.layout import Layout
from pagerace.compiler.native import build
from pagerace.compiler.program import compile_direct, compile_function, compile_protocol
from pagerace.lang import protocol, thread
from pagerace.lang.integers import u8, u64
from pagerace.lang.structures import bound
from pagerace.lang.widths import WidthError
from pagerace.search.checker import check
from tests.compiler.native.test_direct import Memory as NaturalMemory

from . import width_samples

NAMES = [
    name
    for name, value in vars(width_samples).items()
    if inspect.isfunction(value) and value.__module__ == width_samples.__name__
]
VALUES = [0, 1, 2, 3, 7, 31, 32, 255, 1 << 40, (1 << 64) - 1]


@pytest.mark.parametrize(
    ("bits", "huge"), [(0, True), (3, False), (5, True), (33, False), (61, True)]
)
@pytest.mark.parametrize("name", NAMES)
def test_three_executors_agree(name: str, bits: int, huge: bool) -> None:
    module: Any = importlib.reload(width_samples)
    function = getattr(module, name)
    with bound(module.Widths(bits=bits, huge=huge)):
        hints = typing.get_type_hints(function)
        code, families = compile_function(function)
        memory = [list(family.initial) for family in families]
        codes, cells = compile_direct([function])
        native = build.compile_direct(codes)
        natural = NaturalMemory(cells)
        run = native.function(name)
        kinds = [u64 if hints[p] is bool else hints[p] for p in hints if p != "return"]
        given = [
            sorted({int(kind(v)) for v in VALUES} if hint is not bool else {0, 1})
            for kind, hint in zip(kinds, list(hints.values()), strict=False)
        ]
        for arguments in itertools.product(*given):
            typed = [kind(value) for kind, value in zip(kinds, arguments, strict=True)]
            expected = int(function(*typed))
            result = run_code(None, code, memory, list(arguments))
            assert result == expected, (name, arguments)
            table = [natural.table] if native.functions[name].memory else []
            assert run(*table, *arguments) == expected, (name, arguments)


def test_an_instance_wraps_to_the_width_that_is_bound() -> None:
    word = width_samples.word_t
    assert word(33) == 1
    with bound(width_samples.Widths(bits=6)):
        assert word(33) == 33
        assert word(63) + 1 == 0
        assert u8(255) + word(1) == 0
        with bound(width_samples.Widths(bits=0)):
            assert word(33) == 0
    assert word(33) == 1


def store_twice() -> None:
    width_samples.thing.value = 1
    width_samples.thing.huge = True
    width_samples.thing.value = width_samples.word_t(2)


def is_never_two() -> bool:
    return width_samples.thing.value != 2 and not width_samples.thing.huge


def _claim(**widths: Any) -> Any:
    return protocol(
        title="widths", threads=[thread(store_twice, cpu=0)], always=[is_never_two],
        config=[width_samples.Widths(**widths)],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("bits", "huge", "state_bits", "points", "verdict"),
    [(0, False, 0, 0, "holds"), (1, False, 1, 2, "holds"), (2, False, 2, 2, "violated"),
     (0, True, 1, 1, "violated")],
)  # fmt: skip
def test_a_state_is_as_wide_as_the_types(
    bits: int, huge: bool, state_bits: int, points: int, verdict: str
) -> None:
    claim = _claim(bits=bits, huge=huge)
    program = compile_protocol(claim)
    assert len(program.processes[0].points) == points
    written = [f for f in program.families if f.written]
    assert sum(f.type.bits * f.count for f in written) == state_bits
    assert Layout(program).unpack(Layout(program).pack(initial(program))) == initial(program)
    assert check(program).verdict == verdict


def test_that_a_width_was_read_is_no_bound_of_a_verdict() -> None:
    assert compile_protocol(_claim(bits=4)).bounds == compile_protocol(_claim(bits=5)).bounds


def _line(found: Diagnostic) -> str:
    return Path(found.file).read_text().splitlines()[found.line - 1]


@pytest.mark.parametrize("bits", [65, -1, "4"])
def test_a_wrong_width_is_refused(bits: Any) -> None:
    says = f"word_t cannot have {bits!r} bits, as Widths.bits says: 0 to 64 can be"
    with pytest.raises(CompileError) as raised:
        compile_protocol(_claim(bits=bits))
    found = raised.value.diagnostics[0]
    assert (found.slug, found.message) == ("unknown-type", f"Thing.value: {says}")
    assert _line(found) == "    value: word_t"
    with bound(width_samples.Widths(bits=bits)), pytest.raises(WidthError) as plain:
        width_samples.word_t(1)
    assert str(plain.value) == says


def identity(a: width_samples.word_t) -> None:
    pass


def test_a_wrong_width_of_a_parameter_is_refused_at_its_place() -> None:
    claim = protocol(
        title="one", threads=[thread(identity, 1, cpu=0)],
        config=[width_samples.Widths(bits=70)],
    )  # fmt: skip
    with pytest.raises(CompileError) as raised:
        compile_protocol(claim)
    found = raised.value.diagnostics[0]
    assert found.message == "word_t cannot have 70 bits, as Widths.bits says: 0 to 64 can be"
    assert _line(found).startswith("def identity(a")
