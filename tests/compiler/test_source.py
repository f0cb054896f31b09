"""A file that is edited between its import and its compilation, as under a long run."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from pagerace.compiler.diagnostic import CompileError
from pagerace.compiler.source import function_tree

SOURCE = """\
def first() -> None:
    pass


def second() -> None:
    pass
"""


def imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("edited", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "edited",
    [
        pytest.param("\n" + SOURCE, id="moved by a line"),
        pytest.param(SOURCE.replace("second", "other"), id="another function stands there"),
        pytest.param(SOURCE[: SOURCE.index("def second")], id="gone"),
    ],
)
def test_a_function_that_is_not_where_it_was_is_refused(tmp_path: Path, edited: str) -> None:
    path = tmp_path / "edited.py"
    path.write_text(SOURCE)
    module = imported(path)
    path.write_text(edited)
    with pytest.raises(CompileError) as refused:
        function_tree(module.second)
    (diagnostic,) = refused.value.diagnostics
    assert diagnostic.slug == "no-source"
    assert diagnostic.message == "second() is not where it was when its file was imported"
    assert diagnostic.help == "edited.py has been edited meanwhile: run this again"


def test_a_function_that_stands_where_it_was_is_found(tmp_path: Path) -> None:
    path = tmp_path / "edited.py"
    path.write_text(SOURCE)
    module = imported(path)
    assert function_tree(module.second).name == "second"
