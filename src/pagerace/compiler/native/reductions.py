"""Native code of ``chosen`` and ``canonicalise``: see ``compiler/reductions.py``."""

from __future__ import annotations

from pagerace.compiler.layout import Layout
from pagerace.compiler.native.text import Builder, Module
from pagerace.compiler.reductions import Reductions


def emit(module: Module, layout: Layout, reductions: Reductions) -> None:
    """Append both.  Where there is no reduction they do nothing, and are not called."""
    _emit_chosen(module, layout, reductions)
    _emit_canonicalise(module, layout, reductions)


def _emit_chosen(module: Module, layout: Layout, reductions: Reductions) -> None:
    b = Builder()
    b.label("entry")
    b.line("ret i64 -1")
    module.function("i64 @chosen(ptr readonly %source) noinline nounwind", b)


def _emit_canonicalise(module: Module, layout: Layout, reductions: Reductions) -> None:
    b = Builder()
    b.label("entry")
    b.line("ret void")
    module.function(
        "void @canonicalise(ptr noalias %state, ptr noalias %spare) noinline nounwind", b
    )
