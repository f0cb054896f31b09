"""Processes on a small machine, as plain Python: their mappings, loads and stores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pagerace.lang.structures import Config
from pagerace.machine.cpu import cpus
from pagerace.machine.entry import pte_t
from pagerace.machine.memory import Machine, frames
from pagerace.machine.tables import PteTables, page_tables, pmd_none, pmdp_get, upper_tables
from pagerace.machine.tlb import tlb_flush_all
from pagerace.mm import syscalls
from pagerace.mm.fault import user_load, user_store
from pagerace.mm.mm_types import (
    Mm,
    Vma,
    anon_vma_cachep,
    anon_vma_chain_cachep,
    mappings,
    mem_map,
    mms,
    vm_area_cachep,
)
from pagerace.mm.mman import (
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_PRIVATE,
    PROT_READ,
    PROT_WRITE,
    VM_EXEC,
    VM_READ,
    VM_SHARED,
    VM_WRITE,
)
from pagerace.mm.pgtable import mm_find_pmd, pte_entry
from pagerace.mm.pgtable_levels import load_new_mm_cr3
from tests.kernel import fresh_machine

RW = PROT_READ | PROT_WRITE
ANONYMOUS = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED
SIGNAL = "signal"


@contextmanager
def machine(*configs: Config) -> Iterator[None]:
    """A machine with process 0, which has no memory."""
    sizes = Machine(
        pages=16, address_bits=6, frames=15, frame_bits=4, version_bits=32, cpus=1,
        levels=3, entries=2, tables=6, uppers=9, prot_none=True,
    )  # fmt: skip
    kernel = (Mm(vmas=15, mms=3, files=3), Vma(flags=True), PteTables(come_and_go=True))
    with fresh_machine(sizes, *kernel, *configs):
        syscalls.boot()
        assert syscalls.sys_process_create() == 0
        yield


def mapped(process: int = 0) -> str:
    """The mappings as /proc/PID/maps has them: ``2-6 rw-p``, ``2-6 rw-s 0:1`` of file 1."""
    lines: list[str] = []
    mm = mms[process]
    for slot in range(mm.map_count):
        vma = mm.mm_mt[slot]
        assert vma is not None
        rights = "".join(
            letter if vma.vm_flags & bit else "-"
            for letter, bit in (("r", VM_READ), ("w", VM_WRITE), ("x", VM_EXEC))
        )
        rights += "s" if vma.vm_flags & VM_SHARED else "p"
        file = f" {vma.vm_pgoff}:{mappings.index(vma.vm_file)}" if vma.vm_file else ""
        lines.append(f"{vma.vm_start}-{vma.vm_end} {rights}{file}")
    return ", ".join(lines)


def mmap(start: int, pages: int, prot: int = RW, flags: int = ANONYMOUS) -> None:
    """Anonymous memory of process 0, at this place."""
    assert syscalls.sys_mmap(0, start, pages, prot, flags, -1, 0) == start


def run(process: int) -> None:
    """CPU 0 runs the process from here on."""
    for mm in mms:
        mm.cpu_bitmap = 0
    mms[process].cpu_bitmap = 1
    load_new_mm_cr3(0, mms[process])
    tlb_flush_all(cpus[0])


def store(process: int, page: int) -> bool:
    """One more in what the page holds; False: a signal."""
    run(process)
    return user_store(mms[process], page)


def load(process: int, page: int) -> int | str:
    """What the page holds, or a signal."""
    run(process)
    if not user_load(mms[process], page):
        return SIGNAL
    return int(frames[cpus[0].tlb[page].pfn].content)


def pte(process: int, page: int) -> pte_t:
    """The PTE of a page."""
    pmd = mm_find_pmd(mms[process], page)
    if pmd is None or pmd_none(pmdp_get(pmd)):
        return pte_t()
    return pte_entry(pmd, page).value


def references() -> dict[int, tuple[int, int]]:
    """Of each frame that is in use but the zero page: its references and its mappings."""
    return {
        n: (int(page._refcount.counter), int(page._mapcount.counter))  # pyright: ignore
        for n, page in enumerate(mem_map)
        if n != 0 and frames.allocated(frames[n])
    }


def nothing_is_left() -> bool:
    """All processes are gone: so are all VMAs, and all pages of theirs."""
    pools = (
        vm_area_cachep, anon_vma_cachep, anon_vma_chain_cachep, mms, page_tables, upper_tables
    )  # fmt: skip
    return not any(pool.allocated(item) for pool in pools for item in pool)
