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

TRUSTED.
"""

from __future__ import annotations

from enum import Enum

from pagerace.lang import atomic, choose, smp_processor_id, wait_until
from pagerace.machine.cpu import cpus, has_tables, processor, runs, tlb_entry
from pagerace.machine.entry import pte_slot, remember
from pagerace.machine.memory import Machine, frames, ulong
from pagerace.machine.tables import walk
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


def store(address: ulong) -> bool:
    """One store instruction of user space.  False: it raised a page fault.

    Each round is what the CPU does without another being able to come between; its own
    interrupts come between instructions.
    """
    access = Access.AGAIN
    while access is Access.AGAIN:
        with atomic():
            wait_until(runs(cpus[smp_processor_id()]))
            access = try_store(cpus[smp_processor_id()], address)
    return access is Access.DONE


def load(address: ulong) -> bool:
    """One load instruction of user space; nothing is said of what it reads.

    False: it raised a page fault.
    """
    access = Access.AGAIN
    while access is Access.AGAIN:
        with atomic():
            wait_until(runs(cpus[smp_processor_id()]))
            access = try_load(cpus[smp_processor_id()], address)
    return access is Access.DONE


def try_load(cpu: processor, address: ulong) -> Access:
    """Load through the TLB, or fill it, or fault."""
    if cpu.tlb[address].present:
        return Access.DONE
    ptep = entry_of(cpu, address)
    if ptep is None or not is_valid(ptep.value):
        return Access.FAULT
    load_entry(cpu, address, ptep)
    return Access.AGAIN


def try_store(cpu: processor, address: ulong) -> Access:
    """Store through the TLB, or bring the TLB one step nearer to it, or fault."""
    entry = cpu.tlb[address]
    if not entry.present:
        return fill(cpu, address)
    if not entry.writable:
        if not fault_keeps_entry():
            cpu.tlb[address] = tlb_entry()
        return Access.FAULT
    if not entry.dirty:
        return set_dirty(cpu, address)
    frames[entry.pfn].content += 1
    return Access.DONE


def entry_of(cpu: processor, address: ulong) -> pte_slot | None:
    """The PTE to which the walker comes from the CPU's own register, if to any."""
    top = cpu.cr3
    if top is None:
        return None
    return walk(top, address)


def fill(cpu: processor, address: ulong) -> Access:
    """Walk the tables for a store."""
    ptep = entry_of(cpu, address)
    if ptep is None:
        return Access.FAULT
    pte = ptep.value
    if not is_valid(pte) or not may_store(pte):
        return Access.FAULT
    load_entry(cpu, address, ptep)
    return Access.AGAIN


def load_entry(cpu: processor, address: ulong, ptep: pte_slot) -> None:
    """Copy a PTE that is valid, and set its accessed bit: one locked RMW."""
    pte = ptep.value
    if not pte.accessed:
        ptep.value = mark_accessed(pte)
        remember(ptep)
    cpu.tlb[address] = tlb_entry(
        present=True, writable=may_store(pte), dirty=is_marked_dirty(pte), pfn=pte.pfn
    )


def set_dirty(cpu: processor, address: ulong) -> Access:
    """Set the dirty bit in the PTE and in the copy."""
    entry = cpu.tlb[address]
    ptep = entry_of(cpu, address)
    if ptep is None:
        return Access.FAULT
    pte = ptep.value
    if not pte.present or not pte.writable or pte.pfn != entry.pfn:
        cpu.tlb[address] = tlb_entry()
        return Access.FAULT
    ptep.value = mark_dirty(pte)
    remember(ptep)
    cpu.tlb[address] = entry.replace(dirty=True)
    return Access.AGAIN


def invlpg(cpu: processor, address: ulong) -> None:
    """INVLPG: the CPU that executes it forgets one translation."""
    cpu.tlb[address] = tlb_entry()


def tlb_flush_all(cpu: processor) -> None:
    """The CPU forgets all translations."""
    for address in range(Machine.pages):
        invlpg(cpu, address)


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
            wait_until(cpu.tlb[address].present)
            cpu.tlb[address] = tlb_entry()
