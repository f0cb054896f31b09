"""The TLB and the page walker: fill, eviction, invalidation, and a store of user space.

The rules of x86, each of which is one locked access or none at all.  What other machines
do is said by the functions of machine/walker.py: which of their bits is meant, and that
some set none and raise a fault instead.

* A fill copies the PTE and sets its accessed bit.
* The first store through an entry whose copy is clean sets the dirty bit in the PTE
  with a locked RMW.  The RMW looks at the PTE again: if it is gone or read-only the
  store faults.  This is what batched unmapping relies on (mm/rmap.c, try_to_unmap()).
* A store through an entry whose copy is dirty does not look at memory again.
* A page fault removes the entry that it came from (not on arm64 and s390).
* An entry can be filled ahead of any access, and be evicted, at any time: also on a CPU
  that is in the kernel.

In a check a TLB has room for every page, and what is evicted is left to an agent.  At full
size it has sets and ways (machine/tlb_sets.py), and nothing is filled ahead.

TRUSTED.
"""

from __future__ import annotations

from enum import Enum

from pagerace.lang import atomic, choose, smp_processor_id, wait_until
from pagerace.machine.counters import Counting, counters
from pagerace.machine.cpu import cpus, has_tables, processor, runs, tlb_entry
from pagerace.machine.entry import pte_slot, pte_t, remember
from pagerace.machine.memory import Machine, frames, pfn_t, ulong, version_t
from pagerace.machine.pgtable import pte_offset_kernel, ptrs_per_pte
from pagerace.machine.tables import (
    PagingCache,
    find_table,
    known_table,
    page_tables,
    pages_below,
    upper_table,
    walk,
)
from pagerace.machine.tlb_sets import (
    CODE,
    DATA,
    cache,
    cached,
    first_level,
    forget,
    forget_all,
    forget_tables,
    forget_tables_for,
    mark_cached_dirty,
    second_level,
    walk_cached,
)
from pagerace.machine.walker import (
    fault_keeps_entry,
    is_marked_dirty,
    is_valid,
    mark_accessed,
    mark_dirty,
    may_store,
)


class Access(Enum):
    """How one try of a memory access ended."""

    AGAIN = 0
    DONE = 1
    FAULT = 2


def store(address: ulong, addend: version_t) -> bool:
    """One store instruction of user space.  False: it raised a page fault.

    It adds to what the page holds, so that no store is lost behind another.  Each round is
    what the CPU does without another being able to come between; its own interrupts come
    between instructions.
    """
    if Machine.full_size:
        return store_at_once(cpus[smp_processor_id()], address, addend)
    access = Access.AGAIN
    while access is Access.AGAIN:
        with atomic():
            wait_until(runs(cpus[smp_processor_id()]))
            access = try_store(cpus[smp_processor_id()], address, addend)
    return access is Access.DONE


def load(address: ulong) -> bool:
    """One load instruction of user space; nothing is said of what it reads.

    False: it raised a page fault.
    """
    if Machine.full_size:
        return load_at_once(cpus[smp_processor_id()], address)
    access = Access.AGAIN
    while access is Access.AGAIN:
        with atomic():
            wait_until(runs(cpus[smp_processor_id()]))
            access = try_load(cpus[smp_processor_id()], address)
    return access is Access.DONE


def store_at_once(cpu: processor, address: ulong, addend: version_t) -> bool:
    """A store at full size.  Most find all they need in the first level: the short way."""
    count_access()
    entry = first_level(cpu, address, DATA)
    if entry.present and entry.writable and entry.dirty:
        frames[entry.pfn].content += addend
        return True
    return finish(cpu, address, True, addend)


def load_at_once(cpu: processor, address: ulong) -> bool:
    """A load at full size."""
    count_access()
    if first_level(cpu, address, DATA).present:
        return True
    return finish(cpu, address, False, 0)


def finish(cpu: processor, address: ulong, is_store: bool, addend: version_t) -> bool:
    """The long way, where nobody else does anything between one round and the next."""
    access = Access.AGAIN
    while access is Access.AGAIN:
        access = try_store(cpu, address, addend) if is_store else try_load(cpu, address)
    return access is Access.DONE


def fetch(address: ulong) -> bool:
    """The fetch of an instruction, at full size, where TLBs for them are apart.

    False: it raised a page fault.
    """
    count_access()
    cpu = cpus[smp_processor_id()]
    if first_level(cpu, address, CODE).present:
        return True
    return fetch_further(cpu, address)


def fetch_further(cpu: processor, address: ulong) -> bool:
    """The same, of what the first level does not have."""
    if second_level(cpu, address, CODE).present:
        return True
    ptep = walk_cached(cpu, address)
    if ptep is None or not is_valid(ptep.value):
        return fault(cpu, address) is Access.DONE
    huge = ptep.value.huge
    cache(cpu, address, CODE, huge, take_entry(ptep))
    return True


def count_access() -> None:
    """An instruction is tried."""
    if Counting.on:
        counters.accesses += 1


def try_load(cpu: processor, address: ulong) -> Access:
    """Load through the TLB, or fill it, or fault."""
    entry = cached(cpu, address, DATA) if Machine.full_size else cpu.tlb[address]
    if entry.present:
        return Access.DONE
    ptep = entry_of(cpu, address)
    if ptep is None or not is_valid(ptep.value):
        return fault(cpu, address)
    load_entry(cpu, address, ptep)
    return Access.AGAIN


def try_store(cpu: processor, address: ulong, addend: version_t) -> Access:
    """Store through the TLB, or bring the TLB one step nearer to it, or fault."""
    entry = cached(cpu, address, DATA) if Machine.full_size else cpu.tlb[address]
    if not entry.present:
        return fill(cpu, address)
    if not entry.writable:
        if not fault_keeps_entry():
            drop(cpu, address)
        return fault(cpu, address)
    if not entry.dirty:
        return set_dirty(cpu, address, entry)
    frames[entry.pfn].content += addend
    return Access.DONE


def drop(cpu: processor, address: ulong) -> None:
    """The TLB has nothing for a page any more."""
    if Machine.full_size:
        forget(cpu, address)
    else:
        cpu.tlb[address] = tlb_entry()


def fault(cpu: processor, address: ulong) -> Access:
    """A page fault: what was known of the way to the page is forgotten, on x86."""
    if Machine.full_size and not fault_keeps_entry():
        forget(cpu, address)
        forget_tables_for(cpu, address)
    elif PagingCache.on and not fault_keeps_entry():
        cpu.known[address // ptrs_per_pte()] = known_table()
    return Access.FAULT


def entry_of(cpu: processor, address: ulong) -> pte_slot | None:
    """The entry to which the walker comes from the CPU's own register, if to any."""
    if Machine.full_size:
        return walk_cached(cpu, address)
    if PagingCache.on:
        return walk_known(cpu, address)
    return walk_uncached(cpu, address)


def walk_known(cpu: processor, address: ulong) -> pte_slot | None:
    """The same, by the table of PTEs that is remembered, whatever that is by now.

    None is remembered where there is none.
    """
    index = address // ptrs_per_pte()
    known = cpu.known[index]
    top = cpu.cr3
    if top is None:
        return None
    if not known.present:
        known = find_table(top, address)
        cpu.known[index] = known
    if known.present:
        return pte_offset_kernel(page_tables[known.number], address)
    return walk(top, address)


def walk_uncached(cpu: processor, address: ulong) -> pte_slot | None:
    """The same, as memory is now."""
    top = cpu.cr3
    if top is None:
        return None
    return walk(top, address)


def fill(cpu: processor, address: ulong) -> Access:
    """Walk the tables for a store."""
    ptep = entry_of(cpu, address)
    if ptep is None:
        return fault(cpu, address)
    pte = ptep.value
    if not is_valid(pte) or not may_store(pte):
        return fault(cpu, address)
    load_entry(cpu, address, ptep)
    return Access.AGAIN


def load_entry(cpu: processor, address: ulong, ptep: pte_slot) -> None:
    """Copy a PTE that is valid, and set its accessed bit."""
    if Machine.full_size:
        huge = ptep.value.huge
        cache(cpu, address, DATA, huge, take_entry(ptep))
    else:
        copy = take_entry(ptep)
        cpu.tlb[address] = copy.replace(pfn=frame_of(ptep.value, address))


def take_entry(ptep: pte_slot) -> tlb_entry:
    """What a TLB copies of a PTE, whose accessed bit is set: one locked RMW."""
    pte = ptep.value
    if not pte.accessed:
        ptep.value = mark_accessed(pte)
        remember(ptep)
        if Counting.on:
            counters.accessed_set += 1
    if Counting.on and pte.prefaulted:
        counters.around_used += 1
        ptep.value = ptep.value.replace(prefaulted=False)
    return tlb_entry(
        present=True, writable=may_store(pte), dirty=is_marked_dirty(pte), pfn=pte.pfn
    )


def frame_of(pte: pte_t, address: ulong) -> pfn_t:
    """The frame of a page: of a leaf above the PTEs one of those that it maps."""
    if Machine.huge_pages and pte.huge:
        return pte.pfn + pfn_t(address % ptrs_per_pte())
    if Machine.huge_puds and pte.huge_pud:
        return pte.pfn + pfn_t(address % pages_below(3))
    return pte.pfn


def set_dirty(cpu: processor, address: ulong, entry: tlb_entry) -> Access:
    """Set the dirty bit in the PTE and in the copy."""
    ptep = walk_known(cpu, address) if PagingCache.on else walk_uncached(cpu, address)
    if ptep is None:
        return fault(cpu, address)
    pte = ptep.value
    if not pte.present or not pte.writable or frame_of(pte, address) != entry.pfn:
        drop(cpu, address)
        return fault(cpu, address)
    ptep.value = mark_dirty(pte)
    remember(ptep)
    if Counting.on:
        counters.dirty_set += 1
    if Machine.full_size:
        mark_cached_dirty(cpu, address)
    else:
        cpu.tlb[address] = entry.replace(dirty=True)
    return Access.AGAIN


def invlpg(cpu: processor, address: ulong) -> None:
    """INVLPG: the CPU that executes it forgets one translation, and all ways to tables."""
    if Machine.full_size:
        forget(cpu, address)
        forget_tables(cpu)
    else:
        cpu.tlb[address] = tlb_entry()
        forget_known(cpu)


def forget_known(cpu: processor) -> None:
    """In a check: nothing is known of any table."""
    if PagingCache.on:
        for index in range(len(cpu.known)):
            cpu.known[index] = known_table()


def forget_page(cpu: processor, address: ulong) -> None:
    """The CPU forgets one translation, and no table (arm64's invalidation of a last level)."""
    if PagingCache.on:
        cpu.tlb[address] = tlb_entry()
    else:
        invlpg(cpu, address)


def tlb_flush_all(cpu: processor) -> None:
    """The CPU forgets all translations."""
    if Machine.full_size:
        forget_all(cpu)
    else:
        for address in range(Machine.pages):
            invlpg(cpu, address)


def write_cr3(cpu: processor, top: upper_table | None) -> None:
    """MOV to CR3: other tables, and nothing is known of them (there are no PCIDs)."""
    cpu.cr3 = top
    if PagingCache.on:
        forget_known(cpu)
    if Machine.full_size:
        forget_all(cpu)
        if Counting.on:
            counters.cr3_writes += 1


def tlb_fill() -> None:
    """Agent: the CPU walks the tables ahead of any access, whenever it likes."""
    cpu = cpus[smp_processor_id()]
    while True:
        with atomic():
            wait_until(runs(cpu) and has_tables(cpu))
            address: ulong = choose(Machine.pages)
            ptep = entry_of(cpu, address)
            wait_until(ptep is not None)
            if ptep is not None:
                wait_until(is_valid(ptep.value) and not cpu.tlb[address].present)
                load_entry(cpu, address, ptep)


def tlb_evict() -> None:
    """Agent: the CPU drops an entry of its TLB, whenever it likes."""
    cpu = cpus[smp_processor_id()]
    while True:
        with atomic():
            address = choose(Machine.pages)
            if PagingCache.on:
                known = cpu.known[address // ptrs_per_pte()]
                wait_until(cpu.tlb[address].present or known.present)
                cpu.known[address // ptrs_per_pte()] = known_table()
            else:
                wait_until(cpu.tlb[address].present)
            cpu.tlb[address] = tlb_entry()


def walk_ahead() -> None:
    """Agent: the CPU remembers a table ahead of any access, whenever it likes.

    There need be no entry in it for a page.  It forgets one as it likes by tlb_evict().
    """
    cpu = cpus[smp_processor_id()]
    while True:
        with atomic():
            wait_until(runs(cpu))
            address: ulong = choose(Machine.pages)
            top = cpu.cr3
            wait_until(top is not None and not cpu.known[address // ptrs_per_pte()].present)
            if top is not None:
                known = find_table(top, address)
                wait_until(known.present)
                cpu.known[address // ptrs_per_pte()] = known
