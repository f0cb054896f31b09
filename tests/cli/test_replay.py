"""``pagerace replay``: what is said, shown and kept, with a machine that only counts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

import pagerace.replay
from pagerace.cli import replay as command
from pagerace.cli.terminal import Terminal
from pagerace.replay.events import LOAD, Batch, Call, Event, unpack
from tests.cli.conftest import CommandLine
from tests.replay.traces import LACKEY, PERF


class Counting:
    """A machine in which every page but the first of an access faults once."""

    made: ClassVar[list[Counting]] = []

    def __init__(self, options: Mapping[str, Any], **settings: Any) -> None:
        self.options, self.settings = options, settings
        self.pages: set[tuple[int, int]] = set()
        self.accesses = 0
        self.calls: list[Event] = []
        Counting.made.append(self)

    def feed(self, event: Event) -> None:
        if not isinstance(event, Batch):
            self.calls.append(event)
            return
        around = self.options.get("fault_around_bytes", 4096) // 4096
        for record in event.records:
            address, _, kind = unpack(record)
            page = address // 4096
            if (event.process, page) not in self.pages:
                self.calls += self.settings["unmapped"](event.process, address, kind)
            self.pages |= {(event.process, page // around * around + i) for i in range(around)}
            self.accesses += 1

    def counts(self) -> dict[str, Any]:
        return {
            "accesses": self.accesses, "faults": len(self.pages), "atomics": 6,
            "faults_read_file": len(self.pages), "locks": {"mmap_lock": 4, "ptl": 2},
            "table_bytes": 8192, "frames_peak": 7, "faults_major": 0,
            "walk_references_pte": 4, "walk_references_pmd": 2,
        }  # fmt: skip


class NoMemory(Exception):
    """As the engine's own."""


def parse(text: str) -> int:
    if not text.isdigit():
        raise ValueError(f"{text!r} is not a number")
    return int(text)


def option(help: str) -> SimpleNamespace:
    return SimpleNamespace(parse=parse, help=help, values="bytes", default="4096")


@pytest.fixture(autouse=True)
def stub(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {
        "fault_around_bytes": option("pages that a fault maps around it"),
        "levels": option("levels of page tables"),
    }
    engine = SimpleNamespace(OPTIONS=options, Replay=Counting, NoMemory=NoMemory)
    monkeypatch.setitem(sys.modules, "pagerace.replay.engine", engine)
    monkeypatch.setattr(pagerace.replay, "engine", engine, raising=False)
    Counting.made.clear()


def masked(text: str) -> str:
    """Without times."""
    return "\n".join(
        line if "access" not in line else line.rpartition(",")[0] if " s" in line else line
        for line in text.splitlines()
    )


def test_one_configuration(pagerace: CommandLine, snapshot: Any) -> None:
    pagerace.write("trace", LACKEY)
    run = pagerace("replay", "trace")
    assert (run.code, run.err) == (0, "")
    assert masked(run.out) == snapshot


def test_quiet_is_the_first_lines(pagerace: CommandLine) -> None:
    pagerace.write("trace", LACKEY)
    full = pagerace("replay", "trace").out.splitlines()
    brief = pagerace("replay", "trace", "-q").out.splitlines()
    assert brief[2:8] == full[2:8]
    assert "page tables" in full and "page tables" not in brief


def test_verbose_leaves_nothing_out(pagerace: CommandLine) -> None:
    pagerace.write("trace", LACKEY)
    zero = "  major" + "0".rjust(35)
    assert zero not in pagerace("replay", "trace").out.splitlines()
    assert zero in pagerace("replay", "trace", "-v").out.splitlines()


def test_side_by_side(pagerace: CommandLine, snapshot: Any) -> None:
    pagerace.write("trace", LACKEY)
    run = pagerace("replay", "trace", "--with", "fault_around_bytes=4096,65536")
    assert (run.code, run.err) == (0, "")
    assert masked(run.out) == snapshot
    assert [made.options for made in Counting.made] == [
        {"fault_around_bytes": 4096}, {"fault_around_bytes": 65536}
    ]  # fmt: skip


def test_all_combinations_and_json(pagerace: CommandLine) -> None:
    pagerace.write("trace", LACKEY)
    both = ["--with", "fault_around_bytes=4096,65536", "--with", "levels=4,5"]
    run = pagerace("replay", "trace", *both, "--format", "json", "--cpus", "3")
    document = json.loads(run.out)
    assert [c["options"] for c in document["configurations"]] == [
        {"fault_around_bytes": around, "levels": levels}
        for around in ("4096", "65536") for levels in ("4", "5")
    ]  # fmt: skip
    assert document["complete"] and document["schema"] == "pagerace-replay/1"
    assert document["traces"] == [{"file": "trace", "format": "lackey"}]
    assert document["settings"] == {"cpus": "3"}
    assert {made.settings["cpus"] for made in Counting.made} == {3}
    assert document["configurations"][0]["counts"]["locks"] == {"mmap_lock": 4, "ptl": 2}


def test_what_was_counted_before_a_wrong_line_is_there(
    pagerace: CommandLine, snapshot: Any
) -> None:
    pagerace.write("trace", LACKEY + "Segmentation fault\n")
    run = pagerace("replay", "trace", "--format", "json")
    assert run.code == 2
    assert run.err == snapshot
    document = json.loads(run.out)
    assert document["configurations"][0]["counts"]["accesses"] == 9
    assert not document["complete"]


@pytest.mark.parametrize("error", [NoMemory("3 pages are free"), IndexError("3")])
def test_what_was_counted_before_a_failure_is_there(
    error: Exception, pagerace: CommandLine, monkeypatch: pytest.MonkeyPatch, snapshot: Any
) -> None:
    feed = Counting.feed

    def failing(self: Counting, event: Event) -> None:
        feed(self, event)
        if isinstance(event, Call):
            raise error

    monkeypatch.setattr(Counting, "feed", failing)
    pagerace.write("trace", LACKEY)
    run = pagerace("replay", "trace", "-q")
    assert run.code == (3 if isinstance(error, NoMemory) else 4)
    assert masked(run.out) == snapshot
    assert ("This is a bug in pagerace" in run.err) is (run.code == 4)


WRONG = {
    "no trace": [],
    "no file": ["absent"],
    "an unknown format": ["hello"],
    "an unknown option": ["trace", "--with", "fault_around_byte=1"],
    "an option that is like no other": ["trace", "--with", "colour=1"],
    "no value": ["trace", "--with", "levels"],
    "a wrong value": ["trace", "--with", "levels=4,x"],
    "twice": ["trace", "--with", "levels=4", "--with", "levels=5"],
    "too many": ["trace", "--with", "levels=" + ",".join("4" * 65)],
    "--from": ["trace", "--from", "lacky"],
    "--from of another format": ["trace", "--from", "perf"],
    "--memory": ["trace", "--memory", "much"],
    "--maps that is not there": ["trace", "--maps", "absent"],
    "--maps that is none": ["trace", "--maps", "hello"],
    "--strace that is none": ["trace", "--strace", "hello"],
    "--plot without an ending that is known": ["trace", "--plot", "plot.abc"],
    "--save where nothing can be": ["trace", "--save", "absent/trace"],
}


@pytest.mark.parametrize("name", list(WRONG))
def test_what_is_said(name: str, pagerace: CommandLine, snapshot: Any) -> None:
    pagerace.write("trace", LACKEY)
    pagerace.write("hello", "hello, world\n")
    run = pagerace("replay", *WRONG[name])
    assert run.code == 2
    assert run.out == "" or name == "--from of another format"
    assert run.err == snapshot
    assert "Traceback" not in run.err


def test_options_are_listed(pagerace: CommandLine, snapshot: Any) -> None:
    assert pagerace("replay", "--options").out == snapshot


def test_maps_and_calls_of_another_run(pagerace: CommandLine) -> None:
    pagerace.write("trace", PERF)
    pagerace.write("maps", "00400000-00401000 r-xp 00000000 08:01 12 /bin/ls\n")
    pagerace.write("calls", "5 mmap(0x40a000, 4096, PROT_READ, 34, -1, 0) = 0x40a000\n"
                   "5 munmap(0x40a000, 4096) = 0\n")  # fmt: skip
    run = pagerace("replay", "trace", "--maps", "maps", "--strace", "calls")
    assert run.code == 0
    mapping, mmap, *inferred, munmap = Counting.made[0].calls
    assert (mapping.process, mmap.process, munmap.process) == (29833,) * 3
    assert isinstance(mmap, Call) and mmap.name == "mmap"
    assert len(inferred) == 1
    assert "1 mapping (1.0 MiB) had to be inferred" in run.out


def test_several_traces_are_processes_that_take_turns(pagerace: CommandLine) -> None:
    for name in ("a", "b"):
        pagerace.write(name, "".join(f" L {at:08x},8\n" for at in range(70_000)))
    seen: list[int] = []
    monitor = Counting.feed

    def feed(self: Counting, event: Event) -> None:
        seen.append(event.process)
        monitor(self, event)

    Counting.feed = feed
    try:
        assert pagerace("replay", "a", "b").code == 0
    finally:
        Counting.feed = monitor
    assert seen == [1, 2, 1, 2]


@pytest.fixture
def pyarrow() -> None:
    """As ``matplotlib``."""
    pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")


def test_a_trace_is_kept_and_read_again(pyarrow: None, pagerace: CommandLine) -> None:
    pagerace.write("trace", LACKEY)
    assert pagerace("replay", "trace", "--save", "kept.parquet").code == 0
    assert pagerace("replay", "kept.parquet").code == 0
    first, second = Counting.made
    assert first.counts() == second.counts()
    assert [e for e in first.calls if isinstance(e, Call)] == [
        e for e in second.calls if isinstance(e, Call)
    ]


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_plot(ending: str, matplotlib: None, pagerace: CommandLine) -> None:
    pagerace.write("trace", LACKEY)
    both = ["--with", "fault_around_bytes=4096,65536"]
    assert pagerace("replay", "trace", *both, "--plot", f"plot.{ending}").code == 0
    beginning = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending]
    assert (pagerace.folder / f"plot.{ending}").read_bytes().startswith(beginning)


def test_without_matplotlib_it_is_said(
    pagerace: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    pagerace.write("trace", LACKEY)
    run = pagerace("replay", "trace", "--plot", "plot.png")
    assert (run.code, run.out) == (2, "")
    assert run.err == (
        "error: --plot: matplotlib is not installed (pip install 'pagerace[plot]')\n"
    )


def test_ctrl_c_prints_what_was_counted(
    pagerace: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe that has nothing more to say, and a user who does not wait."""
    read, write = os.pipe()
    os.write(write, LACKEY.encode() * 20)
    with os.fdopen(read) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        waiting = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
        waiting.start()
        before = signal.getsignal(signal.SIGINT)
        run = pagerace("replay", "-", "--format", "json")
        assert signal.getsignal(signal.SIGINT) is before
    os.close(write)
    document = json.loads(run.out)
    assert (run.code, document["ended"]) == (3, "interrupted")
    assert document["traces"] == [{"file": "stdin", "format": "lackey"}]


def test_progress_where_there_is_no_terminal(pagerace: CommandLine) -> None:
    session = SimpleNamespace(seconds=0.0, accesses=0, done=0.0)
    progress = command.Progress(Terminal(), session, always=False)  # pyright: ignore
    for second in range(26):
        session.seconds, session.accesses, session.done = second, second * 10**6, second / 50
        progress.show()
    said = pagerace.capture.readouterr().err.splitlines()
    assert said == [
        "replayed 22 %, 11,000,000 accesses, 1.0 M/s, 39 s left",
        "replayed 44 %, 22,000,000 accesses, 1.0 M/s, 28 s left",
    ]


def test_the_bar(pagerace: CommandLine) -> None:
    session = SimpleNamespace(seconds=4.0, accesses=10**8, done=0.5)
    progress = command.Progress(Terminal(), session, always=False)  # pyright: ignore
    assert progress.bar(4.0) == (
        "[############            ] 50 %, 100,000,000 accesses, 25.0 M/s, 4.0 s left"
    )
    session.done = 0.0
    assert "left" not in progress.words(4.0) and "%" not in progress.words(4.0)


def test_help_needs_no_engine() -> None:
    code = (
        "import sys; from pagerace.cli import main; main(['replay', '--help'])\n"
        "print([m for m in sys.modules if 'replay' in m or 'llvm' in m], file=sys.stderr)"
    )
    source = str(Path(command.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": source},
    )  # fmt: skip
    assert done.stderr.strip() == "['pagerace.report.replayed', 'pagerace.cli.replay']"


def test_kinds_are_numbers_that_a_machine_sees() -> None:
    assert unpack(0x1000 << 8 | 7 << 2 | LOAD) == (0x1000, 8, LOAD)
