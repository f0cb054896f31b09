"""An entry that changes from A to B to C while its two halves are read, on x86 PAE.

A is a page that was stored to, B the zero page, C another page that was stored to: the low
halves of A and C are equal, and allow writing.  The reader gets them with the high half of
B: the zero page, writable.  The first half of the story, A and none and C with A's low
half, is in t4_torn_read.py.
"""

from __future__ import annotations

from pagerace.lang import HOLDS, agent, drop, force, mutant, protocol, thread, violates
from pagerace.machine.arch import Arch
from pagerace.machine.entry import Watch
from pagerace.machine.memory import Machine
from pagerace.machine.pae import Pae
from pagerace.mm.anon import Anon
from pagerace.mm.madvise import Madvise
from pagerace.mm.memory import zap_pte_range
from pagerace.mm.mmu_gather import V6_2, tlb_flush_mmu_tlbonly
from pagerace.mm.pgtable_lockless import Lockless, ptep_get_lockless
from pagerace.mm.tlb import sysvec_call_function
from pagerace.protocols._lockless_anon import (
    load_and_zap,
    no_writable_zero_page,
    read_entry,
    setup,
    store,
    zap,
)
from pagerace.protocols._lockless_read import no_torn_read

v6_2 = protocol(
    title="ptep_get_lockless() makes a writable zero page of three entries",
    kernel="include/linux/pgtable.h: ptep_get_lockless()",
    commit="93b3037a1482",
    threads=[
        thread(zap, cpu=0),
        thread(load_and_zap, cpu=1),
        thread(read_entry, cpu=2),
        thread(store, cpu=3),
        *(agent(sysvec_call_function, cpu=cpu) for cpu in range(4)),
    ],
    setup=setup,
    always=[no_writable_zero_page],
    config=[
        V6_2,
        Machine(arch=Arch.X86_PAE, cpus=4, frames=4),
        Pae(low_pfn_bits=0),
        Anon(private=True, zero_pfn=1),
    ],
    expect=violates(no_writable_zero_page),
)

force_flush = v6_2.replace(
    title="one entry is read, if MADV_DONTNEED flushes under the PTL",
    always=[no_torn_read, no_writable_zero_page],
    config=[Madvise(force_flush=True), Watch(entries=True)],
    expect=HOLDS,
    mutants={
        "no_second_look": mutant(
            force(ptep_get_lockless, "low_changed(ptep, low)", False), killed_by=no_torn_read
        ),
        "flag_not_looked_at": mutant(
            force(zap_pte_range, "zap_force_flush(details)", False), killed_by=no_torn_read
        ),
        "no_flush": mutant(
            drop(zap_pte_range, tlb_flush_mmu_tlbonly), killed_by=no_torn_read
        ),
    },
)

cmpxchg8b = force_flush.replace(
    title="one entry is read by cmpxchg8b",
    always=[no_writable_zero_page],
    config=[Madvise(), Lockless(cmpxchg8b=True), Watch()],
    mutants={
        "two_loads": mutant(
            force(ptep_get_lockless, "Lockless.cmpxchg8b", False),
            killed_by=no_writable_zero_page,
        ),
    },
)
