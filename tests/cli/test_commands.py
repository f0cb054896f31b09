"""Every command as a user runs it, and what all of them have in common."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import pagerace as package
from pagerace.cli.command_line import COMMANDS
from pagerace.cli.terminal import Terminal, paint
from tests.cli.conftest import CommandLine
from tests.report import samples

HELP_SECONDS_MAX = 0.15


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help(command: str, pagerace: CommandLine, snapshot: object) -> None:
    run = pagerace(*([command] if command else []), "--help")
    assert (run.code, run.err) == (0, "")
    assert all(len(line) <= 80 for line in run.out.splitlines())
    assert run.out == snapshot


def test_no_command(pagerace: CommandLine) -> None:
    run = pagerace()
    assert (run.code, run.out) == (2, "")
    assert run.err == pagerace("--help").out


def test_version(pagerace: CommandLine) -> None:
    assert pagerace("--version").out == f"pagerace {package.__version__}\n"


@pytest.mark.parametrize("command", list(COMMANDS))
def test_short_options_are_few(command: str, pagerace: CommandLine) -> None:
    import re

    short = set(re.findall(r"(?<![\w-])-\w\b", pagerace(command, "--help").out))
    assert short <= {"-v", "-q", "-o", "-j"}


def run_process(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    source = str(Path(package.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": source, **options.pop("env", {})}
    return subprocess.run(
        [sys.executable, "-m", "pagerace", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        **options,
    )


def test_help_does_not_wait_for_llvm() -> None:
    durations: list[float] = []
    for _ in range(5):
        start = time.perf_counter()
        assert run_process("--help").returncode == 0
        durations.append(time.perf_counter() - start)
    assert min(durations) < HELP_SECONDS_MAX


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, pagerace.cli as c\nc.main(['check', '--help'])\n"
        "heavy = {'llvmlite', 'inspect', 'pagerace.search', 'pagerace.compiler.program'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    source = str(Path(package.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": source},
    )
    assert "llvmlite" not in done.stderr and "pagerace.search" not in done.stderr


def test_list(pagerace: CommandLine, snapshot: object) -> None:
    run = pagerace("list", "counter.py")
    assert (run.code, run.err) == (0, "")
    assert run.out == snapshot


def test_list_json(pagerace: CommandLine) -> None:
    claims = json.loads(pagerace("list", "counter.py", "--format", "json").out)
    assert [c["claim"] for c in claims][2] == "counter.py::locked[no_flush]"
    assert claims[2]["mutant"] is True


def test_points(pagerace: CommandLine, snapshot: object) -> None:
    run = pagerace("points", "counter.py")
    assert (run.code, run.err) == (0, "")
    assert run.out == snapshot


def test_points_of_one_claim(pagerace: CommandLine) -> None:
    out = pagerace("points", "counter.py::plain").out
    assert out.endswith("1 line with a point in 1 file\n")


def test_rule(pagerace: CommandLine) -> None:
    run = pagerace("rule", "bit-store")
    assert run.code == 0
    assert run.out.startswith("# bit-store: a bit of a bit struct is stored alone\n")


def test_show_of_a_saved_execution(pagerace: CommandLine) -> None:
    execution = samples.madvise_against_numa()
    pagerace.write("race.json", execution.to_json())
    assert pagerace("show", "race.json").out.startswith("    CPU0     ")
    assert pagerace("show", "race.json", "--format", "comment").out.startswith("/*\n * mapping")
    assert json.loads(pagerace("show", "race.json", "--format", "json").out) == json.loads(
        execution.to_json()
    )


def test_show_of_a_saved_check(pagerace: CommandLine) -> None:
    document = {
        "schema": "pagerace-check/1",
        "results": [
            {"claim": "a", "execution": None},
            {"claim": "b", "execution": samples.deadlock().to_document()},
        ],
    }
    pagerace.write("check.json", json.dumps(document))
    assert "*** DEADLOCK ***" in pagerace("show", "check.json").out


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"schema": "pagerace-check/1", "results": []}']
)
def test_show_of_something_else(text: str, pagerace: CommandLine, snapshot: object) -> None:
    run = pagerace("show", pagerace.write("race.json", text))
    assert (run.code, run.out) == (2, "")
    assert run.err == snapshot


def test_broken_pipe_is_quiet(tmp_path: Path) -> None:
    source = str(Path(package.__file__).parents[1])
    done = subprocess.run(
        f"{sys.executable} -m pagerace rule | head -1",
        shell=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": source},
    )
    assert done.stdout == "What a protocol file is refused for:\n"
    assert done.stderr == ""


def test_closed_reader_is_quiet() -> None:
    source = str(Path(package.__file__).parents[1])
    done = subprocess.run(
        f"{sys.executable} -m pagerace rule | true",
        shell=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": source},
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_ascii_only_terminal(pagerace: CommandLine) -> None:
    done = run_process("rule", "bit-store", env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0 and done.stdout.isascii()


class FakeTerminal:
    """A stream that says that it is a terminal."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return True


def screen_of(monkeypatch: pytest.MonkeyPatch) -> FakeTerminal:
    fake = FakeTerminal()
    monkeypatch.setattr(sys, "stdout", fake)
    monkeypatch.setattr(sys, "stderr", fake)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return fake


def test_colour_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = screen_of(monkeypatch)
    Terminal().out("x   HOLDS, complete")
    assert screen.text == "x   \033[1m\033[32mHOLDS\033[0m, complete\n"


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = screen_of(monkeypatch)
    monkeypatch.setenv("NO_COLOR", "1")
    Terminal().out("x   HOLDS, complete")
    assert screen.text == "x   HOLDS, complete\n"


def test_progress_line_only_after_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = screen_of(monkeypatch)
    terminal = Terminal()
    terminal.progress("1,000 states", 0.5)
    assert screen.text == ""
    terminal.progress("5,000 states", 1.5)
    assert screen.text.startswith("\r5,000 states")
    terminal.out("done")
    assert screen.text.endswith("\rdone\n")


def test_no_progress_line_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().progress("5,000 states", 9.0)
    assert capsys.readouterr() == ("", "")


def test_paint_keeps_the_text() -> None:
    import re

    text = "BUG: leak in f()\n    x\n    ^ y\n*** DEADLOCK ***\nWhy: z"
    assert re.sub("\033\\[\\d+m", "", paint(text)) == text
    assert paint("").count("\033") == 0
