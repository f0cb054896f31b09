"""Read-copy-update: include/linux/rcupdate.h, kernel/rcu/tree.c.

Readers are not preempted (CONFIG_PREEMPT_RCU=n).  A section with interrupts off is a reader
too, for a CPU with interrupts off passes no quiescent state.
"""

from __future__ import annotations

from pagerace.lang import (
    Config,
    Pool,
    Struct,
    atomic,
    bug_on,
    pool,
    smp_processor_id,
    wait_until,
)
from pagerace.machine.cpu import cpus
from pagerace.machine.memory import Machine, cpu_t, cpumask_t, nr_t
from pagerace.mm.cpumask import cpumask_of, cpumask_test_cpu
from pagerace.mm.sched import might_sleep, preempt_disable, preempt_enable


class Rcu(Config):
    """``callbacks``: call_rcu() goes on at once, and what it asks for is done by an agent,
    rcu_core() of mm/rcu_callbacks.py.  Else the caller waits for the grace period."""

    callbacks: bool = False


class rcu_data(Struct):
    """What RCU knows of a CPU.  ``nesting``: read-side sections that it is in."""

    nesting: nr_t


class rcu_head(Struct):
    """struct rcu_head of what is to be freed.

    ``queued``: call_rcu() was called.  ``waiting``: CPUs that were in a reader then, and have
    not been seen outside since.  That is all there is to a grace period: whoever was in none
    cannot know what is to be freed.
    """

    queued: bool
    waiting: cpumask_t


# One for each CPU.
rcu_data_of: Pool[rcu_data] = pool(rcu_data, lambda: Machine.cpus)


def rcu_read_lock() -> None:
    """rcu_read_lock(): nothing that is seen from here on is freed before the unlock."""
    preempt_disable()
    with atomic():
        rcu_data_of[smp_processor_id()].nesting += 1


def rcu_read_unlock() -> None:
    """rcu_read_unlock()."""
    with atomic():
        bug_on(rcu_data_of[smp_processor_id()].nesting == 0, "counter-below-zero")
        rcu_data_of[smp_processor_id()].nesting -= 1
    preempt_enable()


def rcu_is_quiescent(cpu: cpu_t) -> bool:
    """Is the CPU outside all readers at this moment?"""
    return rcu_data_of[cpu].nesting == 0 and not cpus[cpu].interrupts_off


def synchronize_rcu() -> None:
    """synchronize_rcu(): wait until each reader that is there now has ended.

    Each CPU has to be seen outside a reader once, at any time from here on; readers that
    begin meanwhile are not waited for.
    """
    might_sleep()
    for cpu in range(Machine.cpus):
        wait_until(rcu_is_quiescent(cpu))


def __call_rcu(head: rcu_head) -> None:
    """__call_rcu_common(): queue it; from now on its grace period can begin, and end."""
    with atomic():
        bug_on(head.queued, "double-free")
        head.queued = True
        for cpu in range(Machine.cpus):
            if not rcu_is_quiescent(cpu):
                head.waiting |= cpumask_of(cpu)


def quiescent_since(head: rcu_head) -> cpumask_t:
    """The CPUs for which it waits, and that are outside all readers at this moment."""
    seen: cpumask_t = 0
    for cpu in range(Machine.cpus):
        if cpumask_test_cpu(cpu, head.waiting) and rcu_is_quiescent(cpu):
            seen |= cpumask_of(cpu)
    return seen
