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
from pathlib import Path

from pagerace.replay.events import FETCH, LOAD, STORE, Call
from pagerace.replay.reader import Trace
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
