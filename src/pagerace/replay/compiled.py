"""The functions of ``scanning``, ready to be called: native, or as plain Python."""

from __future__ import annotations

import ctypes
import functools
import hashlib
from collections.abc import Callable, MutableSequence
from pathlib import Path
from typing import Any

from pagerace.compiler import ir
from pagerace.lang.direct import ptr
from pagerace.replay import scanning

ENTRIES = (scanning.scan_lackey, scanning.scan_entries, scanning.scan_champsim)

Scan = Callable[[int, int], int]


class Scanner:
    """One function of ``scanning`` over a buffer of text, with memory for its records."""

    def __init__(self, function: Callable[..., int], text: bytearray, room: int) -> None:
        """``text`` must keep its size.  Native code is used where there is LLVM."""
        self.records = memoryview(bytearray(room * 8)).cast("Q")
        self.control = memoryview(bytearray(scanning.CONTROL_WORDS * 8)).cast("Q")
        self.control[scanning.ROOM] = room
        native = native_functions()
        if native is None:
            self._function: Callable[..., int] = function
            self._memory: tuple[Any, ...] = (
                ptr(text), ptr(_plain(self.records)), ptr(_plain(self.control))
            )  # fmt: skip
        else:
            self._function = native[function.__name__]
            self._memory = (address(text), address(self.records), address(self.control))

    def __call__(self, start: int, end: int) -> int:
        """Scan ``text[start:end]``; returns how far it came."""
        text, records, control = self._memory
        return int(self._function(text, start, end, records, control))

    def take(self) -> memoryview:
        """The records so far; the next call starts afresh."""
        count = self.control[scanning.FILL]
        self.control[scanning.FILL] = 0
        return self.records[:count]


def _plain(memory: memoryview) -> MutableSequence[int]:
    return memory  # pyright: ignore  # it has all that a ptr uses


def address(memory: bytearray | memoryview) -> int:
    """Where writable memory begins; its owner must keep it."""
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


@functools.cache
def native_functions() -> dict[str, Callable[..., int]] | None:
    """The functions of ``ENTRIES`` as machine code; None where LLVM cannot be had."""
    from pagerace.compiler.native import build

    functions = {entry.__name__: _signature(entry) for entry in ENTRIES}
    try:
        native = build.load_ready(
            build.make_ready(_codes, functions, "loops", *functions, _sources())
        )
    except build.NativeUnavailable:
        return None
    return {name: native.function(name) for name in functions}


def _codes() -> list[ir.Code]:
    from pagerace.compiler.program import compile_direct

    return compile_direct(ENTRIES)[0]


def _signature(entry: Callable[..., Any]) -> Any:
    from pagerace.compiler.native.direct import Function

    hints = dict(entry.__annotations__)
    del hints["return"]
    pointer = ir.Scalar(64, kind="ptr", element=ir.U64)
    parameters = tuple(pointer if "ptr" in str(hint) else ir.U64 for hint in hints.values())
    return Function(entry.__name__, parameters, ir.U64, False)


def _sources() -> str:
    """A hash of all source files on which the machine code can depend."""
    package = Path(scanning.__file__).parents[1]
    digest = hashlib.sha256(Path(scanning.__file__).read_bytes())
    for folder in ("compiler", "compiler/native", "lang"):
        for file in sorted((package / folder).glob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()
