"""Programs about huge pages: what they are made of, and what the two judges say of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pagerace.lang import drop
from pagerace.lang.protocol import Edit
from pagerace.mm.huge_anon import copy_huge_pmd
from pagerace.mm.pgtable import pmdp_set_wrprotect
from pagerace.oracle import constants as c
from pagerace.oracle.engine import Native
from pagerace.oracle.generate_huge import BORDERS, FIRST, HUGE, WINDOW, from_seed
from pagerace.oracle.kernel import Kernel
from pagerace.oracle.khugepaged import Asleep, refusal
from pagerace.oracle.model import Model
from pagerace.oracle.parallel import Work
from pagerace.oracle.permitted import permitted
from pagerace.oracle.program import (
    WINDOW_START,
    CannotJudge,
    Exit,
    Fork,
    Load,
    Madvise,
    Mmap,
    Mprotect,
    Mremap,
    Munmap,
    Program,
    Store,
)
from pagerace.oracle.session import Session

HERE = permitted()
MOVE = c.MREMAP_MAYMOVE | c.MREMAP_FIXED
BEGIN = (
    Mmap(0, 0, WINDOW, 3, c.MAP_PRIVATE | c.MAP_ANONYMOUS | c.MAP_FIXED),
    Madvise(0, 0, WINDOW, c.MADV_HUGEPAGE),
)
CASES = {
    "loads": (Load(0, 130), Store(0, 131, 5), Load(0, 5), Munmap(0, 128, 1)),
    "fork": (Store(0, 131, 5), Fork(0, 1), Store(0, 140, 5), Store(1, 140, 4)),
    "rights": (Store(0, 131, 5), Mprotect(0, 128, 512, 1), Mprotect(0, 200, 9, 3)),
    "dontneed": (
        Store(0, 131, 5), Madvise(0, 200, 9, c.MADV_DONTNEED), Store(0, 205, 1),
        Madvise(0, 0, WINDOW, c.MADV_DONTNEED), Store(0, 205, 1),
    ),
    "free": (
        Store(0, 131, 5), Madvise(0, 128, 512, c.MADV_FREE), Store(0, 205, 1),
        Madvise(0, 200, 9, c.MADV_FREE),
    ),
    "rights of a batch": (
        Store(0, 131, 5), Madvise(0, 128, 512, c.MADV_FREE), Mprotect(0, 600, 40, 1),
        Store(0, 300, 5), Mprotect(0, 200, 300, 1), Mprotect(0, 128, 512, 0),
    ),
    "rights of two batches": (
        Store(0, 131, 5), Madvise(0, 128, 512, c.MADV_FREE), Mprotect(0, 600, 40, 1),
        Fork(0, 1), Exit(1), Store(0, 300, 5), Mprotect(0, 200, 300, 1),
        Store(0, 150, 5), Mprotect(0, 128, 472, 3), Store(0, 250, 5), Store(0, 170, 5),
        Mprotect(0, 128, 512, 0),
    ),
    "move": (Store(0, 131, 5), Mremap(0, 128, 512, 512, MOVE, 640), Store(0, 130, 1)),
    "move a part": (Store(0, 131, 5), Mremap(0, 130, 9, 9, MOVE, 700), Store(0, 701, 1)),
    "free beside another of its index": (
        Store(0, 700, 1), Mremap(0, 640, 512, 512, MOVE | c.MREMAP_DONTUNMAP, 128),
        Store(0, 700, 1), Store(0, 130, 1), Madvise(0, 579, 60, c.MADV_FREE),
    ),
    "populate what is clean": (
        Store(0, 131, 5), Madvise(0, 128, 512, c.MADV_FREE), Munmap(0, 128, 9),
        Madvise(0, 300, 9, c.MADV_POPULATE_WRITE),
    ),
    "populate": (
        Madvise(0, 0, WINDOW, c.MADV_POPULATE_READ), Fork(0, 1),
        Madvise(0, 0, WINDOW, c.MADV_POPULATE_WRITE),
        Madvise(1, 100, 90, c.MADV_POPULATE_WRITE),
    ),
}  # fmt: skip


def test_the_window_has_two_huge_pages() -> None:
    assert (WINDOW_START + FIRST) % HUGE == 0
    assert BORDERS == (128, 640, 1152)
    assert WINDOW == 1280


def test_a_seed_and_a_number_are_one_program() -> None:
    assert from_seed(1, 2) == from_seed(1, 2) != from_seed(1, 3)
    assert len(from_seed(1, 2, 7).calls) == 7


def test_one_of_so_many_programs_is_about_huge_pages() -> None:
    windows = [program.window for _, program in Work(1, 0, 8, 5, huge=4).programs()]
    assert windows == [256, 256, 256, WINDOW] * 2
    assert [p.window for _, p in Work(1, 0, 2, 5, huge=1).programs()] == [WINDOW] * 2


def test_khugepaged_is_woken_up_again(tmp_path: Path) -> None:
    path = tmp_path / "scan_sleep_millisecs"
    path.write_text("10000\n")
    asleep = Asleep(path)
    assert path.read_text() == "86400000"
    asleep.close()
    assert path.read_text() == "10000"
    assert refusal(path) == ""
    assert refusal(tmp_path / "none").endswith("No such file or directory")
    with pytest.raises(CannotJudge, match="No such file"):
        Asleep(tmp_path / "none")


def session(edits: tuple[Edit, ...] = ()) -> Session:
    if reason := HERE.missing().get("huge-pages"):
        pytest.skip(reason)
    return Session(Kernel(known=HERE), Model(Native(edits)), attempts=60)


def close(made: Session) -> None:
    made.kernel.close()
    made.model.close()


@pytest.fixture(scope="module")
def both() -> Iterator[Session]:
    made = session()
    yield made
    close(made)


@pytest.mark.parametrize("name", CASES)
def test_the_judges_agree(both: Session, name: str) -> None:
    program = Program((*BEGIN, *CASES[name]), window=WINDOW)
    found, kernel, model = both.try_one(program)
    if found and len(kernel[2].spaces[0].pages or ()) == 1:
        pytest.skip("there is no huge page to be had now")
    assert found == []
    assert len(model) == len(program.calls)


def test_generated_programs(both: Session) -> None:
    asleep = Asleep()
    try:
        for number in range(20):
            program = from_seed(3, number, 20)
            found, kernel, _ = both.try_one(program)
            assert not found or not both.repeats(program, kernel), (number, found[:3])
    finally:
        asleep.close()


def test_a_mistake_of_fork_is_found() -> None:
    made = session((drop(copy_huge_pmd, pmdp_set_wrprotect),))
    try:
        calls = (*BEGIN, Store(0, 131, 5), Fork(0, 1), Store(0, 131, 4), Load(1, 131))
        found, _, _ = made.try_one(Program(calls, window=WINDOW))
        assert found[0].step == 4
        assert {item.kind for item in found} >= {"pagemap", "contents"}
    finally:
        close(made)
