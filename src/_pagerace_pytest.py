"""The pytest plugin: each claim of a protocol file is a test, and each mutant another.

    pytest --pagerace               # protocol files (ini: pagerace_files) beside the tests
    pytest numa_protocol.py         # the claims of one file

It is a module of its own so that pytest starts without importing pagerace, which it does
in every project of an environment that has it.  It must stay so light.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pagerace.cli.load import Target
    from pagerace.report.summary import Summary
    from pagerace.store import Store

FILES = ("protocol_*.py", "*_protocol.py")
# Option -> (kind of number, metavar, help), as `pagerace check` has them.
BOUNDS = {
    "states-max": ("count", "N", "unique states: 50_000_000, 5M, 1e6"),
    "depth-max": ("count", "N", "steps from the start"),
    "memory-max": ("size", "SIZE", "memory for states: 4GiB (default: 75%% of free)"),
    "time-max": ("seconds", "TIME", "wall time of each claim: 30s, 5min"),
    "workers": ("count", "N", "threads that search (default: all cores)"),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options as those of ``pagerace check``, with a prefix."""
    group = parser.getgroup("pagerace", "pagerace: claims of protocol files as tests")
    group.addoption(
        "--pagerace",
        action="store_true",
        help=f"collect protocol files: those that pagerace_files names, or {' '.join(FILES)}",
    )
    for name, (kind, metavar, words) in BOUNDS.items():
        group.addoption(f"--pagerace-{name}", type=_number(kind), metavar=metavar, help=words)
    group.addoption(
        "--pagerace-reproduce",
        metavar="SCHEDULE",
        help="run this interleaving of the one claim that is selected, instead of all",
    )
    group.addoption("--pagerace-store", metavar="DIR", help="keep known failures in DIR")
    group.addoption(
        "--pagerace-no-store", action="store_true", help="search afresh, and keep nothing"
    )
    parser.addini(
        "pagerace_files", "globs of protocol files, whose claims are tests", "args", []
    )


def _number(kind: str) -> Callable[[str], float]:
    def parse(text: str) -> float:
        from pagerace.cli import arguments

        return getattr(arguments, kind)(text)

    parse.__name__ = kind
    return parse


def pytest_configure(config: pytest.Config) -> None:
    """Marks, so that ``-m "not pagerace_mutant"`` leaves the mutants out."""
    config.addinivalue_line("markers", "pagerace: a claim of a protocol file")
    config.addinivalue_line("markers", "pagerace_mutant: a mutant, which must be killed")


# -- which files ----------------------------------------------------------------------


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ProtocolFile | None:
    """A file that a pattern names."""
    if _is_named(file_path, parent) and not _is_given(file_path, parent):
        return ProtocolFile.from_parent(parent, path=file_path)
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makemodule(
    module_path: Path, parent: pytest.Collector
) -> ProtocolFile | None:
    """A file on the command line: not a module of tests, though pytest would take it so."""
    if _is_given(module_path, parent):
        return ProtocolFile.from_parent(parent, path=module_path)
    return None


def _is_named(path: Path, parent: pytest.Collector) -> bool:
    patterns = list(parent.config.getini("pagerace_files"))
    if not patterns and parent.config.getoption("--pagerace"):
        patterns = list(FILES)
    return path.suffix == ".py" and any(_matches(path, p, parent.config) for p in patterns)


def _is_given(path: Path, parent: pytest.Collector) -> bool:
    """Is it on the command line, no file of tests, and about pagerace at all?"""
    if path.suffix != ".py" or not parent.session.isinitpath(path):
        return False
    if any(_matches(path, p, parent.config) for p in parent.config.getini("python_files")):
        return False
    if parent.config.getoption("--pagerace") or _is_named(path, parent):
        return True
    try:
        return b"pagerace" in path.read_bytes()
    except OSError:
        return False


def _matches(path: Path, pattern: str, config: pytest.Config) -> bool:
    if "/" not in pattern:
        return fnmatch.fnmatch(path.name, pattern)
    try:
        return fnmatch.fnmatch(path.relative_to(config.rootpath).as_posix(), pattern)
    except ValueError:  # outside the project
        return False


# -- claims ---------------------------------------------------------------------------


class ProtocolFile(pytest.File):
    """A protocol file; its claims and their mutants are the tests in it."""

    def collect(self) -> Iterator[Claim]:
        from pagerace.cli.load import NoClaim, targets_of

        try:
            targets = targets_of([os.path.relpath(self.path)], mutants=True)
        except NoClaim:
            return
        for target in targets:
            yield Claim.from_parent(self, name=target.address.partition("::")[2], target=target)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> Any:
        """What is wrong with the file, at its line."""
        return _refusal(excinfo.value) or super().repr_failure(excinfo)


class ClaimFailed(Exception):
    """The verdict is not the expected one."""


class Claim(pytest.Item):
    """One claim, or one mutant of it."""

    def __init__(self, *, target: Target, **options: Any) -> None:
        super().__init__(**options)
        self.target = target
        self.add_marker("pagerace")
        if target.mutant:
            self.add_marker("pagerace_mutant")

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where the claim is in its file."""
        return self.path, max(self.target.protocol.line - 1, 0), self.name

    def runtest(self) -> None:
        """Search the claim, or run the one interleaving that is asked for."""
        schedule: str | None = self.config.getoption("--pagerace-reproduce")
        notes: list[str] = []
        summary = self._check(notes) if schedule is None else self._reproduce(schedule)
        if summary.reason == "interrupted":
            raise KeyboardInterrupt
        if summary.as_expected or (schedule is not None and _passes(summary)):
            return
        from pagerace.report import verdict

        text = verdict.text(summary, verbose=bool(self.config.getoption("verbose")))
        self.add_report_section("call", "pagerace", _prefixed("\n".join([*notes, text])))
        expected = f"violated {summary.expect}" if summary.expect else "holds"
        found = _prefixed(verdict.headline(summary))
        if summary.verdict == "holds" and summary.unreached:
            found = f"never reached: {', '.join(summary.unreached)}"
        elif schedule is not None and summary.verdict == "holds":
            found = "this interleaving violates nothing"
        raise ClaimFailed(f"{found} (expected: {expected})")

    def _check(self, notes: list[str]) -> Summary:
        from pagerace.api import check

        def note(text: str, important: bool) -> None:
            if important:
                notes.append(text)

        target = self.target
        return check(
            target.protocol,
            claim=target.address,
            store=_store(self.config, note),
            **_bounds(self.config),
        )

    def _reproduce(self, schedule: str) -> Summary:
        from pagerace.api import ScheduleError, reproduce
        from pagerace.report.summary import Summary

        target = self.target
        try:
            execution = reproduce(target.protocol, schedule, claim=target.address)
        except ScheduleError as error:
            raise ClaimFailed(f"the schedule does not fit: {error}") from None
        return Summary(
            claim=target.address,
            verdict="violated" if execution.violation else "holds",
            expect=target.protocol.expect.violated or "",
            execution=execution,
        )

    def repr_failure(
        self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None
    ) -> Any:
        """One line, which the section "pagerace" explains; a code frame for a mistake."""
        error = excinfo.value
        if isinstance(error, ClaimFailed):
            return _Line(str(error), self)
        if refusal := _refusal(error):
            return _Line(refusal, self)
        return super().repr_failure(excinfo, style)


class _Line:
    """A failure in words, which the summary at the end of a run repeats."""

    def __init__(self, text: str, item: Claim) -> None:
        from _pytest._code.code import ReprFileLocation

        path, line, _ = item.reportinfo()
        self.text = text
        self.reprcrash = ReprFileLocation(str(path), line + 1, text.splitlines()[0])

    def __str__(self) -> str:
        return self.text

    def toterminal(self, writer: Any) -> None:
        """What pytest calls to print it."""
        writer.line(self.text, red=True)


def _refusal(error: BaseException) -> str:
    """The mistakes in a protocol file as code frames; "" for anything else."""
    from pagerace.cli.errors import UsageError
    from pagerace.compiler.diagnostic import CompileError

    if isinstance(error, CompileError):
        from pagerace.report.diagnostics import frames

        return frames(error.diagnostics)
    return str(error) if isinstance(error, UsageError) else ""


def _passes(summary: Summary) -> bool:
    return summary.verdict == "holds" and not summary.expect


def _prefixed(text: str) -> str:
    """``text`` with the options as pytest takes them."""
    for name in (*BOUNDS, "no-store"):
        text = text.replace(f"(--{name}", f"(--pagerace-{name}")
    return text


# -- options --------------------------------------------------------------------------


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """One schedule is of one claim; FILE::CLAIM selects its mutants, too."""
    if config.getoption("--pagerace-reproduce") is None:
        return
    selected = [item for item in items if isinstance(item, Claim)]
    claims = [item for item in selected if not item.target.mutant]
    if len(claims) == 1:
        config.hook.pytest_deselected(items=[i for i in selected if i is not claims[0]])
        items[:] = [i for i in items if i is claims[0] or i not in selected]
    elif len(selected) != 1:
        raise pytest.UsageError(
            f"--pagerace-reproduce is for one claim, and {len(selected)} are selected; "
            "name it: pytest FILE::CLAIM"
        )


def _bounds(config: pytest.Config) -> dict[str, Any]:
    """The bounds of each search; processes of xdist share the machine."""
    names = {name: f"--pagerace-{name}" for name in BOUNDS}
    given = {name: config.getoption(option) for name, option in names.items()}
    others = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if others > 1:
        from pagerace.search import bounds

        if given["workers"] is None:
            given["workers"] = max(1, bounds.cores() // others)
        if given["memory-max"] is None:
            share = bounds.Memory(None).bytes // others
            given["memory-max"] = share + bounds.resident_bytes()
    return {name.replace("-", "_"): n for name, n in given.items() if n is not None}


def _store(config: pytest.Config, note: Callable[[str, bool], object]) -> Store | None:
    from pagerace.store import Store

    if config.getoption("--pagerace-no-store"):
        return None
    if folder := config.getoption("--pagerace-store"):
        return Store(Path(folder), note=note)
    return Store.of_project(note, start=config.rootpath)
