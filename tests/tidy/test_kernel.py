"""A kernel function stands once, in mm/ or machine/: whoever runs it runs that one."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.tidy.sources import PACKAGE, python_files, tree_of

KERNEL = (PACKAGE / "mm", PACKAGE / "machine")


def _functions(path: Path) -> Iterator[ast.FunctionDef]:
    """The functions of a module, without methods: a kernel function is no method."""
    yield from (node for node in tree_of(path).body if isinstance(node, ast.FunctionDef))


def _is_of_kernel(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in KERNEL)


def _kernel_names() -> dict[str, list[Path]]:
    """The names that the kernel gave: the docstring begins with it, as in "munmap(): ..."."""
    found: dict[str, list[Path]] = defaultdict(list)
    for path in python_files():
        if _is_of_kernel(path):
            for function in _functions(path):
                if (ast.get_docstring(function) or "").startswith(f"{function.name}()"):
                    found[function.name].append(path)
    return found


def test_kernel_functions_are_found_at_all() -> None:
    assert {"zap_pte_range", "handle_mm_fault", "tlb_flush_rmaps"} <= set(_kernel_names())
    assert len(_kernel_names()) > 200


def test_a_kernel_function_stands_once() -> None:
    assert {n: paths for n, paths in _kernel_names().items() if len(paths) > 1} == {}


def test_nobody_else_has_a_kernel_function_of_that_name() -> None:
    names = _kernel_names()
    twice = [
        f"{path.relative_to(PACKAGE)}:{function.lineno}: {function.name}()"
        for path in python_files()
        if path.is_relative_to(PACKAGE) and not _is_of_kernel(path)
        for function in _functions(path)
        if function.name in names
    ]
    assert twice == []
