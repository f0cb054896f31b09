"""``pagerace mutants``: killed as declared, by something else, not at all, not decided."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import pytest

from pagerace.compiler.diagnostic import CompileError, Diagnostic
from pagerace.report.mutants import Killing, kills
from pagerace.report.properties import Property
from pagerace.report.summary import Summary
from tests.cli.conftest import CommandLine, Run
from tests.report import samples

FLUSHING = '''\
from counter import *


def is_counted() -> bool:
    """T4-S4: nothing is counted twice. Ever."""
    return counter.value <= 2


flushed = locked.replace(
    always=[is_counted],
    mutants={
        name: mutant(drop(increment_atomic, flush), killed_by=killer)
        for name, killer in {
            "no_flush": no_lost_update,
            "no_second_look_at_all": is_counted,
            "use_of_a_free_page": "use-after-free",
        }.items()
    },
)
'''

SURVIVES = Summary(claim="", verdict="holds", states=7_000, seen=9, depth=4)
OPEN = Summary(claim="", verdict="inconclusive", reason="stopped at 5 states (--states-max)")


def killed_by(name: str) -> Summary:
    execution = samples.madvise_against_numa()
    assert execution.violation is not None
    violation = dataclasses.replace(execution.violation, slug=name, property=name)
    return Summary(
        claim="", verdict="violated", states=12, seconds=0.5,
        execution=dataclasses.replace(execution, violation=violation),
    )  # fmt: skip


@pytest.fixture
def results(
    pagerace: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Summary | Exception]:
    """What a check of each mutant says: killed as declared, unless a test changes it."""
    pagerace.write("flushing.py", FLUSHING)
    chosen: dict[str, Summary | Exception] = {}

    def check(protocol: Any, *, claim: str, **options: Any) -> Summary:
        expect = protocol.expect.violated
        result = chosen.get(claim.partition("[")[2].rstrip("]"), killed_by(expect))
        if isinstance(result, Exception):
            raise result
        return dataclasses.replace(result, claim=claim, expect=expect)

    monkeypatch.setattr("pagerace.api.check", check)
    return chosen


Results = dict[str, Summary | Exception]


def said(run: Run) -> str:
    return run.out + run.err


def test_killed_as_declared(pagerace: CommandLine, results: Results, snapshot: object) -> None:
    run = pagerace("mutants", "flushing.py")
    assert said(run) == snapshot
    assert run.code == 0


def test_survivor(pagerace: CommandLine, results: Results, snapshot: object) -> None:
    results["no_flush"] = SURVIVES
    run = pagerace("mutants", "flushing.py")
    assert said(run) == snapshot
    assert run.code == 1


def test_killed_by_something_else(
    pagerace: CommandLine, results: Results, snapshot: object
) -> None:
    results["no_second_look_at_all"] = killed_by("no_lost_update")
    run = pagerace("mutants", "flushing.py::flushed")
    assert said(run) == snapshot
    assert run.code == 1


def test_not_decided(pagerace: CommandLine, results: Results, snapshot: object) -> None:
    results["no_flush"] = OPEN
    run = pagerace("mutants", "flushing.py")
    assert said(run) == snapshot
    assert run.code == 3


def test_a_survivor_stands_over_what_is_not_decided(
    pagerace: CommandLine, results: Results
) -> None:
    results["no_flush"], results["use_of_a_free_page"] = OPEN, SURVIVES
    assert pagerace("mutants", "flushing.py").code == 1


def test_refused(pagerace: CommandLine, results: Results, snapshot: object) -> None:
    results["no_flush"] = CompileError(
        [Diagnostic("unused-edit", "an edit changes nothing", "flushing.py", 5, 0, 1)]
    )
    run = pagerace("mutants", "flushing.py")
    assert said(run) == snapshot
    assert run.code == 2


def test_interrupted(pagerace: CommandLine, results: Results) -> None:
    results["no_flush"] = dataclasses.replace(OPEN, reason="interrupted")
    run = pagerace("mutants", "flushing.py")
    assert run.code == 3
    assert "use_of_a_free_page" not in run.out
    assert "cannot fail" not in run.out  # nobody knows


def test_one_mutant(pagerace: CommandLine, results: Results) -> None:
    run = pagerace("mutants", "flushing.py::flushed[no_flush]")
    assert run.code == 0
    assert re.findall(r"^  (\w+)", run.out, re.M) == ["no_flush"]


def test_quiet(pagerace: CommandLine, results: Results) -> None:
    assert pagerace("mutants", "flushing.py", "-q").err == ""


def test_json(pagerace: CommandLine, results: Results) -> None:
    results["no_flush"] = SURVIVES
    document = json.loads(pagerace("mutants", "flushing.py", "--format", "json").out)
    assert document["schema"] == "pagerace-mutants/1"
    first, second, _ = document["mutants"]
    assert (first["mutant"], first["found"], first["killed_as_declared"]) == (
        "no_flush", "", False,
    )  # fmt: skip
    assert (second["found"], second["steps"]) == ("is_counted", 4)
    counts = {p["name"]: p["mutants_killed"] for p in document["properties"]}
    assert counts == {"is_counted": 1, "no_lost_update": 0}


def test_for_real(pagerace: CommandLine) -> None:
    source = (pagerace.folder / "counter.py").read_text()
    run = pagerace("mutants", "counter.py")
    assert run.code == 1
    assert "\n  no_flush  nothing: it SURVIVES " in run.out
    assert run.err == "\n1 mutant: 0 killed as declared, 1 survived; 1 property kills none\n"
    source = source.replace("counter.value += 1\n        flush()", "flush()")
    source = source.replace("counter.value = counter.value", "counter.value += 1")
    run = pagerace("mutants", pagerace.write("lively.py", source))
    assert run.code == 0
    assert re.search(r"^  no_flush  no_lost_update +\d+ +\d+ ", run.out, re.M)
    assert run.err == "\n1 mutant: 1 killed as declared\n"


def test_properties_of_one_name_in_two_files_are_two() -> None:
    here = Property("sees_no_half", "always", "T4-S10: here", "a")
    there = Property("sees_no_half", "always", "T4-S10: there", "b")
    killing = Killing("a.py::x", "m", "sees_no_half", killed_by("sees_no_half"), [here])
    assert kills([here, there], [killing], ()) == {here: 1, there: 0}
