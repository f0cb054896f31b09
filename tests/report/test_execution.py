"""The execution document: what is written is read back, and what is wrong is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pagerace.report.execution import SCHEMA, DocumentError, Execution
from tests.report import samples


@pytest.mark.parametrize("sample", [samples.madvise_against_numa, samples.many_cpus])
def test_round_trip(sample: Any) -> None:
    execution = sample()
    assert Execution.from_json(execution.to_json()) == execution


def test_schema_stands_first() -> None:
    document = json.loads(samples.deadlock().to_json())
    assert list(document)[:2] == ["schema", "tool"]
    assert document["schema"] == SCHEMA


def test_document_snapshot(snapshot: object) -> None:
    assert samples.deadlock().to_json() == snapshot


def test_key_of_a_later_version_is_ignored() -> None:
    document = samples.deadlock().to_document()
    document["steps"][0]["nanoseconds"] = 3
    assert Execution.from_document(document) == samples.deadlock()


def broken(change: Any) -> str:
    document = json.loads(samples.deadlock().to_json())
    change(document)
    with pytest.raises(DocumentError) as error:
        Execution.from_document(document)
    return str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: d.pop("schema"),
            "no key 'schema'; this version reads 'pagerace-execution/1'",
        ),
        (
            lambda d: d.update(schema="pagerace-execution/9"),
            "schema is 'pagerace-execution/9'; this version reads 'pagerace-execution/1'",
        ),
        (lambda d: d.pop("steps"), "key 'steps' is missing"),
        (lambda d: d["steps"][1].pop("events"), "key 'steps[1].events' is missing"),
        (
            lambda d: d["steps"][0].update(process="0"),
            "key 'steps[0].process': expected a number, found a string",
        ),
        (lambda d: d["steps"][0].update(process=7), "key 'steps[0].process': 7 of 2 processes"),
        (
            lambda d: d["steps"][0]["events"][0].update(kind="read"),
            "key 'steps[0].events[0].kind': 'read' is none of load, store, check, wait, "
            "choose, trace, call, return, fence, lock",
        ),
        (
            lambda d: d["steps"][0]["events"][0]["where"].update(stack=None),
            "key 'steps[0].events[0].where.stack': expected a list, found null",
        ),
        (lambda d: d.update(bounds=[]), "key 'bounds': expected an object, found a list"),
        (
            lambda d: d["bounds"].update(CPUs=2),
            "key 'bounds.CPUs': expected a string, found a number",
        ),
        (
            lambda d: d["processes"][1].update(agent=0),
            "key 'processes[1].agent': expected true or false, found a number",
        ),
        (lambda d: d["processes"][1].update(index=5), "key 'processes[1].index': expected 1"),
        (
            lambda d: d["steps"][0].update(choices=[True]),
            "key 'steps[0].choices[0]': expected a number, found true or false",
        ),
    ],
)
def test_wrong_document_names_the_key(change: Any, message: str) -> None:
    assert broken(change) == message


def test_truncated_document() -> None:
    text = samples.deadlock().to_json()
    with pytest.raises(DocumentError, match=r"not JSON: .* \(is the file cut off\?\)"):
        Execution.from_json(text[: len(text) // 2])


@pytest.mark.parametrize("text", ["", "[]", "3", '"x"', "null", "{}"])
def test_something_else(text: str) -> None:
    with pytest.raises(DocumentError):
        Execution.from_json(text)
