"""Kernel Python gives the same as plain Python, in the interpreter and as direct code."""

from __future__ import annotations

import ctypes
import importlib
import inspect
import itertools
import typing
from enum import Enum
from types import ModuleType
from typing import Any

import pytest

from pagerace.compiler.interpreter import run_code
from pagerace.compiler.native import build
from pagerace.compiler.ops import signed_value
from pagerace.compiler.program import compile_direct, compile_function
from pagerace.lang.direct import ptr
from pagerace.lang.integers import u64
from tests.compiler.native.test_direct import Memory as NaturalMemory

from . import corner_samples, language_samples, template_samples

SAMPLES = [
    (module, name)
    for module in (language_samples, corner_samples)
    for name, value in vars(module).items()
    if inspect.isfunction(value) and value.__module__ == module.__name__
]
SAMPLES += [(template_samples, name) for name in template_samples.SAMPLES]
VALUES = [0, 1, 2, 3, 4, 5, 7, 8, 100, 101, 127, 128, 200, 254, 255]


def _arguments(hint: Any) -> list[Any]:
    if issubclass(hint, Enum):
        return list(hint)
    return sorted({int(hint(value)) for value in VALUES})


@pytest.mark.parametrize(("samples", "name"), SAMPLES)
def test_three_executors_agree(samples: ModuleType, name: str) -> None:
    # A fresh module, so that plain Python starts from the memory a check starts from.
    module = importlib.reload(samples)
    function = getattr(module, name)
    hints = typing.get_type_hints(function)
    code, families = compile_function(function)
    memory = [list(family.initial) for family in families]
    codes, cells = compile_direct([function])
    native = build.compile_direct(codes)
    natural = NaturalMemory(cells)
    native_function = native.function(name)
    choices = [
        _arguments(hints[parameter]) for parameter in inspect.signature(function).parameters
    ]
    for arguments in itertools.product(*choices):
        typed = [
            value if isinstance(value, Enum) else hints[p](value)
            for p, value in zip(inspect.signature(function).parameters, arguments, strict=True)
        ]
        expected = function(*typed)
        raw = [
            list(type(value)).index(value) if isinstance(value, Enum)
            else int(value) & ((1 << parameter.type.bits) - 1)
            for value, parameter in zip(arguments, code.parameters, strict=True)
        ]  # fmt: skip
        result = run_code(None, code, memory, raw)
        assert signed_value(code.result, result) == int(expected), (name, arguments)
        table = [natural.table] if native.functions[name].memory else []
        assert native_function(*table, *raw) == result, (name, arguments)
        assert natural.status.value == 0


def next_number(numbers: ptr[u64]) -> u64:
    numbers[0] = numbers[0] + 1
    return numbers[0]


def add_to_next(numbers: ptr[u64], n: u64) -> None:
    numbers[next_number(numbers)] += n


def test_an_element_of_a_pointer_is_found_once_to_add_to_it() -> None:
    codes, _ = compile_direct([add_to_next])
    function = build.compile_direct(codes).function("add_to_next")
    numbers = (ctypes.c_uint64 * 4)(0, 10, 20, 30)
    function(ctypes.addressof(numbers), 5)
    assert list(numbers) == [1, 15, 20, 30]
