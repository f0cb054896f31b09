"""A host that takes its virtual CPUs away: the host's half of KVM's paravirtual flush.

The guest's half is kvm_flush_tlb_multi() in mm/tlb.py.  A CPU that is away executes no
instruction of user space, takes no interrupt and walks no tables.  Kernel code of a
thread may go on: who knows no time cannot tell it from code that was preempted later.

TRUSTED.
"""

from __future__ import annotations

from pagerace.lang import atomic, smp_processor_id, wait_until
from pagerace.machine.cpu import cpus, processor, steal_time
from pagerace.machine.tlb import tlb_flush_all


def kvm_steal_time_set_preempted(cpu: processor) -> None:
    """kvm_steal_time_set_preempted() of arch/x86/kvm/x86.c: the vCPU has stopped."""
    with atomic():
        wait_until(not cpu.steal.preempted)
        cpu.steal = steal_time(preempted=True)


def record_steal_time(cpu: processor) -> None:
    """record_steal_time() of arch/x86/kvm/x86.c: the vCPU is about to go on.

    One xchg takes what the guest asked for; what is asked for is done before the vCPU
    executes anything.
    """
    with atomic():
        asked = cpu.steal.flush_tlb
        cpu.steal = steal_time()
        if asked:
            tlb_flush_all(cpu)


def host() -> None:
    """Agent: the host takes the CPU away and gives it back, whenever it likes."""
    cpu = cpus[smp_processor_id()]
    while True:
        kvm_steal_time_set_preempted(cpu)
        record_steal_time(cpu)
