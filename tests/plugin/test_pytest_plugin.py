"""The pytest plugin as a user of pytest meets it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import _pagerace_pytest as plugin
import pagerace.api
import pagerace.known  # stay loaded: pytester forgets what is imported in it
import pagerace.search
from pagerace.report.summary import Summary
from tests.cli.conftest import COUNTER
from tests.tidy.sources import ROOT

pytest_plugins = ["pytester"]

LIVELY = COUNTER.replace("counter.value += 1\n        flush()", "flush()").replace(
    "counter.value = counter.value", "counter.value += 1"
)
UNEXPECTED = LIVELY.replace("    expect=violates(no_lost_update),\n", "", 1)


class Project:
    """A folder in which pytest runs in this process, with this plugin and no other."""

    plugin = ("-p", "_pagerace_pytest", "-W", "ignore::pytest.PytestAssertRewriteWarning")

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester

    def __call__(self, *arguments: str) -> pytest.RunResult:
        return self.pytester.runpytest(*self.plugin, *arguments)

    def write(self, name: str, source: str) -> None:
        path = self.pytester.path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.setattr("pagerace.store.today", lambda: "2026-11-21")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    for name in ("CI", "BUILD_NUMBER"):  # pytest shortens nothing where one of them is set
        monkeypatch.delenv(name, raising=False)
    paths = [str(ROOT / "src"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setattr(sys, "path", [*sys.path])
    known = set(sys.modules)
    project = Project(pytester)
    project.write("counter_protocol.py", LIVELY)
    project.write("pyproject.toml", "")
    yield project
    for name in set(sys.modules) - known:
        if not name.startswith("pagerace"):
            del sys.modules[name]


def report(result: pytest.RunResult) -> str:
    """What pytest says of failures, without times and paths."""
    lines = result.outlines
    first = next((i for i, li in enumerate(lines) if li.startswith("=== ") or "==== F" in li
                  or "==== E" in li), 0)  # fmt: skip
    text = re.sub(r" +\d+(\.\d+)? s\b", " N s", "\n".join(lines[first:]))
    return re.sub(r" in \d+\.\d+s.*", " in N s", text)


def ids(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if "::" in line]


def test_claims_and_mutants_are_tests(project: Project) -> None:
    result = project("--pagerace", "--collect-only", "-q")
    assert ids(result) == [
        "counter_protocol.py::plain",
        "counter_protocol.py::locked",
        "counter_protocol.py::locked[no_flush]",
    ]


def test_all_as_expected(project: Project) -> None:
    result = project("--pagerace")
    assert result.ret == 0
    result.assert_outcomes(passed=3)


def test_nothing_is_collected_unasked(project: Project) -> None:
    assert project().ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_file_on_the_command_line(project: Project) -> None:
    project.write("numa.py", LIVELY)
    project("numa.py").assert_outcomes(passed=3)
    project("numa.py::locked[no_flush]").assert_outcomes(passed=1)


def test_file_that_is_given_and_named_is_collected_once(project: Project) -> None:
    project("--pagerace", "counter_protocol.py").assert_outcomes(passed=3)


def test_file_on_the_command_line_that_is_not_about_pagerace(project: Project) -> None:
    project.write("plain.py", "def test_it():\n    pass\n")
    project("plain.py").assert_outcomes(passed=1)


def test_file_of_tests_stays_one(project: Project) -> None:
    project.write("test_x.py", "import pagerace\n\ndef test_it():\n    pass\n")
    project("test_x.py").assert_outcomes(passed=1)
    project("--pagerace", "test_x.py").assert_outcomes(passed=1)


def test_files_that_the_configuration_names(project: Project) -> None:
    project.write("pyproject.toml", '[tool.pytest]\npagerace_files = ["claims/*.py"]\n')
    project.write("claims/numa.py", LIVELY)
    result = project("--collect-only", "-q")
    assert [name.partition("::")[0] for name in ids(result)] == ["claims/numa.py"] * 3


def test_named_file_without_a_claim(project: Project) -> None:
    project.write("redis_protocol.py", "x = 1\n")
    project("--pagerace").assert_outcomes(passed=3)


def test_unexpected_violation(project: Project, snapshot: object) -> None:
    project.write("counter_protocol.py", UNEXPECTED)
    result = project("--pagerace")
    result.assert_outcomes(passed=2, failed=1)
    assert report(result) == snapshot


def test_known_failure(project: Project) -> None:
    project.write("counter_protocol.py", UNEXPECTED)
    project("--pagerace", "-k", "plain")
    result = project("--pagerace", "-k", "plain")
    result.stdout.fnmatch_lines(["Known: failure of 2026-11-21, replayed; nothing has *"])
    result.stdout.fnmatch_lines(["*(--pagerace-no-store searches).", "Expected: holds.*"])
    result = project("--pagerace", "-k", "plain", "--pagerace-no-store")
    result.stdout.no_fnmatch_line("Known:*")
    assert (project.pytester.path / ".pagerace").is_dir()
    project("--pagerace", "-k", "plain", "--pagerace-store", "there")
    assert (project.pytester.path / "there").is_dir()


def test_known_failure_that_passes_now_is_said_where_another_fails(project: Project) -> None:
    project.write("counter_protocol.py", UNEXPECTED)
    project("--pagerace", "-k", "plain")
    source = UNEXPECTED.replace("counter.value += 1", "flush()\n    counter.value += 0", 1)
    sys.modules.pop("counter_protocol", None)
    project.write("counter_protocol.py", source)
    result = project("--pagerace", "-k", "plain")
    result.stdout.fnmatch_lines(
        ["counter_protocol.py::plain: known failure (no_lost_update, found *"]
    )


def test_inconclusive_fails_with_its_bound(project: Project) -> None:
    result = project("--pagerace", "-k", "plain", "--pagerace-depth-max", "1")
    result.assert_outcomes(failed=1, deselected=2)
    result.stdout.fnmatch_lines(
        [
            "INCONCLUSIVE: stopped at depth 1 (--pagerace-depth-max) "
            "(expected: violated no_lost_update)",
            "*= short test summary info =*",
            "FAILED counter_protocol.py::plain - INCONCLUSIVE: stopped at depth 1 *",
        ]
    )


def test_sometimes_that_is_never_reached(project: Project) -> None:
    source = LIVELY + "\n\ndef huge() -> bool:\n    return counter.value > 5\n"
    source += "\n\nidle = locked.replace(sometimes=[huge], mutants={})\n"
    project.write("counter_protocol.py", source)
    result = project("--pagerace", "-k", "idle")
    result.stdout.fnmatch_lines(["never reached: huge (expected: holds)"])


def test_mistake_in_a_claim(project: Project, snapshot: object) -> None:
    source = LIVELY.replace("counter.value += 1", "counter.valeu += 1")
    project.write("counter_protocol.py", source)
    result = project("--pagerace", "-k", "plain")
    result.assert_outcomes(failed=1, deselected=2)
    assert report(result) == snapshot


@pytest.mark.parametrize("given", [["--pagerace"], ["broken_protocol.py"]])
def test_file_that_cannot_be_imported(
    given: list[str], project: Project, snapshot: object
) -> None:
    project.write("broken_protocol.py", "from pagerace.lang import protocoll\n")
    result = project(*given)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert report(result) == snapshot


def test_bug_in_pagerace_has_a_traceback(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(*arguments: Any, **options: Any) -> Summary:
        raise ZeroDivisionError("states per second")

    monkeypatch.setattr(pagerace.api, "check", check)
    result = project("--pagerace", "-k", "plain")
    result.stdout.fnmatch_lines(["E*ZeroDivisionError: states per second"])


def test_choice_of_tests(project: Project) -> None:
    project("--pagerace", "-k", "no_flush").assert_outcomes(passed=1, deselected=2)
    project("--pagerace", "-m", "not pagerace_mutant").assert_outcomes(passed=2, deselected=1)
    project("--pagerace", "-m", "pagerace", "--strict-markers").assert_outcomes(passed=3)


def test_stop_at_the_first(project: Project) -> None:
    project.write("counter_protocol.py", UNEXPECTED)
    project("--pagerace", "-x").assert_outcomes(failed=1)


def test_verbose_names_each_claim(project: Project) -> None:
    result = project("--pagerace", "-v")
    result.stdout.fnmatch_lines(["counter_protocol.py::locked[[]no_flush[]] PASSED *"])


def test_interrupted(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(*arguments: Any, **options: Any) -> Summary:
        return Summary(claim="", verdict="inconclusive", reason="interrupted")

    monkeypatch.setattr(pagerace.api, "check", check)
    arguments = [*project.plugin, "--pagerace"]
    result = project.pytester.runpytest_inprocess(*arguments, no_reraise_ctrlc=True)
    assert result.ret == pytest.ExitCode.INTERRUPTED


def test_bounds_reach_the_search(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []

    def check(protocol: Any, *, claim: str, store: Any, **options: Any) -> Summary:
        seen.append(options)
        return Summary(claim=claim, verdict="holds")

    monkeypatch.setattr(pagerace.api, "check", check)
    monkeypatch.delenv("PYTEST_XDIST_WORKER_COUNT", raising=False)
    options = ["--pagerace-states-max=5M", "--pagerace-depth-max=9", "--pagerace-workers=1"]
    options += ["--pagerace-memory-max=1GiB", "--pagerace-time-max=2min"]
    project("--pagerace", *options)
    assert seen[0] == {
        "states_max": 5_000_000, "depth_max": 9, "memory_max": 1 << 30,
        "time_max": 120.0, "workers": 1,
    }  # fmt: skip
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "64")
    project("--pagerace")
    assert seen[-1]["workers"] == 1
    assert seen[-1]["memory_max"] < pagerace.search.bounds.Memory(None).bytes / 8


def test_number_that_is_none(project: Project) -> None:
    result = project("--pagerace", "--pagerace-states-max", "many")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*argument --pagerace-states-max: 'many' is not a number such as 50_000_000, *"]
    )


@pytest.mark.parametrize(
    ("schedule", "source", "line"),
    [
        ("0:1,1:2,0:1", UNEXPECTED, "VIOLATED: no_lost_update (expected: holds)"),
        ("0:2,1:2", LIVELY, "this interleaving violates nothing (expected: violated *)"),
        ("0:9", LIVELY, "the schedule does not fit: step 3 (0): the process has returned, *"),
    ],
)
def test_reproduce(schedule: str, source: str, line: str, project: Project) -> None:
    project.write("counter_protocol.py", source)
    result = project("counter_protocol.py::plain", "--pagerace-reproduce", schedule)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([line])


def test_reproduce_as_expected(project: Project) -> None:
    arguments = ["counter_protocol.py::plain", "--pagerace-reproduce", "0:1,1:2,0:1"]
    project(*arguments).assert_outcomes(passed=1)
    arguments = ["counter_protocol.py::locked", "--pagerace-reproduce", "0:1,1:1"]
    project(*arguments).assert_outcomes(passed=1, deselected=1)
    arguments[0] += "[no_flush]"  # in which both increments are left out
    project(*arguments).assert_outcomes(passed=1)


def test_reproduce_of_several(project: Project) -> None:
    result = project("--pagerace", "--pagerace-reproduce", "0:1")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*--pagerace-reproduce is for one claim, and 3 are selected; name it: *"]
    )


def test_over_several_processes(project: Project) -> None:
    pytest.importorskip("xdist")
    project.write("counter_protocol.py", UNEXPECTED)
    result = project.pytester.runpytest_subprocess(
        *project.plugin, "-p", "xdist", "--pagerace", "-n", "2"
    )
    result.assert_outcomes(failed=1, passed=2)
    result.stdout.fnmatch_lines(["VIOLATED: no_lost_update (expected: holds)"])
    result.stdout.fnmatch_lines(["BUG: no-lost-update in increment()"])


def test_plugin_is_light() -> None:
    """pytest loads it in every project; neither pagerace nor LLVM may come with it."""
    code = (
        "import sys, _pagerace_pytest\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'pagerace', 'llvmlite'}))"
    )
    path = str(Path(plugin.__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_collection_needs_no_llvm(project: Project) -> None:
    result = project.pytester.runpytest_subprocess(
        *project.plugin, "--pagerace", "--collect-only", "-q", "-p", "no_llvm"
    )
    assert result.ret != 0  # the plugin below is not there yet
    project.write(
        "no_llvm.py",
        "import sys\n\n\ndef pytest_unconfigure():\n    assert 'llvmlite' not in sys.modules\n",
    )
    result = project.pytester.runpytest_subprocess(
        *project.plugin, "--pagerace", "--collect-only", "-q", "-p", "no_llvm"
    )
    assert result.ret == 0 and len(ids(result)) == 3


def test_plugin_is_installed_with_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["pytest11"] == {"pagerace": "_pagerace_pytest"}
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert f"src/{plugin.__name__}.py" in wheel["only-include"]


def test_help(project: Project, snapshot: object) -> None:
    lines = project("--help").outlines
    first = next(i for i, line in enumerate(lines) if line.startswith("pagerace: claims"))
    last = next(i for i in range(first, len(lines)) if not lines[i])
    assert "\n".join(lines[first:last]) == snapshot
