"""Schedules as text."""

from __future__ import annotations

import dataclasses

import pytest

from pagerace.compiler.ir import Process
from pagerace.search.schedule import Group, ScheduleError, format, parse
from tests.search import samples


def processes() -> list[Process]:
    return samples.program("with_agent").processes


def test_read_and_write() -> None:
    labels = [process.label for process in processes()]
    assert labels == ["0", "1", "1.hardware"]
    text = "0:3,1.hardware:2?1?0,1:1?12,0:1"
    groups = parse(text, processes())
    assert groups == [Group(0, 3), Group(2, 2, (1, 0)), Group(1, 1, (12,)), Group(0, 1)]
    moves = [(0, []), (0, []), (0, []), (2, [1]), (2, [0]), (1, [12]), (0, [])]
    assert format(moves, processes()) == text
    assert parse(" 0:3 , 1:1", processes()) == [Group(0, 3), Group(1, 1)]


def test_name_with_anything_but_a_comma() -> None:
    odd = [dataclasses.replace(process, label="0.hw timer: x?") for process in processes()[:1]]
    text = format([(0, [1]), (0, [])], odd)
    assert text == "0.hw timer: x?:2?1"
    assert parse(text, odd) == [Group(0, 2, (1,))]


def test_no_step() -> None:
    assert format([], processes()) == ""
    assert parse("", processes()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0:1,", r"'' is no part of a schedule; it should look like 1:3 or 0:5\?1"),
        ("0", "'0' is no part"),
        ("0:x", "'0:x' is no part"),
        ("0:1?", r"'0:1\?' is no part"),
        ("2:1", r"there is no process '2'; there are 0, 1, 1\.hardware"),
        ("0:0", "'0:0': the number of steps must be 1 to 10,000,000"),
    ],
)
def test_mistakes(text: str, message: str) -> None:
    with pytest.raises(ScheduleError, match=message) as caught:
        parse(text, processes())
    assert caught.value.step is None
