"""A file of one page that is mapped shared: what most tests of ``mm/`` begin with."""

from __future__ import annotations

from pagerace.lang.structures import bound
from pagerace.machine.cpu import cpus, tlb_entry
from pagerace.machine.memory import frames
from pagerace.machine.pgtable import pte_t
from pagerace.machine.tables import page_tables
from pagerace.mm.mm_types import (
    folio,
    mem_map,
    pmd_t,
    ptdescs,
    pte_slot,
    vm_area_cachep,
    vm_area_struct,
)
from pagerace.mm.pgtable import mm_find_pmd
from pagerace.mm.spinlock import spinlock_t
from pagerace.protocols._shared_file import Start, Work, mapping, mm, setup

PAGE = 0

__all__ = [
    "PAGE", "content", "entry", "map_file", "mapping", "mm", "page", "pmd", "pte", "ptl", "tlb",
    "vma",
]  # fmt: skip


def map_file(start: Start) -> None:
    """Set it up; ``start`` says how the page is mapped at first."""
    with bound(Work(start=start)):
        setup()


def page() -> folio:
    """The page of the file."""
    return mem_map[PAGE]


def vma() -> vm_area_struct:
    """The VMA that maps it."""
    return vm_area_cachep[0]


def entry() -> pte_slot:
    """The entry that maps it."""
    return page_tables[0].pte[PAGE]


def pmd() -> pmd_t:
    """The PMD entry above it."""
    found = mm_find_pmd(mm, PAGE)
    assert found is not None
    return found


def ptl() -> spinlock_t:
    """The lock of its table."""
    return ptdescs[0].ptl


def pte() -> pte_t:
    """What that entry holds."""
    return entry().value


def content() -> int:
    """What the page holds."""
    return int(frames[PAGE].content)


def tlb(cpu: int) -> tlb_entry:
    """What a CPU believes."""
    return cpus[cpu].tlb[PAGE]
