"""Variants side by side: the cells, the factors, and all forms of a comparison."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from pagerace.report import compare as report
from pagerace.report.compare import Claim, Comparison, Cost, Latency, Variant


def costs(fault: int, walk: int, unmap: int) -> dict[str, Cost]:
    """So many atomics in each; one lock, but for walks by GUP-fast."""
    return {
        "fault": Cost(100, 100 * fault, {"mmap_lock": 100, "page_table_lock": 10}),
        "gup_fast": Cost(10, 10 * walk),
        "rmap": Cost(10, 0, {"page_table_lock": 10}),
        "smaps": Cost(2, 0, {"mmap_lock": 8}),
        "unmap": Cost(4, 4 * unmap, {"mmap_lock": 4}),
        "exit": Cost(1, 500, {}),
    }


BASE = Variant(
    "v5.11", "tables stay", "v5.11",
    claims=[Claim("t2_variants::v5_11", "holds", states=1204)],
    costs=costs(2, 1, 30), table_bytes_peak=152 << 10, table_bytes_mean=112 << 10,
    table_bytes_end=152 << 10,
    latencies={
        "fault": Latency("t2_variants::v5_11", "fault", 20, 21, 21, 40, 1000),
        "walk": Latency("t2_variants::v5_11", "rmap_walk", 5, 6, 6, 9, 1000),
        "unmap": Latency("t2_variants::v5_11", "unmap", 50, 60, 60, 90, 1000),
    },
)  # fmt: skip
FIRST = Variant(
    "v6.14-first", "a zap frees what it believes to be empty", "6375e95f381e",
    claims=[
        Claim("t2_variants::v6_14_first", "violated", "nothing_is_lost", 12, 900),
        Claim("t2_variants::v6_14_first_race", "violated", "use-after-free", 9, 70),
        Claim("t2_variants::v6_14_first_alone", "holds", states=9),
    ],
    costs=costs(2, 1, 31), table_bytes_peak=148 << 10, table_bytes_mean=60 << 10,
    table_bytes_end=20 << 10,
)  # fmt: skip
COUNTED = Variant(
    "qi-zheng-v3", "a reference for each walker and entry", "",
    claims=[Claim("t2_variants::qi_zheng_v3", "inconclusive", reason="--states-max")],
    costs=costs(4, 3, 60), table_bytes_peak=152 << 10, table_bytes_mean=50 << 10,
    latencies={
        "fault": Latency("t2_variants::qi_zheng_v3", "fault", 24, 40, 42, 100, 1000, 2),
        "walk": Latency("t2_variants::qi_zheng_v3", "rmap_walk", 6, 9, 9, 12, 1000),
        "unmap": Latency("t2_variants::qi_zheng_v3", "unmap", 50, 90, 120, 300, 1000),
    },
)  # fmt: skip
RWSEM = Variant("pmd-rwsem", costs=costs(3, 1, 60))

ALL = Comparison(
    "T2", ["sqlite3.lackey.xz"], [BASE, FIRST, COUNTED, RWSEM], 271_223, 8, 12.0,
    ["the variants did not take the same number of faults"],
)  # fmt: skip


@pytest.mark.parametrize("verbose", [False, True])
def test_text(verbose: bool, snapshot: Any) -> None:
    text = report.text(ALL, verbose=verbose)
    assert text == snapshot
    assert all(len(line) <= report.WIDTH for line in text.splitlines())


def test_markdown(snapshot: Any) -> None:
    assert report.markdown(ALL) == snapshot


def test_json() -> None:
    document = json.loads(report.to_json(ALL))
    assert document["schema"] == report.SCHEMA
    base, first, counted, rwsem = document["variants"]
    assert set(base["factors"]["operations"].values()) == {1}
    assert base["factors"]["ticks"] == {"fault": 0, "walk": 0, "unmap": 0}
    assert base["shortest_race"] is None
    assert first["shortest_race"]["address"] == "t2_variants::v6_14_first_race"
    assert [v["verdict"] for v in document["variants"]] == ["safe", "unsafe", "open", "none"]
    assert counted["factors"]["ticks"] == {"fault": 60, "walk": 3, "unmap": 210}
    assert counted["factors"]["favours_walking_by"] == 207
    assert counted["factors"]["operations"]["walk"] == 2
    assert rwsem["factors"]["operations"]["unmap"] == 61 / 31
    assert rwsem["latency"] == {} and set(rwsem["factors"]["ticks"].values()) == {None}
    assert base["operations"]["rmap"]["locks"] == {"page_table_lock": 10}


def test_a_walk_is_of_one_page() -> None:
    assert BASE.per("walk", lambda cost: cost.number) == 1
    assert BASE.per("walk", lambda cost: cost.atomics) == 0.5
    assert BASE.per("walk", lambda cost: cost.acquisitions) == 0.5
    assert BASE.per("unmap", lambda cost: cost.total) == 31
    assert Variant("nothing").per("walk", lambda cost: cost.number) is None


def test_who_favours_whom_is_computed() -> None:
    lines = report.favours(ALL)
    assert lines[0].startswith("against v5.11")
    said = {line.split()[0]: line.replace(" %", "").split() for line in lines[2:]}
    counted = ["+65", "+100", "+97", "+60", "+3", "+210", "favours", "walking", "by", "207"]
    assert said["qi-zheng-v3"][1:] == counted
    assert said["pmd-rwsem"][1:] == ["+32", "same", "+97", "-", "-", "-"]
    other = dataclasses.replace(ALL, variants=[COUNTED, BASE])
    assert report.favours(other)[2].endswith("favours mutation by 207")
    assert "favours" not in report.text(dataclasses.replace(ALL, variants=[BASE, BASE]))


def test_a_lock_of_tables_is_counted_once() -> None:
    assert Cost(1, 4, {"table_lock": 2, "page_table_lock": 1}).total == 5


def test_one_variant_is_set_against_nothing() -> None:
    alone = Comparison("T2", ["x"], [BASE])
    assert report.favours(alone) == []
    assert "against" not in report.text(alone)
