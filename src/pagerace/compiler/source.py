"""From a function to its syntax tree, with the edits of a mutant made in it."""

from __future__ import annotations

import ast
import copy
import functools
import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pagerace.compiler.diagnostic import CompileError, Diagnostic
from pagerace.lang.protocol import Edit, Function


@functools.lru_cache(maxsize=256)
def parse_file(path: str, stamp: float) -> tuple[ast.Module, dict[int, ast.FunctionDef]]:
    """The tree of a file and its functions by line; ``stamp`` renews an edited file."""
    tree = ast.parse(Path(path).read_text(encoding="utf-8"), path)
    functions = {
        node.lineno if not node.decorator_list else node.decorator_list[0].lineno: node
        for node in _definitions(tree)
    }
    return tree, functions


def _definitions(node: ast.AST) -> Iterator[ast.FunctionDef]:
    """The functions inside, at any depth; no expression holds one."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef):
            yield child
        if not isinstance(child, ast.expr):
            yield from _definitions(child)


def stamp_of(path: str) -> float:
    """What changes when a file is edited.  Raises OSError."""
    return Path(path).stat().st_mtime


def function_tree(function: Function) -> ast.FunctionDef:
    """The definition of ``function``.  Raises CompileError where there is no source."""
    code = function.__code__
    if code.co_flags & inspect.CO_COROUTINE:
        raise _refused(
            function,
            "unsupported-statement",
            f"{function.__qualname__}() is async: no point is written",
            "write a plain `def`",
            len("async"),
        )
    path = code.co_filename
    try:
        _, functions = parse_file(path, stamp_of(path))
    except (OSError, SyntaxError):
        raise _no_source(function) from None
    tree = functions.get(code.co_firstlineno)
    if code.co_name == "<lambda>":
        raise _no_source(function)
    # Another function stands in that line now: what runs would not be what was asked about.
    if tree is None or tree.name != code.co_name:
        raise _refused(
            function,
            "no-source",
            f"{function.__qualname__}() is not where it was when its file was imported",
            f"{Path(path).name} has been edited meanwhile: run this again",
        )
    return tree


def _no_source(function: Function) -> CompileError:
    return _refused(
        function,
        "no-source",
        f"the source of {function.__qualname__}() cannot be read",
        "kernel Python is a function made by `def` in a file",
    )


def _refused(
    function: Function, slug: str, message: str, help: str, width: int = 1
) -> CompileError:
    code = function.__code__
    place = (code.co_filename, code.co_firstlineno, 0, width)
    return CompileError([Diagnostic(slug, message, *place, help=help)])


def resolve_name(name: ast.expr, scope: dict[str, Any]) -> Any:
    """The global that ``name`` or ``module.name`` stands for, or None."""
    if isinstance(name, ast.Name):
        return scope.get(name.id)
    if isinstance(name, ast.Attribute):
        return getattr(resolve_name(name.value, scope), name.attr, None)
    return None


def calls(node: ast.AST, function: Function, resolve: Callable[[ast.expr], Any]) -> bool:
    """Does a statement call ``function``, itself or in a nested expression?"""
    return any(
        isinstance(part, ast.Call) and resolve(part.func) is function for part in ast.walk(node)
    )


@functools.lru_cache(maxsize=4096)
def stores(tree: ast.AST) -> Counter[str]:
    """How often each name is assigned to inside a tree that changes no more."""
    return Counter(
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )


class Edits:
    """The edits of one protocol, made in the trees of the functions they name."""

    def __init__(self, edits: tuple[Edit, ...]) -> None:
        self.edits = edits
        self.applied: set[int] = set()
        self._trees: dict[Function, ast.FunctionDef] = {}

    def tree(self, function: Function) -> ast.FunctionDef:
        """The tree of ``function`` with its edits made."""
        if function not in self._trees:
            tree = function_tree(function)
            mine = [(i, e) for i, e in enumerate(self.edits) if e.inside is function]
            if mine:
                tree = copy.deepcopy(tree)
            for number, edit in mine:
                if self._apply(edit, tree, function):
                    self.applied.add(number)
            self._trees[function] = tree
        return self._trees[function]

    def unused(self) -> list[Edit]:
        """Edits that changed nothing: such a mutant would prove nothing."""
        return [edit for i, edit in enumerate(self.edits) if i not in self.applied]

    def _apply(self, edit: Edit, tree: ast.FunctionDef, function: Function) -> bool:
        def resolve(name: ast.expr) -> Any:
            return resolve_name(name, function.__globals__)

        if edit.kind == "force":
            force = _Force(edit.condition, edit.value)
            force.visit(tree)
            return force.done
        done = False
        dropped = _dropped(edit, tree, resolve)
        for body in _bodies(tree):
            if edit.kind == "drop":
                kept = [s for s in body if s not in dropped]
                done = done or len(kept) != len(body)
                body[:] = kept or [ast.copy_location(ast.Pass(), body[0])]
            elif edit.kind == "swap" and edit.first and edit.second:
                first = [i for i, s in enumerate(body) if calls(s, edit.first, resolve)]
                second = [i for i, s in enumerate(body) if calls(s, edit.second, resolve)]
                if first and second and first[0] != second[0]:
                    i, j = first[0], second[0]
                    body[i], body[j] = body[j], body[i]
                    done = True
        return done


def _dropped(
    edit: Edit, tree: ast.FunctionDef, resolve: Callable[[ast.expr], Any]
) -> list[ast.stmt]:
    """The statements that a ``drop`` leaves out."""
    if edit.kind != "drop" or edit.first is None:
        return []
    found = [s for body in _bodies(tree) for s in body if _is_call(s, edit.first, resolve)]
    found.sort(key=lambda statement: statement.lineno)
    return found if edit.which is None else found[edit.which : edit.which + 1]


def _is_call(node: ast.stmt, function: Function, resolve: Callable[[ast.expr], Any]) -> bool:
    """Is it a statement of its own that calls ``function``?"""
    return isinstance(node, (ast.Expr, ast.Assign)) and calls(node, function, resolve)


def _bodies(tree: ast.AST) -> list[list[ast.stmt]]:
    found: list[list[ast.stmt]] = []
    for node in ast.walk(tree):
        for name in ("body", "orelse"):
            body = getattr(node, name, None)
            if isinstance(body, list) and body and isinstance(body[0], ast.stmt):
                found.append(body)  # pyright: ignore
    return found


class _Force(ast.NodeTransformer):
    """Replace each expression that is spelled like ``condition`` by a constant."""

    def __init__(self, condition: str, value: bool) -> None:
        self.spelling = ast.unparse(ast.parse(condition, mode="eval").body)
        self.value, self.done = value, False

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.expr) and ast.unparse(node) == self.spelling:
            self.done = True
            return ast.copy_location(ast.Constant(self.value), node)
        return self.generic_visit(node)


CALL_WIDTH_MAX = 40  # of a call in a diagram; a longer one is named without arguments


@functools.lru_cache(maxsize=4096)
def call_as_written(node: ast.Call, function: Function) -> str:
    """``spin_lock(pmd.ptl)``: what a diagram calls this call."""
    parts = [*map(ast.unparse, node.args)]
    parts += [f"{keyword.arg}={ast.unparse(keyword.value)}" for keyword in node.keywords]
    text = f"{function.__name__}({', '.join(parts)})"
    # A brace would be taken for a place where a value goes.
    return text if len(text) <= CALL_WIDTH_MAX and "{" not in text else function.__name__
