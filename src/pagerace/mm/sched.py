"""What a task knows of itself: include/linux/sched.h, include/linux/preempt.h."""

from __future__ import annotations

from pagerace.lang import (
    Config,
    Pool,
    Struct,
    atomic,
    bug_on,
    choose,
    per_thread,
    pool,
    smp_processor_id,
    thread_index,
    u16,
    wait_until,
)
from pagerace.machine.cpu import cpus
from pagerace.machine.irq import irqs_disabled
from pagerace.machine.memory import Machine, nr_t


class Sched(Config):
    """How the kernel is built, and what the scheduler does.

    ``smp``: CONFIG_SMP; without it the kernel is preemptible, and threads 0 to ``tasks`` - 1
    share CPU 0.  ``ticks``: the scheduler wants the CPU at any time, and code that
    asks need_resched() sees that.
    """

    smp: bool = True
    tasks: int = 1
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

    preempt_count: nr_t
    held_locks: u16


class rq(Struct):
    """struct rq of the only CPU of a kernel without CONFIG_SMP.

    ``curr``: the thread that runs.  ``preempt_off``: its preempt_count is not 0.
    """

    curr: nr_t
    preempt_off: bool


runqueue = rq()
tasks = per_thread(task_struct)
thread_infos: Pool[thread_info] = pool(thread_info, lambda: Machine.cpus)


def preempt_disable() -> None:
    """preempt_disable(): no sleep from here on."""
    tasks.current.preempt_count += 1
    if not Sched.smp and tasks.current.preempt_count == 1:
        runqueue.preempt_off = True


def preempt_enable() -> None:
    """preempt_enable()."""
    tasks.current.preempt_count -= 1
    if not Sched.smp and tasks.current.preempt_count == 0:
        runqueue.preempt_off = False


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


def schedulable() -> bool:
    """Is it the thread that asks which CPU 0 runs?"""
    return runqueue.curr == thread_index()


def preempt_schedule_irq() -> None:
    """Agent: preempt_schedule_irq() of kernel/sched/core.c: CPU 0 runs another thread.

    It comes from an interrupt, where the preempt_count allows it.  A thread that waits for
    something gives way here too.  Within one mm, and to a kernel thread, which has none, the
    switch leaves the TLB as it is.
    """
    while True:
        with atomic():
            following: nr_t = nr_t(choose(Sched.tasks))
            wait_until(not runqueue.preempt_off and not cpus[0].interrupts_off)
            wait_until(following != runqueue.curr)
            runqueue.curr = following
