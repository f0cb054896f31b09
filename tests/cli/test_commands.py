"""Every command as a user runs it, and what all of them have in common."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
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


BIG = """\
from pagerace.lang import Array, Struct, array, protocol, thread, u8, u16


class State(Struct):
    a: Array[u16] = array(4)


state = State()


def run(i: u8) -> None:
    n: u16 = 0
    while n < 2000:
        state.a[i] += 1
        n += 1


def small() -> bool:
    return state.a[0] < 5000


big = protocol(threads=[thread(run, i) for i in range(4)], always=[small])
"""


def test_check_shows_the_race(pagerace: CommandLine) -> None:
    run = pagerace("check", "counter.py::plain")
    assert (run.code, run.err) == (1, "")
    lines = run.out.splitlines()
    assert lines[0] == "BUG: no-lost-update in increment()"
    assert lines[1] == "counter.py:27:1: property 'no_lost_update' is violated"
    assert lines[3] == "    CPU0                                 CPU1"
    assert "Replay: pagerace reproduce counter.py::plain --schedule 0:1,1:2,0:1" in lines
    assert lines[-1] == "Expected: violated (no_lost_update)."


def test_check_of_a_claim_that_holds(pagerace: CommandLine) -> None:
    run = pagerace("check", "counter.py::locked")
    assert (run.code, run.err) == (0, "")
    assert run.out.startswith(
        "counter.py::locked   HOLDS, complete within these bounds\n"
        "  bounds   2 CPUs, switches unbounded, order sc\n"
    )


def test_what_check_prints_can_be_reproduced(pagerace: CommandLine) -> None:
    schedule = ["--schedule", "0:1,1:2,0:1"]
    shown = pagerace("show", "counter.py::plain").out
    run = pagerace("reproduce", "counter.py::plain", *schedule, "--format", "commit")
    assert (run.code, run.out) == (1, shown)


def test_reproduce_what_passes(pagerace: CommandLine, snapshot: object) -> None:
    run = pagerace("reproduce", "counter.py::plain", "--schedule", "0:2,1:2")
    assert run.code == 0
    assert run.out == snapshot


@pytest.mark.parametrize("schedule", ["3:1", "0:9", "0:1?3", "0", "0:0"])
def test_schedule_that_does_not_fit(
    schedule: str, pagerace: CommandLine, snapshot: object
) -> None:
    run = pagerace("reproduce", "counter.py::plain", "--schedule", schedule)
    assert (run.code, run.out) == (2, "")
    assert run.err == snapshot


def test_show_of_a_claim_that_holds(pagerace: CommandLine) -> None:
    run = pagerace("show", "counter.py::locked")
    assert (run.code, run.out) == (2, "")
    assert run.err.endswith("There is no execution to show.\n")


def test_saved_and_shown(pagerace: CommandLine) -> None:
    assert pagerace("show", "counter.py::plain", "--format", "json", "-o", "x.json").code == 0
    assert pagerace("show", "x.json").out == pagerace("show", "counter.py::plain").out


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("--states-max", "1000", "(--states-max)"),
        ("--depth-max", "9", "stopped at depth 9 (--depth-max)"),
        ("--time-max", "100ms", "stopped after 0.1 s (--time-max)"),
    ],
)
def test_bounds(option: str, value: str, reason: str, pagerace: CommandLine) -> None:
    run = pagerace("check", pagerace.write("big.py", BIG), option, value)
    assert run.code == 3
    assert run.out.startswith("big.py::big   INCONCLUSIVE: stopped ")
    assert reason in run.out.splitlines()[0]


def test_script_of_python_does_the_same(pagerace: CommandLine) -> None:
    script = pagerace("check", "counter.py::plain", "--python").out
    pagerace.write("script.py", script)
    source = str(Path(package.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "script.py"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": source},
    )
    assert done.stderr == ""
    assert done.stdout.startswith("BUG: no-lost-update in increment()\ncounter.py:27:1: ")


def test_ctrl_c_ends_in_a_partial_result(pagerace: CommandLine) -> None:
    pagerace.write("big.py", BIG)
    source = str(Path(package.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-m", "pagerace", "check", "big.py", "--time-max", "60s"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": source},
    )
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (3, "")
    assert out.startswith("big.py::big   INCONCLUSIVE: interrupted\n")


def test_doctor(pagerace: CommandLine) -> None:
    run = pagerace("doctor")
    assert run.code == 0
    assert "check     a lost update is found, " in run.out


def test_list_of_built_ins(pagerace: CommandLine) -> None:
    run = pagerace("list")
    assert run.code == 0
    assert re.search(r"^t4_lost_write::v6_0 +violated no_lost_write ", run.out, re.MULTILINE)


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
    text = "BUG: leak in f()\n    x\n    ^ y\n*** DEADLOCK ***\nWhy: z"
    assert re.sub("\033\\[\\d+m", "", paint(text)) == text
    assert paint("").count("\033") == 0


@pytest.mark.parametrize(
    ("where", "words"),
    [(">/dev/full", "No space left on device"), (">&-", "it is closed")],
)
def test_stdout_that_takes_nothing(where: str, words: str) -> None:
    source = str(Path(package.__file__).parents[1])
    done = subprocess.run(
        f"{sys.executable} -m pagerace rule {where}",
        shell=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": source},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: cannot write to stdout: {words}\n"


def test_violation_at_the_start_can_be_reproduced(pagerace: CommandLine) -> None:
    source = (pagerace.folder / "counter.py").read_text()
    pagerace.write("start.py", source.replace("at_end=[no_lost", "always=[no_lost"))
    out = pagerace("check", "start.py::plain").out
    assert "\n    (no step)\n" in out
    command = out.partition("Replay: pagerace ")[2].splitlines()[0]
    run = pagerace(*shlex.split(command))
    assert run.code == 1
    assert run.out.startswith("BUG: no-lost-update\n")
