"""How fast ``pagerace replay`` is, on a trace of a real program made on the spot.

    python bench/replay.py [--program sort|grep|gzip|python] [--accesses N] [--runs N] [--json]

Valgrind's lackey traces the program; the first N accesses are kept.  All numbers are of one run
of this script, on one core.  Beside each stands the bar that it is held against:

lines      text lines read a second, without replaying them
accesses   accesses replayed a second, once parsed: the default machine, all counters on
faults     first stores to fresh pages a second
memory     resident memory over the simulated page tables and the metadata of frames in use
peer       the same pages through pycachesim's two levels of TLB (pip install pycachesim)
process    from start to exit: cachegrind on the program, and lackey into `pagerace replay -`
"""

from __future__ import annotations

import argparse
import array
import importlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from measure import on_cores

from pagerace.replay import engine
from pagerace.replay.events import STORE, Batch, Event, pack
from pagerace.replay.mappings import Mappings
from pagerace.replay.reader import Trace

BARS = {"lines": 5e6, "accesses": 20e6, "faults": 1e6, "memory": 2.0}
FRESH_PAGES = 1 << 18
FRAME_METADATA = 64  # bytes of a struct page
PEER_ACCESSES = 2_000_000
LACKEY = ("valgrind", "--tool=lackey", "--trace-mem=yes", "--trace-syscalls=yes", "--log-fd=9")


def _numbers(folder: Path, lines: int) -> str:
    random.seed(1)
    path = folder / "numbers"
    path.write_text("".join(f"{random.random():.12f}\n" for _ in range(lines)))
    return str(path)


PROGRAMS: dict[str, Callable[[Path], list[str]]] = {
    "sort": lambda folder: ["sort", _numbers(folder, 8_000)],
    "grep": lambda folder: ["grep", "-c", "77.*77", _numbers(folder, 200_000)],
    "gzip": lambda folder: ["gzip", "-c", _numbers(folder, 20_000)],
    "python": lambda folder: [
        sys.executable, "-S", "-c", "sum({i: str(i) for i in range(20000)})"
    ],
}  # fmt: skip


def make_trace(program: list[str], path: Path, accesses: int) -> None:
    """Trace a program until there are so many accesses; the rest of it is not waited for."""
    read, write = os.pipe()
    shell = ["bash", "-c", f'exec "$@" 9>&{write}', "bash", *LACKEY, *program]
    with subprocess.Popen(
        shell, pass_fds=[write], env=_plain(), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        os.close(write)
        with os.fdopen(read, "rb", 1 << 20) as lines, path.open("wb", 1 << 20) as file:
            for _, line in zip(range(accesses), lines, strict=False):
                file.write(line)
        process.kill()


def _plain() -> dict[str, str]:
    return os.environ | {"LC_ALL": "C"}


def kept(path: Path) -> list[Event]:
    """All events, with records that stay."""
    found: list[Event] = []
    for event in Trace(str(path)).events():
        if isinstance(event, Batch):
            records = memoryview(array.array("Q", event.records))
            event = Batch(event.process, event.thread, records, event.lines)
        found.append(event)
    return found


def machine(memory: int | None = None) -> tuple[Any, Mappings]:
    """A machine of the default configuration."""
    mappings = Mappings()
    return engine.Replay({}, memory=memory, cpus=1, unmapped=mappings), mappings


def replayed(events: Sequence[Event]) -> tuple[float, dict[str, Any]]:
    """Seconds to replay the events, and what was counted."""
    simulated, mappings = machine()
    for event in events:  # what a session does beside; not what is measured
        if not isinstance(event, Batch):
            mappings.observe(event)
    start = time.perf_counter()
    for event in events:
        simulated.feed(event)
    return time.perf_counter() - start, dict(simulated.counts())


def read_only(path: Path) -> tuple[float, int]:
    """Seconds to read a trace, and its lines."""
    trace = Trace(str(path))
    start = time.perf_counter()
    for _ in trace.events():
        pass
    return time.perf_counter() - start, trace.line


def fresh_pages() -> list[Event]:
    """One store to each of many pages, in batches."""
    records = [pack(0x10_0000_0000 + page * 4096, 8, STORE)[0] for page in range(FRESH_PAGES)]
    return [
        Batch(1, 1, memoryview(array.array("Q", records[at : at + 65_536])), (1, 1))
        for at in range(0, FRESH_PAGES, 65_536)
    ]


def peer(events: Sequence[Event]) -> float | None:
    """References a second of pycachesim, as two levels of data TLB; None if it is not there."""
    try:
        cachesim: Any = importlib.import_module("cachesim")
    except ImportError:
        return None
    pages = [r >> 8 for e in events if isinstance(e, Batch) for r in e.records if r & 3]
    pages = pages[:PEER_ACCESSES]
    memory = cachesim.MainMemory()
    second = cachesim.Cache("STLB", 128, 12, 4096, "LRU")
    first = cachesim.Cache("DTLB", 16, 4, 4096, "LRU", store_to=second, load_from=second)
    memory.load_to(second)
    memory.store_from(second)
    simulator = cachesim.CacheSimulator(first, memory)
    accesses = [((address,), None) for address in pages]
    start = time.perf_counter()
    simulator.loadstore(accesses, length=1)
    return len(pages) / (time.perf_counter() - start)


def whole_processes(program: list[str], folder: Path) -> dict[str, float]:
    """Seconds from start to exit of both ways to learn about a program's memory."""
    def run(command: list[str]) -> None:
        subprocess.run(
            command, env=_plain(), check=True, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip

    start = time.perf_counter()
    cachegrind = ["valgrind", "--tool=cachegrind", "--cache-sim=yes"]
    cachegrind.append(f"--cachegrind-out-file={folder / 'cachegrind'}")
    run([*cachegrind, *program])
    between = time.perf_counter()
    pipe = f'"$@" 9>&1 >/dev/null 2>/dev/null | "{sys.executable}" -m pagerace replay -'
    shell = ["bash", "-c", pipe, "bash", *LACKEY, *program]
    run(shell)
    return {"cachegrind": between - start, "lackey | replay": time.perf_counter() - between}


def measure(options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """All numbers by name; the best of the runs."""
    program = PROGRAMS[options.program](folder)
    path = folder / "trace"
    make_trace(program, path, options.accesses)
    found: dict[str, float] = {}
    reads = [read_only(path) for _ in range(options.runs)]
    found["lines"] = max(lines / seconds for seconds, lines in reads)
    events = kept(path)
    runs = [replayed(events) for _ in range(options.runs)]
    counts = runs[0][1]
    found["accesses"] = counts["accesses"] / min(seconds for seconds, _ in runs)
    fresh = fresh_pages()
    runs = [replayed(fresh) for _ in range(options.runs)]
    found["faults"] = FRESH_PAGES / min(seconds for seconds, _ in runs)
    counts = runs[0][1]
    simulated = counts["table_bytes"] + FRAME_METADATA * counts["frames_used"]
    found["memory"] = counts["resident_bytes"] / simulated
    if (rate := peer(events)) is not None:
        found["peer"] = rate
    if options.process:
        found |= whole_processes(program, folder)
    return found


def shown(name: str, value: float) -> str:
    """A line: the number, and how it stands to its bar."""
    if name not in BARS:
        unit = " M/s" if value > 1e3 else " s"
        return f"{name:16}{value / 1e6 if value > 1e3 else value:10.2f}{unit}"
    bar = BARS[name]
    if name == "memory":
        return f"{name:16}{value:10.2f}      at most {bar:.1f}: {_met(value <= bar)}"
    rate = f"{name:16}{value / 1e6:10.2f} M/s"
    return f"{rate}  at least {bar / 1e6:.0f} M/s: {_met(value >= bar)}"


def _met(is_met: bool) -> str:
    return "met" if is_met else "MISSED"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit code: 1 if valgrind is missing."""
    parser = argparse.ArgumentParser(description="Measure pagerace replay.")
    parser.add_argument("--program", choices=tuple(PROGRAMS), default="sort")
    parser.add_argument("--accesses", type=int, default=12_000_000, help="at most so many")
    parser.add_argument("--runs", type=int, default=3, help="of each; the best counts")
    parser.add_argument("--process", action="store_true", help="time whole processes, too")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args(arguments)
    if shutil.which("valgrind") is None:
        print("replay: valgrind is not installed", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder, on_cores(1):
        found = measure(options, Path(folder))
    for name, value in found.items():
        print(shown(name, value))
    if options.json:
        print(json.dumps({name: round(value, 3) for name, value in found.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
