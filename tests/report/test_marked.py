"""Source with its points marked."""

from __future__ import annotations

from pagerace.report.marked import marked_source, remark

FILES = {
    "counter.py": "from mm import get\n\n\ndef run() -> None:\n    get()\n    n.value += 1\n",
    "mm.py": (
        "def other() -> None:\n    pass\n\n\ndef get() -> None:\n"
        "    with atomic():\n        a.x = 1\n\n\ndef put() -> None:\n    pass\n"
    ),
}


def test_marked_source(snapshot: object) -> None:
    marks = {
        "counter.py": {6: ["load n.value", "store n.value"]},
        "mm.py": {6: ["atomic"]},
    }
    assert marked_source(marks, ["counter.py"], FILES.__getitem__) == snapshot


def test_remark_merges_indices() -> None:
    assert remark(["load pages[0].dirty", "load pages[1].dirty"]) == "load pages[].dirty"
    assert remark(["load pages[0].dirty"]) == "load pages[0].dirty"
    assert remark(["load x", "store x"]) == "load x, store x"


def test_remark_keeps_its_distance_from_a_long_line() -> None:
    source = f"{'x' * 80} += 1\n"
    text = marked_source({"a.py": {1: ["load x"]}}, ["a.py"], {"a.py": source}.__getitem__)
    assert f"* 1 | {source.rstrip()}  # load x" in text
