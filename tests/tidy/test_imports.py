"""Imports point one way.  docs/ARCHITECTURE.md draws what this file enforces."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.tidy.sources import PACKAGE, Import, imports_of, python_files

AUTHORS = {
    "lang": {"lang"},
    "machine": {"lang", "machine"},
    "mm": {"lang", "machine", "mm"},
    "protocols": {"lang", "machine", "mm", "protocols"},
}
ENGINE = {
    "compiler": {"lang", "compiler"},
    # The search fills in an execution, and explains what is relevant in it; how one looks
    # is not its business.
    "search": {
        "lang", "compiler", "search",
        "report.execution", "report.calls", "report.relevance",
    },
    # Real programs' traces over the same kernel and machine.
    "replay": {"lang", "machine", "mm", "compiler", "replay"},
    # A diagnostic is data too: plain, and of the standard library only.
    "report": {"report", "compiler.diagnostic"},
    # Programs are data of the standard library; only the model side names the kernel.
    "oracle": {"lang", "machine", "mm", "compiler", "oracle"},
}
TOP = {
    "__init__": {"api", "compiler.diagnostic", "lang", "report"},
    "__main__": {"cli"},
    "store": {"report"},
    # Known failures: what a store has, run again.
    "known": {"compiler", "search", "report", "store"},
    "api": {"__version__", "lang", "compiler", "search", "report", "known", "store"},
    "cli": {
        "__version__", "lang", "compiler.diagnostic", "api", "report", "store", "oracle", "cli",
        "replay",
    },
}
LAYERS = AUTHORS | ENGINE | TOP

# The only places that may name a third-party package, and which.
THIRD_PARTY = {
    "compiler/native": {"llvmlite"},
    "cli/doctor.py": {"llvmlite"},  # to tell its version
    "oracle/strategy.py": {"hypothesis"},  # for those who test with it; pagerace[diff]
}


def _layer(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".pyi").removesuffix(".py")


def _package_imports() -> list[Import]:
    files = [path for path in python_files() if path.is_relative_to(PACKAGE)]
    return [found for path in files for found in imports_of(path)]


def _is_allowed(layer: str, module: str) -> bool:
    inside = module.removeprefix("pagerace").lstrip(".")
    return any(inside == edge or inside.startswith(f"{edge}.") for edge in LAYERS[layer])


def test_every_layer_is_known() -> None:
    files = [path for path in python_files() if path.is_relative_to(PACKAGE)]
    assert {_layer(path) for path in files} <= set(LAYERS)


def test_layers_import_only_what_lies_below() -> None:
    wrong = [
        str(found)
        for found in _package_imports()
        if found.module.split(".")[0] == "pagerace"
        and not _is_allowed(_layer(found.file), found.module)
    ]
    assert wrong == []


def test_third_party_packages_stay_in_their_place() -> None:
    wrong = [
        str(found)
        for found in _package_imports()
        if (name := found.module.split(".")[0]) not in {"pagerace", *sys.stdlib_module_names}
        and not any(
            name in packages and found.file.is_relative_to(PACKAGE / place)
            for place, packages in THIRD_PARTY.items()
        )
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("file", "module"),
    [
        ("lang/flow.py", "pagerace.compiler.ir"),
        ("machine/tlb.py", "pagerace.mm.rmap"),
        ("mm/rmap.py", "pagerace.search"),
        ("compiler/ir.py", "pagerace.machine.tlb"),
        ("search/engine.py", "pagerace.report.diagram"),
        ("report/diagram.py", "pagerace.compiler.ir"),
        ("api.py", "pagerace.cli"),
    ],
)
def test_the_rule_itself_refuses(file: str, module: str) -> None:
    assert not _is_allowed(_layer(PACKAGE / file), module)
