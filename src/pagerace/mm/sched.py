"""What a task knows of itself: include/linux/sched.h, include/linux/preempt.h."""

from __future__ import annotations

from pagerace.lang import Struct, bug_on, per_thread, u2, u8
from pagerace.machine.irq import irqs_disabled


class task_struct(Struct):
    """``preempt_count``: not zero while it must not sleep.

    ``held_locks``: lockdep's, one bit for each class of lock.
    """

    preempt_count: u2
    held_locks: u8


tasks = per_thread(task_struct)


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
