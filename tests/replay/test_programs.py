"""Committed traces of ``programs/pages.c``, as valgrind and the running kernel saw it.

    gcc -O1 -nostdlib -static -fno-stack-protector -o pages pages.c
    dd if=/dev/zero of=data bs=4096 count=256
    valgrind --tool=lackey --trace-mem=yes --trace-syscalls=yes --log-file=pages.lackey ./pages
    perf record -e exceptions:page_fault_user setarch -R ./pages
    perf script -F comm,pid,tid,time,event,trace > pages.perf

``perf`` ran on Linux 6.18 with a file of small folios and fault-around at its default of
64 KiB; what the kernel did for the exec is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pagerace.replay import engine
from pagerace.replay.events import FETCH, LOAD, STORE, Call
from pagerace.replay.mappings import Mappings
from pagerace.replay.maps import read_maps
from pagerace.replay.reader import Trace
from pagerace.replay.session import Session
from tests.replay.traces import Found, drain

PROGRAMS = Path(__file__).parent / "programs"
LACKEY, PERF = PROGRAMS / "pages.lackey.xz", PROGRAMS / "pages.perf.xz"


def found_in(path: Path) -> list[Found]:
    found, error = drain(Trace(str(path)))
    assert error is None
    return found


def test_what_is_read_of_lackey() -> None:
    found = found_in(LACKEY)
    kinds = Counter(item[4] for item in found if not isinstance(item, Call))  # type: ignore
    assert kinds == {FETCH: 33_696, LOAD: 7_983, STORE: 4_323}
    assert [item.name for item in found if isinstance(item, Call)] == [
        *["mmap"] * 3, "mprotect", "madvise", "munmap", "mremap", "exit"
    ]  # fmt: skip


def test_what_is_read_of_perf() -> None:
    kinds = Counter(item[4] for item in found_in(PERF))  # type: ignore
    assert kinds == {FETCH: 1, LOAD: 596, STORE: 609}


# What the exec had mapped; the stack's page was there.
MAPS = """\
00400000-00401000 r--p 00000000 08:01 12 pages
00401000-00402000 r-xp 00001000 08:01 12 pages
00402000-00403000 r--p 00002000 08:01 12 pages
00403000-00404000 rw-p 00000000 00:00 0
1ffefff000-1fff001000 rw-p 00000000 00:00 0 [stack]
"""


def replayed(path: Path, options: Mapping[str, Any], cpus: int = 1) -> dict[str, Any]:
    """What is counted with options, of a trace whose program is ``pages``."""
    values = {name: engine.OPTIONS[name].parse(value) for name, value in options.items()}
    mappings = Mappings()
    machine = engine.Replay(values, memory=None, cpus=cpus, unmapped=mappings)
    session = Session(
        [Trace(str(path))], [machine], [mappings],
        lambda process: (read_maps(MAPS.splitlines(), "maps", process), []),
    )  # fmt: skip
    session.run(lambda event: True)
    session.close()
    assert not session.errors
    counts = dict(machine.counts())
    machine.close()
    return counts


# Of 64 pages that are read one after the other, 12 that are 16 apart, 16 of a private mapping
# that are two apart, and the program's own code: 18 windows of 16 pages and one of its file.
WITH = {"faults_around": 19, "faults_read_file": 0, "fault_around_mapped": 270,
        "fault_around_used": 90, "fault_around_unused": 180}  # fmt: skip
WITHOUT = {"faults_around": 0, "faults_read_file": 109, "fault_around_mapped": 0,
           "fault_around_used": 0, "fault_around_unused": 0}  # fmt: skip


@pytest.mark.parametrize(("window", "files"), [("65536", WITH), ("4096", WITHOUT)])
def test_what_is_counted(window: str, files: dict[str, int]) -> None:
    found = replayed(LACKEY, {"fault_around_bytes": window, "page_cache": "warm"})
    golden = files | {
        "accesses": 46_002, "touches": 46_002, "faults_zero_page": 577, "faults_cow": 609,
        "faults_anonymous": 1, "faults_segv": 0, "calls_made": 8, "calls_differ": 0,
        "ipis_sent": 0, "table_bytes": 0,
    }  # fmt: skip
    assert {name: found[name] for name in golden} == golden
    assert found["faults"] == sum(found[name] for name in (
        "faults_around", "faults_read_file", "faults_zero_page", "faults_cow",
        "faults_anonymous",
    ))  # fmt: skip


# Where the kernel had put the anonymous memory, and what it had for zeros in the program.
ANONYMOUS = range(0x7FFFF7A00000, 0x7FFFF7C00000)
BSS = 0x403000


def test_the_running_kernel_had_the_same_faults() -> None:
    """But for where it had put the file: in the middle of a window of 64 KiB."""
    found = replayed(LACKEY, {"fault_around_bytes": "65536", "page_cache": "warm"})
    kernel = [(address, kind) for _, _, address, _, kind in found_in(PERF)]  # type: ignore
    reads = [address for address, kind in kernel if kind != STORE]
    zeros = [address for address in reads if address in ANONYMOUS or address == BSS]
    assert found["faults_cow"] == len(kernel) - len(reads)
    assert found["faults_zero_page"] == len(zeros)
    assert found["faults_around"] == len(reads) - len(zeros) - 1


THREADS = """\
==7== Parent PID: 6
SYSCALL[7,1](9) sys_mmap ( 0x0, 65536, 3, 34, -1, 0 ) --> [pre-success] Success(0x10000000)
SYSCALL[7,1](56) sys_clone ( 3d0f00, 0x5, 0x5, 0x5, 0x5 ) --> [pre-success] Success(0x9)
 S 10000000,8
--7--   SCHED[2]:  acquired lock (thread_wrapper(starting new thread))
 L 10000000,8
--7--   SCHED[1]:  acquired lock (VG_(vg_yield))
SYSCALL[7,1](28) sys_madvise ( 0x10000000, 65536, 4 ) --> [pre-success] Success(0x0)
 S 10000000,8
"""


@pytest.mark.parametrize(("cpus", "sent"), [(2, 1), (1, 0)])
def test_a_flush_of_a_thread_interrupts_the_others(
    cpus: int, sent: int, tmp_path: Path
) -> None:
    (tmp_path / "trace").write_text(THREADS)
    found = replayed(tmp_path / "trace", {}, cpus)
    assert (found["ipis_sent"], found["ipis_handled"]) == (sent, sent)
    assert found["faults_anonymous"] == 2
