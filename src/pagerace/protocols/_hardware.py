"""What must hold of walkers and TLBs themselves, and the agents that they are."""

from __future__ import annotations

from pagerace.lang import agent
from pagerace.machine.cpu import cpus, runs_user_code
from pagerace.machine.memory import Machine
from pagerace.machine.pgtable import pte_none, pte_pfn, pte_present
from pagerace.machine.tlb import tlb_evict, tlb_fill
from pagerace.machine.tlbi import receive_tlbi
from pagerace.mm.fork import dup_mmap
from pagerace.mm.tlb import sysvec_call_function
from pagerace.protocols._shared_file import mm, pte_at

WALKERS = [agent(tlb_fill, cpu=0), agent(tlb_fill, cpu=2), agent(tlb_evict, cpu=2)]
INTERRUPTS = [agent(sysvec_call_function, cpu=0), agent(sysvec_call_function, cpu=2)]
BROADCAST = [agent(receive_tlbi, cpu=0), agent(receive_tlbi, cpu=2)]


def fork() -> None:
    """Thread: write-protect what the mapping has, as fork() does."""
    dup_mmap(None, mm)


def walker_makes_no_pte() -> bool:
    """T4-S11: the walker marks no PTE that is gone: what is not present is none."""
    for index in range(Machine.pages):
        pte = pte_at(index)
        if not pte_present(pte) and not pte_none(pte):
            return False
    return True


def no_stale_entry() -> bool:
    """T4-S2, of all entries and at all times: what a TLB translates, its PTE maps."""
    for cpu in cpus:
        for address in range(Machine.pages):
            entry = cpu.tlb[address]
            pte = pte_at(address)
            if entry.present and runs_user_code(cpu):
                if not pte_present(pte) or pte_pfn(pte) != entry.pfn:
                    return False
    return True
