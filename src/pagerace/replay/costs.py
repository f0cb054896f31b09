"""What an operation costs: atomics and acquisitions of locks, by what they were for.

Nothing is counted here: machine/counters.py counts where something happens.  Operations of a
replay come one after the other, so that all that was counted since the last one ended belongs
to the one that ends now.

A trace has faults and system calls.  It has no walks: no program knows when another one looks
at its page tables, so ``Walks`` says how often somebody does.  A *walk* is one look-up of the
PTE of one page by software that is no fault and unmaps nothing, of the page that has just been
faulted in:

    GUP        get_user_pages_unlocked(), its slow path, as where a page has to be written to
    GUP_FAST   lockless_pages_from_mm(), as for futexes and O_DIRECT
    RMAP       page_vma_mapped_walk(), as reclaim, migration and writeback come to it: with
               their lock of the VMA, which is no page table's, left out

A range walk (SMAPS) is that of who reads /proc/PID/smaps: of all mappings, from end to end.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from pagerace.lang import Array, Config, Struct, array, u8, u32, u64
from pagerace.machine.counters import LEVELS, LOCK_CLASSES, counters
from pagerace.machine.memory import nr_t, ulong
from pagerace.machine.pgtable import pte_pfn, pte_present
from pagerace.mm.anon import is_zero_pte
from pagerace.mm.gup import lockless_pages_from_mm, page_list, page_lists
from pagerace.mm.gup_slow import get_user_pages_unlocked
from pagerace.mm.mm_types import mm_struct
from pagerace.mm.mmap import find_vma
from pagerace.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from pagerace.mm.page_vma_mapped import page_vma_mapped_walk, page_vma_mapped_walk_done, walks
from pagerace.mm.swap import folio_put
from pagerace.mm.task_mmu import pte_of, smap_gather_stats


class Walks(Config):
    """``every``: after each so many faults somebody walks; 0: nobody does, ever.

    ``ranges``: after so many of those, somebody reads /proc/PID/smaps.
    ``costs``: all that is counted is charged to an operation.
    """

    costs: bool = False
    every: int = 0
    ranges: int = 16


class Operation(IntEnum):
    """What costs are told apart by.  UNMAP: munmap() and madvise() that zaps.

    MAP: mmap(), and brk() that grows.  OTHER: mprotect(), mremap(), fork() and so on.
    RECLAIM: kswapd.
    """

    FAULT = 0
    GUP = 1
    GUP_FAST = 2
    RMAP = 3
    SMAPS = 4
    UNMAP = 5
    EXIT = 6
    MAP = 7
    OTHER = 8
    RECLAIM = 9


OPERATIONS: Final = len(Operation)


class cost_t(Struct):
    """What operations of one kind cost together; ``number``: how many there were."""

    number: u64
    atomics: u64
    locks: Array[u64] = array(lambda: LOCK_CLASSES)


class costs_t(Struct):
    """``of[n]``: of operation n.  ``atomics``, ``locks``: counted when the last one ended.

    ``tables_peak``: the most page tables, of all levels, that there were between operations;
    ``tables_sum``: their sum over ``samples`` moments, each behind a fault or an unmap.
    ``faults``: since somebody walked; ``walked``: walks since somebody read smaps.
    """

    of: Array[cost_t] = array(lambda: OPERATIONS)
    atomics: u64
    locks: Array[u64] = array(lambda: LOCK_CLASSES)
    tables_peak: u64
    tables_sum: u64
    samples: u64
    faults: u32
    walked: u32


costs = costs_t()


def charge(operation: Operation) -> None:
    """All that was counted since the last call was for one operation, of this kind."""
    cost = costs.of[u8(operation)]
    cost.number += 1
    cost.atomics += counters.atomics - costs.atomics
    costs.atomics = counters.atomics
    for key in range(LOCK_CLASSES):
        cost.locks[key] += counters.locks[key] - costs.locks[key]
        costs.locks[key] = counters.locks[key]
    tables = tables_now()
    costs.tables_peak = max(costs.tables_peak, tables)
    if operation is Operation.FAULT or operation is Operation.UNMAP:
        costs.tables_sum += tables
        costs.samples += 1


def tables_now() -> u64:
    """How many page tables there are, of all levels."""
    tables: u64 = 0
    for level in range(1, LEVELS):
        tables += counters.tables_allocated[level] - counters.tables_freed[level]
    return tables


def faulted(mm: mm_struct, address: ulong) -> None:
    """A fault of this page has ended: it is charged, and perhaps somebody walks."""
    if Walks.costs:
        charge(Operation.FAULT)
    if Walks.every != 0:
        costs.faults += 1
        if costs.faults >= Walks.every:
            costs.faults = 0
            walk(mm, address)


def walk(mm: mm_struct, address: ulong) -> None:
    """One walk of each kind."""
    by_gup(mm, address)
    by_gup_fast(mm, address)
    by_rmap(mm, address)
    costs.walked += 1
    if costs.walked >= Walks.ranges:
        costs.walked = 0
        by_smaps(mm)


def by_gup(mm: mm_struct, address: ulong) -> None:
    """The slow path of GUP, of one page; who puts it is not charged.

    Not of the zero page, for which follow_page_pte() of mm/gup_slow.py gives none.
    """
    if is_zero_pte(pte_of(mm, address)):
        return
    pages = page_lists.current
    got = get_user_pages_unlocked(mm, address, 1, 0, pages)
    charge(Operation.GUP)
    put_pages(got, pages)


def put_pages(got: nr_t, pages: page_list) -> None:
    """The references that somebody got go again."""
    if got != 0:
        page = pages.page[0]
        if page is not None:
            folio_put(page)
        charge(Operation.OTHER)


def by_gup_fast(mm: mm_struct, address: ulong) -> None:
    """GUP-fast of one page."""
    pages = page_lists.current
    got = lockless_pages_from_mm(mm, address, address + 1, 0, pages)
    charge(Operation.GUP_FAST)
    put_pages(got, pages)


def by_rmap(mm: mm_struct, address: ulong) -> None:
    """A walk to where the page is mapped, from the VMA that an rmap leads to."""
    vma = find_vma(mm, address)
    if vma is None:
        return
    pte = pte_of(mm, address)
    if not pte_present(pte):
        return
    pvmw = walks.current
    pvmw.pfn = pte_pfn(pte)
    pvmw.vma = vma
    pvmw.address = address
    pvmw.flags = 0
    if page_vma_mapped_walk(pvmw):
        page_vma_mapped_walk_done(pvmw)
    charge(Operation.RMAP)


def by_smaps(mm: mm_struct) -> None:
    """All mappings, each with mmap_lock taken anew, as m_start() does it."""
    address: ulong = 0
    while True:
        mmap_read_lock(mm)
        vma = find_vma(mm, address)
        if vma is not None:
            smap_gather_stats(vma)
            address = vma.vm_end
        mmap_read_unlock(mm)
        if vma is None:
            break
    charge(Operation.SMAPS)
