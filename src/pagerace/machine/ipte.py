"""Invalidation on s390: an instruction that changes the tables and purges all TLBs.

It ends when all CPUs have done their part; nothing that the kernel does can come before
that on the CPU that executes it, and so it is one step.  Who reads the entry without a lock
while it is under way is not looked at.

TRUSTED.
"""

from __future__ import annotations

from pagerace.lang import atomic, smp_processor_id
from pagerace.machine.cpu import cpus, has_tables
from pagerace.machine.entry import pte_slot
from pagerace.machine.memory import ulong
from pagerace.machine.tlb import invlpg, tlb_flush_all


def ipte(address: ulong, ptep: pte_slot) -> None:
    """IPTE: set INVALID in the entry; no CPU knows it any more."""
    with atomic():
        ptep.value = ptep.value.replace(accessed=False)
        for cpu in cpus:
            if has_tables(cpu):
                invlpg(cpu, address)


def ipte_local(address: ulong, ptep: pte_slot) -> None:
    """IPTE with the local-clearing control: the same for the CPU that executes it."""
    with atomic():
        ptep.value = ptep.value.replace(accessed=False)
        invlpg(cpus[smp_processor_id()], address)


def idte() -> None:
    """IDTE: no CPU knows an entry of the address space any more."""
    with atomic():
        for cpu in cpus:
            if has_tables(cpu):
                tlb_flush_all(cpu)
