"""Sets of CPUs: include/linux/cpumask.h."""

from __future__ import annotations

from pagerace.lang import u3, u8


def cpumask_of(cpu: u3) -> u8:
    """cpumask_of(): the set of one CPU."""
    return u8(1) << cpu


def cpumask_test_cpu(cpu: u3, mask: u8) -> bool:
    """cpumask_test_cpu()."""
    return mask & cpumask_of(cpu) != 0
