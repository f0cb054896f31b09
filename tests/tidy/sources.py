"""The Python files of this repository, and what each of them imports."""

from __future__ import annotations

import ast
import functools
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "pagerace"
FOLDERS = ("src", "tests", "bench")


@dataclass(frozen=True)
class Import:
    """``module`` as an absolute name; ``file`` and ``line`` say who imports it."""

    module: str
    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line}: imports {self.module}"


@functools.cache
def python_files() -> tuple[Path, ...]:
    """Every Python file of ours, stubs too, in a stable order; not those of tests/bad."""
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py*")]
    files = [p for p in found if p.suffix in (".py", ".pyi")]
    return tuple(sorted(p for p in files if ROOT / "tests" / "bad" not in p.parents))


@functools.cache
def text_files() -> tuple[Path, ...]:
    """Every file of ours that people read: source, documents, configuration."""
    folders = [".ci", "docs", *FOLDERS]
    found = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    kinds = {"", ".ambr", ".json", ".md", ".pml", ".py", ".pyi", ".toml", ".txt"}
    files = [p for p in found if p.is_file() and p.suffix in kinds]
    files += [ROOT / "README.md", ROOT / "pyproject.toml"]
    return tuple(sorted(p for p in files if "__pycache__" not in p.parts))


@functools.cache
def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports_of(path: Path) -> list[Import]:
    """All imports of a file of the package, also those inside functions."""
    found: list[Import] = []
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, path, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(path, node)
            if base == "pagerace" or _is_folder(base):
                # `from pagerace.compiler import points` names a module, not an object.
                found += [
                    Import(f"{base}.{alias.name}", path, node.lineno) for alias in node.names
                ]
            else:
                found.append(Import(base, path, node.lineno))
    return found


def _absolute(path: Path, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = path.relative_to(PACKAGE.parent).parts[: -node.level]
    return ".".join([*package, node.module or ""]).rstrip(".")


def _is_folder(module: str) -> bool:
    parts = module.split(".")
    return parts[0] == "pagerace" and (PACKAGE.parent.joinpath(*parts)).is_dir()
