"""What a task knows of itself: include/linux/sched.h, include/linux/preempt.h."""

from __future__ import annotations

from pagerace.lang import (
    Config,
    Pool,
    Struct,
    atomic,
    bug_on,
    per_thread,
    pool,
    smp_processor_id,
    u2,
    u8,
    wait_until,
)
from pagerace.machine.irq import irqs_disabled
from pagerace.machine.memory import Machine


class Sched(Config):
    """How the kernel is built, and what the scheduler does.

    ``smp``: CONFIG_SMP.  ``ticks``: the scheduler wants the CPU at any time, and code that
    asks need_resched() sees that.
    """

    smp: bool = True
    ticks: bool = False


class thread_info(Struct):
    """``need_resched``: TIF_NEED_RESCHED of the task that CPU n runs.

    The word is the running task's own; here it is the CPU's, for each CPU has one task.
    """

    need_resched: bool


class task_struct(Struct):
    """``preempt_count``: not zero while it must not sleep.

    ``held_locks``: lockdep's, one bit for each class of lock.
    """

    preempt_count: u2
    held_locks: u8


tasks = per_thread(task_struct)
thread_infos: Pool[thread_info] = pool(thread_info, lambda: Machine.cpus)


def preempt_disable() -> None:
    """preempt_disable(): no sleep from here on."""
    tasks.current.preempt_count += 1


def preempt_enable() -> None:
    """preempt_enable()."""
    tasks.current.preempt_count -= 1


def might_sleep() -> None:
    """might_sleep() of include/linux/kernel.h: report a sleep in atomic context."""
    bug_on(tasks.current.preempt_count != 0 or irqs_disabled(), "sleeping-while-atomic")


def cond_resched() -> None:
    """cond_resched(): other tasks may run here, as they may anywhere else."""
    might_sleep()
    if Sched.ticks:
        thread_infos[smp_processor_id()].need_resched = False  # schedule()


def need_resched() -> bool:
    """need_resched() of include/linux/sched.h: is another task to run?"""
    return Sched.ticks and thread_infos[smp_processor_id()].need_resched


def scheduler_tick() -> None:
    """Agent: scheduler_tick() of kernel/sched/core.c, with resched_curr(), at any time."""
    info = thread_infos[smp_processor_id()]
    while True:
        with atomic():
            wait_until(not info.need_resched)
            info.need_resched = True
