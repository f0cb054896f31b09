"""Invalidation that the hardware broadcasts: TLBI and DSB of arm64.

No interrupt and no code on the other CPUs is part of it: a CPU with interrupts off
forgets as well.  Each does so at a time of its own, and DSB waits for the last; that a CPU
has forgotten means that no access of it which used the translation is still on its way.

TRUSTED.
"""

from __future__ import annotations

from pagerace.lang import atomic, choose, smp_processor_id, u7, wait_until
from pagerace.machine.cpu import cpus, has_tables
from pagerace.machine.memory import Machine, cpu_t, ulong
from pagerace.machine.tables import PagingCache
from pagerace.machine.tlb import forget_known, forget_page, invlpg


def pending_of(sender: cpu_t, address: ulong) -> u7:
    """Where in ``invalidate`` a CPU finds what ``sender`` has told it of a page."""
    return u7(sender) * Machine.pages + address


def tlbi_vale1is(address: ulong) -> None:
    """TLBI VALE1IS: tell all CPUs of the inner shareable domain to forget a page.

    Last level only: what they know of tables stays.  One that has no user space has nothing
    to forget.  For this CPU it is done at once: it executes no user code before it has
    waited.  At full size no time passes between.
    """
    this_cpu = cpu_t(smp_processor_id())
    if Machine.full_size:
        for other in cpus:
            invlpg(other, address)
    else:
        with atomic():
            for cpu in range(Machine.cpus):
                if cpu == this_cpu:
                    forget_page(cpus[cpu], address)
                elif has_tables(cpus[cpu]):
                    cpus[cpu].invalidate[pending_of(this_cpu, address)] = True


def tlbi_vae1is(address: ulong) -> None:
    """TLBI VAE1IS: the same, and the tables on the way to the page are forgotten."""
    this_cpu = cpu_t(smp_processor_id())
    with atomic():
        for cpu in range(Machine.cpus):
            if cpu == this_cpu:
                invlpg(cpus[cpu], address)
            elif has_tables(cpus[cpu]):
                cpus[cpu].invalidate[pending_of(this_cpu, address)] = True
                cpus[cpu].invalidate_tables[this_cpu] = True


def dsb_ishst() -> None:
    """DSB ISHST: the walkers of all CPUs see the stores before; so they do in any order sc."""


def dsb_ish() -> None:
    """DSB ISH: wait until all CPUs have forgotten what this one broadcast."""
    this_cpu = cpu_t(smp_processor_id())
    if not Machine.full_size:
        with atomic():
            done = True
            for cpu in cpus:
                for address in range(Machine.pages):
                    if cpu.invalidate[pending_of(this_cpu, address)]:
                        done = False
            wait_until(done)


def receive_tlbi() -> None:
    """Agent: the CPU hears of an invalidation, and forgets, whenever it likes."""
    cpu = cpus[smp_processor_id()]
    while True:
        with atomic():
            sender: cpu_t = choose(Machine.cpus)
            address: ulong = choose(Machine.pages)
            wait_until(cpu.invalidate[pending_of(sender, address)])
            forget_page(cpu, address)
            cpu.invalidate[pending_of(sender, address)] = False
            if PagingCache.on and cpu.invalidate_tables[sender]:
                forget_known(cpu)
                cpu.invalidate_tables[sender] = False
