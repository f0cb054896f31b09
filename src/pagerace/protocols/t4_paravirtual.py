"""Flushes that skip CPUs: virtual CPUs that are preempted, and CPUs in lazy TLB mode.

Either flushes before it executes user code again, so that what must hold of dirty pages
holds.  What does not hold any more is that a flush waits for sections with interrupts off,
on which readers without a lock rely; nor has it ever held where flushes are broadcast.
"""
# pyright: strict, reportPrivateUsage=false
# Names that begin with underscores are the kernel's.

from __future__ import annotations

from pagerace.lang import (
    Struct,
    agent,
    atomic,
    drop,
    force,
    mutant,
    protocol,
    swap,
    thread,
    violates,
)
from pagerace.machine.arch import Arch
from pagerace.machine.irq import local_irq_disable, local_irq_enable
from pagerace.machine.memory import Machine
from pagerace.machine.tlb import tlb_flush_all
from pagerace.machine.vcpu import host, record_steal_time
from pagerace.mm.fault import user_store
from pagerace.mm.mmu_gather import V6_0
from pagerace.mm.tlb import flush_tlb_mm_range, kvm_flush_tlb_multi
from pagerace.mm.tlb_lazy import (
    LazyTlb,
    inc_mm_tlb_gen,
    leave_lazy_mode,
    load_if_out_of_date,
    run_kernel_thread,
    switch_mm_irqs_off,
)
from pagerace.protocols import t4_lost_write
from pagerace.protocols._dirty_tracking import no_lost_write, rmap_outlives_translations
from pagerace.protocols._hardware import BROADCAST, INTERRUPTS
from pagerace.protocols._shared_file import Work, logs, mm, setup, unmap, writeback

CMPXCHG = "cmpxchg(cpus[cpu].steal, state, asked) == state"

v6_2 = t4_lost_write.v6_2.replace(
    title="a flush that skips preempted vCPUs loses no store",
    threads=[*t4_lost_write.v6_2.threads, agent(host, cpu=2)],
    config=[Machine(paravirtual=True), Work(stores=1)],
    mutants={
        "host_does_not_flush": mutant(
            drop(record_steal_time, tlb_flush_all), killed_by=rmap_outlives_translations
        ),
        "vcpu_that_runs_again_is_skipped": mutant(
            force(kvm_flush_tlb_multi, CMPXCHG, True), killed_by=rmap_outlives_translations
        ),
    },
)

v6_0 = v6_2.replace(
    title="a flush that skips preempted vCPUs loses what v6.0 lost",
    always=[no_lost_write],
    config=[V6_0],
    expect=violates(no_lost_write),
    mutants={},
)


def sleepy_user() -> None:
    """Thread: as user(), but a kernel thread runs on the CPU before each store."""
    for count in range(Work.stores):
        for page in range(Machine.pages):
            run_kernel_thread(mm)
            if not user_store(mm, page):
                return
            logs[2].stored[page] = count + 1


lazy = t4_lost_write.v6_2.replace(
    title="a flush that skips CPUs in lazy TLB mode loses no store",
    threads=[
        thread(unmap, cpu=0),
        thread(writeback, cpu=1),
        thread(sleepy_user, cpu=2),
        *t4_lost_write.HARDWARE,
    ],
    config=[LazyTlb(mode=True), Work(stores=1)],
    mutants={
        "lazy_cpu_does_not_look": mutant(
            drop(switch_mm_irqs_off, load_if_out_of_date), killed_by=rmap_outlives_translations
        ),
        "lazy_cpu_looks_too_early": mutant(
            swap(switch_mm_irqs_off, leave_lazy_mode, load_if_out_of_date),
            killed_by=rmap_outlives_translations,
        ),
        "flush_not_counted": mutant(
            drop(flush_tlb_mm_range, inc_mm_tlb_gen), killed_by=rmap_outlives_translations
        ),
    },
)


class section_log(Struct):
    """``irqs_off``: CPU 2 is in its section; ``overtaken``: a flush has not waited for it."""

    irqs_off: bool
    overtaken: bool


section = section_log()


def reader() -> None:
    """Thread: a section with interrupts off, as that of a reader without a lock."""
    local_irq_disable()
    section.irqs_off = True
    section.irqs_off = False
    local_irq_enable()


def flusher() -> None:
    """Thread: a flush, of which it is noted whether the section outlived it."""
    began_inside = section.irqs_off
    flush_tlb_mm_range(mm, 0, Machine.pages)
    with atomic():
        if began_inside and section.irqs_off:
            section.overtaken = True


def a_flush_waits_for_irqs_off() -> bool:
    """T4-B6: a flush that begins in a section with interrupts off ends after it."""
    return not section.overtaken


irqs_off = protocol(
    title="x86: a flush waits for sections with interrupts off",
    kernel="include/linux/pgtable.h: ptep_get_lockless()",
    threads=[thread(flusher, cpu=0), thread(reader, cpu=2), *INTERRUPTS],
    setup=setup,
    always=[a_flush_waits_for_irqs_off],
    mutants={
        "interrupts_stay_on": mutant(
            drop(reader, local_irq_disable),
            drop(reader, local_irq_enable),
            killed_by=a_flush_waits_for_irqs_off,
        ),
    },
)

irqs_off_paravirtual = irqs_off.replace(
    title="a flush that skips preempted vCPUs does not wait for them",
    threads=[*irqs_off.threads, agent(host, cpu=2)],
    config=[Machine(paravirtual=True)],
    expect=violates(a_flush_waits_for_irqs_off),
    mutants={},
)

irqs_off_broadcast = irqs_off.replace(
    title="arm64: a flush interrupts nobody and waits for no section",
    threads=[thread(flusher, cpu=0), thread(reader, cpu=2), *BROADCAST],
    config=[Machine(arch=Arch.ARM64)],
    expect=violates(a_flush_waits_for_irqs_off),
    mutants={},
)
