"""Sets of CPUs: include/linux/cpumask.h."""

from __future__ import annotations

from pagerace.machine.memory import Machine, cpu_t, cpumask_t


def cpumask_of(cpu: cpu_t) -> cpumask_t:
    """cpumask_of(): the set of one CPU."""
    return cpumask_t(1) << cpu


def cpumask_test_cpu(cpu: cpu_t, mask: cpumask_t) -> bool:
    """cpumask_test_cpu()."""
    return mask & cpumask_of(cpu) != 0


def cpumask_all() -> cpumask_t:
    """cpu_online_mask: every CPU that there is."""
    mask: cpumask_t = 0
    for cpu in range(Machine.cpus):
        mask |= cpumask_of(cpu)
    return mask
