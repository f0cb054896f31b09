"""Interrupts from one CPU to another.

A request stays up until the target has answered it.  Delivery waits while the target
has its interrupts off or does not run; what the target does then is the kernel's (mm/tlb.py).

TRUSTED.
"""

from __future__ import annotations

from pagerace.lang import smp_processor_id, wait_until
from pagerace.machine.cpu import cpus, processor, runs
from pagerace.machine.memory import cpu_t


def send_ipi(target: cpu_t) -> None:
    """Ask ``target`` to interrupt what it does."""
    cpus[target].request[smp_processor_id()] = True


def answered() -> bool:
    """Has every CPU answered that this one interrupted?"""
    done = True
    for cpu in cpus:
        if cpu.request[smp_processor_id()]:
            done = False
    return done


def wait_for_interrupt(cpu: processor, sender: cpu_t) -> None:
    """On the target: the moment at which a request of ``sender`` is delivered."""
    wait_until(runs(cpu) and not cpu.interrupts_off and cpu.request[sender])


def answer(cpu: processor, sender: cpu_t) -> None:
    """On the target: let the sender go on."""
    cpu.request[sender] = False
