"""A CPU that remembers tables: machine/tlb.py, with PagingCache, and who makes it forget."""

from __future__ import annotations

import pytest

from pagerace.compiler.program import compile_protocol
from pagerace.lang import agent, drop, protocol, thread
from pagerace.lang.protocol import Edit, Protocol
from pagerace.lang.structures import Config
from pagerace.machine.arch import Arch
from pagerace.machine.cpu import cpus
from pagerace.machine.memory import Machine
from pagerace.machine.pgtable import pfn_pte, set_pte
from pagerace.machine.tables import PagingCache, PteTables, page_tables, upper_tables
from pagerace.machine.tlb import (
    forget_page,
    invlpg,
    load,
    tlb_evict,
    tlb_fill,
    walk_ahead,
    walk_known,
    write_cr3,
)
from pagerace.machine.tlbi import receive_tlbi, tlbi_vae1is, tlbi_vale1is
from pagerace.mm.mm_types import mm_struct
from pagerace.mm.mmu_gather import (
    gathers,
    tlb_finish_mmu,
    tlb_flush_mmu_tlbonly,
    tlb_gather_mmu,
)
from pagerace.mm.pgalloc import __pte_alloc_one, pgd_alloc, pmd_populate
from pagerace.mm.pgtable import mm_find_pmd
from pagerace.mm.pgtable_free import free_pte_range
from pagerace.mm.pgtable_levels import init_page_table_locks, load_new_mm_cr3
from pagerace.mm.tlb import flush_freed_tables, sysvec_call_function
from pagerace.mm.tlb_lazy import LazyTlb, run_kernel_thread
from pagerace.search import check
from tests.kernel import fresh_machine, reset

mm = mm_struct()
CONFIG = [
    Machine(cpus=2, frames=2, tables=2), PteTables(come_and_go=True), PagingCache(on=True),
]  # fmt: skip


def begin() -> None:
    """CPU 1 runs an mm that has a table, and a page in it."""
    init_page_table_locks(mm)
    mm.pgd = pgd_alloc(mm)
    for cpu in range(Machine.cpus):
        load_new_mm_cr3(cpu, mm)
    mm.cpu_bitmap = 2
    pmd = mm_find_pmd(mm, 0)
    table = __pte_alloc_one(mm)
    if pmd is not None and table is not None:
        set_pte(table.pte[0], pfn_pte(1, False))
        pmd_populate(mm, pmd, table)


def unmap() -> None:
    """Thread: the table goes, with a gather."""
    pmd = mm_find_pmd(mm, 0)
    tlb = gathers.current
    tlb_gather_mmu(tlb, mm)
    if pmd is not None:
        free_pte_range(tlb, pmd, 0)
    tlb_finish_mmu(tlb)


def sleep() -> None:
    """Thread: a kernel thread runs on CPU 1 for a while."""
    run_kernel_thread(mm)


def test_a_table_is_remembered_until_an_address_is_invalidated() -> None:
    with fresh_machine(*CONFIG):
        reset(mm)
        begin()
        cpu = cpus[0]
        assert load(0)
        assert cpu.known[0].present
        upper_tables[0].entry[0].entry.value = pfn_pte(1, True)  # another table
        assert walk_known(cpu, 0) is page_tables[0].pte[0]
        forget_page(cpu, 0)
        assert walk_known(cpu, 0) is page_tables[0].pte[0]
        invlpg(cpu, 0)
        assert walk_known(cpu, 0) is page_tables[1].pte[0]
        write_cr3(cpu, None)
        assert not cpu.known[0].present


def test_arm64_says_whether_tables_are_meant() -> None:
    with fresh_machine(*CONFIG, Machine(arch=Arch.ARM64, cpus=2)):
        reset(mm)
        begin()
        tlbi_vale1is(0)
        assert not cpus[1].invalidate_tables[0]
        tlbi_vae1is(0)
        assert cpus[1].invalidate_tables[0]
        assert cpus[1].invalidate[0]


HARDWARE = [agent(walk_ahead, cpu=1), agent(tlb_fill, cpu=1), agent(tlb_evict, cpu=1)]


def freeing(*config: Config, edits: tuple[Edit, ...] = ()) -> Protocol:
    broadcast = Machine(arch=Arch.ARM64, cpus=2, frames=2, tables=2) in config
    lazy = LazyTlb(mode=True) in config
    return protocol(
        threads=[
            thread(unmap, cpu=0),
            agent(receive_tlbi if broadcast else sysvec_call_function, cpu=1),
            *HARDWARE,
            *([thread(sleep, cpu=1)] if lazy else []),
        ],
        setup=begin,
        config=[*CONFIG, *config],
    ).replace(edits=edits)  # fmt: skip


ARM64 = Machine(arch=Arch.ARM64, cpus=2, frames=2, tables=2)
LAZY = LazyTlb(mode=True)
CASES: dict[str, tuple[str | None, Protocol]] = {
    "x86": (None, freeing()),
    "arm64": (None, freeing(ARM64)),
    "arm64, last level only": (
        "use-after-free",
        freeing(ARM64, edits=(drop(tlb_flush_mmu_tlbonly, flush_freed_tables),)),
    ),
    "lazy": (None, freeing(LAZY)),
    "lazy, not interrupted": (
        "use-after-free",
        freeing(LAZY, edits=(drop(tlb_flush_mmu_tlbonly, flush_freed_tables),)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_no_table_is_known_that_is_freed(name: str) -> None:
    slug, claim = CASES[name]
    found = check(compile_protocol(claim)).violation
    assert (found and found.slug) == slug
