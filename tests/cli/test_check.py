"""``pagerace check``: verdicts, exit codes, and where the output goes.

The search is replaced by made-up results here; test_commands.py runs the real one.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from pagerace.compiler.diagnostic import CompileError, Diagnostic
from pagerace.report.summary import Summary
from tests.cli.conftest import CommandLine
from tests.report import samples

Results = dict[str, Summary]


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> Results:
    """What a check of each claim says: holds, unless a test changes it."""
    chosen: Results = {}

    def check(protocol: Any, *, claim: str, progress: Any = None, **options: Any) -> Summary:
        holds = Summary(claim=claim, verdict="holds", states=7, seen=9, depth=4)
        summary = chosen.get(claim.rpartition("::")[2], holds)
        return dataclasses.replace(
            summary, claim=claim, expect=protocol.expect.violated or "", title=str(options)
        )

    monkeypatch.setattr("pagerace.api.check", check)
    return chosen


def violated(property: str = "no_lost_update") -> Summary:
    execution = samples.madvise_against_numa()
    assert execution.violation is not None
    violation = dataclasses.replace(execution.violation, property=property)
    execution = dataclasses.replace(execution, violation=violation)
    return Summary(claim="", verdict="violated", execution=execution)


OPEN = Summary(claim="", verdict="inconclusive", reason="stopped at 5 states (--states-max)")


def test_one_claim_holds(pagerace: CommandLine, results: Results, snapshot: object) -> None:
    run = pagerace("check", "counter.py::locked")
    assert (run.code, run.err) == (0, "")
    assert run.out == snapshot


def test_one_claim_is_violated(pagerace: CommandLine, results: Results) -> None:
    results["plain"] = violated()
    run = pagerace("check", "counter.py::plain")
    assert run.code == 1
    assert run.out.startswith("BUG: mapping-survives in ")
    assert run.out.endswith("Expected: violated (no_lost_update).\n")


def test_violated_stands_over_inconclusive(pagerace: CommandLine, results: Results) -> None:
    results["plain"], results["locked"] = violated(), OPEN
    assert pagerace("check", "counter.py").code == 1


def test_inconclusive(pagerace: CommandLine, results: Results) -> None:
    results["locked"] = OPEN
    run = pagerace("check", "counter.py::locked")
    assert run.code == 3
    assert "INCONCLUSIVE: stopped at 5 states (--states-max)" in run.out


def test_interrupted_stops_the_rest(pagerace: CommandLine, results: Results) -> None:
    results["plain"] = dataclasses.replace(OPEN, reason="interrupted")
    run = pagerace("check", "counter.py")
    assert run.code == 3
    assert "locked" not in run.out


def test_all_claims_of_a_file_with_mutants(
    pagerace: CommandLine, results: Results, snapshot: object
) -> None:
    results["plain"] = results["locked[no_flush]"] = violated()
    run = pagerace("check", "counter.py", "--all")
    assert run.code == 0
    assert run.out == snapshot
    assert run.err == "\n3 claims: 3 as expected\n"


def test_all_fails_where_a_verdict_differs(
    pagerace: CommandLine, results: Results, snapshot: object
) -> None:
    results["locked"] = violated()
    run = pagerace("check", "counter.py", "--all")
    assert run.code == 1
    assert run.out == snapshot
    assert run.err == "\n3 claims: 0 as expected, 3 not\n"


def test_all_with_an_open_end(pagerace: CommandLine, results: Results) -> None:
    results["plain"] = results["locked[no_flush]"] = violated()
    results["locked"] = OPEN
    assert pagerace("check", "counter.py", "--all").code == 3


def test_mutant_by_name(pagerace: CommandLine, results: Results) -> None:
    results["locked[no_flush]"] = violated()
    assert pagerace("check", "counter.py::locked[no_flush]").code == 1


def test_quiet(pagerace: CommandLine, results: Results) -> None:
    results["plain"] = violated()
    run = pagerace("check", "counter.py", "-q")
    assert run.out == (
        "counter.py::plain   VIOLATED: no_lost_update\n"
        "counter.py::locked   HOLDS, complete within these bounds\n"
    )
    assert run.err == ""


def test_json(pagerace: CommandLine, results: Results) -> None:
    results["plain"] = violated()
    run = pagerace("check", "counter.py", "--format", "json")
    document = json.loads(run.out)
    assert run.code == 1
    assert document["schema"] == "pagerace-check/1"
    assert [r["verdict"] for r in document["results"]] == ["violated", "holds"]
    assert document["results"][0]["execution"]["schema"] == "pagerace-execution/1"


def test_options_reach_the_search(pagerace: CommandLine, results: Results) -> None:
    run = pagerace(
        *["check", "counter.py::locked", "--format", "json", "--states-max", "5M"],
        *["--depth-max", "1e3", "--memory-max", "4GiB", "--time-max", "30s", "-j", "2"],
        "--no-store",
    )
    assert json.loads(run.out)["results"][0]["title"] == str(
        {
            "states_max": 5_000_000,
            "depth_max": 1000,
            "memory_max": 4 << 30,
            "time_max": 30.0,
            "workers": 2,
        }
    )


def test_output_file(pagerace: CommandLine, results: Results) -> None:
    run = pagerace("check", "counter.py::locked", "-o", "result.txt")
    assert (run.code, run.out, run.err) == (0, "", "")
    assert "HOLDS" in (pagerace.folder / "result.txt").read_text()


def test_output_that_cannot_be_written_is_refused_before_the_search(
    pagerace: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pagerace.api.check", lambda *a, **k: pytest.fail("searched"))
    assert pagerace("check", "counter.py", "-o", "no/such/file").err == (
        "error: cannot write no/such/file: there is no directory no/such\n"
    )
    run = pagerace("check", "counter.py", "-o", ".")
    assert (run.code, run.err) == (2, "error: cannot write .: it is a directory\n")


def test_output_that_fails_at_the_end_is_not_lost(
    pagerace: CommandLine, results: Results
) -> None:
    run = pagerace("check", "counter.py::locked", "-o", "/dev/full")
    assert run.code == 2
    assert "HOLDS" in run.out
    assert run.err == (
        "error: cannot write /dev/full: No space left on device\n"
        "  the result is on stdout instead\n"
    )


def test_output_of_what_was_done_before_an_error(
    pagerace: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(protocol: Any, *, claim: str, **options: Any) -> Summary:
        if claim.endswith("locked"):
            raise ZeroDivisionError
        return Summary(claim=claim, verdict="holds")

    monkeypatch.setattr("pagerace.api.check", check)
    run = pagerace("check", "counter.py", "-o", "result.txt")
    assert run.code == 4
    assert "counter.py::plain   HOLDS" in (pagerace.folder / "result.txt").read_text()


def test_python(pagerace: CommandLine) -> None:
    run = pagerace("check", "counter.py", "--states-max", "5M", "--python")
    assert run.code == 0
    assert run.out == (
        "from pagerace import check\n"
        "from counter import locked, plain\n"
        "\n"
        "print(check(plain, states_max=5000000))\n"
        "print(check(locked, states_max=5000000))\n"
    )


def test_python_of_a_mutant(pagerace: CommandLine) -> None:
    run = pagerace("check", "counter.py::locked[no_flush]", "--python")
    assert run.out.endswith(
        "print(check(locked.replace(edits=locked.edits + locked.mutants['no_flush'].edits, "
        "expect=violates('no_lost_update')), claim='counter.py::locked[no_flush]'))\n"
    )


def test_internal_error(pagerace: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(*arguments: Any, **options: Any) -> Summary:
        raise ZeroDivisionError("states per second")

    monkeypatch.setattr("pagerace.api.check", check)
    run = pagerace("check", "counter.py::plain")
    assert run.code == 4
    assert run.err.startswith(
        "This is a bug in pagerace, not in your protocol.\n\n"
        "  ZeroDivisionError: states per second\n"
    )
    assert "  command: pagerace check counter.py::plain\n" in run.err
    assert "Traceback" not in run.err


def test_development_shows_the_traceback(
    pagerace: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(*arguments: Any, **options: Any) -> Summary:
        raise ZeroDivisionError("states per second")

    monkeypatch.setattr("pagerace.api.check", check)
    monkeypatch.setenv("PAGERACE_DEV", "1")
    assert "Traceback" in pagerace("check", "counter.py::plain").err


def test_ctrl_c_outside_the_search(
    pagerace: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(*arguments: Any, **options: Any) -> Summary:
        raise KeyboardInterrupt

    monkeypatch.setattr("pagerace.api.check", check)
    run = pagerace("check", "counter.py::plain")
    assert (run.code, run.err) == (3, "interrupted\n")


def refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiler refuses the claim ``plain``, and only that."""

    def check(protocol: Any, *, claim: str, **options: Any) -> Summary:
        if claim.endswith("plain"):
            raise CompileError([Diagnostic("type-mismatch", "no", "counter.py", 9, 0, 1)])
        return Summary(claim=claim, verdict="holds")

    monkeypatch.setattr("pagerace.api.check", check)


def test_a_claim_that_is_refused_does_not_keep_the_others_from_being_checked(
    pagerace: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch)
    run = pagerace("check", "counter.py")
    assert run.code == 2
    assert run.out.startswith("counter.py::locked   HOLDS")
    assert run.err.startswith("counter.py:9:1: error: type-mismatch: no\n")


def test_refused_among_all(
    pagerace: CommandLine, monkeypatch: pytest.MonkeyPatch, snapshot: object
) -> None:
    refuse(monkeypatch)
    run = pagerace("check", "--all", "counter.py")
    assert run.code == 2
    assert run.out + run.err == snapshot


def test_refused_in_json(pagerace: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch)
    run = pagerace("check", "counter.py", "--format", "json")
    document = json.loads(run.out)
    assert run.code == 2
    assert [result["claim"] for result in document["results"]] == ["counter.py::locked"]
    assert [error["slug"] for error in document["errors"]] == ["type-mismatch"]


def test_json_of_what_was_done_before_an_error(
    pagerace: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(protocol: Any, *, claim: str, **options: Any) -> Summary:
        if claim.endswith("locked"):
            raise KeyboardInterrupt
        return Summary(claim=claim, verdict="holds")

    monkeypatch.setattr("pagerace.api.check", check)
    run = pagerace("check", "counter.py", "--format", "json")
    assert run.code == 3
    assert len(json.loads(run.out)["results"]) == 1


def test_sometimes_that_is_never_reached_fails_all(
    pagerace: CommandLine, results: Results
) -> None:
    results["locked"] = Summary(claim="", verdict="holds", unreached=("is_full",))
    results["plain"], results["locked[no_flush]"] = violated(), violated()
    run = pagerace("check", "--all", "counter.py")
    assert run.code == 1
    assert "<- never reached: is_full\n" in run.out
    assert run.out.endswith("Expected: holds, and each 'sometimes' is reached.\n")
