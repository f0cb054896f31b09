"""Reads of an entry in two halves, on x86 PAE, without a lock: October 2022.

ptep_get_lockless() reads the low half, the high half, and the low half again.  That tells an
entry that changed from one that did not, as long as it does not change twice: present, none,
and present again with the same low half.  MADV_DONTNEED drops the PTL before it flushes
where nothing was dirty, and a fault needs no flush: so it does change twice, interrupts off
or not.  Peter Zijlstra would have flushed under the PTL there, and would have had PAE do
without the paravirtual flush; neither was merged.

GUP-fast looks at the whole entry again, by two loads where a word is half an entry.  One zap
does not get past that; two do, if another fault maps the page in between.

Under ``order sc`` the barriers between the loads and between the stores order nothing: a
mutant without one of them would be no mutant, and none is here.
"""

from __future__ import annotations

from pagerace.lang import HOLDS, agent, drop, force, mutant, protocol, swap, thread, violates
from pagerace.machine.arch import Arch
from pagerace.machine.entry import Watch
from pagerace.machine.irq import local_irq_disable, local_irq_save
from pagerace.machine.memory import Machine
from pagerace.machine.pae import (
    Pae,
    exchange_low,
    load_high,
    load_low,
    native_get_and_clear,
    native_set_pte,
    store_high,
    store_low,
)
from pagerace.machine.tlb import tlb_fill
from pagerace.machine.vcpu import host
from pagerace.mm.gup import Gup, gup_pte_range
from pagerace.mm.madvise import Madvise
from pagerace.mm.memory import zap_pte_range
from pagerace.mm.mmu_gather import V6_2, tlb_flush_mmu_tlbonly
from pagerace.mm.pgtable_lockless import Lockless, ptep_get_lockless
from pagerace.mm.tlb import sysvec_call_function
from pagerace.protocols._lockless_read import (
    entry_goes_while_it_is_read,
    gup_fast,
    no_torn_read,
    no_wrong_page,
    read_entry,
    setup,
    touch,
    touch_zap_touch,
    walker_sees_no_half,
    zap,
)
from pagerace.protocols._shared_file import Start, Work

HARDWARE = [
    agent(sysvec_call_function, cpu=0),
    agent(sysvec_call_function, cpu=1),
    agent(sysvec_call_function, cpu=2),
    agent(tlb_fill, cpu=0),
    agent(tlb_fill, cpu=1),
]
# The whole frame number is in the high half: frames that lie 4 GiB apart.
PAE = [
    V6_2,
    Machine(arch=Arch.X86_PAE, frames=2),
    Pae(low_pfn_bits=0),
    Work(start=Start.READ),
    Watch(entries=True),
]

v6_2 = protocol(
    title="ptep_get_lockless() makes an entry that never was, beside MADV_DONTNEED",
    kernel="include/linux/pgtable.h: ptep_get_lockless()",
    commit="93b3037a1482",
    threads=[thread(zap, cpu=0), thread(touch, cpu=1), thread(read_entry, cpu=2), *HARDWARE],
    setup=setup,
    always=[no_torn_read],
    config=PAE,
    expect=violates(no_torn_read),
)

force_flush = v6_2.replace(
    title="ptep_get_lockless() reads what was there, if MADV_DONTNEED flushes under the PTL",
    always=[no_torn_read, walker_sees_no_half],
    sometimes=[entry_goes_while_it_is_read],
    config=[Madvise(force_flush=True)],
    expect=HOLDS,
    mutants={
        "no_second_look": mutant(
            force(ptep_get_lockless, "low_changed(ptep, low)", False), killed_by=no_torn_read
        ),
        "high_half_first": mutant(
            swap(ptep_get_lockless, load_low, load_high), killed_by=no_torn_read
        ),
        "loop_without_end": mutant(
            force(ptep_get_lockless, "low_changed(ptep, low)", True), killed_by="livelock"
        ),
        "interrupts_on": mutant(
            drop(local_irq_save, local_irq_disable), killed_by=no_torn_read
        ),
        "flag_not_looked_at": mutant(
            force(zap_pte_range, "zap_force_flush(details)", False), killed_by=no_torn_read
        ),
        "no_flush": mutant(
            drop(zap_pte_range, tlb_flush_mmu_tlbonly), killed_by=no_torn_read
        ),
        "set_low_half_first": mutant(
            swap(native_set_pte, store_high, store_low), killed_by=walker_sees_no_half
        ),
    },
)

force_flush_halves = force_flush.replace(
    title="clearing an entry half by half shows no walker a half, low half first",
    config=[Pae(low_pfn_bits=0, xchg64=False)],
    mutants={
        "clear_high_half_first": mutant(
            swap(native_get_and_clear, exchange_low, store_high),
            killed_by=walker_sees_no_half,
        ),
    },
)

paravirtual = v6_2.replace(
    title="the flush under the PTL does not interrupt a preempted vCPU: torn again",
    threads=[*v6_2.threads, agent(host, cpu=2)],
    config=[
        Madvise(force_flush=True),
        Machine(arch=Arch.X86_PAE, frames=2, paravirtual=True),
    ],
)

cmpxchg8b = v6_2.replace(
    title="an entry that is read by cmpxchg8b was there",
    always=[no_torn_read, walker_sees_no_half],
    sometimes=[entry_goes_while_it_is_read],
    config=[Lockless(cmpxchg8b=True)],
    expect=HOLDS,
    mutants={
        "two_loads": mutant(
            force(ptep_get_lockless, "Lockless.cmpxchg8b", False), killed_by=no_torn_read
        ),
        "set_low_half_first": mutant(
            swap(native_set_pte, store_high, store_low), killed_by=walker_sees_no_half
        ),
    },
)

x86_64 = cmpxchg8b.replace(
    title="an entry that is read by one load of 64 bits was there",
    always=[no_torn_read],
    config=[Machine(arch=Arch.X86_64, frames=2), Lockless()],
    mutants={
        "two_loads": mutant(
            force(ptep_get_lockless, "Machine.arch is not Arch.X86_PAE", False),
            killed_by=no_torn_read,
        ),
    },
)

gup_one_zap = v6_2.replace(
    title="GUP-fast finds by its second look that an entry was torn, beside one zap",
    kernel="mm/gup.c: gup_pte_range()",
    threads=[thread(zap, cpu=0), thread(touch, cpu=1), thread(gup_fast, cpu=2), *HARDWARE],
    always=[no_wrong_page],
    sometimes=[entry_goes_while_it_is_read],
    expect=HOLDS,
    mutants={
        "no_second_look": mutant(
            force(gup_pte_range, "not pte_same(pte, again)", False), killed_by=no_wrong_page
        ),
    },
)

gup_two_zaps = gup_one_zap.replace(
    title="GUP-fast gives a page that was never mapped: its second look is torn too",
    threads=[
        thread(zap, cpu=0), thread(touch_zap_touch, cpu=1), thread(gup_fast, cpu=2), *HARDWARE
    ],
    sometimes=[],
    expect=violates(no_wrong_page),
    mutants={},
)  # fmt: skip

gup_whole_second_look = gup_two_zaps.replace(
    title="GUP-fast, with a second look at 64 bits at once, gives no wrong page",
    config=[Gup(whole_recheck=True)],
    sometimes=[entry_goes_while_it_is_read],
    expect=HOLDS,
    mutants={
        "two_loads": mutant(
            force(gup_pte_range, "Gup.whole_recheck", False), killed_by=no_wrong_page
        ),
    },
)

gup_force_flush = gup_whole_second_look.replace(
    title="GUP-fast gives no wrong page, if MADV_DONTNEED flushes under the PTL",
    config=[Gup(), Madvise(force_flush=True)],
    mutants={
        "flag_not_looked_at": mutant(
            force(zap_pte_range, "zap_force_flush(details)", False), killed_by=no_wrong_page
        ),
    },
)
