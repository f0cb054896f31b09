"""A file of one page that is mapped shared: what most tests of ``mm/`` begin with."""

from __future__ import annotations

from pagerace.lang.structures import bound
from pagerace.machine.cpu import cpus, tlb_entry
from pagerace.machine.memory import frames
from pagerace.machine.pgtable import pte_t
from pagerace.mm.mm_types import folio, mem_map, pte_slot, vm_area_cachep, vm_area_struct
from pagerace.protocols._shared_file import Start, Work, mapping, mm, setup

PAGE = 0

__all__ = ["PAGE", "content", "entry", "map_file", "mapping", "mm", "page", "pte", "tlb", "vma"]


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
    return mm.pmd.table.pte[PAGE]


def pte() -> pte_t:
    """What that entry holds."""
    return entry().value


def content() -> int:
    """What the page holds."""
    return int(frames[PAGE].content)


def tlb(cpu: int) -> tlb_entry:
    """What a CPU believes."""
    return cpus[cpu].tlb[PAGE]
