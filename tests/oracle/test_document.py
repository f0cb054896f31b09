"""Programs as JSON, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pagerace.oracle import constants as c
from pagerace.oracle.document import (
    ProgramError,
    observation_to_json,
    program_from_text,
    program_to_json,
)
from pagerace.oracle.program import (
    Exit,
    File,
    Fork,
    Ftruncate,
    Load,
    Madvise,
    Mincore,
    Mmap,
    Mprotect,
    Mremap,
    Msync,
    Munmap,
    Observation,
    Page,
    Pread,
    Program,
    Pwrite,
    Space,
    Store,
    VmArea,
)

RW = c.PROT_READ | c.PROT_WRITE
EVERYTHING = Program(
    files=(File(), File("memfd", 8, writable=False, written_in=4)),
    calls=(
        Mmap(0, 3, 8, RW, c.MAP_SHARED | c.MAP_FIXED, 0, 2),
        Store(0, 4, 5),
        Fork(0, 1),
        Load(1, 4),
        Mprotect(1, 4, 1, c.PROT_NONE),
        Mremap(0, 3, 2, 4, c.MREMAP_MAYMOVE | c.MREMAP_FIXED, 40),
        Madvise(0, 40, 1, c.MADV_DONTNEED),
        Msync(0, 40, 1, c.MS_SYNC),
        Pwrite(0, 0, 3, 99),
        Pread(1, 0, 3),
        Ftruncate(1, 0, 2),
        Exit(1),
        Mincore(0, 39, 3),
        Munmap(0, 0, 256),
    ),
    fault_around=4,
)


def test_a_program_survives_the_journey() -> None:
    text = json.dumps(program_to_json(EVERYTHING))
    assert program_from_text(text) == EVERYTHING


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "x"}, 'no "schema": "pagerace-program/1"'),
        ({"extra": 1}, "unknown key 'extra'"),
        ({"calls": 3}, "calls: not a list"),
        ({"window": 0}, "window: not a number of pages"),
        ({"calls": [{"call": "brk", "actor": 0}]}, r"calls\[0\]: no call is named 'brk'"),
        ({"calls": [{"call": "load", "actor": 0}]}, r"calls\[0\]: missing 1 required"),
        ({"calls": [{"call": "load", "page": 1, "at": 0}]}, r"calls\[0\]: unknown key 'at'"),
        ({"calls": [{"call": "exit", "actor": "0"}]}, r"calls\[0\]: actor: '0' is not of type"),
        ({"calls": [{"call": "exit", "actor": 1}]}, r"calls\[0\]: process 1 is not alive"),
        ({"calls": [{"call": "exit", "actor": 0}]}, r"calls\[0\]: process 0 ends last"),
        (
            {"calls": [{"call": "mincore", "actor": 0, "address": 0, "length": 4097}]},
            "mincore\\(\\) of more than 4096 pages",
        ),
        ({"calls": [{"call": "fork", "actor": 0, "child": 0}]}, "there was a process 0"),
        ({"files": [{"kind": "pipe"}]}, r'files\[0\]: kind: neither "file" nor "memfd"'),
    ],
)
def test_what_is_no_program_is_refused(change: dict[str, Any], message: str) -> None:
    document = {**program_to_json(EVERYTHING), **change}
    with pytest.raises(ProgramError, match=message):
        program_from_text(json.dumps(document))


def test_what_is_not_json_is_refused() -> None:
    with pytest.raises(ProgramError, match="line 2: not JSON"):
        program_from_text("{\n?")


def test_an_observation_is_a_document() -> None:
    area = VmArea(3, 4, "rw-p", 0, -1, {"Rss": 4}, ("rd", "wr"))
    seen = Observation(-22, spaces=(Space(0, {3: Page(c.PM_PRESENT, 7)}, (area,)),))
    document = json.loads(json.dumps(observation_to_json(seen)))
    assert document["result"] == -22
    assert document["spaces"][0]["pages"]["3"]["content"] == 7
    assert document["spaces"][0]["mappings"][0]["sizes"] == {"Rss": 4}


def test_numbers_are_spelled_as_c_does() -> None:
    assert c.spelled(RW, c.PROTS, "PROT_NONE") == "PROT_READ | PROT_WRITE"
    assert c.spelled(0, c.PROTS, "PROT_NONE") == "PROT_NONE"
    assert c.spelled(c.MAP_FIXED | 0x4, c.MAP_FLAGS) == "MAP_FIXED | 0x4"
