"""System calls from strace and valgrind, and mappings from a maps file."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagerace.replay.calls import ValgrindCalls, WrongCall, number, read_strace
from pagerace.replay.events import Call, Mapping, TraceError
from pagerace.replay.maps import read_maps

STRACE = """\
100 execve("/bin/ls", ["ls"], 0x7ffd /* 20 vars */) = 0
100 brk(NULL)                         = 0x55c55323c000
100 mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f50a40c8000
100 mmap(NULL, 186064, PROT_READ, MAP_PRIVATE|MAP_DENYWRITE, 3</lib/a, b.so>, 0) = 0x7f50a4091000
100 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD, child_tidptr=0x7f) = 101
101 munmap(0x7f50a40bf000, 34547 <unfinished ...>
100 clone(child_stack=0x7f, flags=CLONE_VM|CLONE_FS|CLONE_THREAD) = 102
101 <... munmap resumed>)             = 0
101 mremap(0x7f50a4091000, 4096, 8192, MREMAP_MAYMOVE) = -1 ENOMEM (Cannot allocate memory)
101 --- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=NULL} ---
101 exit_group(1)                     = ?
101 +++ exited with 1 +++
100 madvise(0x7f50a40c8000, 4096, MADV_DONTNEED) = 0
100 mprotect(0x7f50a40c8000, 4096, PROT_READ) = 0
100 mlock(0x7f50a40c8000, 4096)       = 0
"""  # noqa: E501

SINGLE = """\
12:00:01.123456 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 3, 0) = 0x7000000000
12:00:01.123457 mmap(0x7000001000, 4096, PROT_EXEC, MAP_PRIVATE|MAP_FIXED, 3, 0x1000) = 0x7000001000
[pid    77] mmap(NULL, 4194304, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS|MAP_HUGETLB|21<<MAP_HUGE_SHIFT, -1, 0) = 0x7000200000 <0.000012>
"""  # noqa: E501


def strace(text: str, process: int = 1) -> list[Call]:
    return read_strace(text.splitlines(keepends=True), "calls", process)


def test_strace() -> None:
    anonymous, file = 0x7F50A40C8000, 0x7F50A4091000
    assert strace(STRACE) == [
        Call(1, 1, "exit", (), 0, 1),
        Call(1, 1, "brk", (0,), 0x55C55323C000, 2),
        Call(1, 1, "mmap", (0, 8192, 3, 0x22, -1, 0), anonymous, 3),
        Call(1, 1, "mmap", (0, 186064, 1, 0x802, 3, 0), file, 4, "/lib/a, b.so"),
        Call(1, 1, "fork", (), 101, 5),
        Call(1, 1, "thread", (), 102, 7),
        Call(101, 101, "munmap", (0x7F50A40BF000, 34547), 0, 8),
        Call(101, 101, "mremap", (file, 4096, 8192, 1, 0), -12, 9),
        Call(101, 101, "exit", (), 0, 11),
        Call(1, 1, "madvise", (anonymous, 4096, 4), 0, 13),
        Call(1, 1, "mprotect", (anonymous, 4096, 1), 0, 14),
    ]


def test_files_without_names() -> None:
    """A number is used again: one that is mapped behind the last mapping is another file."""
    calls = strace(SINGLE)
    assert [call.path for call in calls] == ["file 1 (number 3)", "file 2 (number 3)", ""]
    inside = SINGLE.replace("NULL, 4096", "NULL, 8192", 1)
    assert [call.path for call in strace(inside)][:2] == ["file 1 (number 3)"] * 2
    assert calls[2].arguments[3] == 0x40022 | 21 << 26


WRONG_STRACE = {
    "not a line": "hello\n",
    "resumed": "7 <... munmap resumed>) = 0\n",
    "a flag": "7 mprotect(0x1000, 4096, PROT_SOMETHING) = 0\n",
    "too few": "7 mmap(NULL, 4096) = 0x1000\n",
    "too many": "7 munmap(0x1000, 1, 2) = 0\n",
    "a file": "7 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, x, 0) = 0x1000\n",
}


@pytest.mark.parametrize("name", list(WRONG_STRACE))
def test_what_is_said_of_wrong_strace(name: str, snapshot: Any) -> None:
    with pytest.raises(TraceError) as caught:
        strace("7 munmap(0x1000, 4096) = 0\n" + WRONG_STRACE[name])
    assert str(caught.value) == snapshot


@given(st.text(alphabet="mapun(),0x|= <>.+-\n7PROT_READ[]", max_size=80))
def test_garbage_as_strace_ends_in_a_message(text: str) -> None:
    try:
        strace(text)
    except TraceError as error:
        assert error.message


@given(st.text(alphabet="SYCAL[]1,()9 sys_mapun0x->fuce", max_size=80))
def test_garbage_as_a_call_of_valgrind_ends_in_a_message(text: str) -> None:
    calls = ValgrindCalls(1)
    for line in (text, "SYSCALL[1,1](9) " + text, "SYSCALL[1,1](9) sys_mmap ( " + text):
        try:
            calls.call(line, 1)
        except WrongCall as error:
            assert str(error)


def test_a_file_that_was_closed_has_no_name() -> None:
    calls = ValgrindCalls(1)
    for line in (
        "SYSCALL[9,1](257) sys_openat ( 0, 0x1(/a), 0 ) --> [async] ... ",
        "SYSCALL[9,1](257) ... [async] --> Success(0x4) ",
        "SYSCALL[9,1](3) sys_close ( 4 )[sync] --> Success(0x0) ",
    ):
        assert calls.call(line, 1) is None
    made = calls.call("SYSCALL[9,1](9) sys_mmap ( 0, 1, 1, 2, 4, 0 ) --> [] Success(0x8000)", 1)
    assert made is not None and made.path == "file 4"


def test_numbers() -> None:
    assert number("PROT_READ|PROT_WRITE") == 3
    assert number("0x10 | 010".replace("010", "8")) == 0x18
    with pytest.raises(WrongCall):
        number("PROT_READ|")


MAPS = """\
55a4f5e00000-55a4f5e21000 r-xp 00001000 08:01 1234                       /usr/bin/a b
55a4f6000000-55a4f6021000 rw-p 00000000 00:00 0                          [heap]
7f0000000000-7f0000001000 rw-s 00000000 00:01 77                         /dev/zero (deleted)
7f0000001000-7f0000002000 ---p 00000000 00:00 0
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
"""


def maps(text: str) -> list[Mapping]:
    return read_maps(text.splitlines(keepends=True), "maps", 1)


def test_maps() -> None:
    assert maps(MAPS) == [
        Mapping(1, 0x55A4F5E00000, 0x55A4F5E21000, 5, 2, 0x1000, "/usr/bin/a b"),
        Mapping(1, 0x55A4F6000000, 0x55A4F6021000, 3, 0x22, 0, ""),
        Mapping(1, 0x7F0000000000, 0x7F0000001000, 3, 1, 0, "/dev/zero (deleted)"),
        Mapping(1, 0x7F0000001000, 0x7F0000002000, 0, 0x22, 0, ""),
        Mapping(1, 0x7FFC00000000, 0x7FFC00021000, 3, 0x122, 0, ""),
    ]


def test_what_is_said_of_wrong_maps(snapshot: Any) -> None:
    first = MAPS.splitlines()[1] + "\n"
    said: list[str] = []
    for wrong in ("hello\n", first, "1001-2000 rw-p 0 00:00 0\n", "2000-2000 rw-p 0 00:00 0\n"):
        with pytest.raises(TraceError) as caught:
            maps(first + wrong)
        said.append(str(caught.value))
    assert said == snapshot


@given(st.text(alphabet="0123456789abcdef-rwxps: \n/", max_size=80))
def test_garbage_as_maps_ends_in_a_message(text: str) -> None:
    try:
        maps(text)
    except TraceError as error:
        assert error.message
