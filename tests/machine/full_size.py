"""Kernel Python for the tests of machines of full size: mapping pages, and accesses."""

from __future__ import annotations

from pagerace.lang import u64
from pagerace.lang.direct import ptr
from pagerace.machine.counters import Counting
from pagerace.machine.cpu import cpus
from pagerace.machine.memory import Machine, frames, pfn_t, ulong
from pagerace.machine.pgtable import pfn_pte, pte_clear, pte_mkyoung, ptep_get, set_pte
from pagerace.machine.tables import PteTables, pfn_pmd, pmd_clear, set_pmd
from pagerace.machine.tlb import fetch, invlpg, load, store, tlb_flush_all
from pagerace.mm.mm_types import mm_struct
from pagerace.mm.mmu_gather import MmuGather, gathers, tlb_finish_mmu, tlb_gather_mmu
from pagerace.mm.pgalloc import pgd_alloc, pmd_alloc_at, pte_alloc
from pagerace.mm.pgtable import pte_entry, ptep_get_and_clear
from pagerace.mm.pgtable_free import free_pgd_range
from pagerace.mm.pgtable_levels import init_page_table_locks
from pagerace.mm.tlb import flush_tlb_mm_range, switch_mm

FULL_SIZE = Machine(
    full_size=True,
    levels=4,
    entries=512,
    tables=4096,
    uppers=4096,
    pages=1 << 36,
    frames=1 << 20,
    huge_pages=True,
    cpus=4,
    address_bits=64,
    frame_bits=32,
    version_bits=64,
    count_bits=32,
)
CONFIG = [
    FULL_SIZE, PteTables(come_and_go=True), MmuGather(table_batch=510), Counting(on=True)
]  # fmt: skip

mm = mm_struct()
other = mm_struct()


def set_up() -> None:
    """Two address spaces with nothing in them; CPU 0 runs on the first.  Frames are in use."""
    for _ in range(4096):
        frames.alloc()
    init_page_table_locks(mm)
    init_page_table_locks(other)
    mm.pgd = pgd_alloc(mm)
    other.pgd = pgd_alloc(other)
    switch_mm(mm)


def map_page(address: ulong, pfn: pfn_t) -> None:
    """Map a page writable, clean and old."""
    pmd = pmd_alloc_at(mm, address)
    if pmd is not None and not pte_alloc(mm, pmd):
        set_pte(pte_entry(pmd, address), pfn_pte(pfn, True))


def map_huge(address: ulong, pfn: pfn_t) -> None:
    """Map as many pages as a table has by a leaf of the PMD."""
    pmd = pmd_alloc_at(mm, address)
    if pmd is not None:
        set_pmd(pmd, pfn_pmd(pfn, True))


def unmap(address: ulong) -> None:
    """Clear a PTE, and flush nothing."""
    pmd = pmd_alloc_at(mm, address)
    if pmd is not None:
        pte_clear(pte_entry(pmd, address))


def unmap_huge(address: ulong) -> None:
    """Clear a leaf of the PMD, and flush nothing."""
    pmd = pmd_alloc_at(mm, address)
    if pmd is not None:
        pmd_clear(pmd)


def prefault(address: ulong) -> None:
    """Fault-around has made this PTE."""
    pmd = pmd_alloc_at(mm, address)
    if pmd is not None:
        pte = pte_entry(pmd, address)
        set_pte(pte, ptep_get(pte).replace(prefaulted=True))


def make_young(address: ulong) -> None:
    """What a fault does where no hardware sets the accessed bit."""
    pmd = pmd_alloc_at(mm, address)
    if pmd is not None:
        pte = pte_entry(pmd, address)
        set_pte(pte, pte_mkyoung(ptep_get(pte)))


def clear_and_flush(address: ulong) -> None:
    """As the kernel takes a PTE away for good."""
    pmd = pmd_alloc_at(mm, address)
    if pmd is not None:
        ptep_get_and_clear(mm, address, pte_entry(pmd, address))
        flush_tlb_mm_range(mm, address, address + 1)


def flush(start: ulong, end: ulong) -> None:
    """What follows a change of PTEs."""
    flush_tlb_mm_range(mm, start, end)


def run_here() -> None:
    """This CPU runs on the address space, too."""
    switch_mm(mm)


def run_other() -> None:
    """This CPU runs on the other address space."""
    switch_mm(other)


def forget_page(address: ulong) -> None:
    """INVLPG on CPU 0."""
    invlpg(cpus[0], address)


def forget_everything() -> None:
    """CPU 0 forgets all."""
    tlb_flush_all(cpus[0])


def read(address: ulong) -> bool:
    """A load."""
    return load(address)


def write(address: ulong) -> bool:
    """A store that adds 1."""
    return store(address, 1)


def execute(address: ulong) -> bool:
    """A fetch."""
    return fetch(address)


def free_tables(start: ulong, end: ulong) -> None:
    """munmap() of all there is, as to tables."""
    tlb = gathers.current
    tlb_gather_mmu(tlb, mm)
    free_pgd_range(tlb, start, end, 0, 0)
    tlb_finish_mmu(tlb)


def read_many(pages: ptr[u64], count: u64) -> u64:
    """Loads, one after the other; how many were done."""
    done: u64 = 0
    for i in range(count):
        if load(pages[i]):
            done += 1
    return done


FUNCTIONS = [
    set_up, map_page, map_huge, unmap, unmap_huge, prefault, make_young,
    clear_and_flush, flush, run_here, run_other,
    forget_page, forget_everything, read, write, execute, free_tables, read_many,
]  # fmt: skip
