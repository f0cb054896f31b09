"""Calls of functions on other CPUs: kernel/smp.c.

The only function that is ever called here is flush_tlb_func(), so that what the caller
passes is always a flush_tlb_info.  Of no page at all, where it is to do nothing.
"""

from __future__ import annotations

from pagerace.lang import (
    Pool,
    Struct,
    atomic,
    bug_on,
    pool,
    smp_processor_id,
    wait_until,
)
from pagerace.machine.ipi import answered, send_ipi
from pagerace.machine.irq import irqs_disabled
from pagerace.machine.memory import Machine, cpu_t, cpumask_t, ulong
from pagerace.mm.cpumask import cpumask_all, cpumask_of, cpumask_test_cpu


class call_function_data(Struct):
    """What a CPU passes to those that it calls: the pages from ``start`` to ``end`` - 1."""

    start: ulong
    end: ulong


# One for each calling CPU.
cfd_data: Pool[call_function_data] = pool(call_function_data, lambda: Machine.cpus)


def smp_call_function_many(mask: cpumask_t, start: ulong, end: ulong) -> None:
    """smp_call_function_many_cond(), first half: interrupt all CPUs of ``mask`` but this.

    One step for all of them.  A request is seen by its target alone, which may take its
    time; whatever happens between two requests could happen before or after both just as
    well.  The data is published by the same operation: none looks at it before.
    """
    this_cpu = cpu_t(smp_processor_id())
    if mask & ~cpumask_of(this_cpu) == 0:
        return
    data = cfd_data[this_cpu]
    with atomic():
        for cpu in range(Machine.cpus):
            if cpumask_test_cpu(cpu, mask) and cpu != this_cpu:
                data.start = start
                data.end = end
                send_ipi(cpu)


def csd_lock_wait() -> None:
    """smp_call_function_many_cond(), second half: until all have run the function.

    Two CPUs that wait for each other with interrupts off would wait for ever.
    """
    bug_on(irqs_disabled(), "ipi-with-interrupts-off")
    data = cfd_data[smp_processor_id()]
    with atomic():
        wait_until(answered())
        # The data is this CPU's own again, and the next call begins from nothing.
        data.start = 0
        data.end = 0


def smp_call_function() -> None:
    """smp_call_function(), of a function that does nothing: all other CPUs answer.

    So each of them has been in a place where interrupts were on.
    """
    smp_call_function_many(cpumask_all(), 0, 0)
