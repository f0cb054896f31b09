"""Sets of CPUs: include/linux/cpumask.h."""

from __future__ import annotations

from pagerace.machine.memory import cpu_t, cpumask_t


def cpumask_of(cpu: cpu_t) -> cpumask_t:
    """cpumask_of(): the set of one CPU."""
    return cpumask_t(1) << cpu


def cpumask_test_cpu(cpu: cpu_t, mask: cpumask_t) -> bool:
    """cpumask_test_cpu()."""
    return mask & cpumask_of(cpu) != 0
