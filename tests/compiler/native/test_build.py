"""Building: without LLVM, from several threads, and what a context holds."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import threading

import pytest

from pagerace.compiler import interpreter
from pagerace.compiler.layout import Layout
from pagerace.compiler.native import NativeUnavailable, build, context
from tests.assembly import Assembly, family, program


def test_without_llvmlite_there_is_a_clear_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    with pytest.raises(NativeUnavailable, match="llvmlite cannot be loaded"):
        build.compile_direct([])


def test_importing_the_package_does_not_import_llvm() -> None:
    script = (
        "import sys, pagerace.compiler.native as native; native.context_bytes; "
        "assert not [name for name in sys.modules if name.startswith('llvmlite')]"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_context_has_a_byte_for_each_block_and_fills_cache_lines() -> None:
    cells = family("F.f")
    threads = [Assembly(f"t{index}") for index in range(3)]
    for thread in threads:
        thread.store(cells, 1)
        thread.store(cells, 2)
    generated = program([cells], threads)
    assert [len(process.code.blocks) for process in generated.processes] == [2, 2, 2]
    assert context.block_base(generated) == [0, 2, 4]
    assert context.context_bytes(generated) == 768 + 64


def test_threads_of_the_search_share_nothing() -> None:
    """Each walks its own way through the same code, many times."""
    cells = family("F.f", count=3)
    steppers = [Assembly(f"t{index}") for index in range(3)]
    for index, a in enumerate(steppers):
        a.store(cells, a.op("add", a.choose(200), index), index)
    generated = program([cells], steppers)
    layout = Layout.of(generated)
    native = build.compile_program(generated, layout, cached=False)
    initial = layout.pack(interpreter.initial(generated))
    wrong: list[str] = []

    def work(seed: int) -> None:
        memory = (ctypes.c_uint64 * (context.context_bytes(generated) // 8))()
        for turn in range(300):
            source = (ctypes.c_uint64 * layout.words)(*initial)
            target = (ctypes.c_uint64 * layout.words)()
            for process in range(3):
                digit = (seed * 31 + turn + process) % 200
                memory[context.GIVEN], memory[context.CHOICES] = 1, digit
                while native.threads_done(source) == 0:
                    if native.step(process, source, target, memory) != context.OK:
                        break
                    source, target = target, source
            expected = [(seed * 31 + turn + p) % 200 + p for p in range(3)]
            if layout.unpack(list(source)).memory[0] != expected:
                wrong.append(f"{seed} {turn}")

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
