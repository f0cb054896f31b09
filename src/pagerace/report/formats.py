"""One execution in the forms that people paste: commit, comment, markdown, JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

from pagerace.report import verdict
from pagerace.report.diagram import COMMENT, COMMIT, diagram
from pagerace.report.execution import Execution


def render(execution: Execution, name: str, *, verbose: bool = False) -> str:
    """The execution in the format ``name``, which must be one of ``FORMATS``."""
    return FORMATS[name](execution, verbose)


def commit(execution: Execution, verbose: bool = False) -> str:
    """An indented block for a commit message: 75 columns, plain ASCII."""
    return diagram(execution, COMMIT, verbose=verbose)


def comment(execution: Execution, verbose: bool = False) -> str:
    """A comment for C source, set with tabs as in mm/huge_memory.c."""
    cause = _cause(execution)
    lines = ["/*"]
    lines += _in_comment(cause)
    lines += [" *", diagram(execution, COMMENT, verbose=verbose)]
    if execution.why:
        lines.append(" *")
        lines += _in_comment(" ".join(execution.why))
    lines.append(" */")
    return "\n".join(lines)


def _in_comment(words: str) -> list[str]:
    """``words`` as lines of a comment; names and paths are never broken."""
    wrapped = textwrap.wrap(words, 77, break_long_words=False, break_on_hyphens=False)
    return [f" * {line}" for line in wrapped]


def markdown(execution: Execution, verbose: bool = False) -> str:
    """For an issue or a web page: the diagram in a fence."""
    lines = [f"**{_cause(execution)}**", ""]
    if execution.violation:
        place = verdict.place(execution.violation).rstrip(": ")
        where = f"`{place}`: " if place else ""
        lines += [where + verdict.sentence(execution.violation), ""]
    lines += ["```", diagram(execution, COMMIT, verbose=verbose), "```", ""]
    if execution.why:
        lines += [" ".join(execution.why), ""]
    search = " ".join(line.strip() for line in verdict.search_lines(execution))
    lines.append(f"- {search}")
    if command := verdict.replay_command(execution):
        lines.append(f"- Replay: `{command}`")
    return "\n".join(lines)


def document(execution: Execution, verbose: bool = False) -> str:
    """The JSON document itself."""
    return execution.to_json()


def _cause(execution: Execution) -> str:
    if execution.violation is None:
        return f"An execution of {execution.protocol.name}"
    return verdict.cause(execution.violation).removeprefix("BUG: ")


FORMATS: dict[str, Callable[[Execution, bool], str]] = {
    "commit": commit,
    "comment": comment,
    "markdown": markdown,
    "json": document,
}
