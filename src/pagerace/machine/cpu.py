"""Processors: what each of them has for itself.

TRUSTED.
"""

from __future__ import annotations

from pagerace.lang import Array, BitStruct, Pool, Struct, array, pool
from pagerace.machine.memory import Machine, pfn_t
from pagerace.machine.tables import (
    PagingCache,
    known_table,
    tables_to_know,
    upper_table,
)


class tlb_entry(BitStruct):
    """A copy of a PTE, taken when the entry was filled.

    Changing the PTE in memory does not change the copy.
    """

    present: bool = False
    writable: bool = False
    dirty: bool = False
    pfn: pfn_t = 0


class steal_time(BitStruct):
    """``preempted`` of struct kvm_steal_time: KVM_VCPU_PREEMPTED, KVM_VCPU_FLUSH_TLB."""

    preempted: bool = False
    flush_tlb: bool = False


class processor(Struct):
    """One CPU.  ``cr3``: the top table that its walker reads; None: no user space.

    ``tlb[a]`` translates virtual page a; at full size machine/tlb_sets.py has what is known.
    ``interrupts_off``: the interrupt flag is clear.  ``request[i]``: CPU i has sent an
    interrupt and waits for the answer.
    ``invalidate[i * Machine.pages + a]``: CPU i has broadcast that all forget page a, and
    this one has not yet.  ``steal``: what the host and the guest tell each other of it.
    ``away``: it executes a kernel thread, which has no use for the user space.
    ``known[i]``: the i-th table of PTEs, of an address space, where PagingCache.on.
    ``invalidate_tables[i]``: CPU i has broadcast that all forget tables, too.
    """

    cr3: upper_table | None = None
    tlb: Array[tlb_entry] = array(lambda: 1 if Machine.full_size else Machine.pages)
    interrupts_off: bool
    request: Array[bool] = array(lambda: Machine.cpus)
    invalidate: Array[bool] = array(
        lambda: 1 if Machine.full_size else Machine.cpus * Machine.pages
    )
    steal: steal_time
    away: bool
    known: Array[known_table] = array(lambda: tables_to_know() if PagingCache.on else 1)
    invalidate_tables: Array[bool] = array(lambda: Machine.cpus if PagingCache.on else 1)


# CPU n is cpus[n].  Processors are never allocated nor freed.
cpus: Pool[processor] = pool(processor, lambda: Machine.cpus)


def runs(cpu: processor) -> bool:
    """Does the CPU execute anything?  A virtual one does not while it is preempted."""
    return not Machine.paravirtual or not cpu.steal.preempted


def has_tables(cpu: processor) -> bool:
    """Has the CPU a user space?"""
    return cpu.cr3 is not None


def runs_user_code(cpu: processor) -> bool:
    """Can the CPU, as it stands, come to use a translation of its TLB for user code?"""
    return runs(cpu) and not cpu.away
