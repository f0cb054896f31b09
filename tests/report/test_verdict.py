"""Verdicts in words: every message that a check can print."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import pytest

from pagerace.report import formats, verdict, words
from pagerace.report.execution import Violation
from pagerace.report.summary import Summary
from tests.report import samples

HOLDS = Summary(
    claim="numa.py::dontneed_vs_numa",
    verdict="holds",
    bounds={"CPUs": "2", "pmd": "1", "switches": "unbounded", "order": "sc"},
    states=48212,
    seen=131870,
    depth=61,
    seconds=0.8,
    reached=("zapped", "split", "flushed"),
    never_executed={"mm.py": [77, 78]},
    state_bits=61,
    bytes_per_state=17.4,
    workers=2,
    compile_seconds=0.21,
)

VIOLATED = Summary(
    claim="numa.py::dontneed_vs_numa",
    verdict="violated",
    expect="dontneed_unmaps",
    execution=samples.madvise_against_numa(),
    states=1204,
    seconds=0.02,
)

INCONCLUSIVE = dataclasses.replace(
    HOLDS,
    verdict="inconclusive",
    reason="stopped at 50,000,000 states (--states-max)",
    reached=("zapped",),
    unreached=("split", "flushed"),
)

AS_SPECIFIED = """\
numa.py::dontneed_vs_numa   HOLDS, complete within these bounds
  bounds   2 CPUs, 1 pmd, switches unbounded, order sc
  states   48,212 unique of 131,870 seen, depth 61, 0.8 s
  reached  3 of 3 'sometimes'; never executed: mm.py:77-78"""


def test_holds_as_specified() -> None:
    assert verdict.text(HOLDS) == AS_SPECIFIED


def shared(part: str) -> str:
    return os.path.join(words.PACKAGE, part)


MANY = {
    shared("mm/memory.py"): list(range(1, 99, 2)),
    shared("mm/rmap.py"): [7],
    shared("machine/tlb.py"): [7, 8],
}


def test_own_lines_that_never_ran_are_told_and_those_of_the_kernel_counted() -> None:
    summary = dataclasses.replace(HOLDS, never_executed={"numa.py": [12], **MANY})
    told = " ".join(verdict.text(summary).split())
    assert told.endswith(
        "never executed: numa.py:12, and 52 lines of machine/ and mm/ (-v lists them)"
    )
    shown = verdict.text(summary, verbose=True)
    assert "\n           numa.py:12\n" in shown
    assert f"\n           {words.short_path(shared('machine/tlb.py'))}:7-8\n" in shown
    assert max(map(len, shown.splitlines())) <= 75


def test_lines_of_the_kernel_alone_are_counted() -> None:
    summary = dataclasses.replace(HOLDS, never_executed=MANY)
    assert "never executed: 52 lines of machine/ and" in verdict.text(summary)


def test_many_own_lines_are_counted_with_the_others() -> None:
    own = {"numa.py": list(range(1, 199, 2))}
    summary = dataclasses.replace(HOLDS, never_executed={**own, **MANY})
    assert "never executed: 151 lines of 4 files (-v" in verdict.text(summary)


def test_that_there_are_no_data_races_is_said_where_they_were_looked_for() -> None:
    none = "  races    no plain access races with another"
    assert none in verdict.text(dataclasses.replace(HOLDS, data_races=True)).splitlines()
    assert "races" not in verdict.text(HOLDS)
    stopped = verdict.text(dataclasses.replace(INCONCLUSIVE, data_races=True))
    assert f"{none} in the states that were" in stopped


def test_the_first_state_is_seen_too() -> None:
    summary = dataclasses.replace(HOLDS, states=2, seen=1)
    assert "2 unique of 2 seen" in verdict.text(summary)


@pytest.mark.parametrize("verbose", [False, True])
@pytest.mark.parametrize(
    "summary",
    [
        HOLDS,
        dataclasses.replace(HOLDS, reached=(), never_executed={}),
        dataclasses.replace(HOLDS, expect="no_lost_write"),
        VIOLATED,
        dataclasses.replace(VIOLATED, expect=""),
        dataclasses.replace(VIOLATED, expect="leak"),
        INCONCLUSIVE,
    ],
    ids=["holds", "bare", "should fail", "violated", "should hold", "other", "inconclusive"],
)
def test_snapshot(summary: Summary, verbose: bool, snapshot: object) -> None:
    assert verdict.text(summary, verbose=verbose) == snapshot


def test_str_is_the_text() -> None:
    assert str(HOLDS) == AS_SPECIFIED


@pytest.mark.parametrize("slug", list(verdict.SENTENCES))
def test_header_of_each_detector(slug: str, snapshot: object) -> None:
    violation = Violation(slug, "", "", "mm.py", 77, 4, ["zap_pte_range", "folio_mkclean"])
    execution = dataclasses.replace(samples.deadlock(), violation=violation)
    assert verdict.header(execution) == snapshot


def test_header_of_an_assertion_with_a_text() -> None:
    violation = Violation("assert", "", "mapcount is balanced", "mm.py", 7, 0, ["put"])
    execution = dataclasses.replace(samples.deadlock(), violation=violation)
    assert verdict.header(execution) == (
        "BUG: assert in put()\nmm.py:7:1: assertion failed: mapcount is balanced"
    )


def test_replay_line_is_not_wrapped() -> None:
    execution = dataclasses.replace(samples.three_cpus(), reproduce="")
    (line,) = [x for x in verdict.closing(execution) if x.startswith("Replay:")]
    assert line == (
        "Replay: pagerace reproduce t4_lost_write.py::v6_0 "
        "--schedule '0:3,1:2,2:1,2.tlb_evict:1?1,2:1'"
    )


def test_as_expected() -> None:
    assert HOLDS.as_expected and VIOLATED.as_expected
    assert not dataclasses.replace(HOLDS, expect="leak").as_expected
    assert not dataclasses.replace(VIOLATED, expect="").as_expected
    assert dataclasses.replace(VIOLATED, expect="mapping-survives").as_expected
    assert not INCONCLUSIVE.as_expected


@pytest.mark.parametrize(("summary", "code"), [(HOLDS, 0), (VIOLATED, 1), (INCONCLUSIVE, 3)])
def test_exit_code(summary: Summary, code: int) -> None:
    assert summary.exit_code == code


def test_table(snapshot: object) -> None:
    wrong = dataclasses.replace(VIOLATED, claim="numa.py::mended", expect="")
    summaries = [HOLDS, VIOLATED, wrong, INCONCLUSIVE]
    table = verdict.Table([(summary.claim, summary.expect) for summary in summaries])
    assert "\n".join([table.heading(), *map(table.row, summaries)]) == snapshot


def test_tally() -> None:
    assert verdict.tally([HOLDS, VIOLATED]) == "2 claims: 2 as expected"
    assert verdict.tally([INCONCLUSIVE]) == "1 claim: 0 as expected, 1 not"


@pytest.mark.parametrize("name", list(formats.FORMATS))
@pytest.mark.parametrize(
    "sample", [samples.madvise_against_numa, samples.three_cpus, samples.deadlock]
)
def test_formats(name: str, sample: Any, snapshot: object) -> None:
    assert formats.render(sample(), name) == snapshot


def test_summary_document_is_plain_data() -> None:
    import json

    document = json.loads(json.dumps(VIOLATED.to_document()))
    assert document["expect"] == "dontneed_unmaps" and document["as_expected"] is True
    assert document["execution"]["schema"] == "pagerace-execution/1"


def test_violated_before_the_first_step(snapshot: object) -> None:
    execution = dataclasses.replace(samples.madvise_against_numa(), steps=[], schedule="")
    assert verdict.failure(execution) == snapshot


def test_name_of_a_property_without_its_underscores() -> None:
    assert verdict.cause(Violation("", "is_full_")) == "BUG: is-full"
