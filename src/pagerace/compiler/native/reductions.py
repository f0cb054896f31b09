"""Native code of ``chosen`` and ``canonicalise``: see ``compiler/reductions.py``."""

from __future__ import annotations

from pagerace.compiler.independence import Independence
from pagerace.compiler.layout import Layout
from pagerace.compiler.native import cells, symmetry
from pagerace.compiler.native.text import I64, Builder, Module, Value
from pagerace.compiler.native.words import word_address
from pagerace.compiler.reductions import EVERY, Reductions


def emit(module: Module, layout: Layout, reductions: Reductions) -> None:
    """Append both.  Where there is no reduction they do nothing, and are not called."""
    _emit_chosen(module, layout, reductions)
    symmetry.emit(module, reductions.groups, layout.words)


def _emit_chosen(module: Module, layout: Layout, reductions: Reductions) -> None:
    b = Builder()
    b.label("entry")
    if reductions.partial is None:
        b.line("ret i64 -1")
    else:
        _choose(module, b, layout, reductions.partial)
    module.function("i64 @chosen(ptr readonly %source) noinline nounwind", b)


def _choose(module: Module, b: Builder, layout: Layout, found: Independence) -> None:
    """Of the classes that no process forbids the lowest; its process, else all."""
    bits = next(bits for bits in (8, 16, 32, 64) if len(found.owners) <= bits)
    allowed = I64((1 << bits) - 1)
    words: dict[int, Value] = {}
    for row, slot in zip(found.table, layout.pc, strict=True):
        if slot.word not in words:
            words[slot.word] = b.load(I64, word_address(b, "%source", slot.word))
        number = b.resize(cells.extract(b, words[slot.word], slot), I64)
        if number.constant is not None:
            allowed = b.and_(allowed, I64(row[number.constant]))
            continue
        table = module.table(bits, tuple(row))
        allowed = b.and_(allowed, b.load(I64, b.element(bits, table, number), bits))
    owners = found.owners + [EVERY] * (65 - len(found.owners))  # the last for none
    module.declare("llvm.cttz.i64", "i64 @llvm.cttz.i64(i64, i1)")
    lowest = b.value(I64, f"call i64 @llvm.cttz.i64(i64 {allowed.text}, i1 false)")
    alone = b.load(I64, b.element(64, module.table(64, tuple(owners)), lowest))
    b.line(f"ret i64 {alone.text}")
