"""``pagerace walk``: callbacks of a file, right and wrong, and what is no callback."""

from __future__ import annotations

import json
import re

import pytest
from syrupy.assertion import SnapshotAssertion

from pagerace.cli.walking import KERNELS, against_all
from tests.cli.conftest import CommandLine, Run

HEAD = '''\
"""Look at each page of a range."""

from pagerace.lang import s32
from pagerace.machine.memory import ulong
from pagerace.machine.pgtable import pte_slot
from pagerace.machine.tables import pmd_none, pmd_t, pmdp_get
from pagerace.mm.huge_memory import pmd_trans_huge_lock
from pagerace.mm.pagewalk_ops import ACTION_AGAIN, ACTION_CONTINUE, mm_walk, mm_walk_ops
from pagerace.mm.spinlock import spin_unlock
from pagerace.mm.walk_notes import handled


def pte_entry(pte: pte_slot, addr: ulong, next: ulong, walk: mm_walk) -> s32:
    handled(addr, next)
    return 0


def pmd_entry(pmd: pmd_t, addr: ulong, next: ulong, walk: mm_walk) -> s32:
    vma = walk.vma
    if vma is None:
        return 0
    ptl = pmd_trans_huge_lock(pmd, vma)
    if ptl is not None:
        handled(addr, next)
        spin_unlock(ptl)
'''
CONTINUE = "        walk.action = ACTION_CONTINUE\n"
AGAIN = "    elif pmd_none(pmdp_get(pmd)):\n        walk.action = ACTION_AGAIN\n"
RETURN = "    return 0\n"
RIGHT = HEAD + CONTINUE + AGAIN + RETURN
TWICE = HEAD + AGAIN + RETURN
NEVER = HEAD + CONTINUE + AGAIN.replace("_AGAIN", "_CONTINUE") + RETURN
TABLES = RIGHT + (
    "\n\nBOTH = mm_walk_ops(pmd_entry=pmd_entry, pte_entry=pte_entry)\n"
    "PTES = mm_walk_ops(pte_entry=pte_entry)\n"
)


def walk(pagerace: CommandLine, source: str, *arguments: str) -> Run:
    pagerace.write("mine.py", source)
    name = "mine.py"
    if arguments and arguments[0].startswith("::"):
        name, arguments = name + arguments[0], arguments[1:]
    run = pagerace("walk", name, *arguments)
    return run


def diagram(run: Run) -> str:
    """What is told of the race itself."""
    return run.out.partition("\nWhy:")[0]


def test_right(pagerace: CommandLine, snapshot: SnapshotAssertion) -> None:
    run = walk(pagerace, RIGHT)
    assert (run.code, run.err) == (0, "")
    assert [line for line in run.out.splitlines() if "::walk" in line] == snapshot


@pytest.mark.parametrize(("kernel", "code"), [("v5.6", 0), ("v6.5", 0), ("v6.19", 1)])
def test_collapse(
    kernel: str, code: int, pagerace: CommandLine, snapshot: SnapshotAssertion
) -> None:
    """Until v6.5 khugepaged waits for mmap_lock; then a table can go under the walk."""
    run = walk(pagerace, NEVER, "--kernel", kernel, "--against", "collapse", "-q")
    assert (run.code, run.err) == (code, "")
    assert run.out == snapshot


def test_a_file_is_walked_where_its_tables_can_go() -> None:
    assert [len(against_all(kernel)) for kernel in KERNELS] == [1, 1, 1, 1, 2]


def test_handled_twice(pagerace: CommandLine, snapshot: SnapshotAssertion) -> None:
    run = walk(pagerace, TWICE, "--against", "none")
    assert run.code == 1
    assert diagram(run) == snapshot


def test_handled_never(pagerace: CommandLine, snapshot: SnapshotAssertion) -> None:
    run = walk(pagerace, NEVER, "--against", "zap")
    assert run.code == 1
    assert diagram(run) == snapshot


def test_what_is_printed_can_be_reproduced(pagerace: CommandLine) -> None:
    found = walk(pagerace, NEVER, "--against", "zap").out
    address, schedule = re.findall(r"reproduce '?(\S+?)'? --schedule (\S+)", found)[0]
    again = pagerace("reproduce", address, "--schedule", schedule)
    assert again.code == 1
    assert "handled_at_least_once fails" in again.out


def test_json(pagerace: CommandLine) -> None:
    run = walk(pagerace, NEVER, "--against", "zap", "--format", "json")
    (result,) = json.loads(run.out)["results"]
    assert (run.code, result["verdict"]) == (1, "violated")


def test_one_of_two_tables(pagerace: CommandLine) -> None:
    run = walk(pagerace, TABLES, "::PTES", "--against", "none", "-q")
    assert (run.code, run.err) == (0, "")


@pytest.mark.parametrize(
    ("source", "arguments"),
    [
        (RIGHT, ["--kernel", "v5.7"]),
        (RIGHT, ["--against", "zap,falt"]),
        (RIGHT, ["::BOTH"]),
        (TABLES, []),
        (TABLES, ["::PTE"]),
        ("x = 1\n", []),
        (RIGHT.partition("def ")[0] + "EMPTY = mm_walk_ops()\n", []),
        (RIGHT.replace("def pte_entry", "def pte_entyr"), []),
        (RIGHT.replace("def pte_entry(pte: pte_slot, addr", "def pte_entry(addr"), []),
        (RIGHT.replace("pte: pte_slot", "pte: pmd_t"), []),
    ],
    ids=[
        "kernel", "against", "no_table", "tables", "table", "none", "empty",
        "name", "few", "type",
    ],
)
def test_bad_input(
    source: str, arguments: list[str], pagerace: CommandLine, snapshot: SnapshotAssertion
) -> None:
    run = walk(pagerace, source, *arguments)
    assert (run.code, run.out) == (2, "")
    assert run.err == snapshot
