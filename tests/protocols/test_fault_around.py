"""fault_around.py and filemap_map.py on a machine of full size: what one fault maps.

tests/oracle has the same numbers from the running kernel.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest

from pagerace.compiler.running import Running
from pagerace.lang import s64, u4, u32
from pagerace.machine.counters import Counting, counters
from pagerace.machine.memory import Machine, ulong
from pagerace.machine.pgtable import set_pte
from pagerace.machine.tables import PteTables
from pagerace.mm import syscalls
from pagerace.mm.fault_around import V5_10, V6_18, FaultAround
from pagerace.mm.filemap import filemap_add_large_folio
from pagerace.mm.mm_types import Mm, PageCache, Vma, mappings, mms
from pagerace.mm.pgtable import mm_find_pmd, pte_entry
from pagerace.mm.swapops import Swap, make_pte_marker
from pagerace.oracle import driver

START = 1 << 20  # page 0 of a table of PTEs
READ, SHARED, FIXED = 1, 1, 0x10


def add_large_folio(file: u32, index: ulong, order: u4) -> s64:
    """A folio of 2 to the power ``order`` pages is in the page cache."""
    return 0 if filemap_add_large_folio(mappings[file], index, order) is not None else -1


def put_marker(process: u32, address: ulong) -> None:
    """The page is poisoned: its entry says so, in a table that is there."""
    pmd = mm_find_pmd(mms[process], address)
    if pmd is not None:
        set_pte(pte_entry(pmd, address), make_pte_marker())


class Process:
    """One process and one file of 1,024 pages."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.call = running.call
        self.call(syscalls.boot)
        self.process = self.call(syscalls.sys_process_create)
        self.file = self.call(syscalls.sys_file_create, 1024, 3)

    def map(self, pages: int, at: int = START, pgoff: int = 0) -> None:
        flags = SHARED | FIXED
        found = self.call(
            syscalls.sys_mmap, self.process, at, pages, READ, flags, self.file, pgoff
        )
        assert found == at

    def cache(self, pages: int) -> None:
        """A process that came before has had them read."""
        self.map(pages)
        for page in range(pages):
            self.load(page)
        self.call(syscalls.sys_munmap, self.process, START, pages)

    def load(self, page: int) -> int:
        return self.call(driver.load_page, self.process, START + page)

    def mapped(self, pages: int = 1024) -> list[int]:
        out = array("Q", bytes(8 * driver.PAGE_WORDS * pages))
        self.call(driver.dump_pages, self.process, START, pages, out.buffer_info()[0])
        return [page for page in range(pages) if out[page * driver.PAGE_WORDS]]


@contextmanager
def machine(around: FaultAround, **cache: bool) -> Generator[Running]:
    config = (
        Machine(
            levels=4, entries=512, pages=512**4, file_pages=1024, blocks=4096, frames=4096,
            tables=64, uppers=64, cpus=1, prot_none=True, full_size=True,
            address_bits=40, frame_bits=32, version_bits=64, count_bits=32,
        ),
        Mm(vmas=16, mms=2, files=4),
        Vma(flags=True),
        PteTables(come_and_go=True),
        Counting(on=True),
        Swap(markers=True),
        PageCache(**cache),
        around,
    )  # fmt: skip
    functions: list[Callable[..., Any]] = [
        syscalls.boot, syscalls.sys_process_create, syscalls.sys_file_create,
        syscalls.sys_mmap, syscalls.sys_munmap, driver.load_page, driver.dump_pages,
        put_marker,
    ]  # fmt: skip
    if cache:
        functions.append(add_large_folio)
    running = Running(functions, config)
    yield running
    running.close()


@pytest.fixture(scope="module")
def v6_18() -> Generator[Running]:
    with machine(V6_18) as running:
        yield running


@pytest.fixture
def p(v6_18: Running) -> Process:
    v6_18.reset()
    return Process(v6_18)


def test_the_aligned_window_is_mapped_where_it_is_cached(p: Process) -> None:
    one_window(p)


def test_alloc_set_pte_maps_the_same_window() -> None:
    with machine(V5_10) as running:
        one_window(Process(running))


def one_window(p: Process) -> None:
    p.cache(128)
    p.map(128)
    p.load(100)
    assert p.mapped() == list(range(96, 112))
    p.load(99)
    assert counted(p) == [15, 1, 0]
    p.call(syscalls.sys_munmap, p.process, START, 128)
    assert counted(p) == [15, 1, 14]


def counted(p: Process) -> list[int]:
    """Pages that fault-around has mapped, that were used, and that went unused."""
    return [p.running.get(counters, f"around_{what}") for what in ("mapped", "used", "unused")]


def test_window_ends_where_vma_table_and_cache_end(p: Process) -> None:
    p.cache(600)
    p.map(30, START + 501, pgoff=501)
    p.load(511)
    assert p.mapped() == list(range(501, 512))
    p.load(530)
    assert p.mapped() == [*range(501, 512), *range(528, 531)]


def test_a_marker_stays_and_kills(p: Process) -> None:
    p.cache(32)
    p.map(32)
    p.load(20)
    p.call(put_marker, p.process, START + 1)
    p.load(3)
    assert p.mapped() == [0, *range(2, 32)]
    assert p.load(1) == driver.BUS_ADRERR


def test_a_window_of_one_page_is_none() -> None:
    with machine(V6_18.replace(fault_around_bytes=4096)) as running:
        p = Process(running)
        p.cache(32)
        p.map(32)
        p.load(20)
        assert p.mapped() == [20]


def test_a_large_folio_is_mapped_whole_where_it_fits() -> None:
    with machine(V6_18, large=True) as running:
        p = Process(running)
        assert p.call(add_large_folio, p.file, 0, 8) == 0
        assert p.call(add_large_folio, p.file, 512, 8) == 0
        p.map(640)
        p.load(100)
        assert p.mapped() == list(range(256))
        p.load(600)
        assert p.mapped() == [*range(256), *range(592, 608)]
