"""``pagerace compare``: what is said, and a real comparison of two kernels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pagerace.cli import compare as command
from pagerace.replay import compared
from pagerace.replay.counts import Cost, Costs
from tests.cli.conftest import CommandLine

CLAIMS = '''\
"""A claim about each of two kernels: what a fault does beside another one."""

from pagerace.lang import Struct, atomic, protocol, thread, u8, violates, wait_until


class Counter(Struct):
    value: u8
    locked: bool


counter = Counter()


def fault() -> None:
    counter.value += 1


def locked_fault() -> None:
    with atomic():
        wait_until(not counter.locked)
        counter.locked = True
    counter.value += 1
    counter.locked = False


def both_are_counted() -> bool:
    return counter.value == 2


v6_14_first = protocol(
    threads=[thread(fault, cpu=0), thread(fault, cpu=1)],
    at_end=[both_are_counted],
    expect=violates(both_are_counted),
)
v6_14 = v6_14_first.replace(
    threads=[thread(locked_fault, cpu=0), thread(locked_fault, cpu=1)],
    expect=protocol(threads=[]).expect,
)
v6_14_again = v6_14.replace(title="the same once more")
'''
PAGES = Path(__file__).parents[1] / "replay" / "programs" / "pages.lackey.xz"
TWO = ["--variant", "v6.14-first", "--variant", "v6.14"]


class Counted:
    """Machines that were fed, as far as the command can tell."""

    def __init__(self, variants: Sequence[str], **settings: Any) -> None:
        self.variants, self.settings, self.accesses = variants, settings, 0

    def run(self, traces: Sequence[Any], each: Any) -> list[Any]:
        self.accesses = 1000
        each(1.0)
        return []

    def costs(self) -> dict[str, Costs]:
        return {
            name: Costs(
                {
                    "fault": Cost(100, 250 + 100 * n, {"mmap_lock": 100}),
                    "gup_fast": Cost(10, 10, {}),
                    "rmap": Cost(10, 0, {"page_table_lock": 10}),
                    "unmap": Cost(5, 50, {"mmap_lock": 5}),
                },
                40960, 20480, 8192 * n,
            )
            for n, name in enumerate(self.variants)
        }  # fmt: skip

    def faults_differ(self) -> bool:
        return False

    def close(self) -> None:
        pass


@pytest.fixture
def here(pagerace: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The claims of a file, a trace, and machines that need not be compiled."""
    pagerace.write("claims.py", CLAIMS)
    pagerace.write("hello", "hello, world\n")
    monkeypatch.setitem(command.CLAIMS, "T2", "claims.py")
    monkeypatch.setattr(compared, "Compared", Counted)
    return pagerace


def test_text(here: CommandLine, snapshot: Any) -> None:
    run = here("compare", "T2", *TWO, "--trace", str(PAGES))
    assert run.code == 0
    lines = run.out.splitlines()
    lines[1] = lines[1].rpartition(",")[0]  # without the time
    assert "\n".join(lines) == snapshot


def test_json_has_all_of_it(here: CommandLine) -> None:
    run = here("compare", "T2", *TWO, "--format", "json", "--schedules", "50")
    document = json.loads(run.out)
    first, fixed = document["variants"]
    assert document["traces"] == ["sqlite3-jemalloc.lackey.xz"]
    assert (first["verdict"], fixed["verdict"]) == ("unsafe", "safe")
    assert first["shortest_race"]["steps"] == 4
    assert [claim["address"] for claim in fixed["claims"]] == [
        "claims.py::v6_14", "claims.py::v6_14_again"
    ]  # fmt: skip
    assert list(fixed["latency"]) == ["fault"]
    waits, none = fixed["latency"]["fault"], first["latency"]["fault"]
    assert waits["thread"] == "locked_fault"
    assert waits["worst"] > waits["alone"] == 4
    assert none["worst"] == none["alone"] == 2


def test_markdown(here: CommandLine) -> None:
    run = here("compare", "T2", *TWO, "--format", "markdown")
    assert run.out.splitlines()[2].startswith("| v6.14-first | unsafe | 2.50 | 0.50 | 10.00 |")
    assert "pagerace check claims.py::v6_14_first" in run.out


def test_an_unexpected_verdict_is_told_by_the_exit_code(here: CommandLine) -> None:
    here.write("claims.py", CLAIMS.replace("    expect=violates(both_are_counted),\n", ""))
    assert here("compare", "T2", *TWO).code == 1


def test_a_variant_without_a_claim_is_open(here: CommandLine) -> None:
    run = here("compare", "T2", *TWO, "--variant", "v6.5")
    assert run.code == 3
    row = next(line for line in run.out.splitlines() if line.startswith("v6.5 "))
    assert row.split()[1] == "-"


def test_variants_are_listed(here: CommandLine) -> None:
    run = here("compare", "T2", "--list")
    assert [line.split()[0] for line in run.out.splitlines()] == compared.names()


WRONG = {
    "no group": ["T4"],
    "an unknown group": ["t2"],
    "an unknown variant": ["T2", "--variant", "v6.15"],
    "a variant like no other": ["T2", "--variant", "colour"],
    "no claim": ["T2", "--variant", "v5.11"],
    "no trace": ["T2", *TWO, "--trace", "absent"],
    "a file that is no trace": ["T2", *TWO, "--trace", "hello"],
    "another format": ["T2", *TWO, "--trace", str(PAGES), "--from", "lacky"],
    "a plot without an ending": ["T2", *TWO, "--plot", "plot.abc"],
    "a plot where nothing can be": ["T2", *TWO, "--plot", "absent/plot.png"],
    "no walks": ["T2", *TWO, "--walks", "0"],
    "an unknown option": ["T2", "--varient", "v5.11"],
}


@pytest.mark.parametrize("name", list(WRONG))
def test_what_is_said(name: str, matplotlib: None, here: CommandLine, snapshot: Any) -> None:
    run = here("compare", *WRONG[name])
    assert (run.code, run.out) == (2, "")
    if name not in ("a variant like no other",):  # variants come and go
        assert run.err == snapshot
    assert "Traceback" not in run.err


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_plot(ending: str, matplotlib: None, here: CommandLine) -> None:
    assert here("compare", "T2", *TWO, "--plot", f"plot.{ending}").code == 0
    beginning = {"png": b"\x89PNG", "svg": b"<?xml"}[ending]
    assert (here.folder / f"plot.{ending}").read_bytes().startswith(beginning)


def test_two_kernels_on_a_real_trace(
    pagerace: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program of tests/replay unmaps twice, whoever frees tables."""
    pagerace.write("claims.py", CLAIMS)
    monkeypatch.setitem(command.CLAIMS, "T2", "claims.py")
    run = pagerace(
        "compare", "T2", "--variant", "v6.14", "--trace", str(PAGES), "--walks", "4",
        "--format", "json",
    )  # fmt: skip
    assert run.code == 0, run.err
    (variant,) = json.loads(run.out)["variants"]
    operations = variant["operations"]
    assert operations["unmap"]["number"] == 2
    assert operations["rmap"]["number"] == operations["fault"]["number"] // 4
    assert operations["fault"]["locks"]["mmap_lock"] >= operations["fault"]["number"]
    assert variant["table_bytes_peak"] >= variant["table_bytes_mean"] > 0
