"""Documents whose code and output are executed.

In a document of ours

* a block ``python file=NAME`` is added to the end of that file, which is empty at first;
* a block ``python file=NAME replaces=X Y`` takes the place of the top-level X in it, and
  removes Y;
* a block ``console`` has commands after ``$ `` and, below each, what it prints;
* a block ``console needs=diff`` is one too, where the running kernel can be a judge.

Times, dates and the name of the kernel vary, so they compare equal.  With
PAGERACE_UPDATE_DOCS=1 in the environment the outputs in the document are replaced by those of
today.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from pagerace.oracle.permitted import permitted

UPDATE = os.environ.get("PAGERACE_UPDATE_DOCS") == "1"

_FENCE = re.compile(
    r"^```(?P<info>[a-z]+[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Session:
    """One command of a console block, with the output that the document shows."""

    command: str
    shown: str


def execute(document: Path, folder: Path) -> list[tuple[Session, str]]:
    """Run a document in ``folder``; each command with what it really printed."""
    found: list[tuple[Session, str]] = []
    for fence in _FENCE.finditer(document.read_text(encoding="utf-8")):
        language, _, rest = fence["info"].partition(" ")
        if language == "python" and rest:
            _write(folder, rest, fence["body"])
        elif language == "console" and _has(rest):
            found += [(s, _run(s.command, folder)) for s in sessions(fence["body"])]
    if UPDATE:
        _update(document, found)
    return found


def _has(needs: str) -> bool:
    """Is what a block needs here?"""
    assert needs in ("", "needs=diff"), f"unknown options of a block: {needs}"
    return not needs or not permitted().refused.keys() & {"processes", "pagemap", "smaps"}


def sessions(body: str) -> list[Session]:
    """The commands of a console block."""
    parts = re.split(r"^\$ (.*)\n", body, flags=re.MULTILINE)
    assert parts[0] == "", f"output without a command: {parts[0]!r}"
    return [Session(*pair) for pair in zip(parts[1::2], parts[2::2], strict=True)]


def comparable(output: str) -> str:
    """The output without what differs from run to run."""
    output = re.sub(r" +\d+(\.\d+)? ?s\b", " N s", output)
    output = re.sub(r"\bLinux \d\S+, x86_64, (?:not )?root\b", "LINUX", output)
    return re.sub(r"\b\d{4}-\d\d-\d\d\b", "DATE", output).rstrip() + "\n"


def _write(folder: Path, options: str, body: str) -> None:
    match = re.fullmatch(r"file=(\S+)(?: replaces=(.+))?", options)
    assert match, f"unknown options of a block: {options}"
    path = folder / match[1]
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if match[2]:
        text = _replace(text, match[2].split(), body)
    else:
        text += ("\n\n" if text else "") + body
    path.write_text(text, encoding="utf-8")


def _replace(text: str, names: list[str], body: str) -> str:
    """``text`` with ``body`` for the first of the top-level names, without the others."""
    spans = {name: span for node in ast.parse(text).body for name, span in _named(node)}
    lines = text.splitlines(keepends=True)
    wanted = sorted(((spans[name], name) for name in names), reverse=True)
    for (first, last), name in wanted:
        lines[first - 1 : last] = [body] if name == names[0] else []
    return "".join(lines)


def _named(node: ast.stmt) -> list[tuple[str, tuple[int, int]]]:
    span = (node.lineno, node.end_lineno or node.lineno)
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [(node.name, span)]
    if isinstance(node, ast.ImportFrom):
        return [("import", span)]
    if isinstance(node, ast.Assign):
        return [(t.id, span) for t in node.targets if isinstance(t, ast.Name)]
    return []


def _run(command: str, folder: Path) -> str:
    """The output of a command line, as in a pipe: plain ASCII and no colour."""
    shell = f'python() {{ "{sys.executable}" "$@"; }}\n' + "".join(
        f'{name}() {{ "{sys.executable}" -m {name} "$@"; }}\n'
        for name in ("pagerace", "pytest")
    )
    path = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, path))}
    if "pagerace" not in entry_points(group="pytest11").names:
        environment["PYTEST_PLUGINS"] = "_pagerace_pytest"  # it runs from the source
    done = subprocess.run(
        ["bash", "-c", shell + command], cwd=folder, env=environment, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done.stdout


def _update(document: Path, found: list[tuple[Session, str]]) -> None:
    results = iter(found)

    def rewritten(fence: re.Match[str]) -> str:
        language, _, rest = fence["info"].partition(" ")
        if language != "console" or not _has(rest):
            return fence[0]
        body = ""
        for session in sessions(fence["body"]):
            _, output = next(results)
            same = comparable(output) == comparable(session.shown)
            body += f"$ {session.command}\n" + (session.shown if same else output)
        return f"```{fence['info']}\n{body}```"

    text = document.read_text(encoding="utf-8")
    document.write_text(_FENCE.sub(rewritten, text), encoding="utf-8")
