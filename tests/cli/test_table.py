"""``pagerace table``: every sort of cell, and of end."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import pytest

from pagerace.report.properties import Property, first_sentence, labels, legend
from pagerace.report.summary import Summary
from pagerace.report.table import Row, text
from tests.cli.conftest import CommandLine, Run

VARIANTS = '''\
"""One counter, incremented in every way there is."""

from pagerace.lang import (
    Struct, atomic, drop, mutant, protocol, thread, u8, violates, wait_until,
)


class Counter(Struct):
    value: u8
    steps: u8
    locked: bool


counter = Counter()


def flush() -> None:
    counter.steps += 1


def increment() -> None:
    counter.value += 1


def increment_atomic() -> None:
    with atomic():
        counter.value += 1
        flush()


def increment_and_wait() -> None:
    counter.value += 1
    wait_until(counter.locked)


def divide() -> None:
    counter.value += 1
    counter.steps = 4 // counter.steps


def no_lost_update() -> bool:
    """T4-S1, at the end: both count."""
    return counter.value == 2


def at_most_one() -> bool:
    """T4-S1: never more than one (said of nobody)."""
    return counter.value <= 1


def never_too_many_of_them() -> bool:
    """No counter counts what nobody did. That is all."""
    return counter.value <= 2


def is_locked() -> bool:
    """Sometimes: it is locked."""
    return counter.locked


def setup() -> None:
    counter.locked = False


plain = protocol(
    threads=[thread(increment, cpu=0), thread(increment, cpu=1)],
    always=[never_too_many_of_them],
    at_end=[no_lost_update],
    expect=violates(no_lost_update),
    title="two increments without a lock: one is lost",
)

in_one_step = plain.replace(
    threads=[thread(increment_atomic, cpu=0), thread(increment_atomic, cpu=1)],
    expect=protocol(threads=[]).expect,
    title="in one step",
    mutants={"no_flush": mutant(drop(increment_atomic, flush), killed_by=no_lost_update)},
)

waits = plain.replace(threads=[thread(increment_and_wait)], expect=violates("deadlock"))

divides = plain.replace(threads=[thread(divide)], expect=violates("division-by-zero"))

one = plain.replace(
    setup=setup, threads=[thread(increment)], always=[at_most_one], at_end=[]
)
'''

WRONG = '''\
from variants import *

holds = protocol(threads=[]).expect

lost = plain.replace(expect=holds)

never_lost = in_one_step.replace(expect=violates(no_lost_update), mutants={})

silent = plain.replace(at_end=[], expect=holds)

other = plain.replace(expect=violates(never_too_many_of_them))

unreached = in_one_step.replace(sometimes=[is_locked], mutants={})
'''


@pytest.fixture
def variants(pagerace: CommandLine) -> CommandLine:
    pagerace.write("variants.py", VARIANTS)
    pagerace.write("wrong.py", WRONG)
    return pagerace


def timeless(run: Run) -> str:
    return re.sub(r" +\d+(\.\d+)? s\b", " N s", run.out + run.err)


def test_table(variants: CommandLine, snapshot: object) -> None:
    run = variants("table", "variants.py")
    assert all(len(line) <= 100 for line in run.out.splitlines())
    assert timeless(run) == snapshot
    assert run.code == 1  # `one` expects what is never stated of it


def test_table_of_claims_that_are_not_as_expected(
    variants: CommandLine, snapshot: object
) -> None:
    run = variants("table", "wrong.py")
    assert run.code == 1
    assert timeless(run) == snapshot


def test_table_of_claims_as_expected(variants: CommandLine) -> None:
    run = variants("table", "variants.py::plain", "variants.py::in_one_step")
    assert (run.code, run.err) == (0, "\n2 claims: 2 as expected; 3 searches\n")


def test_table_as_markdown(variants: CommandLine, snapshot: object) -> None:
    run = variants("table", "variants.py", "--format", "markdown")
    assert run.out == snapshot


def test_table_as_json(variants: CommandLine) -> None:
    document = json.loads(variants("table", "variants.py", "--format", "json").out)
    assert document["schema"] == "pagerace-table/1"
    assert [p["label"] for p in document["properties"]] == [
        "S1a", "S1b", "never_too_many_of_them",
    ]  # fmt: skip
    plain, atomic = document["claims"][:2]
    assert plain["cells"] == {"S1a": "violated", "never_too_many_of_them": "holds"}
    assert plain["steps"] == {"S1a": 4}
    assert plain["as_expected"] is True
    assert atomic["cells"] == {"S1a": "holds", "never_too_many_of_them": "holds"}


def test_table_within_bounds(variants: CommandLine) -> None:
    run = variants("table", "variants.py::in_one_step", "--states-max", "2")
    assert run.code == 3
    assert re.search(r"^  in_one_step +open +open +open +nothing$", run.out, re.M)
    assert re.search(r"^  in_one_step: stopped at \d+ states \(--states-max\)$", run.out, re.M)
    assert run.err == "\n1 claim: 0 as expected, 1 not decided; 1 search\n"


def test_table_of_a_claim_that_is_refused(variants: CommandLine) -> None:
    bad = VARIANTS.replace("counter.steps += 1", "counter.stepz += 1")
    run = variants("table", variants.write("bad.py", bad))
    assert run.code == 2
    assert "\n5 claims: 3 as expected, 1 not, 1 refused; 5 searches\n" in run.err
    assert "bad.py:" in run.err and "error: unknown-name" in run.err
    assert "in_one_step" not in run.out


def test_a_property_that_does_not_fit_a_sibling_is_not_applied_to_it(
    variants: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pagerace.compiler.diagnostic import CompileError, Diagnostic

    def check(protocol: Any, *, claim: str, **options: Any) -> Summary:
        if len(protocol.always) == 1 and claim.endswith("plain"):
            raise CompileError([Diagnostic("type-mismatch", "no", "variants.py", 9, 0, 1)])
        return Summary(claim=claim, verdict="holds")

    monkeypatch.setattr("pagerace.api.check", check)
    variants.write(
        "siblings.py",
        VARIANTS.replace("    always=[never_too_many_of_them],\n", "", 1)
        + "\nall = plain.replace(always=[never_too_many_of_them])\n",
    )
    out = variants("table", "siblings.py::plain", "siblings.py::all").out
    assert re.search(r"^  plain +holds +- +yes ", out, re.M)
    assert re.search(r"^  all +holds +holds +yes ", out, re.M)


def test_livelock_leaves_the_rest_decided(
    variants: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.report import samples

    execution = samples.deadlock()
    assert execution.violation is not None
    execution.violation.__dict__.update(slug="livelock", property="")

    def check(protocol: Any, *, claim: str, **options: Any) -> Summary:
        return Summary(claim=claim, verdict="violated", execution=execution)

    monkeypatch.setattr("pagerace.api.check", check)
    out = variants("table", "variants.py::in_one_step").out
    assert re.search(r"^  in_one_step +holds +holds +livelock", out, re.M)
    assert "in_one_step: expected to hold; violated: livelock" in out


def test_what_was_found_before_an_interrupt_is_printed(
    variants: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(protocol: Any, *, claim: str, **options: Any) -> Summary:
        if claim == "wrong.py::silent":
            raise KeyboardInterrupt
        return Summary(claim=claim, verdict="holds")

    monkeypatch.setattr("pagerace.api.check", check)
    run = variants("table", "variants.py::in_one_step", "wrong.py")
    assert run.code == 3
    assert re.search(r"^  in_one_step +holds", run.out, re.M)
    assert re.search(r"^  never_lost +holds", run.out, re.M)
    assert "silent" not in run.out and "\nends " in run.out


def test_many_columns_are_put_below_each_other() -> None:
    names = [Property(f"{'a_long_name_' * 2}{i}", "always", "Words.") for i in range(15)]
    cells = dict.fromkeys(names, "holds")
    row = Row(claim="x.py::claim", file="x.py", expect="", stated=frozenset(), cells=cells)
    lines = text([row]).splitlines()
    assert all(len(line) <= 100 for line in lines)
    assert sum(line.startswith("  claim") for line in lines) == 2
    assert "  detected: nothing in any of them" in lines
    found = text([dataclasses.replace(row, detected="leak")]).splitlines()
    assert any(line.startswith("  claim") and line.endswith("leak") for line in found)


def test_ids_are_taken_from_docstrings() -> None:
    one = Property("one", "always", "T4-S2: a")
    two = Property("two", "at_end", "T4-S2, at the end: b")
    assert labels([one, two]) == {one: "S2a", two: "S2b"}
    three = Property("three", "always", "T5-S2: c")
    assert labels([one, three]) == {one: "T4-S2", three: "T5-S2"}
    assert Property("four", "always", "T4 in S2").id == ""
    assert first_sentence("One thing\n    here. And\n another.") == "One thing here"
    assert first_sentence("v6.2 is. x") == "v6.2 is"
    assert legend([]) == []
